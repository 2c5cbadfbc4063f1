"""What goes wrong, and when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


class Trouble(Enum):
    """What happens to one request."""

    KILLED = "the connection ends, and nothing was done"
    LOST = "it is done, and the connection ends before the answer"
    HANGS = "it is never answered, and nothing is done"
    INTERNAL_ERROR = "500, and nothing was done"
    SLOW_DOWN = "503, and nothing was done"
    DENIED = "403, and nothing was done"
    CUT = "the answer's body breaks off half-way"
    ERROR_IN_200 = "a 200 whose body is an error (API_CompleteMultipartUpload)"


def read_timeout(request: pytest.FixtureRequest, unanswered: float) -> float:
    """Seconds for which a test's client waits: ``unanswered`` only where S3 never answers.

    Any other test must not depend on how busy the machine is.
    """
    callspec = getattr(request.node, "callspec", None)
    hangs = callspec is not None and Trouble.HANGS in callspec.params.values()
    return unanswered if hangs else 60


@dataclass
class Rule:
    """Strikes ``times`` requests for ``operation``, after ``skip`` that it lets go."""

    operation: str
    trouble: Trouble | Callable[[], object]
    skip: int = 0
    times: int | None = 1

    def strikes(self, operation: str) -> bool:
        if operation != self.operation or self.times == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass
class Faults:
    """The rules in force; the first that strikes counts."""

    _rules: list[Rule] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def next(
        self, operation: str, trouble: Trouble, *, skip: int = 0, times: int | None = 1
    ) -> None:
        """Have the next ``times`` requests for ``operation`` fail, None: all of them."""
        with self._lock:
            self._rules.append(Rule(operation, trouble, skip, times))

    def before(self, operation: str, act: Callable[[], object], *, skip: int = 0) -> None:
        """Have ``act`` done just before the next ``operation`` is, which then goes its way."""
        with self._lock:
            self._rules.append(Rule(operation, act, skip))

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def strike(self, operation: str) -> Trouble | None:
        """What happens to this request; does first what is to be done before it."""
        with self._lock:
            struck = [rule.trouble for rule in self._rules if rule.strikes(operation)]
        troubles = [found for found in struck if isinstance(found, Trouble)]
        for act in struck:
            if not isinstance(act, Trouble):
                act()
        return troubles[0] if troubles else None
