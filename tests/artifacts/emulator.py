"""A built artifact, run by AWS's own Lambda runtime interface emulator. No Docker.

The function sees what it would see on Lambda: its artifact first on the path, the runtime's boto3
after it, the environment that it was given, and nothing of this checkout or its virtualenv
(``-S`` leaves every site-packages out).

Beware: the emulator answers HTTP 200 when the handler raises, so the body tells; and of what it
reports at the end of an invocation only INIT REPORT is measured.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Self

from rotation.sandbox.aws import REGION
from rotation.sandbox.aws.functions import InvocationResult
from rotation.sandbox.aws.http_function import INVOCATIONS, HttpFunction

_PATIENCE = timedelta(minutes=5)


@dataclass
class EmulatedFunction:
    """One function under the emulator, from ``start`` to ``close``.

    A `rotation.sandbox.aws.functions.FunctionRunner`: a Cloud can run it. Invocations are served
    one at a time, as one Lambda execution environment serves them.

    Attributes:
        artifact: the directory that would be the function's zip.
        handler: ``module.attribute``, as in the template.
        environment: the function's variables; nothing else is inherited.
        runtime: the directory with boto3 and awslambdaric.
        emulator: the emulator's binary.
        log: the file that the emulator's and the function's output goes to.
        name: the function's name, the last part of its ARN.
        timeout: the function's, as its context reports it; whole seconds.
        url: where it is invoked, once it has started.
    """

    artifact: Path
    handler: str
    environment: Mapping[str, str]
    runtime: Path
    emulator: Path
    log: Path
    name: str = "function"
    timeout: timedelta = timedelta(seconds=60)
    url: str = field(default="", init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)
    _turn: Lock = field(default_factory=Lock, init=False, repr=False)

    def start(self) -> Self:
        """Start the emulator and wait until it listens. The function itself starts when invoked."""
        front, back = _free_ports(2)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    str(self.emulator),
                    *("--runtime-interface-emulator-address", f"127.0.0.1:{front}"),
                    *("--runtime-api-address", f"127.0.0.1:{back}"),
                    *(sys.executable, "-S", "-s", "-P", "-m", "awslambdaric", self.handler),
                ],
                cwd=self.artifact,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_listening(front)
        except BaseException:
            self.close()
            raise
        self.url = f"http://127.0.0.1:{front}{INVOCATIONS}"
        return self

    def invoke(self, payload: bytes) -> InvocationResult:
        """Run the function on a JSON event and wait for it. A failure is a result, not a raise."""
        with self._turn:
            return HttpFunction(self.url, self.timeout).invoke(payload)

    def close(self) -> None:
        """End the emulator, which ends the function, and whatever else it left running."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE.total_seconds())
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_PATIENCE.total_seconds())

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.defpath,
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PYTHONPATH": f"{self.artifact}{os.pathsep}{self.runtime}",
            # /var/task is read-only on Lambda.
            "PYTHONDONTWRITEBYTECODE": "1",
            "LAMBDA_TASK_ROOT": str(self.artifact),
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(int(self.timeout.total_seconds())),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        } | dict(self.environment)

    def _wait_until_listening(self, port: int) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _PATIENCE.total_seconds()
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(self.log.read_text(errors="replace")) from None
                time.sleep(0.02)
            else:
                return


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        listeners = [
            held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [listener.getsockname()[1] for listener in listeners]
