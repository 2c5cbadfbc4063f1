"""The explorer in short: the sample of the schedules that every change is tried with."""

from __future__ import annotations

import subprocess
import sys

from tests.harness.explore.actors import ACTORS
from tests.harness.explore.starts import STARTS
from tests.paths import ROOT


def _explore(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.harness.explore", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_sample_violates_nothing() -> None:
    """Its number is fixed, so it does not depend on the machine; the last line is the count."""
    done = _explore("--short")
    counted = f"{len(ACTORS)} actors, {len(STARTS)} starts, 360 schedules"
    assert done.stdout.splitlines()[-1] == f"{counted}, 0 violations", done.stdout + done.stderr
    assert done.returncode == 0


def test_every_schedule_of_a_pair_violates_nothing() -> None:
    """All of them, and with two preemptions a draw; the output says which part was complete."""
    done = _explore("--actors", "edit,hold", "--starts", "steady", "--seconds", "5", "--draws", "4")
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("2 actors, 1 starts, "), done.stdout + done.stderr
    assert lines[-1].endswith(" schedules, 0 violations")
    assert lines[0].startswith("every pair from every start with at most one preemption: ")


def test_a_replay_prints_every_call() -> None:
    """And says that nothing is violated."""
    done = _explore("in-grace/reconcile+edit/3>1")
    assert "reconcile#0 DescribeSecret" in done.stdout
    assert "edit#1 PutSecretValue" in done.stdout
    assert done.stdout.splitlines()[-1] == "in-grace/reconcile+edit/3>1: nothing is violated"
    assert done.returncode == 0
