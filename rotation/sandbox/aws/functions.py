"""Functions: what runs one, and the queue of asynchronous events.

A function is a `FunctionRunner`: a process of the source tree (`processes.ProcessFunction`), or
anything that serves the invoke interface of AWS's runtime interface emulator
(`http_function.HttpFunction`). Nothing here knows moto; `lambda_service` is the service over it.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Condition, Event, Thread, current_thread
from typing import Final, Protocol

#: The longest pause before an event is tried again that found no free concurrency (Developer Guide
#: invocation-async-error-handling).
_LONGEST_PAUSE: Final = timedelta(minutes=5)


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


class ThrottledError(Exception):
    """The concurrency that is reserved for a function is in use: it was not started."""


@dataclass(frozen=True)
class Invocation:
    """One request to run a function, as it ended.

    Attributes:
        function: its name, without an alias.
        began: aware UTC, by the services' clock.
        duration: how long the function ran, by the same clock.
        result: what it answered; None: it was throttled, and did not run.
    """

    function: str
    began: datetime
    duration: timedelta
    result: InvocationResult | None


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

    Attributes:
        delays: the pauses after an error of the function.
        throttled: the pause after the first attempt that was throttled; each further one is twice
            as long, five minutes at most.
    """

    delays: Sequence[timedelta] = (timedelta(seconds=1), timedelta(seconds=2))
    throttled: timedelta = timedelta(seconds=1)


class Functions:
    """The runners of one sandbox by function name, and its queue of asynchronous events.

    Attributes:
        watch: called with each invocation when it has ended; it must be brief.
    """

    def __init__(self, retries: EventRetries, clock: Callable[[], datetime]) -> None:
        self._runners: dict[str, FunctionRunner] = {}
        self._retries = retries
        self._clock = clock
        self.watch: Callable[[Invocation], None] = lambda _: None
        self._reserved: dict[str, int] = {}
        self._running: Counter[str] = Counter()
        self._changed = Condition()
        self._deliveries: set[Thread] = set()
        self._ended = Event()

    def add(self, name: str, runner: FunctionRunner) -> None:
        """Run ``runner`` for the function ``name`` from now on."""
        self._runners[name] = runner

    def names(self) -> list[str]:
        """Every function that was added."""
        return list(self._runners)

    def reserve(self, function: str, concurrency: int | None) -> None:
        """Run at most so many invocations of a function and its aliases at once.

        Args:
            function: its name, without an alias.
            concurrency: 0 stops it; None for no limit.
        """
        with self._changed:
            if concurrency is None:
                self._reserved.pop(function, None)
            else:
                self._reserved[function] = concurrency

    def run(self, name: str, payload: bytes) -> InvocationResult:
        """Invoke a function and wait for its answer.

        Raises:
            ThrottledError: what is reserved for it is in use.
        """
        function, began = name.partition(":")[0], self._clock()
        with self._turn(function) as free:
            if not free:
                self.watch(Invocation(function, began, timedelta(0), None))
                raise ThrottledError(f"{function} has no free concurrency")
            result = self._run(name, payload)
        self.watch(Invocation(function, began, self._clock() - began, result))
        return result

    def deliver(self, name: str, payload: bytes, *, retries: int, age: timedelta) -> None:
        """Invoke a function asynchronously: at once, and again after errors.

        Args:
            name: the function.
            payload: the event.
            retries: MaximumRetryAttempts, 0 to 2. An attempt that was throttled is not counted.
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

    def forget_reservations(self) -> None:
        """Let every function run as often at once as it is asked to."""
        with self._changed:
            self._reserved.clear()

    def close(self) -> None:
        """End every runner and every delivery."""
        self.forget_events()
        for runner in self._runners.values():
            runner.close()

    def _run(self, name: str, payload: bytes) -> InvocationResult:
        runner = self._runners.get(name)
        if runner is None:
            return InvocationResult.failure(
                "Runtime.InvalidEntrypoint", f"{name} has no code here: add it with Cloud."
            )
        return runner.invoke(payload)

    @contextmanager
    def _turn(self, function: str) -> Iterator[bool]:
        """Whether the function may run now; it counts as running until the end of the block."""
        with self._changed:
            limit = self._reserved.get(function)
            free = limit is None or self._running[function] < limit
            self._running[function] += free
        try:
            yield free
        finally:
            with self._changed:
                self._running[function] -= free

    def _deliver(
        self, name: str, payload: bytes, retries: int, age: timedelta, ended: Event
    ) -> None:
        try:
            deadline = time.monotonic() + age.total_seconds()
            errors = list(self._retries.delays[:retries])
            throttled = self._retries.throttled
            while True:
                try:
                    if not self.run(name, payload).error or not errors:
                        return
                    pause = errors.pop(0)
                except ThrottledError:
                    pause, throttled = throttled, min(throttled * 2, _LONGEST_PAUSE)
                seconds = pause.total_seconds()
                if time.monotonic() + seconds > deadline or ended.wait(seconds):
                    return
        finally:
            with self._changed:
                self._deliveries.discard(current_thread())
                self._changed.notify_all()
