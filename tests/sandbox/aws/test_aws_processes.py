"""Functions in processes of their own: the runtime, its pool, and its end."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from rotation.sandbox.aws.functions import InvocationResult
from rotation.sandbox.aws.http_function import HttpFunction
from rotation.sandbox.aws.processes import ProcessFunction
from tests.paths import ROOT
from tests.sandbox.aws.rotating import eventually

pytestmark = pytest.mark.slow

TOYS = "tests.sandbox.aws.toy_functions"
A_MINUTE = timedelta(seconds=60)

Start = Callable[..., ProcessFunction]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the functions log."""
    return tmp_path / "function.log"


@pytest.fixture
def start(log: Path) -> Iterator[Start]:
    """Start a toy function by its name; all are closed in the end."""
    running: list[ProcessFunction] = []

    def start_one(toy: str, **given: Any) -> ProcessFunction:
        defaults: dict[str, Any] = {
            "environment": {},
            "log_path": log,
            "timeout": A_MINUTE,
            "name": "toy",
        }
        running.append(ProcessFunction(f"{TOYS}.{toy}", **(defaults | given)))
        return running[-1]

    yield start_one
    for function in running:
        function.close()


def ask(function: Any, **event: Any) -> Any:
    """Invoke, and give back the answer of a success."""
    result: InvocationResult = function.invoke(json.dumps(event).encode())
    assert not result.error, result
    return json.loads(result.payload)


def ask_wrongly(function: Any, **event: Any) -> dict[str, Any]:
    """Invoke, and give back the error."""
    result: InvocationResult = function.invoke(json.dumps(event).encode())
    assert result.error
    answer: dict[str, Any] = json.loads(result.payload)
    return answer


def is_listening(port: int) -> bool:
    """Whether a process listens on a loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class TestInvocation:
    def test_context(self, start: Start) -> None:
        """Developer Guide python-context: what the context object tells."""
        seen = ask(start("introspect", memory_mb=256), a=1)
        assert seen["event"] == {"a": 1}
        assert str(uuid.UUID(seen["request"])) == seen["request"]
        assert (seen["name"], seen["version"], seen["memory"]) == ("toy", "$LATEST", "256")
        assert seen["arn"] == "arn:aws:lambda:us-east-1:012345678912:function:toy"
        assert (seen["log_group"], seen["log_stream"]) == ("/aws/lambda/toy", "sandbox")
        assert 30_000 < seen["remaining"] <= 60_000

    def test_environment_is_the_functions_own(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing of the host's environment reaches a function: no credentials, no proxies."""
        monkeypatch.setenv("AWS_PROFILE", "production")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the host's")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        seen = ask(start("introspect", environment={"MINE": "1"}))["environment"]
        assert seen["MINE"] == "1"
        assert seen["AWS_LAMBDA_FUNCTION_NAME"] == "toy"
        assert seen["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
        assert not {"AWS_PROFILE", "AWS_SECRET_ACCESS_KEY", "HTTP_PROXY", "HOME"} & set(seen)

    def test_proxies_are_not_asked(self, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        """Invocations go straight to loopback, whatever proxies the host names."""
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        assert ask(start("introspect"), a=1)["event"] == {"a": 1}

    def test_process_is_kept_warm(self, start: Start) -> None:
        """Developer Guide lambda-runtime-environment: an environment serves many invocations."""
        function = start("introspect")
        assert ask(function)["pid"] == ask(function)["pid"]

    def test_error(self, start: Start, log: Path) -> None:
        """Developer Guide python-exceptions: the error document, and a traceback without locals.

        The log holds stdout and stderr, complete when the invocation is over.
        """
        error = ask_wrongly(start("fail"), what="luck")
        assert set(error) == {"errorMessage", "errorType", "requestId", "stackTrace"}
        assert (error["errorType"], error["errorMessage"]) == ("LookupError", "no luck, 14")
        assert [frame.partition(", line")[0] for frame in error["stackTrace"]] == [
            f'  File "{Path(__file__).with_name("toy_functions.py")}"'
        ]
        logged = log.read_text()
        assert "to stdout\n" in logged
        assert "to stderr\n" in logged
        assert "[ERROR] LookupError: no luck, 14\nTraceback (most recent call last):\n" in logged
        assert "local variable" not in logged + json.dumps(error)

    def test_handler_that_cannot_be_imported(self, start: Start) -> None:
        """Developer Guide troubleshooting-deployment: every invocation says ImportModuleError."""
        assert ask_wrongly(start("not_there"))["errorType"] == "Runtime.ImportModuleError"

    def test_answer_that_is_no_json(self, start: Start) -> None:
        """Developer Guide python-handler: an answer that json cannot carry is an error."""
        error = ask_wrongly(start("fail_if_asked"), how="unserializable")
        assert error["errorType"] == "Runtime.MarshalError"

    def test_process_that_exits(self, start: Start) -> None:
        """Developer Guide troubleshooting-invocation: Runtime.ExitError, then a fresh process."""
        function = start("fail_if_asked")
        error = ask_wrongly(function, how="exit")
        assert error["errorType"] == "Runtime.ExitError"
        assert "status 3" in error["errorMessage"]
        assert ask(function, how="not") == "fine"

    def test_timeout(self, start: Start, tmp_path: Path) -> None:
        """Developer Guide troubleshooting-invocation: Task timed out; the process is replaced."""
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        function = start("fail_if_asked", timeout=timedelta(seconds=5))
        error = ask_wrongly(function, how="hang", gate=str(gate))
        assert error["errorType"] == "Sandbox.Timedout"
        assert error["errorMessage"] == "Task timed out after 5.00 seconds"
        assert ask(function, how="not") == "fine"


class TestPool:
    def test_concurrent_invocations_run_side_by_side(self, start: Start, tmp_path: Path) -> None:
        """Developer Guide lambda-concurrency: an environment runs one invocation at a time."""
        gates = [tmp_path / name for name in "abc"]
        for gate in gates:
            os.mkfifo(gate)
        function = start("meet", concurrency=3)
        with ThreadPoolExecutor(3) as pool:
            answers = [pool.submit(ask, function, gate=str(gate)) for gate in gates]
            # Opening a FIFO for writing waits for its reader: all three run at this moment.
            writers = [gate.open("wb") for gate in gates]
            for writer in writers:
                writer.close()
            assert len({answer.result(300) for answer in answers}) == 3

    def test_further_ones_wait(self, start: Start) -> None:
        """One process more than the concurrency is never started."""
        function = start("introspect", concurrency=2)
        with ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(lambda n: ask(function, n=n), range(24)))
        assert [answer["event"]["n"] for answer in seen] == list(range(24))
        assert len({answer["pid"] for answer in seen}) <= 2

    def test_killed_process_is_replaced(self, start: Start) -> None:
        """A process that died between two invocations is not missed."""
        function = start("introspect")
        first = ask(function)["pid"]
        os.kill(first, signal.SIGKILL)
        second = function.invoke(b"{}")
        # The kill may arrive before or during the second invocation, never after it.
        pid = json.loads(second.payload)["pid"] if not second.error else ask(function)["pid"]
        assert pid != first

    def test_kill_ends_what_runs_and_the_next_invocation_is_served(
        self, start: Start, tmp_path: Path
    ) -> None:
        """A function that is killed in the middle of an invocation has failed, and starts again."""
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        function = start("meet")
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(ask_wrongly, function, gate=str(gate))
            with gate.open("wb"):
                assert function.kill() == 1
                assert answer.result(300)["errorType"] == "Runtime.ExitError"
        assert function.kill() == 0
        assert ask(function, gate=os.devnull)

    def test_clock_of_a_function_can_be_moved(self, start: Start) -> None:
        """Each invocation sees the time that is set; its time limit counts as ever."""
        ahead = timedelta(0)
        function = start("read_clocks", ahead=lambda: ahead)
        seen = []
        for hours in (0, 3, 6, 0):
            ahead = timedelta(hours=hours)
            clocks = ask(function)
            assert 30_000 < clocks["remaining"] <= 60_000
            seen.append([round((clocks[name] - time.time()) / 3600) for name in ("date", "time")])
        assert seen == [[0, 0], [3, 3], [6, 6], [0, 0]]

    def test_close_ends_every_process(self, start: Start) -> None:
        """After close nothing listens, and an invocation is an error rather than a new process."""
        function = start("listen")
        port = ask(function)
        assert is_listening(port)
        function.close()
        function.close()
        assert not is_listening(port)
        assert ask_wrongly(function)["errorType"] == "Runtime.ExitError"

    def test_close_ends_what_runs(self, start: Start, tmp_path: Path) -> None:
        """An invocation under way comes back as an error when the function is closed."""
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        function = start("meet")
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(ask_wrongly, function, gate=str(gate))
            with gate.open("wb"):
                function.close()
                assert answer.result(300)["errorType"] == "Runtime.ExitError"


class TestEndOfTheParent:
    def test_nothing_outlives_a_killed_parent(self, log: Path) -> None:
        """SIGKILL leaves the parent no time to clean up; its functions end all the same."""
        script = f"""
import sys, time
from datetime import timedelta
from pathlib import Path
from rotation.sandbox.aws.processes import ProcessFunction
function = ProcessFunction(
    "{TOYS}.listen", environment={{}}, log_path=Path({str(log)!r}), timeout=timedelta(seconds=9)
)
print(function.invoke(b"{{}}").payload.decode(), flush=True)
sys.stdin.read()
"""
        with subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        ) as parent:
            assert parent.stdout is not None
            port = int(parent.stdout.readline())
            assert is_listening(port)
            parent.kill()
            parent.wait()
            assert eventually(lambda: not is_listening(port))


class TestInvokeInterface:
    @pytest.fixture
    def url(self) -> Iterator[str]:
        """A runtime that was started by hand."""
        with subprocess.Popen(
            [sys.executable, "-m", "rotation.sandbox.aws.runtime", f"{TOYS}.introspect"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        ) as runtime:
            assert runtime.stdout is not None
            yield f"http://127.0.0.1:{int(runtime.stdout.readline())}"
            assert runtime.stdin is not None
            runtime.stdin.close()
            assert runtime.wait(300) == 0

    def test_path_of_the_emulator(self, url: str) -> None:
        """The emulator's one path serves invocations; any other is not found."""
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=300)
        connection.request("POST", "/2015-03-31/functions/function/invocations", b'{"a": 1}')
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["event"]) == (200, {"a": 1})
        connection.close()
        connection.request("POST", "/", b"{}")
        assert connection.getresponse().status == 404
        connection.close()

    def test_http_function(self, url: str) -> None:
        """The same runner serves for this runtime and for the emulator."""
        function = HttpFunction(url, A_MINUTE)
        assert ask(function, a=1)["event"] == {"a": 1}
        assert ask(function, a=2)["event"] == {"a": 2}

    def test_nobody_there(self) -> None:
        """A runtime that is gone is a failed invocation, not an exception."""
        with socket.create_server(("127.0.0.1", 0)) as closed_soon:
            url = f"http://127.0.0.1:{closed_soon.getsockname()[1]}"
        assert ask_wrongly(HttpFunction(url, A_MINUTE))["errorType"] == "Runtime.ExitError"

    def test_no_answer_in_time(self) -> None:
        """A server that does not answer is a timeout, as Lambda words it."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            error = ask_wrongly(HttpFunction(url, timedelta(seconds=0.05)))
        assert error["errorMessage"] == "Task timed out after 0.05 seconds"
