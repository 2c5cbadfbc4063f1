"""Runs every benchmark (``make bench``), or some (``python -m tests.harness.bench client``).

Writes ``.bench/results.json`` and the tables of ``docs/performance.md``; ends with 1 if a figure is
beyond its bar, and names it.
"""

from __future__ import annotations

import argparse
import sys

from tests.harness.bench import (
    client,
    events,
    first_answer,
    imports,
    levels,
    page,
    sealing,
    transfer,
)
from tests.harness.bench.results import load, load_before, record

#: The parts, in the order in which they are measured, each with its figures.
PARTS = {
    "client": (client.measured, client.FIGURES),
    "sealing": (sealing.measured, sealing.FIGURES),
    "transfer": (transfer.measured, transfer.FIGURES),
    "events": (events.measured, events.FIGURES),
    "levels": (levels.measured, levels.FIGURES),
    "first-answer": (first_answer.measured, first_answer.FIGURES),
    "imports": (imports.measured, imports.FIGURES),
}


def main() -> int:
    """Measure what was asked for, and write it down."""
    parser = argparse.ArgumentParser(prog="python -m tests.harness.bench")
    parser.add_argument("part", nargs="*", choices=[[], *PARTS], help="what to measure; all of it")
    parts = parser.parse_args().part or list(PARTS)
    missed = 0
    for part in parts:
        measure, figures = PARTS[part]
        busy = load()
        sys.stdout.write(f"\n{part}: load {busy}\n")
        told = (*figures, load_before(part))
        measured = {**measure(), told[-1].name: busy}
        missed |= record(measured, told)
        page.write(part, measured, told)
    return missed


if __name__ == "__main__":
    sys.exit(main())
