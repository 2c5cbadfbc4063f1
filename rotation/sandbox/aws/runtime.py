"""A little Lambda runtime for the source tree: one process, one function.

``python -m rotation.sandbox.aws.runtime rotation.handlers.rotate.handler`` serves the invoke
interface of AWS's runtime interface emulator on loopback: POST
``/2015-03-31/functions/function/invocations`` with the event as body gives the handler's answer
as JSON. An exception gives HTTP 200 too, with ``errorMessage``, ``errorType``, ``requestId`` and
``stackTrace``, as the emulator answers it.

Its first line on stdout is the port. After that stdout and stderr are one stream, the function's
log. It ends when its stdin ends: whoever started it holds the other end, so that no process stays
behind however that one dies. One invocation at a time, as Lambda runs a function. The header
`CLOCK_HEADER` of an invocation says how far the function's clock is ahead of the machine's.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from rotation.sandbox.aws import ACCOUNT, REGION

if TYPE_CHECKING:
    from time_machine import travel

_PATH: Final = "/2015-03-31/functions/function/invocations"

#: By how many seconds the clock of a function is ahead during an invocation; absent: not at all.
CLOCK_HEADER: Final = "Sandbox-Clock-Ahead"

Handler = Callable[[Any, "LambdaContext"], Any]


@dataclass(frozen=True)
class LambdaContext:
    """The context object of an invocation (Lambda Developer Guide, python-context)."""

    function_name: str
    memory_limit_in_mb: str
    aws_request_id: str
    deadline: float
    log_stream_name: str
    function_version: str = "$LATEST"
    client_context: None = None
    identity: None = None

    @property
    def invoked_function_arn(self) -> str:
        """The function's ARN, in the account and region that the emulator reports."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.function_name}"

    @property
    def log_group_name(self) -> str:
        """The log group that the function would write to."""
        return f"/aws/lambda/{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is killed; 0 from then on."""
        return max(0, round((self.deadline - time.monotonic()) * 1000))


@dataclass(frozen=True)
class Function:
    """A handler and what its context says of it. Times in seconds."""

    handler: Handler
    name: str
    memory_mb: int
    timeout: float
    log_stream: str

    def invoke(self, body: bytes) -> bytes:
        """Run the handler on one event and return its answer, or its error, as JSON."""
        request_id = str(uuid.uuid4())
        context = LambdaContext(
            function_name=self.name,
            memory_limit_in_mb=str(self.memory_mb),
            aws_request_id=request_id,
            deadline=time.monotonic() + self.timeout,
            log_stream_name=self.log_stream,
        )
        try:
            return _marshal(self.handler(json.loads(body or b"{}"), context))
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is its answer
            return _report(error, request_id)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()


def load_handler(name: str) -> Handler:
    """The function that ``package.module.function`` names.

    A module that cannot be imported becomes a handler that raises: Lambda too reports it as the
    error of every invocation, not as a runtime that does not start.
    """
    module, _, attribute = name.rpartition(".")
    try:
        handler: Handler = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # noqa: BLE001 - a module may raise anything while imported
        problem = f"Unable to import '{name}': {type(error).__name__}: {error}"

        def fail(*_: Any) -> Any:
            raise _RuntimeFaultError("Runtime.ImportModuleError", problem)

        return fail
    return handler


class _RuntimeFaultError(Exception):
    """What the runtime, and not the handler, finds wrong; ``error_type`` is Lambda's name of it."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


def _marshal(answer: Any) -> bytes:
    try:
        return json.dumps(answer).encode()
    except (TypeError, ValueError) as error:
        raise _RuntimeFaultError(
            "Runtime.MarshalError", f"Unable to marshal response: {error}"
        ) from error


def _report(error: Exception, request_id: str) -> bytes:
    """Log an exception as Lambda's Python runtime does, frames without locals; give its answer."""
    if isinstance(error, _RuntimeFaultError):
        error_type, frames = error.error_type, []
    else:
        error_type = type(error).__name__
        # The first frame is this module's.
        frames = traceback.format_list(traceback.extract_tb(error.__traceback__)[1:])
    lines = [f"[ERROR] {error_type}: {error}", "Traceback (most recent call last):"]
    print("\n".join(lines + [frame.rstrip("\n") for frame in frames]), file=sys.stderr)  # noqa: T201
    return json.dumps(
        {
            "errorMessage": str(error),
            "errorType": error_type,
            "requestId": request_id,
            "stackTrace": frames,
        }
    ).encode()


class _WallClock:
    """The date and time that this process sees. Its monotonic clock, for time limits, stays."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._moved: travel | None = None

    def set_ahead(self, seconds: float) -> None:
        """Let every reading from now on be so many seconds ahead of the machine's clock."""
        if seconds == self._ahead:
            return
        if self._moved is not None:
            self._moved.stop()
            self._moved = None
        if seconds:
            import time_machine

            then = datetime.now(UTC) + timedelta(seconds=seconds)
            self._moved = time_machine.travel(then, tick=True)
            self._moved.start()
        self._ahead = seconds


class _Invocations(BaseHTTPRequestHandler):
    function: Function
    clock: _WallClock

    def do_POST(self) -> None:
        if self.path != _PATH:
            self.send_error(404)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.clock.set_ahead(float(self.headers.get(CLOCK_HEADER, "0")))
        answer = self.function.invoke(body)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Nothing: the log is the function's."""


class _Server(TCPServer):
    allow_reuse_address = True
    request_queue_size = 16


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve one function until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m rotation.sandbox.aws.runtime")
    parser.add_argument("handler", help="package.module.function")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--name", default="function")
    parser.add_argument("--memory", type=int, default=128, metavar="MB")
    parser.add_argument("--timeout", type=float, default=3, metavar="SECONDS")
    parser.add_argument("--log-stream", default="sandbox")
    options = parser.parse_args(arguments)

    announcement = _take_over_streams()
    _Invocations.clock = _WallClock()
    _Invocations.function = Function(
        handler=load_handler(options.handler),
        name=options.name,
        memory_mb=options.memory,
        timeout=options.timeout,
        log_stream=options.log_stream,
    )
    with _Server(("127.0.0.1", options.port), _Invocations) as server:
        os.write(announcement, f"{server.server_address[1]}\n".encode())
        os.close(announcement)
        server.serve_forever()


def _take_over_streams() -> int:
    """Watch stdin, send stdout to the log; return where to write the port."""
    # Duplicates are not inherited: a process that the handler starts must not keep them open.
    lifeline, announcement = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    Thread(target=_end_with, args=(lifeline,), name="lifeline", daemon=True).start()
    return announcement


def _end_with(lifeline: int) -> None:
    while os.read(lifeline, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
