"""A run in several processes is judged as a whole, like a run in one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.slow

HARMLESS = "def test_nothing(): pass\n"
LEAKING = """
from datetime import UTC, datetime

from rotation.sandbox.vendor import Pki, VendorEmulator


def test_something(tmp_path):
    now = datetime.now(UTC)
    with VendorEmulator(Pki.create(now), clock=lambda: now) as vendor:
        (tmp_path / "a.log").write_text(vendor.keys.create().material)
"""


@pytest.mark.parametrize(("program", "status"), [(HARMLESS, 0), (LEAKING, 1)])
def test_a_key_in_one_process_fails_the_run(program: str, status: int, tmp_path: Path) -> None:
    """Every test passes, and yet the run fails, naming the file, where one wrote a key."""
    planted = tmp_path / "test_planted.py"
    planted.write_text(program)
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert ("LEAK" in done.stdout) == bool(status)
    assert "1 passed" in done.stdout
