"""A function of the source tree, run in processes of its own as Lambda runs it.

Each process runs one invocation at a time; a concurrent one gets another process. One that takes
longer than its timeout is killed, and the next invocation finds a fresh one (Lambda Developer
Guide, lambda-runtime-environment: the environment is reset after a timeout).
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from threading import Condition
from typing import Final

from rotation.sandbox.aws.functions import InvocationResult
from rotation.sandbox.aws.http_function import post_event, timed_out
from rotation.sandbox.aws.runtime import CLOCK_HEADER

_START_LIMIT: Final = timedelta(minutes=5)
#: How long a process that broke its connection may take to end; a busy machine needs a while.
_END_LIMIT: Final = timedelta(seconds=30)


class ProcessFunction:
    """A `FunctionRunner` over a small pool of runtime processes.

    Args:
        handler: ``package.module.function``, importable as it is here.
        environment: the function's variables; nothing else of this process's environment gets
            there, least of all credentials and profiles.
        log_path: where stdout and stderr of the function are appended.
        timeout: how long an invocation may take.
        concurrency: how many invocations run at once; further ones wait their turn.
        name: the function's name, for its context.
        memory_mb: the memory that its context reports; not enforced.
        ahead: how far the function's clock is ahead of the machine's; asked at each invocation.
    """

    def __init__(
        self,
        handler: str,
        *,
        environment: Mapping[str, str],
        log_path: Path,
        timeout: timedelta,
        concurrency: int = 1,
        name: str = "function",
        memory_mb: int = 512,
        ahead: Callable[[], timedelta] = timedelta,
    ) -> None:
        self._ahead = ahead
        self._timeout = timeout
        self._concurrency = concurrency
        self._log_path = log_path
        self._command = (
            *(sys.executable, "-m", "rotation.sandbox.aws.runtime", handler),
            *("--name", name, "--memory", str(memory_mb)),
            *("--timeout", str(timeout.total_seconds())),
        )
        self._environment = _lambda_environment(name, handler, memory_mb) | dict(environment)
        self._changed = Condition()
        self._idle: list[_Process] = []
        self._busy: set[_Process] = set()
        self._starting = 0
        self._closed = False

    def invoke(self, payload: bytes) -> InvocationResult:
        """Run the function once; waits for a process when all are busy."""
        process = self._acquire()
        if process is None:
            return InvocationResult.failure("Runtime.ExitError", "the function was closed")
        try:
            return process.invoke(payload, self._timeout, self._ahead())
        finally:
            self._release(process)

    def close(self) -> None:
        """Kill every process; invocations under way come back as errors."""
        with self._changed:
            self._closed = True
        self.kill()

    def kill(self) -> int:
        """Kill every process; the next invocation finds a fresh one.

        Returns:
            How many invocations were under way; they come back as errors.
        """
        with self._changed:
            busy = len(self._busy)
            processes = [*self._idle, *self._busy]
            self._idle.clear()
            self._changed.notify_all()
        for process in processes:
            process.kill()
        return busy

    def _acquire(self) -> _Process | None:
        with self._changed:
            self._changed.wait_for(self._has_room)
            if self._is_closed():
                return None
            while self._idle:
                process = self._idle.pop()
                if process.alive():
                    self._busy.add(process)
                    return process
                process.kill()
            self._starting += 1
        try:
            process = _Process(self._command, self._environment, self._log_path)
        except BaseException:
            with self._changed:
                self._starting -= 1
                self._changed.notify_all()
            raise
        with self._changed:
            self._starting -= 1
            self._busy.add(process)
        if self._is_closed():
            process.kill()
        return process

    def _is_closed(self) -> bool:
        with self._changed:
            return self._closed

    def _has_room(self) -> bool:
        running = len(self._busy) + self._starting
        return self._closed or bool(self._idle) or running < self._concurrency

    def _release(self, process: _Process) -> None:
        with self._changed:
            self._busy.discard(process)
            reusable = process.alive() and not self._closed
            if reusable:
                self._idle.append(process)
            self._changed.notify_all()
        if not reusable:
            process.kill()


class _Process:
    """One runtime process, from its start to its end."""

    def __init__(
        self, command: tuple[str, ...], environment: Mapping[str, str], log_path: Path
    ) -> None:
        with log_path.open("ab") as log:
            # A session of its own: Ctrl-C is for us to handle, and our end of stdin ends it.
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._url = self._announced_url()

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def invoke(self, payload: bytes, timeout: timedelta, ahead: timedelta) -> InvocationResult:
        """Run one invocation, its clock so far ahead; a timeout kills the process."""
        if self._url is None:
            self.kill()
            return InvocationResult.failure("Runtime.ExitError", "the runtime did not start")
        try:
            clock = {CLOCK_HEADER: str(ahead.total_seconds())}
            return post_event(self._url, payload, timeout, clock)
        except TimeoutError:
            self.kill()
            return timed_out(timeout)
        except OSError:
            # It broke the connection by exiting: its own status tells more than our kill.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_LIMIT.total_seconds())
            self.kill()
            status = self._process.returncode
            return InvocationResult.failure(
                "Runtime.ExitError", f"Runtime exited with status {status} during the invocation"
            )

    def kill(self) -> None:
        """End the process now. Idempotent."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _announced_url(self) -> str | None:
        stdout = self._process.stdout
        if stdout is None or not select.select([stdout], [], [], _START_LIMIT.total_seconds())[0]:
            return None
        port = stdout.readline().strip().decode()
        return f"http://127.0.0.1:{port}" if port else None


def _lambda_environment(name: str, handler: str, memory_mb: int) -> dict[str, str]:
    """What Lambda sets (Developer Guide, configuration-envvars), and what an import needs."""
    return {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path),
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
        "_HANDLER": handler,
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "sandbox",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
