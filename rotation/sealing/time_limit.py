"""Ends a seal before Lambda ends the process, whatever it waits for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from threading import Lock, Thread
from typing import TypeVar

from rotation.deadline import Deadline
from rotation.errors import SealingError

Result = TypeVar("Result")


class Unfinished:
    """What is to be undone if work is left behind. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._undo: list[Callable[[], object]] = []
        self._over = False

    def add(self, undo: Callable[[], object]) -> None:
        """``undo`` is called when the work is left behind; at once, if it has been already."""
        with self._lock:
            if not self._over:
                self._undo.append(undo)
                return
        undo()

    def undo(self) -> None:
        """The work is left behind."""
        with self._lock:
            self._over = True
        for undo in self._undo:
            undo()


def finish_by(ends: Deadline | None, work: Callable[[Unfinished], Result]) -> Result:
    """The result of ``work``, which is left behind when the time ends.

    A thread that waits for S3 cannot be interrupted. It goes on, with nothing left that it could
    complete, and its result is dropped.

    Args:
        ends: when the result is needed; None: whenever it is there.
        work: is given what it tells of what it has begun.

    Raises:
        SealingError: the time ended; retryable. What was begun is undone.
        Exception: whatever ``work`` raises.
    """
    if ends is None:
        return work(Unfinished())
    unfinished = Unfinished()
    outcome: Future[Result] = Future()

    def run() -> None:
        try:
            outcome.set_result(work(unfinished))
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            outcome.set_exception(error)

    Thread(target=run, name="seal-in-time", daemon=True).start()
    left = max(ends.left(), timedelta(0)).total_seconds()
    try:
        return outcome.result(timeout=left)
    except TimeoutError:
        # The work itself may have raised one.
        if outcome.done():
            raise
    unfinished.undo()
    error = SealingError(
        "The function's time ended before the document was stored, and what was begun is undone. "
        "Ask again; if it happens again, give the function a longer timeout."
    )
    error.retryable = True
    raise error
