"""Seal every document of a corpus: ``make corpus CORPUS=DIR``.

Writes ``.bench/corpus.json`` and ``.bench/corpus-outcomes.json``; ends with 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from rotation.sandbox.vendor import Identity, Pki
from tests.harness.corpus.classes import class_of, documents, known
from tests.harness.corpus.report import missed, report
from tests.harness.corpus.trial import Judges, Outcome, attempt
from tests.sealing.pdf_tools import nss_database
from tests.sealing.pdfs import signer_of

BENCH: Final = Path(".bench")
#: The memory of the sealing function, in bytes.
MEMORY: Final = 1769 * 1024 * 1024
#: Every how many documents a short run takes one.
SHORT: Final = 12

_judges: Judges


def main() -> int:
    """Seal, judge, count, and say what is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="a folder with PDFs, any depth")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repair", action="store_true", help="with the option repair")
    parser.add_argument("--short", action="store_true", help="every twelfth document")
    parser.add_argument("--only", default="", help="documents whose path holds this text")
    chosen = parser.parse_args()
    found = {name: path for name, path in documents(chosen.corpus).items() if chosen.only in name}
    if chosen.short:
        found = dict(list(found.items())[::SHORT])
    if not found:
        sys.stderr.write(f"no PDF below {chosen.corpus}\n")
        return 1
    classes = known()
    classes |= {name: class_of(path) for name, path in found.items() if name not in classes}
    outcomes = run(found, classes, processes=chosen.processes, repair=chosen.repair)
    written = report(outcomes, classes)
    BENCH.mkdir(exist_ok=True)
    suffix = "-repair" if chosen.repair else ""
    (BENCH / f"corpus{suffix}.json").write_text(json.dumps(written, indent=2) + "\n")
    (BENCH / f"corpus{suffix}-outcomes.json").write_text(
        json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n"
    )
    sys.stdout.write(json.dumps(written, indent=2) + "\n")
    whole = not (chosen.short or chosen.only)
    problems = missed(outcomes, classes, repair=chosen.repair, whole=whole)
    for problem in problems:
        sys.stderr.write(f"MISSED: {problem}\n")
    return 1 if problems else 0


def run(
    found: Mapping[str, Path], classes: Mapping[str, str], *, processes: int, repair: bool
) -> list[Outcome]:
    """The outcome of every document, in order."""
    pki = Pki.create(datetime.now(UTC))
    with tempfile.TemporaryDirectory() as folder:
        anchors = nss_database(Path(folder), pki.root_pem)
        prepared = partial(_prepare, pki.signer, pki.root_pem, anchors, Path(folder))
        spawning = multiprocessing.get_context("fork")
        with spawning.Pool(processes, prepared) as pool:
            work = [(name, path, classes[name], repair) for name, path in found.items()]
            return pool.starmap(_attempt, work, chunksize=1)


def _prepare(identity: Identity, root_pem: bytes, anchors: Path, folder: Path) -> None:
    global _judges  # noqa: PLW0603 - what a process of a pool is given has no other place
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    own = Path(tempfile.mkdtemp(dir=folder))
    _judges = Judges(signer_of(identity), root_pem, anchors, own)


def _attempt(name: str, path: Path, document_class: str, repair: bool) -> Outcome:
    return attempt(name, path, document_class, _judges, repair=repair)


if __name__ == "__main__":
    sys.exit(main())
