"""Figures: what each is, how large it may be, and where they go.

Measured figures go into ``.bench/results.json``, beside those that are there; they are printed, and
those beyond their bar are named.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.paths import ROOT

RESULTS = ROOT / ".bench" / "results.json"


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: its key in the results.
        meaning: what it is, for the reader of ``docs/performance.md``.
        at_most: its bar; None: it has none.
        at_least: its bar where more is better; None: it has none.
    """

    name: str
    meaning: str
    at_most: float | None = None
    at_least: float | None = None

    def missed(self, measured: float) -> bool:
        """Whether it is beyond its bar."""
        too_much = self.at_most is not None and measured > self.at_most
        return too_much or (self.at_least is not None and measured < self.at_least)

    def bar(self) -> str:
        """Its bar in words; empty if it has none."""
        if self.at_most is not None:
            return f"at most {self.at_most:g}"
        return "" if self.at_least is None else f"at least {self.at_least:g}"


def load() -> float:
    """How many processes have wanted to run on this machine in the minute past."""
    return round(os.getloadavg()[0], 2)


def load_before(part: str) -> Figure:
    """The load of the machine when a part of the benchmarks began: how far to trust its figures."""
    return Figure(f"{part.replace('-', '_')}_load_before", "load of the machine before")


def record(measured: Mapping[str, float], figures: Sequence[Figure]) -> int:
    """Write, print, and name what is beyond its bar; 1 if anything is, the exit status."""
    RESULTS.parent.mkdir(exist_ok=True)
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**before, **measured}, indent=2, sort_keys=True) + "\n")
    for figure in figures:
        sys.stdout.write(f"{figure.name:38} {measured[figure.name]:12g}   {figure.bar()}\n")
    missed = [figure for figure in figures if figure.missed(measured[figure.name])]
    for figure in missed:
        sys.stdout.write(
            f"BEYOND ITS BAR: {figure.name} is {measured[figure.name]:g}, {figure.bar()}\n"
        )
    return int(bool(missed))
