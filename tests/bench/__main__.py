"""Every benchmark, in one run: ``make bench``.

Writes ``.bench/results.json`` and the table of ``docs/performance.md``; ends with 1 if a figure is
above its bar.
"""

from __future__ import annotations

import json
import sys

from tests.bench import client, page
from tests.bench.results import RESULTS


def main() -> int:
    """Measure everything, then write the page."""
    missed = client.main()
    page.write(json.loads(RESULTS.read_text()))
    return missed


if __name__ == "__main__":
    sys.exit(main())
