"""The scheduler: one task at a time, in the order that the plan gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pytest

from tests.harness.explore.footprint import EVERYTHING
from tests.harness.explore.scheduler import EndlessRunError, Preemption, Scheduler
from tests.harness.faults.world import VirtualClock

Act = Callable[[Scheduler, list[str], str], None]


def _calls(scheduler: Scheduler, log: list[str], name: str) -> None:
    for number in (1, 2):
        scheduler.call(f"{name}{number}", EVERYTHING)
        log.append(f"{name}{number}")


def _pauses(scheduler: Scheduler, log: list[str], name: str) -> None:
    log.append(f"{name} pauses")
    scheduler.pause(60.0)
    log.append(f"{name} goes on")


def _run(
    acts: Sequence[Act], *plan: Preemption, waits: bool = False
) -> tuple[list[str], Scheduler, VirtualClock]:
    clock = VirtualClock()
    scheduler = Scheduler(clock, plan)
    log: list[str] = []
    for name, act in zip("abc", acts, strict=False):
        scheduler.add(name, partial(act, scheduler, log, name), waits=waits)
    scheduler.run()
    return log, scheduler, clock


def test_without_a_plan_a_task_runs_to_its_end() -> None:
    """Then the next one does."""
    assert _run([_calls, _calls])[0] == ["a1", "a2", "b1", "b2"]


def test_a_preemption_lets_another_task_go_first() -> None:
    """From that step on; the first task goes on when the other has ended."""
    assert _run([_calls, _calls], Preemption(1, 1))[0] == ["a1", "b1", "b2", "a2"]


def test_two_preemptions_come_in_their_order() -> None:
    """The second one gives the turn back."""
    log = _run([_calls, _calls], Preemption(1, 1), Preemption(2, 0))[0]
    assert log == ["a1", "b1", "a2", "b2"]


def test_a_pause_lets_others_go_on() -> None:
    """They use no time, so the pause is over when they have ended."""
    log, _, clock = _run([_pauses, _calls])
    assert log == ["a pauses", "b1", "b2", "a goes on"]
    assert clock.monotonic() == 60.0


def test_a_pause_may_be_over_before_anybody_else_acts() -> None:
    """If the plan names the task that pauses."""
    log = _run([_pauses, _calls], Preemption(0, 0))[0]
    assert log == ["a pauses", "a goes on", "b1", "b2"]


def test_an_actor_begins_when_the_one_before_it_has_ended() -> None:
    """A pause is not the end; a preemption lets it begin at any step."""
    assert _run([_pauses, _calls], waits=True)[0] == ["a pauses", "a goes on", "b1", "b2"]
    begins_in_the_pause = _run([_pauses, _calls], Preemption(0, 1), waits=True)[0]
    assert begins_in_the_pause == ["a pauses", "b1", "b2", "a goes on"]


def test_time_passes_until_the_first_pause_is_over() -> None:
    """If nobody can go on."""
    log, _, clock = _run([_pauses, _pauses])
    assert log == ["a pauses", "b pauses", "a goes on", "b goes on"]
    assert clock.monotonic() == 60.0


def test_a_step_knows_who_could_have_gone_on() -> None:
    """A task that has ended could not."""
    steps = _run([_calls, _calls])[1].steps
    assert [(step.task, step.others) for step in steps] == [(0, (1,)), (0, (1,)), (1, ()), (1, ())]


def test_a_preemption_that_cannot_be_is_missed() -> None:
    """The run goes on by the rule, and says so."""
    log, scheduler, _ = _run([_calls, _calls], Preemption(3, 0))
    assert log == ["a1", "a2", "b1", "b2"]
    assert scheduler.missed == [Preemption(3, 0)]


def test_a_task_may_begin_another_one() -> None:
    """It goes on when those before it have ended."""

    def begins(scheduler: Scheduler, log: list[str], name: str) -> None:
        scheduler.add("c", lambda: _calls(scheduler, log, "c"))
        _calls(scheduler, log, name)

    assert _run([begins, _calls])[0] == ["a1", "a2", "b1", "b2", "c1", "c2"]


def test_a_run_without_an_end_is_ended() -> None:
    """By an exception that no code of the product catches."""

    def pauses_for_ever(scheduler: Scheduler, _: list[str], __: str) -> None:
        while True:
            scheduler.pause(1.0)

    with pytest.raises(EndlessRunError):
        _run([pauses_for_ever])
