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
from tests.harness.faults.world import GRACE, World

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
    """

    name: str
    prepare: Callable[[Service], None]
    act: Callable[[Service], None]
    kinds: tuple[FaultKind, ...] = ()


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
        service.world.clock.later(timedelta(minutes=6))


def _forced_once(service: Service) -> None:
    """The command is not run again: what it wrote down is left to reconciliation."""
    service.force()
    service.finish()


def settle(service: Service) -> None:
    """Retries end; reconciliation runs, again an hour later, and after the grace until at rest."""
    service.finish()
    service.reconcile()
    service.finish()
    service.world.clock.later(HOUR)
    service.reconcile()
    for _ in range(MOST_RECONCILIATIONS):
        service.finish()
        service.world.clock.later(GRACE + timedelta(minutes=1))
        service.reconcile()
        if service.world.judge.quiet():
            return
    service.finish()


def rotate_again(service: Service) -> None:
    """The secret can be rotated: a new token goes through all four steps, and its key signs."""
    judge = service.world.judge
    try:
        token = service.rotate()
    except Exception as error:  # noqa: BLE001 - whatever AWS says, it must not say it
        judge.find("3 stuck", f"the next rotation is refused: {error}")
        return
    if token not in service.succeeded or service.current() != token:
        judge.find("3 stuck", f"the next rotation failed: {service.world.errors[-3:]}")


def interlopers(world: World, service: Service) -> dict[FaultKind, Callable[[], None]]:
    """What somebody else does just before a call, by the kind of fault."""

    def race() -> None:
        state = world.judge.state()
        token = state.bearer(AWSPENDING)
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
        Activity("reconcile", _much_to_do, _reconciled, (FaultKind.ROLLED_BACK,)),
        Activity("idle", _nothing_to_do, _reconciled),
        Activity("force", _rotated, _forced),
        Activity("force-pending", _half_rotated, _forced),
        Activity("force-left", _rotated, _forced_once),
        Activity("dead-pending", _dead_pending, Service.finish),
        Activity("replay", _much_to_do, _replayed),
    )
}
