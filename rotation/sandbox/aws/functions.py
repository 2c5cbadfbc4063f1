"""Functions: what runs one, and the queue of asynchronous events.

A function is a `FunctionRunner`: a process of the source tree (`processes.ProcessFunction`), or
anything that serves the invoke interface of AWS's runtime interface emulator
(`http_function.HttpFunction`). Nothing here knows moto; `lambda_service` is the service over it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from threading import Condition, Event, Thread, current_thread
from typing import Protocol


@dataclass(frozen=True)
class InvocationResult:
    """What a function answered.

    Attributes:
        payload: JSON: the handler's answer, or for an error an object with ``errorType`` and
            ``errorMessage``.
        error: whether the function failed; Lambda then sets ``X-Amz-Function-Error``.
    """

    payload: bytes
    error: bool = False

    @classmethod
    def failure(cls, error_type: str, message: str) -> InvocationResult:
        """An error that the service reports, not the function's own code."""
        document = {"errorType": error_type, "errorMessage": message}
        return cls(json.dumps(document).encode(), error=True)

    def description(self) -> str:
        """``errorType: errorMessage`` of an error, as far as the payload tells."""
        try:
            document = json.loads(self.payload)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            return "Unhandled"
        return f"{document.get('errorType', 'Unhandled')}: {document.get('errorMessage', '')}"


class FunctionRunner(Protocol):
    """Something that runs one function. `invoke` may be called by several threads at once."""

    def invoke(self, payload: bytes) -> InvocationResult:
        """Run the function on a JSON event and wait for it. A failure is a result, not a raise."""

    def close(self) -> None:
        """End what runs. Idempotent; invocations under way come back as errors."""


@dataclass(frozen=True)
class EventRetries:
    """How long after a failed asynchronous invocation the next attempt comes.

    Lambda waits one minute, then two (Developer Guide invocation-async-error-handling); the
    sandbox is in more of a hurry.
    """

    delays: Sequence[timedelta] = (timedelta(seconds=1), timedelta(seconds=2))


class Functions:
    """The runners of one sandbox by function name, and its queue of asynchronous events."""

    def __init__(self, retries: EventRetries) -> None:
        self._runners: dict[str, FunctionRunner] = {}
        self._retries = retries
        self._changed = Condition()
        self._deliveries: set[Thread] = set()
        self._ended = Event()

    def add(self, name: str, runner: FunctionRunner) -> None:
        """Run ``runner`` for the function ``name`` from now on."""
        self._runners[name] = runner

    def names(self) -> list[str]:
        """Every function that was added."""
        return list(self._runners)

    def run(self, name: str, payload: bytes) -> InvocationResult:
        """Invoke a function and wait for its answer."""
        runner = self._runners.get(name)
        if runner is None:
            return InvocationResult.failure(
                "Runtime.InvalidEntrypoint", f"{name} has no code here: add it with Cloud."
            )
        return runner.invoke(payload)

    def deliver(self, name: str, payload: bytes, *, retries: int, age: timedelta) -> None:
        """Invoke a function asynchronously: at once, and again after errors.

        Args:
            name: the function.
            payload: the event.
            retries: MaximumRetryAttempts, 0 to 2.
            age: MaximumEventAgeInSeconds; no attempt starts later than that.
        """
        delivery = Thread(
            target=self._deliver, args=(name, payload, retries, age, self._ended), daemon=True
        )
        with self._changed:
            self._deliveries.add(delivery)
        delivery.start()

    def wait_for_events(self, timeout: timedelta) -> None:
        """Wait until no asynchronous event is under way or to be retried.

        Raises:
            TimeoutError: one still is.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: not self._deliveries, timeout.total_seconds()):
                raise TimeoutError("asynchronous events are still under way")

    def forget_events(self) -> None:
        """Drop the events that wait for a retry."""
        with self._changed:
            self._ended.set()
            self._ended = Event()

    def close(self) -> None:
        """End every runner and every delivery."""
        self.forget_events()
        for runner in self._runners.values():
            runner.close()

    def _deliver(
        self, name: str, payload: bytes, retries: int, age: timedelta, ended: Event
    ) -> None:
        try:
            deadline = time.monotonic() + age.total_seconds()
            result = self.run(name, payload)
            for delay in self._retries.delays[:retries]:
                seconds = delay.total_seconds()
                if not result.error or time.monotonic() + seconds > deadline:
                    return
                if ended.wait(seconds):
                    return
                result = self.run(name, payload)
        finally:
            with self._changed:
                self._deliveries.discard(current_thread())
                self._changed.notify_all()
