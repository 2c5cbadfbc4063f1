"""Where measured figures go: ``.bench/results.json``, beside those that are there; and printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / ".bench" / "results.json"


def record(measured: Mapping[str, float], bars: Mapping[str, float]) -> int:
    """Write and print; the exit status says whether every bar was met."""
    RESULTS.parent.mkdir(exist_ok=True)
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**before, **measured}, indent=2, sort_keys=True) + "\n")
    for name, figure in measured.items():
        bar = f"   at most {bars[name]}" if name in bars else ""
        sys.stdout.write(f"{name:30} {figure:12}{bar}\n")
    return int(any(measured[name] > bar for name, bar in bars.items()))
