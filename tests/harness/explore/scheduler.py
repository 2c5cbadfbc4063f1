"""Runs tasks one at a time, and decides at each of their calls who goes on.

A task is a thread that runs only while it holds the baton. It gives the baton away at a step, which
is an outbound call or a pause, and where it ends. So a run depends on nothing but its plan, and the
same plan gives the same run.

Without a plan the rule is: a task runs until it pauses or ends; then the first task, by number,
that can run goes on; if none can, time passes until the first pause is over. An actor that has not
begun waits until all that the others have begun is over. A plan departs from the rule at some
steps. Each departure is a preemption, as in CHESS (Musuvathi and Qadeer, "Iterative context
bounding", PLDI 2007); at a pause the task itself may be chosen, which means that its pause is over
before anybody else does anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock, Thread, current_thread
from typing import Final

from tests.harness.explore.footprint import Footprint
from tests.harness.faults.world import VirtualClock

#: A run with more steps than this never ends.
MOST_STEPS: Final = 6000


class EndlessRunError(BaseException):
    """The run has more steps than any run may have; no code of the product may catch it."""


@dataclass(frozen=True)
class Preemption:
    """At step ``step`` the task ``task`` goes on instead of the one that the rule names."""

    step: int
    task: int

    def __str__(self) -> str:
        return f"{self.step}>{self.task}"


@dataclass(frozen=True)
class Step:
    """One step of a run, in the order in which the steps were done.

    Attributes:
        task: the number of the task that did it.
        name: the call, or ``pause``.
        footprint: what the call reads and writes; None for a pause.
        others: the other tasks that could have gone on instead.
        rule: the task that goes on by the rule.
    """

    task: int
    name: str
    footprint: Footprint | None
    others: tuple[int, ...]
    rule: int

    @property
    def choices(self) -> tuple[int, ...]:
        """The tasks that may go on instead of the one that does so by the rule."""
        return tuple(one for one in (*self.others, self.task) if one != self.rule)


@dataclass
class Task:
    """One task.

    Attributes:
        number: its number; the actors come first.
        name: what it does.
        waits: whether it waits, to begin, until all that others have begun is over.
        wakes: when its pause ends, in seconds of the clock.
        ended: whether it has ended.
    """

    number: int
    name: str
    act: Callable[[], object]
    waits: bool = False
    wakes: float = 0.0
    ended: bool = False
    _baton: Lock = field(default_factory=Lock, repr=False)
    _thread: Thread | None = None

    def __post_init__(self) -> None:
        self._baton.acquire()

    def give(self, run: Callable[[Task], None]) -> None:
        """Give it the baton, and begin it if it has not begun."""
        if self._thread is None:
            self._thread = Thread(target=run, args=(self,), name=f"task-{self.number}", daemon=True)
            self._thread.start()
        self._baton.release()

    def wait(self) -> None:
        """Wait for the baton."""
        self._baton.acquire()

    def is_this_thread(self) -> bool:
        """Whether the thread that asks is this task's."""
        return self._thread is current_thread()


class Scheduler:
    """Runs the tasks of one run.

    Args:
        clock: the time of the world.
        plan: the preemptions, in the order of their steps.
        faults: the steps at which a call fails, and how.

    Attributes:
        tasks: every task, by number.
        steps: what was done, in order.
        missed: the preemptions that named a task which could not run.
    """

    def __init__(
        self,
        clock: VirtualClock,
        plan: Sequence[Preemption] = (),
        faults: Mapping[int, str] | None = None,
    ) -> None:
        self.tasks: list[Task] = []
        self.steps: list[Step] = []
        self.missed: list[Preemption] = []
        self.faults = dict(faults or {})
        self._clock = clock
        self._plan = list(plan)
        self._current: Task | None = None
        self._over = Lock()
        self._error: BaseException | None = None

    @property
    def current(self) -> Task | None:
        """The task that runs, if the caller is one."""
        task = self._current
        return task if task is not None and task.is_this_thread() else None

    def add(self, name: str, act: Callable[[], object], *, waits: bool = False) -> Task:
        """A task that can run from now on; ``waits`` as in `Task`."""
        task = Task(len(self.tasks), name, act, waits)
        self.tasks.append(task)
        return task

    def run(self) -> None:
        """Run every task to its end.

        Raises:
            whatever a task has raised, which is a defect of the explorer.
        """
        with self._over:
            first = self._next()
            if first is None:
                return
            self._hand_over(first)
            # A lock that this thread holds: the last task releases it.
            self._over.acquire()
        if self._error is not None:
            raise self._error

    def call(self, name: str, footprint: Footprint) -> str | None:
        """A task is about to make a call; returns how the call is to fail, or None."""
        task = self._running()
        number = len(self.steps)
        others = self._able(task)
        chosen = self._departure(number, others)
        if chosen is not None:
            self._switch(task, chosen)
            return self.call(name, footprint)
        self.steps.append(Step(task.number, name, footprint, others, task.number))
        if number > MOST_STEPS:
            raise EndlessRunError
        return self.faults.get(number)

    def pause(self, seconds: float) -> None:
        """A task pauses."""
        task = self._running()
        number = len(self.steps)
        if number > MOST_STEPS:
            raise EndlessRunError
        others = self._able(task)
        task.wakes = self._clock.monotonic() + seconds
        rule = self._by_the_rule()
        assert rule is not None
        following = self._departure(number, (*others, task.number)) or rule
        self.steps.append(Step(task.number, "pause", None, others, rule.number))
        self._sleep_until(following.wakes)
        if following is not task:
            self._switch(task, following)

    def _running(self) -> Task:
        task = self.current
        assert task is not None, "only a task of this run may make calls"
        return task

    def _able(self, task: Task) -> tuple[int, ...]:
        now = self._clock.monotonic()
        return tuple(
            one.number
            for one in self.tasks
            if one is not task and not one.ended and one.wakes <= now
        )

    def _departure(self, number: int, choices: Sequence[int]) -> Task | None:
        """The task that the plan names at this step."""
        if not self._plan or self._plan[0].step != number:
            return None
        preemption = self._plan.pop(0)
        if preemption.task not in choices:
            self.missed.append(preemption)
            return None
        return self.tasks[preemption.task]

    def _by_the_rule(self) -> Task | None:
        """Who goes on; perhaps time has to pass for it."""
        now = self._clock.monotonic()
        begun = [one for one in self.tasks if not one.ended and not one.waits]
        able = next((one for one in begun if one.wakes <= now), None)
        if able is not None:
            return able
        if begun:
            return min(begun, key=lambda one: (one.wakes, one.number))
        return next((one for one in self.tasks if not one.ended), None)

    def _next(self) -> Task | None:
        following = self._by_the_rule()
        if following is not None:
            self._sleep_until(following.wakes)
        return following

    def _sleep_until(self, wakes: float) -> None:
        left = wakes - self._clock.monotonic()
        if left > 0:
            self._clock.later(timedelta(seconds=left))

    def _switch(self, task: Task, following: Task) -> None:
        self._hand_over(following)
        task.wait()

    def _hand_over(self, following: Task) -> None:
        self._current = following
        following.waits = False
        following.give(self._live)

    def _live(self, task: Task) -> None:
        task.wait()
        try:
            task.act()
        except BaseException as error:  # noqa: BLE001 - raised again by `run`
            self._error = self._error or error
        task.ended = True
        following = self._next()
        if following is None:
            self._current = None
            self._over.release()
        else:
            self._hand_over(following)
