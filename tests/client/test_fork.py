"""A process that forks: the child waits for no thread and no lock that it does not have."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.slow


def run(scenario: str) -> list[str]:
    """What a scenario of `fork_scenarios` printed."""
    ended = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-m",
            "tests.client.fork_scenarios",
            scenario,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_a_fork_during_a_refresh() -> None:
    """The child has what was there, and fetches for itself what the parent was fetching."""
    assert run("during_a_refresh") == [
        "child has old by parent",
        "child gets new by child",
        "child refreshed old by child",
        "rejected: old by child",
        "child ended with 0",
        "parent gets new by parent",
    ]


@pytest.mark.parametrize("scenario", ["with_the_lock_held", "inside_a_fetch", "while_waiting"])
def test_a_fork_at_the_worst_moment(scenario: str) -> None:
    """The lock held by a thread that is gone, a fetch forked in two, a waiter forked away."""
    assert run(scenario) == [
        "child gets it by child",
        "child ended with 0",
        "parent gets it by parent",
    ]


def test_a_child_has_a_client_of_its_own() -> None:
    """No connection and no lock of boto3 is shared with the parent."""
    assert run("a_client_of_its_own") == [
        "made in parent True",
        "made in child True",
        "child ended with 0",
        "made in parent",
    ]
