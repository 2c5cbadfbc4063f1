"""Make up and damage documents and seal them, and damage answers and read them, for some minutes.

``python -m tests.harness.fuzz --minutes 15 --corpus DIR --seed 7`` ends with 1 if anything but a
good seal or a typed refusal came of a document, or anything but a result or a typed error of an
answer: a CMS, alone and in a sealed document; those of an OCSP responder, a CRL, an issuer's
certificate and a time-stamping authority. pyHanko's validator judges the seals, and Poppler's
pdfsig those in documents that were damaged. Whatever was wrong is told, and the document is kept
under ``.bench/fuzz``. The seed, printed first, makes the same documents again, but for the
signatures in them.
"""

from __future__ import annotations

import argparse
import logging
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pyhanko.sign.fields import MDPPerm

from rotation.sandbox.vendor import Pki
from tests.harness.corpus.classes import documents
from tests.harness.fuzz.answers import Answers
from tests.harness.fuzz.damage import damaged
from tests.harness.fuzz.documents import made
from tests.harness.fuzz.trial import attempt, options, sealed
from tests.sealing.pdf.odd_documents import ODD
from tests.sealing.pdfs import DATA, pdf_with_form, signed_by_author, signer_of

KEPT: Final = Path(".bench/fuzz")
#: The memory of the sealing function, in bytes.
MEMORY: Final = 1769 * 1024 * 1024
#: The share of the trials that are answers; they take less time than documents.
_ANSWERS: Final = 0.7
#: The share of the answers that are of validation services.
_RAISED: Final = 0.1
#: A corpus's largest documents take the time of hundreds of others.
_LARGEST: Final = 2 * 1024 * 1024


def main() -> int:
    """Fuzz until the time is over, and say what was found."""
    with ExitStack() as running:
        return _fuzz(running)


def _fuzz(running: ExitStack) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--corpus", type=Path, help="a folder with PDFs to damage, any depth")
    chosen = parser.parse_args()
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.stdout.write(f"seed {chosen.seed}\n")
    chance = random.Random(chosen.seed)
    pki = Pki.create(datetime.now(UTC))
    signer = signer_of(pki.signer)
    own = [*ODD.values(), *(path.read_bytes() for path in sorted(DATA.glob("*.pdf")))]
    own += [sealed(document, signer) for document in own]
    own.append(signed_by_author(pdf_with_form(), signer, certify=MDPPerm.FILL_FORMS))
    paths = list(documents(chosen.corpus).values()) if chosen.corpus else []
    paths = [path for path in paths if path.stat().st_size <= _LARGEST]
    answers = running.enter_context(Answers.of(pki))
    results: Counter[str] = Counter()
    problems = 0
    end = time.monotonic() + 60 * chosen.minutes
    folder = Path(tempfile.mkdtemp())
    while time.monotonic() < end:
        if chance.random() < _ANSWERS:
            raising = chance.random() < _RAISED
            outcome = answers.raise_level(chance) if raising else answers.attempt(chance)
            results[f"answer: {outcome.result}"] += 1
            if outcome.problem:
                problems += 1
                sys.stderr.write(f"{outcome.problem}\n")
            continue
        content, written = _next(chance, own, paths)
        # A document that no program wrote has no meaning that viewers would agree on.
        judged_in = folder if written else None
        outcome = attempt(content, options(chance), signer, pki.root_pem, judged_in)
        results[outcome.result] += 1
        if outcome.problem:
            problems += 1
            KEPT.mkdir(parents=True, exist_ok=True)
            kept = KEPT / f"{chosen.seed}-{results.total()}.pdf"
            kept.write_bytes(content)
            sys.stderr.write(f"{kept}: {outcome.problem[:500]}\n")
    sys.stdout.write(f"{results.total()} documents and answers: {dict(results.most_common())}\n")
    sys.stdout.write(f"{problems} problems, seed {chosen.seed}\n")
    return 1 if problems else 0


def _next(chance: random.Random, own: Sequence[bytes], paths: Sequence[Path]) -> tuple[bytes, bool]:
    """A document, and whether a program has written it before it was damaged."""
    kind = chance.random()
    if kind < 0.25:
        content = made(chance)
        return damaged(content, chance) if chance.random() < 0.3 else content, False
    if kind < 0.5 or not paths:
        return damaged(chance.choice(own), chance), True
    return damaged(chance.choice(paths).read_bytes(), chance), True


if __name__ == "__main__":
    sys.exit(main())
