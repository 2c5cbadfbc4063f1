"""Schedules: their text, their replay, and which of them are run."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.harness.explore.actors import ACTORS
from tests.harness.explore.footprint import NOTHING, of_call
from tests.harness.explore.schedule import Failure, Schedule
from tests.harness.explore.scheduler import Preemption
from tests.harness.explore.search import PairResult, PairSize, explore_pair
from tests.harness.explore.starts import STARTS
from tests.harness.explore.trial import Laboratory, Outcome


def test_there_are_twenty_actors_and_twelve_starts() -> None:
    """At least; each says in a sentence what it is."""
    assert len(ACTORS) >= 20
    assert len(STARTS) >= 12
    assert all(prepare.__doc__ for prepare in STARTS.values())


@pytest.mark.parametrize(
    "text",
    [
        "steady/rotation",
        "pending/force+rotation/12>1,30>0",
        "in-grace/reconcile+rollback//4!after",
        "in-grace/reconcile+rollback+edit/7>2/4!before",
    ],
)
def test_a_schedule_is_one_line(text: str) -> None:
    """It is read from its text, and written as the same text, without a space."""
    assert str(Schedule.parse(text)) == text
    assert " " not in text


def test_the_parts_of_a_schedule() -> None:
    """A start, actors, preemptions and failures."""
    assert Schedule.parse("steady/edit+hold/3>1/2!after") == Schedule(
        "steady", ("edit", "hold"), (Preemption(3, 1),), (Failure(2, "after"),)
    )


@pytest.mark.parametrize("text", ["", "nowhere/edit", "steady/nobody", "steady"])
def test_what_is_no_schedule_is_refused(text: str) -> None:
    """Before anything is run."""
    with pytest.raises(ValueError, match="names no"):
        Schedule.parse(text)


@pytest.mark.parametrize("start", STARTS)
def test_every_start_can_be_prepared(start: str, laboratory: Laboratory) -> None:
    """Preparing it violates nothing, and its secrets hold keys."""
    state = laboratory.start(start)
    assert state.arns
    assert state.judge[0][state.arns[0]].held


@pytest.mark.parametrize("failure", ["throttled", "before"])
def test_a_seal_may_fail_if_its_own_call_does(laboratory: Laboratory, failure: str) -> None:
    """Whoever asked for it is told to repeat it; nobody else has done anything wrong."""
    outcome = laboratory.run(Schedule.parse(f"stray/past-grace+sealing/0>1/1!{failure}"))
    assert outcome.violations == []


def test_the_same_schedule_gives_the_same_run(laboratory: Laboratory) -> None:
    """Call for call, with the same ids: whatever was run before."""
    schedule = Schedule.parse("in-grace/rotation+reconcile+edit/9>1,20>0")
    first = laboratory.run(schedule, log=True)
    laboratory.run(Schedule.parse("two-secrets/force-other+rotation-of-other"))
    again = laboratory.run(schedule, log=True)
    assert again.log == first.log
    assert len(first.log) > 50


@pytest.mark.parametrize(
    "pair",
    ["grace-over/reconcile+rollback", "staged/unstick+repeat", "in-grace/same-key+reconcile"],
)
def test_nothing_is_lost_by_leaving_out_what_is_the_same(pair: str, laboratory: Laboratory) -> None:
    """Every end that any single preemption leads to is among the ends of those that are run."""
    base = Schedule.parse(pair)
    first = laboratory.run(base)
    every = [
        Schedule(base.start, base.actors, (Preemption(number, task),))
        for number, step in enumerate(first.steps)
        for task in step.choices
        if step.footprint is not None
    ]
    ends = {_end(laboratory.run(schedule), laboratory) for schedule in every}
    run: list[str] = []

    def watched(schedule: Schedule) -> Outcome:
        outcome = laboratory.run(schedule)
        run.append(_end(outcome, laboratory))
        return outcome

    watching: Any = SimpleNamespace(run=watched)
    explore_pair(watching, base, PairSize(second_one_in=0))
    assert ends <= set(run)
    assert len(run) <= len(every) + 1


def _end(outcome: Outcome, laboratory: Laboratory) -> str:
    """Where the keys are in the end, without ids and times."""
    world = laboratory.world
    secret = world.secret(world.arns[0])
    keys = [key.id for key in world.keys.all()]
    versions = [
        sorted(label.partition("-after-")[0] for label in held["version_stages"])
        for held in secret.versions.values()
    ]
    alive = sorted(keys.index(key) for key in world.judge.alive())
    return f"{versions} {alive} {outcome.invariants}"


def _schedules(laboratory: Laboratory, pair: str, size: PairSize) -> tuple[PairResult, list[str]]:
    """What is run of a pair."""
    run: list[str] = []

    def watched(schedule: Schedule) -> Outcome:
        run.append(str(schedule))
        return laboratory.run(schedule)

    watching: Any = SimpleNamespace(run=watched)
    return explore_pair(watching, Schedule.parse(pair), size), run


def test_a_pair_with_many_places_for_a_preemption_is_drawn_from(laboratory: Laboratory) -> None:
    """As many as are asked for, no two of them the same, and the same each time."""
    size = PairSize(complete=10, drawn=5, second_one_in=0)
    result, run = _schedules(laboratory, "in-grace/rotation+reconcile", size)
    assert not result.complete
    assert len(set(run)) == len(run) == result.run == 6
    assert _schedules(laboratory, "in-grace/rotation+reconcile", size)[1] == run
    other = _schedules(laboratory, "in-grace/rotation+reconcile", replace(size, seed=2))[1]
    assert other != run


def test_a_pair_with_few_places_is_run_with_each(laboratory: Laboratory) -> None:
    """And one in so many of the places for a second preemption is drawn."""
    result, run = _schedules(
        laboratory, "grace-over/reconcile+rollback", PairSize(second_one_in=10)
    )
    assert result.complete
    assert len(set(run)) == len(run)
    assert result.seconds == sum(schedule.count(">") == 2 for schedule in run) > 0


def test_calls_that_touch_different_things_may_change_places() -> None:
    """Reads of the same thing may too; a write and a read of it may not."""

    def of(name: str, subject: str = "", **members: str) -> object:
        return of_call(name, subject, members or None, lambda arn: arn)

    describe = of_call("DescribeSecret", "", {"SecretId": "a"}, str)
    move = of_call("UpdateSecretVersionStage", "", {"SecretId": "a"}, str)
    elsewhere = of_call("UpdateSecretVersionStage", "", {"SecretId": "b"}, str)
    read = of_call("GetSecretValue", "", {"SecretId": "a", "VersionId": "1"}, str)
    assert describe.conflicts(move)
    assert not describe.conflicts(describe)
    assert not describe.conflicts(elsewhere)
    assert not read.conflicts(move)
    assert of("sign", "1") != of("sign", "2")
    assert of_call("revoke key", "1", None, str).conflicts(of_call("sign", "1", None, str))
    assert not of_call("revoke key", "1", None, str).conflicts(of_call("sign", "2", None, str))


def test_a_call_that_is_not_known_touches_everything() -> None:
    """So a new call of the product is not left out of the search."""
    unknown = of_call("GetRandomPassword", "", None, str)
    assert unknown.conflicts(NOTHING)
