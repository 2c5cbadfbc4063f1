"""Bytecode survives the zip.

SAM dates every entry of its zip 1980-01-01, and Lambda unzips it so. Bytecode that is checked
against its source's time is then stale: each cold start compiles it anew. Bytecode of the kind
``unchecked-hash`` (PEP 552) is taken as it is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

# Loads each module's code without running it, as an import would: get_code writes the bytecode
# that it had to make itself, which is how staleness shows.
_load_all = """
import json, pathlib, sys
from importlib.machinery import SourceFileLoader
loaded = 0
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.py")):
    SourceFileLoader("module", str(path)).get_code("module")
    loaded += 1
print(json.dumps(loaded))
"""


def _as_deployed(artifact: Path, into: Path) -> Path:
    """The artifact after a zip as SAM writes it and an unzip as Lambda does it."""
    archived = into.with_suffix(".zip")
    with zipfile.ZipFile(archived, "w") as archive:
        for path in sorted(path for path in artifact.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(str(path.relative_to(artifact)), (1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, path.read_bytes())
    with zipfile.ZipFile(archived) as archive:
        archive.extractall(into)
        for entry in archive.infolist():
            time = datetime(*entry.date_time, tzinfo=UTC).timestamp()
            os.utime(into / entry.filename, (time, time))
    return into


def _bytecode(tree: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in tree.rglob("*.pyc")}


def _stale(tree: Path) -> tuple[int, int]:
    """How many modules ``tree`` has, and how many the interpreter had to compile itself."""
    before = _bytecode(tree)
    finished = subprocess.run(
        [sys.executable, "-S", "-s", "-c", _load_all, str(tree)],
        env={},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    after = _bytecode(tree)
    return json.loads(finished.stdout), sum(before.get(path) != after[path] for path in after)


@pytest.mark.parametrize("artifact", ["rotation", "sealing"])
def test_no_module_is_stale_after_the_zip(built: Path, tmp_path: Path, artifact: str) -> None:
    """A cold start compiles nothing: every module's bytecode is there and is taken."""
    modules, stale = _stale(_as_deployed(built / artifact, tmp_path / "task"))
    assert modules > 300
    assert stale == 0


def test_bytecode_checked_by_time_would_be_stale(built: Path, tmp_path: Path) -> None:
    """The count can fail: compiled the usual way, every module is stale after the zip."""
    usual = tmp_path / "usual"
    shutil.copytree(built / "rotation" / "rotation", usual)
    for cached in usual.rglob("__pycache__"):
        shutil.rmtree(cached)
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "timestamp", str(usual)],
        check=True,
        timeout=120,
    )
    assert _stale(usual)[1] == 0
    modules, stale = _stale(_as_deployed(usual, tmp_path / "task"))
    assert stale == modules >= 8
