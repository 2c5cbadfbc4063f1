"""``make tails``: every kind of tail, over every document, level and encryption."""

from __future__ import annotations

import argparse
import logging
import random
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from rotation.sandbox.vendor import Pki
from tests.sealing.verification.tails import Tails, combinations
from tests.sealing.verification.trial import problems


def main() -> int:
    """Judge them; 1 if a verdict is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, help="how many are drawn; without it, all")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    chosen = list(combinations())
    if given.sample:
        chosen = random.Random(given.seed).sample(chosen, min(given.sample, len(chosen)))
    # pyHanko logs each finding that it reports, and here its verdict is judged.
    logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
    tails = Tails(Pki.create(datetime.now(UTC)))
    wrong: list[str] = []
    with TemporaryDirectory() as folder:
        for number, (kind, base) in enumerate(chosen, 1):
            if sys.stderr.isatty():
                sys.stderr.write(f"\r\x1b[K{number} of {len(chosen)}")
            found = problems(tails, kind, base, Path(folder))
            for problem in found:
                sys.stdout.write(f"{problem}\n")
                sys.stdout.flush()
            wrong += found
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    sys.stdout.write(f"{len(chosen)} tails judged, {len(wrong)} not as they must be\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
