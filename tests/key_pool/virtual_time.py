"""Time that passes only while nobody works: who waits never overtakes who is at work."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Condition
from typing import TypeVar

_T = TypeVar("_T")
_LIMIT_SECONDS = 120


class VirtualTime:
    """Threads that begin together and sleep by a clock of their own.

    The clock goes on only when every thread sleeps or has ended, and then wakes the one whose time
    comes first. So what the threads do depends on the lengths of their pauses, and not on the speed
    of the machine.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._changed = Condition()
        self._sleeping: list[tuple[float, int]] = []
        self._working = 0
        self._next = 0

    def run(self, acts: Iterable[Callable[[], _T]]) -> list[_T]:
        """Do all acts at once, each in a thread of its own; their results, in their order."""
        acts = list(acts)
        self._working = len(acts)

        def act(one: Callable[[], _T]) -> _T:
            self.sleep(0)
            try:
                return one()
            finally:
                with self._changed:
                    self._rest()

        with ThreadPoolExecutor(len(acts)) as threads:
            return list(threads.map(act, acts))

    def sleep(self, seconds: float) -> None:
        """Wait until the clock has gone on by ``seconds``."""
        with self._changed:
            ticket = (self.seconds + seconds, self._next)
            self._next += 1
            heapq.heappush(self._sleeping, ticket)
            self._rest()
            woken = self._changed.wait_for(lambda: ticket not in self._sleeping, _LIMIT_SECONDS)
            assert woken, "every thread that works must end or sleep"

    def _rest(self) -> None:
        self._working -= 1
        if self._working == 0 and self._sleeping:
            self.seconds = self._sleeping[0][0]
            # All whose time has come: threads that begin together get in each other's way.
            while self._sleeping and self._sleeping[0][0] == self.seconds:
                heapq.heappop(self._sleeping)
                self._working += 1
            self._changed.notify_all()
