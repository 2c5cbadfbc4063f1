"""A folder belongs to one sandbox at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rotation.sandbox.folder_lock import FolderInUseError, folder_held


def test_a_second_sandbox_in_the_folder_is_told_who_holds_it(tmp_path: Path) -> None:
    """The message names the process; once that has ended, the folder is free."""
    with folder_held(tmp_path):
        with pytest.raises(FolderInUseError, match=f"process {os.getpid()}, since .* --folder"):
            folder_held(tmp_path).__enter__()
        with folder_held(tmp_path.parent):
            pass
    with folder_held(tmp_path):
        pass


def test_a_sandbox_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    """The lock dies with its process, whatever it had written."""
    (tmp_path / "in-use").write_text("process 1, since 00:00:00 UTC\n")
    with folder_held(tmp_path):
        pass
