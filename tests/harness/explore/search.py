"""Which schedules there are: those of pairs with at most one preemption, and draws from the others.

Two schedules that differ only in the order of calls which do not touch the same thing are one.
So a preemption just before a call that touches nothing of what the others then do is left out: it
is the same as the preemption just after that call. Two more are left out that differ from another
one only in the time: a preemption at a pause after which the task itself goes on, which is the one
at the call that follows; and one in a round of a loop that reads what the round before has read,
when nobody has written meanwhile.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from tests.harness.explore.actors import ACTORS
from tests.harness.explore.footprint import Footprint, union
from tests.harness.explore.schedule import WAITING, Failure, Schedule
from tests.harness.explore.scheduler import Preemption, Step
from tests.harness.explore.starts import STARTS
from tests.harness.explore.trial import Laboratory, Outcome

#: How a single call may fail.
FAILURES = ("before", "after", "throttled")
#: How many schedules are drawn of the same actors from the same start, which is run once for that.
_DRAWN_TOGETHER = 4


@dataclass(frozen=True)
class PairSize:
    """How many schedules of a pair are run.

    Attributes:
        complete: a pair with so many places for a preemption, or fewer, is run with each of them.
        drawn: how many places are drawn of a pair with more.
        second_one_in: of the places for a second preemption one in so many is drawn; 0: none.
        seed: what they are drawn with.
    """

    complete: int = 80
    drawn: int = 12
    second_one_in: int = 200
    seed: int = 1


@dataclass
class PairResult:
    """What came of the schedules of one pair, or of schedules that were drawn.

    Attributes:
        run: how many were run.
        calls: how many steps they had in all.
        complete: whether all schedules of the pair with one preemption are among them.
        seconds: how many of them had two preemptions.
        violated: those that broke an invariant.
    """

    run: int = 0
    calls: int = 0
    complete: bool = False
    seconds: int = 0
    violated: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one."""
        self.run += 1
        self.calls += len(outcome.steps)
        if outcome.violations:
            self.violated.append(outcome)


def fits(laboratory: Laboratory, start: str, actors: Iterable[str]) -> bool:
    """Whether the actors find in a start what they need."""
    state = laboratory.start(start)
    return all(
        bool(state.waiting)
        if name == WAITING
        else (state.pool or not ACTORS[name].pool) and len(state.arns) >= ACTORS[name].secrets
        for name in actors
    )


def all_pairs(
    laboratory: Laboratory,
    starts: Sequence[str] = tuple(STARTS),
    actors: Sequence[str] = tuple(ACTORS),
) -> list[Schedule]:
    """Every pair of actors from every start, in both orders.

    Where a start leaves a rotation to go on, it goes on after the two, and also before them.
    """
    return [
        Schedule(start, (*before, first, second))
        for start in starts
        for before in ((), (WAITING,))
        for first in actors
        for second in actors
        if fits(laboratory, start, (*before, first, second))
    ]


def explore_pair(laboratory: Laboratory, base: Schedule, size: PairSize) -> PairResult:
    """Run the schedules of a pair: without a preemption, with one, and some with two."""
    result = PairResult()
    chance = random.Random(f"{size.seed} {base}")
    first = laboratory.run(base)
    result.add(first)
    places = _places(first.steps, -1)
    result.complete = len(places) <= size.complete
    if result.complete:
        runs = list(_with_each(laboratory, first))
    else:
        drawn = sorted(chance.sample(range(len(places)), size.drawn))
        runs = [laboratory.run(replace(base, preemptions=(places[place],))) for place in drawn]
    for outcome in runs:
        result.add(outcome)
    touched = _touched([first, *runs])
    for outcome in runs if size.second_one_in else ():
        for second in _second(outcome, touched):
            if chance.randrange(size.second_one_in) == 0:
                both = (*outcome.schedule.preemptions, second)
                result.add(laboratory.run(replace(base, preemptions=both)))
                result.seconds += 1
    return result


def _with_each(laboratory: Laboratory, first: Outcome) -> Iterator[Outcome]:
    """Run every schedule that is ``first`` with one preemption, and is no other one's equal."""
    for task_steps in _worthwhile(first.steps):
        skip_until: dict[int, int] = {}
        for number in task_steps:
            step = first.steps[number]
            for task in _choices(step):
                if number < skip_until.get(task, 0):
                    continue
                outcome = laboratory.run(
                    replace(first.schedule, preemptions=(Preemption(number, task),))
                )
                yield outcome
                if step.footprint is not None:
                    skip_until[task] = number + 1 + _same(outcome.steps, number, step.task)


def _segments(steps: Sequence[Step]) -> Iterator[list[int]]:
    """The numbers of steps that one task does without a break."""
    segment: list[int] = []
    for number, step in enumerate(steps):
        if segment and (step.task != steps[segment[-1]].task or step.footprint is None):
            yield segment
            segment = []
        segment.append(number)
    if segment:
        yield segment


def _worthwhile(steps: Sequence[Step]) -> Iterator[list[int]]:
    """The segments, without the rounds of a loop that only reads what was read before."""
    before: list[int] = []
    for segment in _segments(steps):
        ours = [steps[number] for number in segment]
        theirs = [steps[number] for number in before]
        again = (
            [(one.task, one.name) for one in ours] == [(one.task, one.name) for one in theirs]
            and ours[0].footprint is None
            and not any(one.footprint.writes for one in (*ours, *theirs) if one.footprint)
        )
        if not again:
            yield segment
        before = segment


def _choices(step: Step) -> tuple[int, ...]:
    """The tasks with which a preemption here is no other schedule's."""
    return () if step.footprint is None and step.rule == step.task else step.choices


def _same(steps: Sequence[Step], number: int, task: int) -> int:
    """How many of the next preemptions are the same as the one at step ``number``.

    The others have gone first from there on. If the call that ``task`` makes when it goes on
    touches nothing of what they have touched, it might as well have come before them.
    """
    back = next((n for n in range(number, len(steps)) if steps[n].task == task), len(steps))
    others = union(one.footprint for one in steps[number:back])
    same = 0
    for step in steps[back:]:
        if step.task != task or step.footprint is None or step.footprint.conflicts(others):
            break
        same += 1
    return same


def _touched(outcomes: Iterable[Outcome]) -> dict[int, Footprint]:
    """All that each task has touched in any of the runs."""
    by_task: dict[int, set[Footprint]] = {}
    for outcome in outcomes:
        for step in outcome.steps:
            if step.footprint is not None:
                by_task.setdefault(step.task, set()).add(step.footprint)
    return {task: union(footprints) for task, footprints in by_task.items()}


def _second(outcome: Outcome, touched: dict[int, Footprint]) -> Iterator[Preemption]:
    """Where a second preemption makes a difference."""
    after = outcome.schedule.preemptions[-1].step
    others: dict[int, Footprint] = {
        task: union(one for number, one in touched.items() if number != task) for task in touched
    }
    numbers = [number for segment in _worthwhile(outcome.steps) for number in segment]
    for number in numbers:
        if number <= after:
            continue
        step = outcome.steps[number]
        prints = step.footprint
        if prints is None or prints.conflicts(others.get(step.task, Footprint(everything=True))):
            for task in _choices(step):
                yield Preemption(number, task)


def draw(
    laboratory: Laboratory,
    chance: random.Random,
    starts: Sequence[str],
    actors: Sequence[str],
    *,
    hands: int,
    most: int,
    fails: bool = False,
) -> list[Schedule]:
    """Some schedules of the same actors from one start, which is all drawn evenly.

    There are so many actors as ``hands`` says, ``most`` preemptions at most, and one call that
    fails if ``fails``. Where a start leaves a rotation to go on, it goes first as often as last.
    """
    while True:
        before = chance.choice(((), (WAITING,)))
        base = Schedule(chance.choice(starts), (*before, *chance.choices(actors, k=hands)))
        if fits(laboratory, base.start, base.actors):
            break
    steps = laboratory.run(base).steps
    places = _places(steps, -1)
    drawn: list[Schedule] = []
    for _ in range(_DRAWN_TOGETHER):
        schedule = base
        if places:
            schedule = replace(schedule, preemptions=(chance.choice(places),))
        if most > 1 and chance.random() < 0.5:
            then = laboratory.run(schedule).steps
            later = _places(then, schedule.preemptions[-1].step if schedule.preemptions else -1)
            if later:
                both = (*schedule.preemptions, chance.choice(later))
                schedule = replace(schedule, preemptions=both)
        able = [number for number, step in enumerate(steps) if step.footprint is not None]
        if fails and able:
            failure = Failure(chance.choice(able), chance.choice(FAILURES))
            schedule = replace(schedule, failures=(failure,))
        drawn.append(schedule)
    return drawn


def _places(steps: Sequence[Step], after: int) -> list[Preemption]:
    """Every preemption that there can be after a step."""
    return [
        Preemption(number, task)
        for segment in _worthwhile(steps)
        for number in segment
        if number > after
        for task in _choices(steps[number])
    ]
