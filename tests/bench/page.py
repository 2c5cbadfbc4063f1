"""The table of ``docs/performance.md``, made from ``.bench/results.json`` and from nothing else."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.client import BARS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
BEGIN = "<!-- figures: written by make bench -->"
END = "<!-- end of figures -->"

#: What each figure is, in the order of the table.
MEANING = {
    "cache_hit_over_powertools": "a hit, against Powertools `parameters`",
    "cache_hit_over_aws_caching": "a hit, against `aws-secretsmanager-caching`",
    "cache_hit_8_threads_over_one": "all hits shared by eight threads, against one thread",
    "cold_100_threads_gets": "GetSecretValue calls of 100 threads that start cold",
    "rejected_20_threads_gets": "GetSecretValue calls of 20 threads whose key was rejected",
}
#: Figures without a bar, for the reader.
ABSOLUTE = {
    "cache_hit_ns": "nanoseconds of a hit",
    "powertools_hit_ns": "nanoseconds of Powertools' hit",
    "aws_caching_hit_ns": "nanoseconds of `aws-secretsmanager-caching`'s hit",
}


def table(results: Mapping[str, float]) -> str:
    """The figures as Markdown, with where and when they were taken."""
    machine = f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs"
    taken = f"Taken {datetime.now(UTC):%Y-%m-%d}: {machine}."
    lines = [
        taken,
        "",
        "| figure | | measured | at most |",
        "|---|---|---|---|",
    ]
    for name, meaning in MEANING.items():
        lines.append(f"| `{name}` | {meaning} | {results[name]:g} | {BARS[name]:g} |")
    for name, meaning in ABSOLUTE.items():
        lines.append(f"| `{name}` | {meaning} | {results[name]:g} | |")
    return "\n".join(lines)


def write(results: Mapping[str, float]) -> None:
    """Put the table between the marks of the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(results)}\n\n{END}{after}")
