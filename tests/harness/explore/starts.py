"""The starts: what was there before the actors came.

Each is prepared once in a process and copied for each schedule. To add one, write a function that
brings an empty world there, and name it in `STARTS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING
from tests.harness.explore.actors import declare_only, hold
from tests.harness.explore.determinism import seed
from tests.harness.explore.world import POOL, World, WorldState, value_of
from tests.harness.faults.world import GRACE, NAME

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)


def _secret(world: World, name: str = NAME, value: str | None = None) -> str:
    """A secret with a key that a person made in the portal."""
    arn: str = world.client.create_secret(Name=name)["ARN"]
    world.arns = (*world.arns, arn)
    key = world.new_key()
    world.clock.later(MINUTE)
    world.store(arn, value_of(key, customer="acme") if value is None else value)
    world.judge.members_written(arn, {"customer": "acme"} if value is None else {})
    world.clock.later(MINUTE)
    return arn


def _foreign(world: World, arn: str) -> None:
    """A key of another installation, which nobody of ours may touch."""
    world.judge.foreign.add(world.keys.create(label=f"elsewhere|{arn}|another-token").id)


def rotate(world: World, arn: str) -> str:
    """A whole rotation, without the reconciliation that follows it; its token."""
    token = world.begin_rotation(arn)
    world.rotations_under_way()
    for step in ("createSecret", "setSecret", "testSecret", "finishSecret"):
        if not world.step(arn, token, step):
            raise AssertionError(f"{step}: {world.errors}")
    world.clock.later(MINUTE)
    return token


def reconcile(world: World) -> None:
    """One run over every secret."""
    world.invoke({})
    world.clock.later(MINUTE)


def _configured(world: World, arn: str) -> None:
    """Rotation is on: the first rotation has been and gone, and nothing is left of it."""
    rotate(world, arn)
    reconcile(world)
    world.clock.later(GRACE + HOUR)
    reconcile(world)
    reconcile(world)
    world.clock.later(HOUR)


def _fresh(world: World) -> None:
    """A key made by hand; rotation was turned on and nothing has been rotated."""
    arn = _secret(world)
    _foreign(world, arn)
    world.begin_rotation(arn)
    world.rotations_under_way()
    with world.hands():
        world.client.update_secret_version_stage(
            SecretId=arn, VersionStage=AWSPENDING, RemoveFromVersionId=world.pending(arn)
        )


def _steady(world: World) -> None:
    """Rotated, reconciled, the grace over: one key lives."""
    arn = _secret(world)
    _foreign(world, arn)
    _configured(world, arn)


def _in_grace(world: World) -> None:
    """Rotated just now, and reconciled: the key before is in its grace."""
    _steady(world)
    rotate(world, world.arns[0])
    reconcile(world)
    world.clock.later(HOUR)


def _grace_over(world: World) -> None:
    """The key before has to be retired by the next reconciliation."""
    _in_grace(world)
    world.clock.later(GRACE)


def _twice(world: World) -> None:
    """Rotated twice before any reconciliation: one key is in a version without labels."""
    _steady(world)
    rotate(world, world.arns[0])
    rotate(world, world.arns[0])


def _staged(world: World) -> None:
    """RotateSecret was called; Secrets Manager has not run a step yet."""
    _steady(world)
    world.facts["token"] = world.begin_rotation(world.arns[0])


def _pending(world: World) -> None:
    """The new key is stored and not proven; Secrets Manager will go on with the rotation."""
    _staged(world)
    [(arn, token, function)] = world.rotations_under_way()
    world.step(arn, token, "createSecret")
    world.goes_on(arn, token, function)
    world.clock.later(MINUTE)


def _stuck(world: World) -> None:
    """A rotation failed for good an hour ago: its key is stored, and AWSPENDING stays."""
    _pending(world)
    world.rotations_under_way()
    world.clock.later(HOUR)


def _leftover(world: World) -> None:
    """AWSPENDING was left on the version that is current."""
    _steady(world)
    arn = world.arns[0]
    current = world.judge.history(arn).current
    with world.hands():
        world.client.update_secret_version_stage(
            SecretId=arn, VersionStage=AWSPENDING, MoveToVersionId=current
        )
    world.facts["token"] = current


def _declared(world: World) -> None:
    """An incident was declared a moment ago, and the command has died."""
    _in_grace(world)
    declare_only(world, world.arns[0])


def _retiring(world: World) -> None:
    """An incident is open and a good key is current; the suspects still live."""
    _declared(world)
    world.clock.later(MINUTE)
    for arn, token, function in world.rotations_under_way():
        world.facts["token"] = token
        for step in ("createSecret", "setSecret", "testSecret", "finishSecret"):
            world.step(arn, token, step, function)


def _full_labels(world: World) -> None:
    """Somebody else's labels fill the quota of twenty; two are left for AWSPENDING and ours."""
    _in_grace(world)
    arn = world.arns[0]
    labels = {one for held in world.secret(arn).versions.values() for one in held["version_stages"]}
    for number in range(19 - len(labels)):
        with world.hands():
            world.client.update_secret_version_stage(
                SecretId=arn,
                VersionStage=f"team-{number}",
                MoveToVersionId=world.judge.history(arn).current,
            )


def _held(world: World) -> None:
    """A hold for three days, and a key whose grace is over."""
    _in_grace(world)
    hold(world)
    world.clock.later(GRACE)


def _junk(world: World) -> None:
    """What is current is no key; the one before is."""
    _steady(world)
    world.store(world.arns[0], "not a key")
    world.judge.members_written(world.arns[0], {})
    world.clock.later(HOUR)


def _old_unreadable(world: World) -> None:
    """A version without labels of AWS lies under a KMS key that is gone."""
    _twice(world)
    arn = world.arns[0]
    world.backend.unreadable |= {
        (arn, version)
        for version, held in world.secret(arn).versions.items()
        if not {AWSCURRENT, "AWSPREVIOUS"} & set(held["version_stages"])
    }


def _stray(world: World) -> None:
    """A key that was issued and never stored, an hour ago."""
    _steady(world)
    label = f"fixture|{world.arns[0]}|7f5c1f0e-0000-4000-8000-000000000001"
    world.keys.create(label=label)
    world.clock.later(HOUR)


def _two_by_hand(world: World) -> None:
    """Keys made by hand were replaced by hand, twice."""
    _steady(world)
    for _ in range(2):
        key = world.new_key()
        world.clock.later(MINUTE)
        world.store(world.arns[0], value_of(key))
        world.clock.later(MINUTE)
    world.judge.members_written(world.arns[0], {})


def _with_pool(world: World, keys: int) -> None:
    world.pool = True
    world.client.create_secret(Name=POOL, SecretString=json.dumps({"keys": []}))
    entries: list[dict[str, Any]] = []
    for _ in range(keys):
        key = world.new_key()
        entries.append({"apiKeyId": key.id, "apiKey": key.material, "state": "free"})
    with world.hands():
        world.client.put_secret_value(SecretId=POOL, SecretString=json.dumps({"keys": entries}))
    world.clock.later(MINUTE)


def _pool_of_three(world: World) -> None:
    """A key pool with three free keys; the secret holds one that was leased from it."""
    arn = _secret(world)
    _with_pool(world, 4)
    rotate(world, arn)
    reconcile(world)
    world.clock.later(HOUR)


def _pool_of_two_secrets(world: World) -> None:
    """Two secrets lease from one pool, which has three free keys."""
    first, second = _secret(world), _secret(world, "another-api")
    _with_pool(world, 5)
    rotate(world, first)
    rotate(world, second)
    reconcile(world)
    world.clock.later(HOUR)


def _two_secrets(world: World) -> None:
    """Two secrets in one vendor's account; the name of one begins with that of the other."""
    first = _secret(world, f"{NAME}/gateway")
    second = _secret(world)
    for arn in (first, second):
        _foreign(world, arn)
        _configured(world, arn)
    rotate(world, second)
    reconcile(world)
    world.clock.later(HOUR)


STARTS: Final[Mapping[str, Callable[[World], None]]] = {
    "fresh": _fresh,
    "steady": _steady,
    "in-grace": _in_grace,
    "grace-over": _grace_over,
    "twice": _twice,
    "staged": _staged,
    "pending": _pending,
    "stuck": _stuck,
    "leftover": _leftover,
    "declared": _declared,
    "retiring": _retiring,
    "full-labels": _full_labels,
    "held": _held,
    "junk": _junk,
    "old-unreadable": _old_unreadable,
    "stray": _stray,
    "by-hand": _two_by_hand,
    "pool": _pool_of_three,
    "pool-of-two": _pool_of_two_secrets,
    "two-secrets": _two_secrets,
}


def prepare(world: World, name: str) -> WorldState:
    """Bring the world to a start; the state, for each schedule to begin from.

    Raises:
        AssertionError: the start cannot be prepared, or breaks an invariant by itself.
    """
    seed(name)
    world.clear()
    STARTS[name](world)
    if world.judge.violations:
        raise AssertionError(f"start {name}: {world.judge.violations} {world.errors}")
    return world.save(name)
