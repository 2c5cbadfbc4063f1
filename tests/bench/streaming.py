"""What sealing large documents takes: memory above all, and that it does not grow.

Usage: ``python -m tests.bench.streaming``. Documents are sparse files behind an S3 on this machine,
so that time is the processor's: reading, hashing, and the server's copying. Writes the figures into
``.bench/results.json``, beside whatever is there, and prints them.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.bench.results import record
from tests.sealing.large import measured

SIZES: Final = {"100_mb": 100 * 10**6, "1_gb": 10**9, "4_5_gb": 45 * 10**8}
#: MiB over what the process has after its imports.
BARS: Final = {
    "seal_1_gb_peak_mib": 64.0,
    "seal_4_5_gb_peak_mib": 64.0,
    "seal_peak_growth_mib": 16.0,
}


def figures() -> dict[str, float]:
    """Peak, seconds and requests for each size."""
    found: dict[str, float] = {}
    for name, size in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            took = measured(Path(folder), size)
        found |= {
            f"seal_{name}_peak_mib": took["peak_mib"],
            f"seal_{name}_seconds": took["seconds"],
            f"seal_{name}_cpu_seconds": took["cpu_seconds"],
            f"seal_{name}_requests": took["requests"],
        }
    growth = found["seal_4_5_gb_peak_mib"] - found["seal_1_gb_peak_mib"]
    return found | {"seal_peak_growth_mib": round(abs(growth), 1)}


def main() -> int:
    """Measure, write, print; the exit status says whether every bar was met."""
    return record(figures(), BARS)


if __name__ == "__main__":
    sys.exit(main())
