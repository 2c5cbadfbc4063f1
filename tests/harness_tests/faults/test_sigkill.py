"""SIGKILL for real, three times; `make faults` does it twelve times."""

from __future__ import annotations

from pathlib import Path

from tests.harness.faults.sigkill import deployed, kills


def test_a_killed_function_hurts_nothing(tmp_path: Path) -> None:
    """The process is gone in the middle of a call; retries and reconciliation do the rest."""
    with deployed(tmp_path) as deployment:
        found = {str(kill): deployment.run(kill) for kill in kills(deployment, 3)}
    assert len(found) == 3
    assert not any(found.values()), found
