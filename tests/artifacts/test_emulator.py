"""The emulated Lambda itself: what a function sees there, and what is left when it ends."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotation.sandbox.aws import ACCOUNT, REGION
from tests.artifacts.emulator import EmulatedFunction
from tests.paths import ROOT

_probe = """
import importlib.util, os, sys

def handler(event, context):
    if event.get("fail"):
        raise ValueError("as asked")
    return {
        "path": sys.path,
        "found": {name: importlib.util.find_spec(name) is not None for name in event["modules"]},
        "environment": sorted(os.environ),
        "directory": os.getcwd(),
        "session": os.getsid(0),
        "arn": context.invoked_function_arn,
        "milliseconds": context.get_remaining_time_in_millis(),
    }
"""

Run = Callable[..., EmulatedFunction]


@pytest.fixture
def run(runtime: Path, interface_emulator_binary: Path, tmp_path: Path) -> Iterator[Run]:
    """Starts a small function of the test's own; ends it afterwards."""
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "probe.py").write_text(_probe)
    started: list[EmulatedFunction] = []

    def start(
        environment: Mapping[str, str] | None = None, handler: str = "probe.handler"
    ) -> EmulatedFunction:
        function = EmulatedFunction(
            artifact=tmp_path / "task",
            handler=handler,
            environment=environment or {},
            runtime=runtime,
            emulator=interface_emulator_binary,
            log=tmp_path / "function.log",
            name="probe",
            timeout=timedelta(seconds=30),
        )
        started.append(function)
        return function.start()

    yield start
    for function in started:
        function.close()


def _ask(function: EmulatedFunction, *modules: str) -> dict[str, Any]:
    result = function.invoke(json.dumps({"modules": modules}).encode())
    assert not result.error, result.payload
    answer: dict[str, Any] = json.loads(result.payload)
    return answer


def test_a_function_sees_its_artifact_and_the_runtime_and_nothing_else(
    run: Run, tmp_path: Path, runtime: Path
) -> None:
    """Neither this checkout nor its virtualenv can be imported from inside."""
    answer = _ask(run(), "boto3", "awslambdaric", "rotation", "pytest", "moto", "cryptography")
    assert answer["found"] == {
        "boto3": True,
        "awslambdaric": True,
        "rotation": False,
        "pytest": False,
        "moto": False,
        "cryptography": False,
    }
    assert answer["directory"] == str(tmp_path / "task")
    assert answer["path"][:2] == [str(tmp_path / "task"), str(runtime)]
    assert not any(Path(entry).is_relative_to(ROOT) for entry in answer["path"])


def test_a_function_has_the_environment_it_was_given(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A developer's credentials and profile do not get in; what Lambda sets and we give does."""
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("SOMETHING_PRIVATE", "1")
    names = set(_ask(run({"VENDOR_URL": "http://127.0.0.1"}))["environment"])
    assert {"VENDOR_URL", "AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "LAMBDA_TASK_ROOT"} <= names
    assert not names & {"AWS_PROFILE", "SOMETHING_PRIVATE", "VIRTUAL_ENV", "HOME"}


def test_a_function_is_told_who_it_is_and_how_long_it_has(run: Run) -> None:
    """The context has the ARN that the sandbox gives the function, and a deadline."""
    answer = _ask(run())
    assert answer["arn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:probe"
    assert 0 < answer["milliseconds"] <= 30_000


def test_a_handlers_error_is_known_by_the_body(run: Run) -> None:
    """The emulator answers 200 for an exception; the result is an error all the same."""
    result = run().invoke(b'{"fail": true}')
    assert result.error
    assert result.description() == "ValueError: as asked"


def test_a_handler_that_does_not_exist_is_an_error(run: Run) -> None:
    """A mistyped handler fails its first invocation, as on Lambda."""
    result = run(handler="probe.missing").invoke(b"{}")
    assert result.error
    assert b"HandlerNotFound" in result.payload


def test_nothing_runs_on_after_the_end(run: Run) -> None:
    """Closing ends the emulator and the function's own process, which has a group of its own."""
    function = run()
    session = _ask(function)["session"]
    assert len(_processes_of(session)) == 2
    function.close()
    deadline = time.monotonic() + 300
    while _processes_of(session) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _processes_of(session) == []
    assert function.invoke(b"{}").error


def _processes_of(session: int) -> list[int]:
    """The living processes of a session (proc(5), /proc/pid/stat: state and session)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, *numbers = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if (
            int(numbers[2]) == session
            and state not in {"Z", "X"}
            and int(entry.name) != os.getpid()
        ):
            found.append(int(entry.name))
    return found
