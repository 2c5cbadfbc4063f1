"""The fast tier: ``pytest --fast`` runs the pure tests, for every save of a file.

A test is slow if it lies in a slow folder, uses a fixture that opens a socket, or has the mark
``slow``. Every other test is fast. Each attempt of a fast test to open a socket or to start a
process is refused and fails the test, so a test that is sorted wrongly is noticed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

#: Folders in which no test is fast; a fast run does not even import them.
SLOW_FOLDERS: Final = tuple(
    f"tests/{folder}/"
    for folder in ("artifacts", "docs/examples", "docs/runbooks", "handlers", "harness_tests")
)

#: Fixtures that open sockets; what uses one of them is slow.
SOCKET_FIXTURES: Final = frozenset(
    {"cloud", "deployment", "emulator", "s3_server", "s3_url", "shared_cloud"}
)

#: Audit events of CPython (https://docs.python.org/3/library/audit_events.html).
_REFUSED: Final = frozenset(
    {
        *("socket.bind", "socket.connect"),
        *("subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"),
    }
)

#: What the fast tests attempted.
_attempts: list[str] = []


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event in _REFUSED:
        _attempts.append(f"{event} {arguments[1:2]}")
        raise RuntimeError(f"{event}: a fast test opens no socket and starts no process")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--fast``."""
    parser.addoption("--fast", action="store_true", help="run the pure tests only")


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line("markers", "slow: opens a socket, starts a process, or takes seconds")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse sockets and processes from the first test of a fast run to its end."""
    if session.config.getoption("fast"):
        sys.addaudithook(_refuse)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the slow folders of a fast run."""
    if not config.getoption("fast"):
        return None
    return True if f"{collection_path}/".endswith(SLOW_FOLDERS) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the slow tests of a fast run.

    In a whole run the coverage of the slow folders is not measured: their code runs in other
    processes or in the harnesses, so a tracer would make them slower and count nothing.
    """
    for item in items:
        if item.nodeid.startswith(SLOW_FOLDERS):
            item.add_marker("no_cover")
    if not config.getoption("fast"):
        return
    config.hook.pytest_deselected(items=[item for item in items if _is_slow(item)])
    items[:] = [item for item in items if not _is_slow(item)]


def _is_slow(item: pytest.Item) -> bool:
    fixtures: list[str] = getattr(item, "fixturenames", [])
    return item.get_closest_marker("slow") is not None or not SOCKET_FIXTURES.isdisjoint(fixtures)


@pytest.fixture(autouse=True)
def _fast_test_attempted_nothing() -> Iterator[None]:
    """A refusal that the code under test has swallowed fails the test all the same."""
    _attempts.clear()
    yield
    assert _attempts == [], "mark this test slow: it opens a socket or starts a process"
