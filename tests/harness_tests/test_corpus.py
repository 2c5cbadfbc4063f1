"""The corpus runner itself, on documents of its own: what it accepts, and what it finds."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest

from rotation.sandbox.vendor import Pki
from rotation.sealing.pdf import prepare
from rotation.sealing.request import SealOptions
from tests.harness.corpus.__main__ import run
from tests.harness.corpus.classes import CLASSES, CLEAN, ERROR, PASSWORD, WARNED, class_of, known
from tests.harness.corpus.report import missed, report
from tests.harness.corpus.trial import (
    CRASHED,
    INVALID,
    REFUSED,
    SEALED,
    Judges,
    Outcome,
    attempt,
    objection,
)
from tests.sealing.pdf.odd_documents import ODD
from tests.sealing.pdf_tools import nss_database
from tests.sealing.pdfs import DATA, encrypted, pdf, signer_of


def kept(folder: Path, documents: dict[str, bytes]) -> dict[str, Path]:
    for name, content in documents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in documents}


DOCUMENTS = {
    "good.pdf": pdf(),
    "warned.pdf": ODD["malformed rows"],
    "locked.pdf": encrypted(user_password="secret"),
    "none.pdf": b"no PDF",
    "empty.pdf": pdf({2: b"<< /Type /Pages /Kids [] /Count 0 >>"}),
}


def test_the_classes_are_qpdf_s(tmp_path: Path) -> None:
    """Clean, with warnings, behind a password, in error."""
    found = {name: class_of(path) for name, path in kept(tmp_path, DOCUMENTS).items()}
    assert found == {
        "good.pdf": CLEAN,
        "warned.pdf": WARNED,
        "locked.pdf": PASSWORD,
        "none.pdf": ERROR,
        "empty.pdf": CLEAN,
    }


def test_the_kept_list_has_the_corpus_s_figures() -> None:
    """923 documents: 722 clean, 141 with warnings, 35 in error, 25 behind a password."""
    classes = list(known().values())
    assert [classes.count(name) for name in CLASSES] == [722, 141, 35, 25]


def test_a_run_seals_judges_and_counts(tmp_path: Path) -> None:
    """Every document has an outcome, in processes of their own, and the report adds up."""
    found = kept(tmp_path, DOCUMENTS)
    classes = {name: class_of(path) for name, path in found.items()}
    outcomes = run(found, classes, processes=2, repair=False)
    told = report(outcomes, classes)
    assert {name: told[name] for name in ("files", "sealed", "verified", "crashed")} == {
        "files": 5,
        "sealed": 2,
        "verified": 2,
        "crashed": 0,
    }
    assert told["refused"] == {"encrypted_pdf": 1, "unsupported_pdf": 1, "no_pages": 1}
    assert told["classes"][CLEAN]["refused"] == {"no_pages": 1}
    assert missed(outcomes, classes, repair=False, whole=True) == []


def test_every_miss_is_told() -> None:
    """A crash, an invalid seal, an unfair refusal and a share that is too small."""
    outcomes = [
        Outcome("a", CRASHED, "KeyError", "x"),
        Outcome("b", INVALID, None, "pdfsig says no"),
        Outcome("c", REFUSED, "damaged_pdf", "broken"),
        Outcome("d", REFUSED, "no_pages", "no pages"),
        Outcome("e", REFUSED, "damaged_pdf", "broken"),
    ]
    classes = {"a": CLEAN, "b": CLEAN, "c": CLEAN, "d": CLEAN, "e": WARNED}
    problems = missed(outcomes, classes, repair=False, whole=True)
    assert [problem.split(":")[0] for problem in problems][:3] == ["a", "b", "c"]
    assert "0 of 1 documents with warnings were sealed; 80% must be" in problems[3]
    assert missed([Outcome("e", SEALED)], classes, repair=True, whole=True) == []


def test_a_forged_seal_is_an_objection(pki: Pki, tmp_path: Path) -> None:
    """The judge sees a seal that does not fit, and one that is not there."""
    judges = Judges(
        signer_of(pki.signer), pki.root_pem, nss_database(tmp_path, pki.root_pem), tmp_path
    )
    path = tmp_path / "good.pdf"
    path.write_bytes(pdf())
    assert attempt("good", path, CLEAN, judges, repair=False).result == SEALED
    empty = prepare(BytesIO(pdf()), SealOptions(), datetime.now(UTC)).embed(b"")
    assert objection(empty, judges)
    assert objection(pdf(), judges)


@pytest.mark.parametrize("path", sorted(DATA.glob("*.pdf")), ids=lambda path: path.name)
def test_documents_from_elsewhere_are_sealed(path: Path, pki: Pki, tmp_path: Path) -> None:
    """Those that are kept with the tests, whatever else is at hand."""
    judges = Judges(
        signer_of(pki.signer), pki.root_pem, nss_database(tmp_path, pki.root_pem), tmp_path
    )
    outcome = attempt(path.name, path, class_of(path), judges, repair=False)
    assert (outcome.result, outcome.reason) == (SEALED, None)
