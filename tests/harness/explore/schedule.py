"""A schedule: a start, the actors, where one of them is preempted, where a call fails.

Its text is one line without spaces, so that a shell needs no quotes around it and a person can copy
it: ``pending/force+rotation/12>1,30>0/17!after``. The last two parts may be empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.harness.explore.actors import ACTORS
from tests.harness.explore.scheduler import Preemption
from tests.harness.explore.starts import STARTS

#: In the place of an actor: the rotation that a start leaves to Secrets Manager to go on with.
WAITING: Final = "waiting"


@dataclass(frozen=True)
class Failure:
    """The call at step ``step`` fails, in the way ``kind`` of `FaultKind`."""

    step: int
    kind: str

    def __str__(self) -> str:
        return f"{self.step}!{self.kind}"


@dataclass(frozen=True)
class Schedule:
    """One schedule.

    Attributes:
        start: the name of the start.
        actors: their names, or `WAITING`; the first one goes first.
        preemptions: in the order of their steps.
        failures: the calls that fail.
    """

    start: str
    actors: tuple[str, ...]
    preemptions: tuple[Preemption, ...] = ()
    failures: tuple[Failure, ...] = ()

    def with_waiting(self) -> tuple[str, ...]:
        """The actors, with the waiting rotation after them if none of them stands for it."""
        return self.actors if WAITING in self.actors else (*self.actors, WAITING)

    def __str__(self) -> str:
        parts = [
            self.start,
            "+".join(self.actors),
            ",".join(map(str, self.preemptions)),
            ",".join(map(str, self.failures)),
        ]
        return "/".join(parts).rstrip("/")

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read a schedule.

        Raises:
            ValueError: the text is none.
        """
        start, actors, preemptions, failures, *_ = [*text.strip().split("/"), "", "", ""]
        names = tuple(actors.split("+"))
        if start not in STARTS or not names or not set(names) <= {*ACTORS, WAITING}:
            raise ValueError(f"{text!r} names no start of ours, or no actors of ours.")
        return cls(
            start,
            names,
            tuple(
                Preemption(int(step), int(task))
                for step, _, task in (one.partition(">") for one in preemptions.split(",") if one)
            ),
            tuple(
                Failure(int(step), kind)
                for step, _, kind in (one.partition("!") for one in failures.split(",") if one)
            ),
        )
