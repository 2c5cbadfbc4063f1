"""Damaged copies of a corpus: whatever is done to a document, it is sealed or refused in words.

``python -m tests.corpus.fuzz --corpus DIR --seconds 60 --seed 1`` ends with 1 if a copy made
anything else happen; it is kept under ``.bench/fuzz``.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Final

from rotation.errors import SealingError
from rotation.sealing.pdf import Limits, prepare
from rotation.sealing.request import SealOptions
from tests.corpus.classes import documents

KEPT: Final = Path(".bench/fuzz")
LIMITS: Final = Limits(time=timedelta(seconds=10))
_TOKENS: Final = (
    *(b"<<", b">>", b"[", b"]", b"(", b")", b"<", b">", b"/", b"#", b"%", b"{", b"\\"),
    *(b"null", b"true", b"-1", b"99999999999", b"0.0", b"1 0 R", b"3 0 R", b"obj", b"endobj"),
    *(b"stream", b"endstream", b"xref", b"trailer", b"startxref", b"%%EOF", b"\0", b"\r"),
)


def damaged(content: bytes, chance: random.Random) -> bytes:
    """A copy with one to six places flipped, cut, doubled, or filled with a token."""
    copy = bytearray(content)
    for _ in range(chance.randint(1, 6)):
        # Structure is at the end of a document more often than anywhere else.
        first = max(0, len(copy) - 600) if chance.random() < 0.5 else 0
        at = chance.randrange(first, len(copy) + 1)
        length = chance.choice((1, 1, 2, 8, 64))
        match chance.randrange(4):
            case 0 if at < len(copy):
                copy[at] = chance.randrange(256)
            case 1:
                del copy[at : at + length]
            case 2:
                copy[at:at] = copy[at : at + length]
            case _:
                copy[at:at] = chance.choice(_TOKENS)
    return bytes(copy)


def problem_with(content: bytes) -> tuple[str, str | None]:
    """What came of a document, and what is wrong with that."""
    try:
        update = prepare(BytesIO(content), SealOptions(), datetime.now(UTC), limits=LIMITS)
    except SealingError as error:
        return error.code, None
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return "crashed", f"{type(error).__name__}: {error}"
    return "sealed", None if update.embed(b"").startswith(content) else "the source was changed"


def main() -> int:
    """Damage and seal until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    logging.disable(logging.CRITICAL)
    chance = random.Random(chosen.seed)
    paths = list(documents(chosen.corpus).values())
    end = time.monotonic() + chosen.seconds
    results: Counter[str] = Counter()
    problems = 0
    while time.monotonic() < end:
        content = damaged(chance.choice(paths).read_bytes(), chance)
        result, problem = problem_with(content)
        results[result] += 1
        if problem:
            problems += 1
            KEPT.mkdir(parents=True, exist_ok=True)
            (KEPT / f"{chosen.seed}-{problems}.pdf").write_bytes(content)
            sys.stderr.write(f"{KEPT}/{chosen.seed}-{problems}.pdf: {problem}\n")
    sys.stdout.write(f"{dict(results.most_common())}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
