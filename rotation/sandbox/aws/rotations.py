"""The service's side of a rotation: the steps invoked, retried and judged.

RotateSecret only starts a rotation (API_RotateSecret: an asynchronous process). A worker thread
then invokes the function once for each step, and starts the whole process again, with the same
ClientRequestToken, when a step fails (User Guide rotate-secrets_lambda: the entire process is
retried multiple times). How often and after how long AWS retries is not published; `RetryPolicy`
is our assumption.

One lock covers the service's state and this module's. No invocation happens while it is held.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Condition, Event, RLock, Thread
from typing import Final

from rotation.sandbox.aws.functions import InvocationResult

ALL_STEPS: Final = ("createSecret", "setSecret", "testSecret", "finishSecret")
TEST_ALONE: Final = ("testSecret",)


@dataclass(frozen=True)
class RetryPolicy:
    """How often a failed rotation is tried again: once after each of ``delays``."""

    delays: Sequence[timedelta] = tuple(timedelta(seconds=s) for s in (1, 2, 4, 8))


@dataclass(frozen=True)
class StepRun:
    """One invocation of the rotation function for one step. Never a payload or a RotationToken.

    Attributes:
        token: the rotation's ClientRequestToken.
        attempt: which run of the whole process, from 1.
        started: when, by the sandbox's clock, aware UTC.
        error: ``errorType: errorMessage`` as the function answered, or None.
    """

    secret_arn: str
    token: str
    attempt: int
    step: str
    started: datetime
    duration: timedelta
    error: str | None


@dataclass(frozen=True)
class RotationOutcome:
    """How a rotation ended, and every step that it ran, in order."""

    succeeded: bool
    steps: tuple[StepRun, ...]
    error: str | None


@dataclass
class SandboxRotation:
    """One rotation under way or over.

    Attributes:
        settle: called once under the lock, unless the rotation was ended before: it gets the last
            error or None, changes the secret accordingly, and returns the final error or None.
        ended: set to end the rotation before its next step.
    """

    secret_arn: str
    token: str
    function_arn: str
    steps: Sequence[str]
    settle: Callable[[str | None], str | None]
    delays: Sequence[timedelta]
    ended: Event = field(default_factory=Event)
    over: bool = False
    error: str | None = None


class Rotations:
    """Every rotation of one sandbox.

    Attributes:
        lock: held by every operation of the service; re-entrant.
        watch: called with each step as it ends, under the lock.
        announce: called with the name of each event that Secrets Manager makes of a rotation
            (UserGuide cloudtrail_log_entries), and with the secret's ARN, under the lock.
    """

    def __init__(
        self,
        invoke: Callable[[str, bytes], InvocationResult],
        policy: RetryPolicy,
        clock: Callable[[], datetime],
    ) -> None:
        self.lock = RLock()
        self._changed = Condition(self.lock)
        self._invoke = invoke
        self._policy = policy
        self._clock = clock
        self._rotations: dict[tuple[str, str], SandboxRotation] = {}
        self._history: list[StepRun] = []
        self.watch: Callable[[StepRun], None] = lambda _: None
        self.announce: Callable[[str, str], None] = lambda *_: None
        self._workers: list[Thread] = []

    @property
    def history(self) -> list[StepRun]:
        """Every step that was run, in the order of their ends."""
        with self.lock:
            return list(self._history)

    def known(self, secret_arn: str, token: str) -> bool:
        """Whether this rotation runs or ran."""
        with self.lock:
            return (secret_arn, token) in self._rotations

    def begin(
        self,
        secret_arn: str,
        token: str,
        function_arn: str,
        settle: Callable[[str | None], str | None],
        *,
        test_alone: bool = False,
    ) -> None:
        """Start a rotation and return at once.

        With ``test_alone`` it is testSecret without retries: RotateSecret's check of a new
        configuration, of which AWS documents no retry.
        """
        rotation = SandboxRotation(
            secret_arn=secret_arn,
            token=token,
            function_arn=function_arn,
            steps=TEST_ALONE if test_alone else ALL_STEPS,
            settle=settle,
            delays=() if test_alone else self._policy.delays,
        )
        worker = Thread(target=self._run, args=(rotation,), name=f"rotation-{token}", daemon=True)
        with self.lock:
            self._rotations[secret_arn, token] = rotation
            self._workers = [other for other in self._workers if other.is_alive()]
            self._workers.append(worker)
            self.announce("RotationStarted", secret_arn)
        worker.start()

    def cancel(self, secret_arn: str) -> None:
        """End the secret's rotations before their next step. Leaves the labels as they are."""
        with self.lock:
            for rotation in self._rotations.values():
                if rotation.secret_arn == secret_arn:
                    rotation.ended.set()

    def wait(self, secret_arn: str, token: str, timeout: timedelta) -> RotationOutcome:
        """Wait until the rotation is over, successful or not.

        Raises:
            LookupError: no such rotation was started.
            TimeoutError: it is still running.
        """
        with self.lock:
            rotation = self._rotations.get((secret_arn, token))
            if rotation is None:
                raise LookupError(f"no rotation {token} of {secret_arn} was started")
            if not self._changed.wait_for(lambda: rotation.over, timeout.total_seconds()):
                raise TimeoutError(f"rotation {token} of {secret_arn} is still running")
            steps = (run for run in self._history if run.token == token)
            return RotationOutcome(
                succeeded=rotation.error is None,
                steps=tuple(run for run in steps if run.secret_arn == secret_arn),
                error=rotation.error,
            )

    def forget(self) -> None:
        """End every rotation before its next step, and forget them all."""
        with self.lock:
            for rotation in self._rotations.values():
                rotation.ended.set()
            self._rotations.clear()
            self._history.clear()

    def join(self, timeout: timedelta) -> None:
        """Wait for the workers of ended rotations, ``timeout`` for each at most."""
        with self.lock:
            workers = list(self._workers)
        for worker in workers:
            worker.join(timeout.total_seconds())

    def _run(self, rotation: SandboxRotation) -> None:
        error = self._attempt(rotation, 1)
        for attempt, delay in enumerate(rotation.delays, start=2):
            if error is None or rotation.ended.wait(delay.total_seconds()):
                break
            error = self._attempt(rotation, attempt)
        with self.lock:
            rotation.error = (
                "ended before its next step" if rotation.ended.is_set() else rotation.settle(error)
            )
            rotation.over = True
            ended = "RotationSucceeded" if rotation.error is None else "RotationFailed"
            self.announce(ended, rotation.secret_arn)
            self._changed.notify_all()

    def _attempt(self, rotation: SandboxRotation, attempt: int) -> str | None:
        for step in rotation.steps:
            if rotation.ended.is_set():
                return None
            started, clock = self._clock(), time.monotonic()
            result = self._invoke(rotation.function_arn, _event(rotation, step))
            error = result.description() if result.error else None
            run = StepRun(
                secret_arn=rotation.secret_arn,
                token=rotation.token,
                attempt=attempt,
                step=step,
                started=started,
                duration=timedelta(seconds=time.monotonic() - clock),
                error=error,
            )
            with self.lock:
                # A forgotten rotation must not appear in the history of what came after it.
                if self.known(rotation.secret_arn, rotation.token):
                    self._history.append(run)
                    self.watch(run)
            if error is not None:
                return f"{step}: {error}"
        return None


def _event(rotation: SandboxRotation, step: str) -> bytes:
    # User Guide rotate-secrets_lambda-functions: the members of the rotation event.
    return json.dumps(
        {
            "Step": step,
            "SecretId": rotation.secret_arn,
            "ClientRequestToken": rotation.token,
            "RotationToken": str(uuid.uuid4()),
        }
    ).encode()
