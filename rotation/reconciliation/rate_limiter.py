"""A limit on how many calls are sent in a second, shared by threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock


class RateLimiter:
    """Lets through so many calls a second, from however many threads.

    Secrets Manager accepts 50 ListSecretVersionIds and 50 UpdateSecretVersionStage a second from
    the whole account (UserGuide reference_limits). 40 of both together leave room for others.

    Args:
        per_second: how many.
        clock: seconds that never run backwards.
        sleep: waits a number of seconds.
    """

    def __init__(
        self,
        per_second: float = 40.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gap = 1 / per_second
        self._clock = clock
        self._sleep = sleep
        self._lock = Lock()
        self._next = 0.0

    def __call__(self) -> None:
        """Wait for this call's turn."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._gap
        if turn > now:
            self._sleep(turn - now)
