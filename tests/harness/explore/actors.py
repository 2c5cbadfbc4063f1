"""The actors: each does one thing, and stops at every call that it makes.

An actor gets the world and works on its first secret. What it waits for, others may do meanwhile.
To add one, write a function and name it in `ACTORS`; ``docs/explorer.md`` says how.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from rotation.client.contract import event_of  # noqa: F401 - the shape of what is answered below
from rotation.client.credential_cache import CredentialCache
from rotation.client.sealing_client import SealingClient
from rotation.client.secret_source import SecretsManager
from rotation.core.steps import STEPS
from rotation.credential import ApiKey, iso_utc
from rotation.errors import RotationError
from rotation.incident.containment import WaitClock, contain
from rotation.incident.declaration import from_free_text
from rotation.key_pool import document
from rotation.key_pool.document import KeyState
from rotation.sealing.request import ObjectLocation, SealRequest
from rotation.sealing.sealer import error_answer
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING, HOLD_TAG
from rotation.secrets_manager.versions import SecretVersions
from tests.harness.explore.judge import key_in, members_of
from tests.harness.explore.world import ANOTHER_FUNCTION, PATIENCE, World, value_of
from tests.harness.faults.world import GRACE

#: How often somebody tries again to begin a rotation while another one is under way.
_TRIES: Final = 3


@dataclass(frozen=True)
class Actor:
    """One actor.

    Attributes:
        name: for schedules and for people.
        act: what it does.
        pool: whether it needs a key pool.
        secrets: how many secrets it needs.
    """

    name: str
    act: Callable[[World], None]
    pool: bool = False
    secrets: int = 1


# --- Secrets Manager and the functions ------------------------------------------------------


def _rotation(world: World, arn: str | None = None) -> None:
    """RotateSecret, as the schedule or an operator calls it; the steps are a task of their own."""
    arn = arn or world.arns[0]
    for attempt in range(_TRIES):
        if attempt:
            world.pause(90.0)
        if _aws(world, lambda: world.begin_rotation(arn)):
            return


def _repeat(world: World) -> None:
    """All four steps once more, with the token of the last rotation."""
    arn = world.arns[0]
    token = world.pending(arn) or world.facts.get("token") or world.judge.history(arn).current
    for step in STEPS:
        if not world.step(arn, str(token), step):
            return


def _replay(world: World) -> None:
    """All four steps with the token of the version that was current before."""
    arn = world.arns[0]
    previous = world.secret(arn).labelled("AWSPREVIOUS")
    token = previous["version_id"] if previous else world.judge.history(arn).current
    for step in STEPS:
        world.step(arn, str(token), step)


def _reconcile(world: World) -> None:
    """The hourly run over every secret."""
    world.attempt(lambda: world.invoke({}))


def _reconcile_by_name(world: World) -> None:
    """A person asks for one secret, by its name."""
    name = world.secret(world.arns[0]).name
    world.attempt(lambda: world.ask("reconcile", [name]))


def _report(world: World) -> None:
    """A person asks for the report, which changes nothing."""
    world.attempt(lambda: world.ask("report"))


def _redeployed(world: World) -> None:
    """The stack is deployed anew under another name: its function takes the secret over."""
    arn = world.arns[0]
    for attempt in range(_TRIES):
        if attempt:
            world.pause(90.0)
        if _aws(world, lambda: world.begin_rotation(arn, ANOTHER_FUNCTION)):
            break
    world.pause(300.0)
    world.attempt(lambda: world.invoke({}, ANOTHER_FUNCTION))


# --- An incident ----------------------------------------------------------------------------


def force(world: World, arn: str, reason: str, *, again: bool = False) -> None:
    """The responder's command, from the declaration to the end of its patience.

    This is the one place that knows how the product is asked to contain a leak.
    """
    told = world.judge.force_begins(arn)
    declared = from_free_text(world.clock(), reason, "ada")

    def ask(action: str, arn: str, **members: Any) -> dict[str, Any]:
        answer: dict[str, Any] = world.ask(action, [arn], **members)
        if action == "declare":
            world.judge.force_declared(told, _declared_at(answer, again=again))
        return answer

    def command() -> None:
        ended = contain(
            arn,
            declared,
            ask,
            log_act=lambda _: None,
            limit=PATIENCE,
            clocks=WaitClock(world.clock, world.clock.monotonic, world.pause),
            again=again,
        )
        world.judge.force_ended(arn, told, contained=ended.contained)

    if not world.attempt(command):
        world.judge.force_ended(arn, told, contained=False)


def _declared_at(answer: Mapping[str, Any], *, again: bool) -> datetime:
    """Every key that existed at this time is declared; without ``again``, at the incident's."""
    declarations = answer["incident"]["declarations"]
    named = [one for one in declarations if one["id"] == answer["declaration"]]
    return datetime.fromisoformat((named if again else declarations)[0]["at"])


def declare_only(world: World, arn: str) -> None:
    """Declare, and have the first rotation begun; then the command dies. For starts."""
    told = world.judge.force_begins(arn)
    declared = from_free_text(world.clock(), "key-compromise", "ada")
    answer = world.ask("declare", [arn], reason=declared.reason, actor=declared.actor)
    world.judge.force_declared(told, _declared_at(answer, again=False))
    world.ask("advance", [arn])
    world.judge.force_ended(arn, told, contained=False)


def _force(world: World) -> None:
    force(world, world.arns[0], "key-compromise")


def _force_again(world: World) -> None:
    force(world, world.arns[0], "laptop-lost", again=True)


def _force_other(world: World) -> None:
    force(world, world.arns[1], "key-compromise")


def _rollback(world: World) -> None:
    arn = world.arns[0]
    if world.attempt(lambda: world.ask("rollback", [arn])):
        # The version that is back has the members that it had.
        world.judge.members_written(arn, {})


def _unstick(world: World) -> None:
    """As `rotation unstick`."""
    versions = SecretVersions(world.client, world.arns[0])

    def command() -> None:
        snapshot = versions.snapshot()
        pending = snapshot.version_with(AWSPENDING)
        if pending is not None and not snapshot.has(pending, AWSCURRENT):
            versions.unstage_pending(pending)

    world.attempt(command)


def hold(world: World) -> None:
    """As `rotation hold`, for three days."""
    versions = SecretVersions(world.client, world.arns[0])
    until = iso_utc(world.clock() + timedelta(days=3))
    world.attempt(lambda: versions.tag({HOLD_TAG: until}))


# --- An operator ----------------------------------------------------------------------------


def _edit(world: World) -> None:
    """An operator adds a member to the current value."""
    arn = world.arns[0]
    members = _current_members(world, arn)
    if members is None:
        return
    members["note"] = f"written by hand, step {world.clock.monotonic():.2f}"
    others = {name: one for name, one in members.items() if name not in _OURS}
    _put(world, arn, json.dumps(members), others)


def _store_same_key(world: World) -> None:
    """An operator stores the current key again, alone."""
    arn = world.arns[0]
    members = _current_members(world, arn)
    if members is None:
        return
    alone = {name: members[name] for name in ("apiKey", "apiKeyId") if name in members}
    _put(world, arn, json.dumps(alone, indent=1), {})


def _store_other_key(world: World) -> None:
    """An operator makes a key in the portal, waits until it works, and stores it."""
    key = world.new_key()
    world.pause(60.0)
    _put(world, world.arns[0], value_of(key), {})


def _store_junk(world: World) -> None:
    """An operator stores what is no key."""
    _put(world, world.arns[0], "soon to be a key", {})


def _change_kms_key(world: World) -> None:
    """Another KMS key: versions without a label of AWS stay under the old one, which is disabled.

    API_UpdateSecret, KmsKeyId.
    """
    arn = world.arns[0]

    def act() -> None:
        world.backend.unreadable |= {
            (arn, version)
            for version, held in world.secret(arn).versions.items()
            if not {AWSCURRENT, AWSPENDING, "AWSPREVIOUS"} & set(held["version_stages"])
        }

    world.portal("UpdateSecret", "", act)


def _cancel(world: World) -> None:
    """An operator turns rotation off."""
    with world.hands():
        _aws(world, lambda: world.client.cancel_rotate_secret(SecretId=world.arns[0]))


def _delete_and_restore(world: World) -> None:
    """An operator deletes the secret, and thinks better of it."""
    arn = world.arns[0]
    history = world.judge.history(arn)
    with world.hands():
        history.away = _aws(world, lambda: world.client.delete_secret(SecretId=arn))
        world.pause(45.0)
        history.away = not _aws(world, lambda: world.client.restore_secret(SecretId=arn))


def _past_the_grace(world: World) -> None:
    """Nothing happens for longer than the grace."""
    world.portal("time passes", "", lambda: world.clock.later(GRACE + timedelta(minutes=5)))


# --- A person at the vendor's portal and at the pool ----------------------------------------


def _revoke_previous(world: World) -> None:
    """Somebody tidies up in the portal: the key that was current before."""
    held = world.secret(world.arns[0]).labelled("AWSPREVIOUS")
    _revoke(world, None if held is None else key_in(held))


def _revoke_current(world: World) -> None:
    """Somebody revokes the key that is in use."""
    _revoke(world, world.judge.history(world.arns[0]).key)


def _revoke_pending(world: World) -> None:
    held = world.secret(world.arns[0]).labelled(AWSPENDING)
    _revoke(world, None if held is None else key_in(held))


def _pool_add(world: World) -> None:
    """As `rotation pool add`."""
    made = world.new_key()
    key = ApiKey.from_text(made.id, made.material)
    add = partial(document.add_key, key=key, now=world.clock())
    world.attempt(lambda: world.pool_secret().change(add))


def _pool_take(world: World) -> None:
    """As `rotation pool remove`, of the first key that is free, and its revocation."""

    def command() -> None:
        pool = world.pool_secret()
        free = [one.key.id for one in pool.read().keys if one.state is KeyState.FREE]
        if free:
            pool.change(partial(document.remove_key, key_id=free[0], now=world.clock()))
            _revoke(world, free[0])

    world.attempt(command)


def _force_pool(world: World) -> None:
    """As `rotation force --pool`, for the first secret."""
    declared = {"reason": "pool-leaked", "actor": "ada"}
    world.attempt(lambda: world.ask("condemn-pool", **declared))
    force(world, world.arns[0], "pool-leaked")


# --- An application -------------------------------------------------------------------------


def _sealing(world: World) -> None:
    """An application seals three documents, some minutes apart."""
    arn = world.arns[0]
    cache = CredentialCache(
        SecretsManager(lambda: world.client),
        soft_ttl=timedelta(minutes=59),
        clock=world.clock.monotonic,
        jitter=lambda _, most: most,
    )
    client = SealingClient(
        _Function(world),
        cache,
        arn,
        clock=world.clock.monotonic,
        sleep=world.pause,
        jitter=lambda _, most: most,
    )
    for number in range(3):
        if number:
            world.pause(200.0)
        document = ObjectLocation("documents", f"{number}.pdf")
        begun = len(world.boundary.calls)
        try:
            client.seal(document, ObjectLocation("sealed", f"{number}.pdf"))
        except RotationError as error:
            # A seal whose own call is made to fail may fail, if it says that it can be repeated.
            if not (error.retryable and _own_call_failed(world, begun)):
                world.judge.seal_failed(arn, f"{type(error).__name__}: {error}")


def _own_call_failed(world: World, begun: int) -> bool:
    """Whether a call of this task was made to fail, since there were so many calls."""
    task = world.scheduler.current if world.scheduler else None
    return task is not None and any(
        one.process == task.number and one.kind is not None for one in world.boundary.calls[begun:]
    )


@dataclass(frozen=True)
class _Function:
    """The sealing function without the PDF: it has the key sign, and answers as it would."""

    world: World

    def invoke(self, request: SealRequest) -> Mapping[str, Any]:
        digest = hashlib.sha256(request.source.key.encode()).digest()
        try:
            self.world.clients().signing.sign(request.key, digest)
        except RotationError as error:
            return error_answer(error)
        return {
            "status": "sealed",
            "source": _stored(request.source),
            "destination": _stored(request.destination),
            "keyId": request.key.id,
            "digest": base64.b64encode(digest).decode(),
            "signer": {"subject": "CN=Quick", "organization": None, "chained": True},
            "timestampedAt": None,
            "bytes": 1,
        }


def _stored(place: ObjectLocation) -> dict[str, str]:
    return {"bucket": place.bucket, "key": place.key, "etag": "1"}


# --- Parts ----------------------------------------------------------------------------------

_OURS: Final = frozenset({"apiKey", "apiKeyId", "expiresAt", "issuedAt"})


def _aws(world: World, act: Callable[[], Any]) -> bool:
    """What somebody asks of AWS; whether it was done."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        act()
    except (BotoCoreError, ClientError) as error:
        world.errors.append(str(error))
        return False
    return True


def _current_members(world: World, arn: str) -> dict[str, Any] | None:
    """What an operator reads; None: nothing that one could edit."""
    found: list[Any] = []
    with world.hands():
        _aws(world, lambda: found.append(world.client.get_secret_value(SecretId=arn)))
    text = found[0]["SecretString"] if found else ""
    return dict(members_of({"secret_string": text})) or None


def _put(world: World, arn: str, value: str, members: Mapping[str, Any]) -> None:
    if _aws(world, lambda: world.store(arn, value)):
        world.judge.members_written(arn, members)


def _revoke(world: World, key: str | None) -> None:
    if key is None:
        return

    def act() -> None:
        world.judge.revoked_by_person(key)
        world.keys.revoke(key)

    world.portal("revoke in the portal", key, act)


ACTORS: Final[Mapping[str, Actor]] = {
    one.name: one
    for one in (
        Actor("rotation", _rotation),
        Actor("repeat", _repeat),
        Actor("replay", _replay),
        Actor("rotation-of-other", lambda world: _rotation(world, world.arns[1]), secrets=2),
        Actor("reconcile", _reconcile),
        Actor("reconcile-by-name", _reconcile_by_name),
        Actor("report", _report),
        Actor("redeployed", _redeployed),
        Actor("force", _force),
        Actor("force-again", _force_again),
        Actor("force-other", _force_other, secrets=2),
        Actor("force-pool", _force_pool, pool=True),
        Actor("rollback", _rollback),
        Actor("unstick", _unstick),
        Actor("hold", hold),
        Actor("edit", _edit),
        Actor("same-key", _store_same_key),
        Actor("other-key", _store_other_key),
        Actor("junk", _store_junk),
        Actor("kms", _change_kms_key),
        Actor("cancel", _cancel),
        Actor("delete-restore", _delete_and_restore),
        Actor("past-grace", _past_the_grace),
        Actor("revoke-previous", _revoke_previous),
        Actor("revoke-current", _revoke_current),
        Actor("revoke-pending", _revoke_pending),
        Actor("pool-add", _pool_add, pool=True),
        Actor("pool-take", _pool_take, pool=True),
        Actor("sealing", _sealing),
    )
}
