"""When an invocation ends, and how much of its time each kind of work must leave.

A handler makes one `Deadline` from its Lambda context and passes it down. Nothing else asks how
much time is left, and nothing else holds a reserve: the table below has them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic
from typing import Final, Protocol, Self

# How long before the deadline each kind of work must end, and what the rest of the time is for.

#: A step's calls to the vendor. The step still has to call Secrets Manager.
STEP_CALLS_RESERVE: Final = timedelta(seconds=5)
#: A step's wait for a new key to work. The step still needs one test seal and the promotion.
NEW_KEY_RESERVE: Final = timedelta(seconds=10)
#: A reconciliation's calls to the vendor. It still has to write the labels and the report.
RECONCILE_CALLS_RESERVE: Final = timedelta(seconds=20)
#: The watch for deaths. A last round of calls, the labels and the report come after it.
DEATH_WATCH_RESERVE: Final = timedelta(seconds=60)
#: The moment at which a reconciliation begins a secret. The secret's plan, the watch and the report
#: come after it.
NEXT_SECRET_RESERVE: Final = timedelta(seconds=90)
#: A seal's calls to the vendor. The sealed document still has to be stored.
SEAL_CALLS_RESERVE: Final = timedelta(seconds=30)
#: A seal, whatever it waits for. Its upload is aborted, and its caller is answered.
GIVE_UP_RESERVE: Final = timedelta(seconds=10)
#: The moment at which a function that seals unattended begins a document, or tries it again. The
#: whole seal comes after it.
NEXT_DOCUMENT_RESERVE: Final = timedelta(seconds=60)


class InvocationContext(Protocol):
    """The part of a Lambda context that tells the time (Lambda developer guide, python-context)."""

    def get_remaining_time_in_millis(self) -> int:
        """The milliseconds that are left before Lambda ends the invocation."""


@dataclass(frozen=True)
class Deadline:
    """The moment at which something must have ended.

    It never changes, so threads may share it, and it says nothing about the next invocation.

    Attributes:
        ends: the moment, in seconds of ``clock``.
        clock: seconds that never run backwards.
    """

    ends: float
    clock: Callable[[], float] = monotonic

    @classmethod
    def after(cls, time: timedelta, clock: Callable[[], float] = monotonic) -> Self:
        """The deadline that comes when ``time`` has passed from now on."""
        return cls(clock() + time.total_seconds(), clock)

    @classmethod
    def of(cls, context: InvocationContext) -> Self:
        """The deadline of the Lambda invocation that has this context."""
        return cls.after(timedelta(milliseconds=context.get_remaining_time_in_millis()))

    def before(self, reserve: timedelta) -> Self:
        """An earlier deadline, which leaves ``reserve`` for what comes after it."""
        return replace(self, ends=self.ends - reserve.total_seconds())

    def left(self) -> timedelta:
        """How much time is left; negative once the deadline has passed."""
        return timedelta(seconds=self.ends - self.clock())

    def passed(self) -> bool:
        """Whether no time is left."""
        return self.left() < timedelta(0)
