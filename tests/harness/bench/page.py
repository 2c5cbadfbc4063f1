"""The tables of ``docs/performance.md``, made from ``.bench/results.json`` and nothing else."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from tests.harness.bench.results import Figure
from tests.paths import ROOT

PAGE = ROOT / "docs" / "performance.md"


def marks(part: str) -> tuple[str, str]:
    """What stands before and after the table of a part of the benchmarks."""
    return f"<!-- {part}: written by make bench -->", f"<!-- end of {part} -->"


def table(results: Mapping[str, float], figures: Sequence[Figure]) -> str:
    """The figures as Markdown, with where and when they were taken."""
    machine = f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs"
    lines = [
        f"Taken {datetime.now(UTC):%Y-%m-%d}: {machine}.",
        "",
        "| figure | | measured | bar |",
        "|---|---|---|---|",
    ]
    for figure in figures:
        bar = f"{figure.bar()} " if figure.bar() else ""
        measured = f"{results[figure.name]:g}"
        lines.append(f"| `{figure.name}` | {figure.meaning} | {measured} | {bar}|")
    return "\n".join(lines)


def write(part: str, results: Mapping[str, float], figures: Sequence[Figure]) -> None:
    """Put the table of a part between its marks."""
    begin, end = marks(part)
    before, found, rest = PAGE.read_text().partition(begin)
    assert found, f"{PAGE.name} has no place for {part}"
    _, _, after = rest.partition(end)
    PAGE.write_text(f"{before}{begin}\n\n{table(results, figures)}\n\n{end}{after}")
