"""What may be cut off anywhere: activities, each with what was before and what comes after.

Their calls are found by running them without a fault; nothing here lists a call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from rotation.core.steps import STEPS
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING
from tests.harness.faults.boundary import FaultKind
from tests.harness.faults.service import Service
from tests.harness.faults.world import GRACE, ONE_SECRET, World, WorldShape

POOL = WorldShape(pool=True)
TWO = WorldShape(second=True)
ANNOUNCING = WorldShape(announces=True)
TWO_AND_POOL = WorldShape(pool=True, second=True)

#: How often the operator repeats a command that was cut off.
MOST_COMMANDS = 6
#: How often reconciliation may run after the grace before it must have come to rest.
MOST_RECONCILIATIONS = 4
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Activity:
    """One activity.

    Attributes:
        name: for people and for scenario names.
        prepare: brings the world into the state before.
        act: the activity, with its repetitions by AWS or by the operator.
        kinds: what somebody else may do just before one of its calls.
        shape: what its world has.
        every: every how many of its single faults one is run in `make faults`.
    """

    name: str
    prepare: Callable[[Service], None]
    act: Callable[[Service], None]
    kinds: tuple[FaultKind, ...] = ()
    shape: WorldShape = ONE_SECRET
    every: int = 1


def _rotated(service: Service) -> None:
    """A secret with a current and a previous key, the first one made by hand."""
    service.world.store_by_hand()
    service.rotate()
    service.world.clock.later(timedelta(days=1))


def _staged(service: Service) -> None:
    _rotated(service)
    service.world.begin_rotation()


def _empty(service: Service) -> None:
    """A secret that never had a value."""
    service.world.begin_rotation()


def _half_rotated(service: Service) -> None:
    """A rotation is under way and its key is stored."""
    _staged(service)
    service.notice()
    [token] = [one for one in service.under_way if one not in service.succeeded]
    service.step("createSecret", token)


def _dead_pending(service: Service) -> None:
    """Somebody revoked the pending key in the portal."""
    _half_rotated(service)
    state = service.world.judge.state()
    key = state.key_of(state.bearer(AWSPENDING))
    service.world.keys.revoke(str(key))
    service.world.clock.later(timedelta(minutes=2))


def _much_to_do(service: Service) -> None:
    """Something to mark, something to retire, a stray, and keys that are none of ours."""
    world = service.world
    _rotated(service)
    service.reconcile()
    world.clock.later(HOUR)
    service.rotate()
    label = f"fixture|{world.arn}|7f5c1f0e-0000-4000-8000-000000000001"
    world.keys.create(label=label)
    world.clock.later(GRACE)


def _much_to_do_with_a_pool(service: Service) -> None:
    """A key to ask a person about, one that a person has revoked, and one in its grace."""
    world = service.world
    _rotated(service)
    service.reconcile()
    world.clock.later(GRACE)
    service.rotate()
    service.reconcile()
    world.revoke_as_asked()
    world.clock.later(timedelta(days=1))
    service.rotate()


def _nothing_to_do(service: Service) -> None:
    _much_to_do(service)
    settle(service)


def _reconciled(service: Service) -> None:
    service.reconcile()


def _replayed(service: Service) -> None:
    """Old tokens come back, and one that never was: late, by mistake or out of malice."""
    known = list(service.world.judge.secret.versions)
    for token in [*known, "7f5c1f0e-0000-4000-8000-000000000002"]:
        for step in STEPS:
            service.step(step, token)


def _forced(service: Service) -> None:
    for _ in range(MOST_COMMANDS):
        if service.force():
            return
        service.finish()
        service.world.revoke_as_asked()
        service.world.clock.later(timedelta(minutes=6))


def _forced_once(service: Service) -> None:
    """The command is not run again: what it wrote down is left to reconciliation."""
    service.force()
    service.finish()


def _two_rotated(service: Service) -> None:
    """Two secrets, each with a current and a previous key; the first ones were made by hand."""
    for arn in service.world.arns:
        service.world.store_by_hand(arn)
        service.rotate(arn)
    service.world.clock.later(timedelta(days=1))


def _two_staged(service: Service) -> None:
    _two_rotated(service)
    for arn in service.world.arns:
        service.world.begin_rotation(arn)


def _two_with_much_to_do(service: Service) -> None:
    """Each of two secrets has a key to retire and a stray, and one has a key in its grace."""
    world = service.world
    _two_rotated(service)
    service.reconcile()
    for arn in world.arns:
        world.keys.create(label=f"fixture|{arn}|7f5c1f0e-0000-4000-8000-000000000001")
    world.clock.later(GRACE)
    service.rotate()


def _together(service: Service) -> None:
    """Two rotations under way at the same time."""
    service.attempt_together()
    service.finish()


def settle(service: Service) -> None:
    """Retries end; reconciliation runs, again an hour later, and after the grace until at rest.

    Where a person has to revoke keys, the person does so in time for the next run.
    """
    world = service.world
    # A key that a person made is asked about once a day.
    pause = timedelta(hours=25) if world.shape.pool else GRACE + timedelta(minutes=1)
    service.finish()
    service.reconcile()
    service.finish()
    world.clock.later(HOUR)
    service.reconcile()
    for _ in range(MOST_RECONCILIATIONS):
        service.finish()
        world.revoke_as_asked()
        world.clock.later(pause)
        service.reconcile()
        if world.quiet():
            return
    service.finish()


def rotate_again(service: Service) -> None:
    """The secret can be rotated: a new token goes through all four steps, and its key signs."""
    for arn, judge in zip(service.world.arns, service.world.judges, strict=True):
        try:
            token = service.rotate(arn)
        except Exception as error:  # noqa: BLE001 - whatever AWS says, it must not say it
            judge.find("3 stuck", f"the next rotation is refused: {error}")
            continue
        if token not in service.succeeded or judge.state().bearer(AWSCURRENT) != token:
            judge.find("3 stuck", f"the next rotation failed: {service.world.errors[-3:]}")


def interlopers(world: World, service: Service) -> dict[FaultKind, Callable[[], None]]:
    """What somebody else does just before a call, by the kind of fault."""

    def race() -> None:
        # Of two secrets it is the other's rotation that comes in between, at the same pool.
        token = world.judges[-1].state().bearer(AWSPENDING)
        if token is not None:
            service.step("createSecret", token)

    def overtake() -> None:
        service.declare()
        service.notice()
        for token in [one for one, attempts in service.under_way.items() if attempts == 0]:
            service.under_way[token] += 1
            if all(service.step(name, token) for name in STEPS):
                service.succeeded.append(token)

    def roll_back() -> None:
        state = world.judge.state()
        current = state.bearer(AWSCURRENT)
        # Nobody rolls back to a key that was revoked, even if it still signs for a moment.
        good = {key for key in world.judge.alive() if state.keys[key].revoked_at is None}
        older = [
            version
            for version, labels in state.labels.items()
            if labels and version != current and state.key_of(version) in good
        ]
        if older:
            world.move_current(older[0])

    return {
        FaultKind.RACED: race,
        FaultKind.FORCED: service.declare,
        FaultKind.FORCED_AGAIN: lambda: service.declare(again=True),
        FaultKind.OVERTAKEN: overtake,
        FaultKind.ROLLED_BACK: roll_back,
    }


ACTIVITIES = {
    activity.name: activity
    for activity in (
        Activity(
            "rotation",
            _staged,
            Service.finish,
            (FaultKind.RACED, FaultKind.FORCED, FaultKind.OVERTAKEN),
        ),
        Activity("first", _empty, Service.finish, (FaultKind.RACED,)),
        Activity("reconcile", _much_to_do, _reconciled, (FaultKind.ROLLED_BACK, FaultKind.FORCED)),
        Activity("reconcile-announced", _much_to_do, _reconciled, shape=ANNOUNCING, every=2),
        Activity("idle", _nothing_to_do, _reconciled),
        Activity("force", _rotated, _forced, (FaultKind.FORCED_AGAIN,)),
        Activity("force-pending", _half_rotated, _forced),
        Activity("force-left", _rotated, _forced_once),
        Activity("dead-pending", _dead_pending, Service.finish),
        Activity("replay", _much_to_do, _replayed),
        Activity("pool-rotation", _staged, Service.finish, (FaultKind.RACED,), POOL),
        Activity("pool-reconcile", _much_to_do_with_a_pool, _reconciled, shape=POOL),
        Activity("pool-force", _rotated, _forced, shape=POOL, every=2),
        Activity("two-rotations", _two_staged, _together, (FaultKind.RACED,), TWO_AND_POOL),
        Activity("two-reconcile", _two_with_much_to_do, _reconciled, shape=TWO),
        Activity("two-force", _two_staged, _forced, shape=TWO_AND_POOL, every=3),
    )
}
