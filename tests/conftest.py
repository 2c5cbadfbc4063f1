"""Fixtures that many tests share, and the watch over the whole run."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import hypothesis
import pytest

from rotation.privacy.observability import metrics
from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.vendor import Pki, VendorEmulator
from tests.coverage_by_room import coverage_by_room
from tests.paths import ROOT
from tests.privacy.whole_run import WholeRun
from tests.rotation_fixture import FailsOnce, RotationFixture

pytest_plugins = ("tests.fast_tier",)

# What collection makes lives until the end, so the garbage collector need not look at it: not while
# it is made, and (see `pytest_collection_finish`) not in any of its later rounds.
gc.disable()

# How long an example takes says something of the machine, not of the code. Every run of the tests
# tries the same examples, so that it fails only for what was changed. `--hypothesis-profile=search`
# draws others.
hypothesis.settings.register_profile("search", deadline=None)
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.load_profile("same")

WHOLE_RUN = WholeRun()
HARNESS_TESTS = ROOT / "tests" / "harness_tests"
#: What the processes of a run in parallel have found.
FOUND: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    """Begin to listen before the first test."""
    config.addinivalue_line("markers", "last: runs after all other tests")
    WHOLE_RUN.listen()


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Of several processes that collect all tests, each begins with files of its own.

    The first to import a file writes its bytecode; else all would compile all files of a clean
    clone, side by side. What is wrong with a file is told when it is collected in its turn.
    """
    worker = getattr(session.config, "workerinput", None)
    if worker is None or session.config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    number, workers = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    ignored = session.config.hook.pytest_ignore_collect
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    for path in files[len(files) * number // workers : len(files) * (number + 1) // workers]:
        if not ignored(collection_path=path.parent, config=session.config):
            with suppress(Exception):
                import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What judges the whole run comes last.

    Where tests run in several processes no test is the last: then each process judges its own
    part when it ends, and the run fails if one of them has found something.
    """
    if hasattr(config, "workerinput"):
        items[:] = [item for item in items if item.get_closest_marker("last") is None]
    # A long file that begins last would leave the other processes idle.
    items.sort(key=lambda item: HARNESS_TESTS not in item.path.parents)
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


def pytest_collection_finish() -> None:
    """Let the garbage collector begin, with what the tests make."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In one process of several: say what was found. In the one above them: fail if any was."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        factory: pytest.TempPathFactory = session.config._tmp_path_factory  # type: ignore[attr-defined]
        output["leaks"] = WHOLE_RUN.findings(factory.getbasetemp())
    elif FOUND and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Collect what a process has found in its part of the run."""
    FOUND.extend(getattr(node, "workeroutput", {}).get("leaks", ["a process that crashed"]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what holds a key, and tell what was covered where that was measured."""
    if terminalreporter.config.getoption("cov_source"):
        for line in coverage_by_room():
            terminalreporter.write_line(line)
    for found in FOUND:
        terminalreporter.write_line(f"LEAK: a key is in what this run wrote or printed: {found}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Hand on what each test printed."""
    WHOLE_RUN.note(report)


@pytest.fixture
def whole_run() -> WholeRun:
    """What was heard so far."""
    return WHOLE_RUN


@pytest.fixture(scope="session")
def pki() -> Pki:
    """A root, an issuing CA, a signer and a timestamping unit; making them takes a moment."""
    return Pki.create(datetime.now(UTC))


@pytest.fixture
def emulator(pki: Pki) -> Iterator[VendorEmulator]:
    """A vendor of the test's own."""
    with VendorEmulator(pki, clock=lambda: datetime.now(UTC)) as running:
        yield running


@pytest.fixture(scope="module")
def shared_cloud() -> Iterator[Cloud]:
    """One AWS for all tests of a module that use a fixture; each of them begins with a reset."""
    with Cloud(retries=RetryPolicy(delays=())) as cloud:
        cloud.add_function("rotate", FailsOnce())
        yield cloud


@pytest.fixture
def rotation_fixture(
    shared_cloud: Cloud, emulator: VendorEmulator, pki: Pki
) -> Iterator[RotationFixture]:
    """A secret of the test's own."""
    shared_cloud.reset()
    yield RotationFixture(shared_cloud, emulator, pki)
    shared_cloud.reset()


@pytest.fixture(autouse=True)
def _metrics_are_of_one_test() -> Iterator[None]:
    """What a test counts outside of a handler nobody sends, and the next test must not find it."""
    yield
    metrics.clear_metrics()
