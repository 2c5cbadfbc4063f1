"""Lets documents that cost much be prepared one after the other, by threads that seal together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Lock
from typing import Final

from rotation.deadline import Deadline
from rotation.errors import SealingError

#: Without a deadline, a turn is waited for like this.
_FOREVER: Final = -1.0


class Turns:
    """One turn at a time.

    Args:
        deadline: when a turn must have begun; None: whenever it is free.
    """

    def __init__(self, deadline: Deadline | None = None) -> None:
        self._deadline = deadline
        self._taken = Lock()

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait until the turn is free, and have it until the end of the block.

        Raises:
            SealingError: it was not free in time; retryable.
        """
        left = None if self._deadline is None else max(self._deadline.left(), timedelta(0))
        if not self._taken.acquire(timeout=_FOREVER if left is None else left.total_seconds()):
            error = SealingError(
                "The document costs much to read, and others that do took the time before it. "
                "It will be tried again; with fewer documents at the same time it has more."
            )
            error.retryable = True
            raise error
        try:
            yield
        finally:
            self._taken.release()
