"""Runs one schedule in a world, lets everything come to rest, and has it judged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from rotation.key_pool.document import KeyState
from tests.harness.explore.actors import ACTORS
from tests.harness.explore.determinism import deterministic, seed
from tests.harness.explore.schedule import WAITING, Schedule
from tests.harness.explore.scheduler import EndlessRunError, Scheduler, Step
from tests.harness.explore.starts import prepare
from tests.harness.explore.world import World, WorldState
from tests.harness.faults.world import FUNCTION, GRACE

#: How many reconciliations after the grace may be needed until nothing changes any more.
MOST_RECONCILIATIONS = 6


@dataclass
class Outcome:
    """What came of a schedule.

    Attributes:
        violations: each invariant that did not hold, and how.
        steps: what was done, in order.
        missed: preemptions that named a task which could not run.
        log: every call and error, for whoever reads a violation.
    """

    schedule: Schedule
    violations: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    missed: int = 0
    log: list[str] = field(default_factory=list)

    @property
    def invariants(self) -> list[str]:
        """The names of the invariants that did not hold."""
        return sorted({one.partition(":")[0] for one in self.violations})

    def told(self) -> str:
        """A violation in one line, which replays it."""
        return f"VIOLATION SCHEDULE='{self.schedule}' {'; '.join(self.violations)}"


class Laboratory:
    """A world, and its starts, for as many schedules as one likes."""

    def __init__(self) -> None:
        self.world = World()
        self._starts: dict[str, WorldState] = {}

    @contextmanager
    def open(self) -> Iterator[Laboratory]:
        """While it is open, this process has the time and the chance of the world."""
        with deterministic(self._sleep):
            yield self

    def _sleep(self, seconds: float) -> bool:
        self.world.pause(seconds)
        return True

    def start(self, name: str) -> WorldState:
        """A start, prepared when it is first needed."""
        if name not in self._starts:
            self._starts[name] = prepare(self.world, name)
        return self._starts[name]

    def run(self, schedule: Schedule, *, log: bool = False) -> Outcome:
        """Run one schedule."""
        world, outcome = self.world, Outcome(schedule)
        state = self.start(schedule.start)
        world.load(state)
        seed(f"run of {schedule.start}")
        scheduler = Scheduler(
            world.clock,
            schedule.preemptions,
            {one.step: one.kind for one in schedule.failures},
        )
        world.scheduler = scheduler
        for name in schedule.with_waiting():
            if name == WAITING:
                for arn, token, function in world.rotations_under_way():
                    scheduler.add("rotation", partial(world.rotate, arn, token, function))
            else:
                scheduler.add(name, partial(ACTORS[name].act, world), waits=True)
        try:
            scheduler.run()
        except EndlessRunError:
            world.judge.find("everything_ends", f"more than {len(scheduler.steps)} steps")
        world.scheduler = None
        outcome.steps, outcome.missed = scheduler.steps, len(scheduler.missed)
        if not world.judge.violations:
            settle(world)
            world.judge.at_rest()
        outcome.violations = list(world.judge.violations)
        if log:
            outcome.log = [*map(str, world.boundary.calls), *world.errors]
        return outcome


def settle(world: World) -> None:
    """Rotations end, the grace passes, and reconciliation runs until nothing changes any more."""
    _reconcile(world)
    world.clock.later(timedelta(hours=1))
    _reconcile(world)
    before: object = None
    for _ in range(MOST_RECONCILIATIONS):
        world.clock.later(GRACE + timedelta(minutes=1))
        _reconcile(world)
        now = _condition(world)
        if now == before or _quiet(world):
            return
        before = now


def _reconcile(world: World) -> None:
    """One run of each function that a secret names, and the rotations that follow from it."""
    functions = dict.fromkeys(world.secret(arn).rotation_lambda_arn for arn in world.arns)
    for function in functions:
        world.attempt(partial(world.invoke, {}, function or FUNCTION))
    for arn, token, function in world.rotations_under_way():
        world.rotate(arn, token, function)
    _revoke_what_was_asked(world)


def _revoke_what_was_asked(world: World) -> None:
    """A person does what the pool's notices ask for."""
    if not world.pool:
        return
    for entry in world.pool_secret().read().keys:
        asked = entry.notice is not None and entry.notice.sent
        if asked and entry.state in {KeyState.RETIRED, KeyState.COMPROMISED}:
            world.keys.revoke(entry.key.id)


def _condition(world: World) -> object:
    secrets = [
        (one.versions.keys(), [tag["Key"] for tag in one.tags or ()], one.rotation_enabled)
        for one in map(world.secret, world.arns)
    ]
    return world.judge.alive(), str(secrets)


def _quiet(world: World) -> bool:
    """Whether each secret has one living key, the current one, and nothing else is left to do."""
    held = [world.judge.history(arn).key for arn in world.arns]
    ours = {key for arn in world.arns for key in world.judge.ours(arn)}
    open_tags = [
        tag["Key"]
        for arn in world.arns
        for tag in world.secret(arn).tags or ()
        if tag["Key"].startswith("rotation:incident")
    ]
    return world.judge.alive() & ours == set(held) and not open_tags
