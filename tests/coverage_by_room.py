"""How much of each room a measured test run covers: a table in pytest's summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from coverage import Coverage

from tests.paths import ROOT


def coverage_by_room() -> Iterator[str]:
    """One line for each room: its statements, and how many percent of them ran."""
    measured = Coverage()
    measured.load()
    statements: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for file in measured.get_data().measured_files():
        _, all_of_file, _, missed_of_file, _ = measured.analysis2(file)
        for room in (_room(Path(file)), "all"):
            statements[room] += len(all_of_file)
            missed[room] += len(missed_of_file)
    yield f"{'room':<20}{'statements':>10}{'covered':>10}"
    for room in sorted(statements, key=lambda name: (name == "all", name)):
        covered = 1 - missed[room] / max(1, statements[room])
        yield f"{room:<20}{statements[room]:>10}{covered:>10.0%}"


def _room(file: Path) -> str:
    parts = file.relative_to(ROOT / "rotation").parts
    return parts[0] if len(parts) > 1 else "top of the package"
