"""Scenarios: recorded, made of faults, run and judged."""

from __future__ import annotations

import io
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from rotation.privacy.observability import logger, metrics
from tests.harness.faults.activities import ACTIVITIES, interlopers, rotate_again, settle
from tests.harness.faults.boundary import Call, Fault
from tests.harness.faults.mutants import Mutant
from tests.harness.faults.service import Service
from tests.harness.faults.world import World, WorldShape

MakeWorld = Callable[[WorldShape], AbstractContextManager[World]]


@dataclass(frozen=True)
class Scenario:
    """An activity, and what goes wrong in it."""

    activity: str
    faults: tuple[Fault, ...] = ()

    def __str__(self) -> str:
        return f"{self.activity}: {', '.join(map(str, self.faults)) or 'no fault'}"


@dataclass
class Outcome:
    """What came of a scenario.

    Attributes:
        violations: each invariant that did not hold, and how.
        calls: the activity's calls, the numbered ones, with its repetitions.
        log: every call and error, for whoever reads a violation.
    """

    scenario: Scenario
    violations: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def told(self) -> str:
        """A violation as it is printed."""
        return "\n".join([f"VIOLATION {self.scenario}", *self.violations, *self.log])


def run(scenario: Scenario, make_world: MakeWorld) -> Outcome:
    """Run one scenario in a world of its own."""
    outcome = Outcome(scenario)
    activity = ACTIVITIES[scenario.activity]
    # The pauses of those who wait for each other are drawn; a scenario is the same each time.
    random.seed(str(scenario))
    with make_world(activity.shape) as world, captured() as lines:
        service = Service(world)
        world.boundary.others = interlopers(world, service)
        try:
            with world.prepared():
                activity.prepare(service)
        except Exception as error:  # noqa: BLE001 - only a defect makes the preparation fail
            world.judge.find("0 preparation", repr(error))
        world.errors.clear()
        world.boundary.arm(scenario.faults)
        activity.act(service)
        outcome.calls = [call for call in world.boundary.calls if call.number >= 0]
        left = set(world.boundary.faults)
        world.boundary.disarm()
        settle(service)
        if world.judge.lost_by_hand():
            # What the warning current_key_dead asks for: nothing is retired before it is done.
            rotate_again(service)
            settle(service)
        world.at_rest()
        _judge_evidence(world)
        rotate_again(service)
        _judge_log(world, lines)
        if left:
            outcome.log.append(f"faults at calls {sorted(left)} did not happen")
        outcome.violations = list(world.judge.violations)
        outcome.log += [*map(str, world.boundary.calls), *world.errors]
    return outcome


def singles(calls: list[Call], activity: str) -> Iterator[Scenario]:
    """Every call of a clean run, failing in every way that it can."""
    for call in calls:
        for kind in (*call.kinds, *ACTIVITIES[activity].kinds):
            yield Scenario(activity, (Fault(call.number, kind),))


def of_mutant(mutant: Mutant, clean: Outcome) -> Iterator[Scenario]:
    """Where the harness looks for a defect first: a clean run, or certain faults of it."""
    if not mutant.kinds:
        yield clean.scenario
    for call in clean.calls:
        if call.name == mutant.call:
            for kind in mutant.kinds:
                yield Scenario(mutant.activity, (Fault(call.number, kind),))


def pairs(first: Outcome) -> Iterator[Scenario]:
    """Every later call of a run that had a fault, failing too."""
    activity = first.scenario.activity
    [fault] = first.scenario.faults
    for call in first.calls:
        if call.number > fault.call:
            for kind in call.kinds:
                yield Scenario(activity, (fault, Fault(call.number, kind)))


@contextmanager
def captured() -> Iterator[io.StringIO]:
    """What the functions log, formatted as they do, and nothing on stdout."""
    lines = io.StringIO()
    handler = logger.registered_handler
    assert isinstance(handler, logging.StreamHandler)
    before = handler.setStream(lines)
    try:
        yield lines
    finally:
        if before is not None:
            handler.setStream(before)
        metrics.clear_metrics()


def _judge_log(world: World, lines: io.StringIO) -> None:
    said = lines.getvalue() + "\n".join(world.errors)
    for key in world.keys.all():
        if key.material in said:
            world.judge.find("4 leak", f"the material of key {key.id} was logged")


def _judge_evidence(world: World) -> None:
    records = world.records()
    recorded = {key["keyId"] for record in records for key in record["keys"]}
    told = [record["incident"]["id"] for record in records]
    for incident in sorted({one for one in told if told.count(one) > 1}):
        world.judge.find("6 twice", f"the incident {incident} has more than one record")
    for key in sorted(set().union(*(one.suspects for one in world.judges)) - recorded):
        world.judge.find("6 evidence", f"no record tells of the suspect key {key}")
