"""Whatever pdfsig calls valid is verified, however oddly the document is built."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner

from rotation.sandbox.vendor import Pki
from rotation.sealing.verification.report import (
    AddedContent,
    FileReport,
    FileVerdict,
    Problem,
    Verdict,
)
from rotation.sealing.verify import examine
from tests.sealing.pdfs import cms_over, encrypted, pdf, signer_of
from tests.sealing.verification.judges import by_pdfsig
from tests.sealing.verification.tails import Base, Tails, writer_of

NOW = datetime.now(UTC)
PLAIN = Base("plain", None, "none")


@pytest.fixture(scope="module")
def tails(pki: Pki) -> Tails:
    return Tails(pki)


def report_of(document: bytes, tails: Tails) -> FileReport:
    return examine(BytesIO(document), tails.pki.root_pem)


def updated(document: bytes, number: int, generation: int, entry: bytes) -> bytes:
    """The document with one more object, or with another version of one."""
    previous = document[document.rindex(b"startxref") :].split()[1]
    at = len(document)
    content = document + b"%d %d obj\n%b\nendobj\n" % (number, generation, entry)
    return content + (
        b"xref\n%d 1\n%010d %05d n \ntrailer\n<< /Size %d /Root 1 0 R /Prev %b >>\nstartxref\n%d\n"
        b"%%%%EOF\n" % (number, at, generation, max(number + 1, 50), previous, len(content))
    )


ODD = {
    "a dangling document information": pdf().replace(b"/Info 5 0 R", b"/Info 77 0 R"),
    "a high object number": updated(pdf(), 8_000_000, 0, b"<< /Odd true >>"),
    "a high generation": updated(pdf(), 70, 9, b"<< /Odd true >>"),
    "no end of line at its end": pdf(ending=b""),
    "bytes before its header": b"odd bytes\n" + pdf(),
}


@pytest.mark.slow
@pytest.mark.parametrize("document", ODD.values(), ids=ODD)
def test_an_odd_document_is_sealed_twice(document: bytes, tails: Tails, tmp_path: Path) -> None:
    """Both seals are valid, and the second is what came after the first."""
    sealed = tails.seal(tails.seal(document))
    report = report_of(sealed, tails)
    assert report.verdict is FileVerdict.OK, report.problem
    assert [seal.verdict for seal in report.seals] == [Verdict.MODIFIED, Verdict.VALID]
    assert [seal.added for seal in report.seals] == [AddedContent.FORM, AddedContent.NOTHING]
    assert by_pdfsig(sealed, tmp_path).genuine == {seal.field for seal in report.seals}


def signed_in_place(objects: dict[int, bytes], tails: Tails) -> bytes:
    """A document with a signature field 6, "Early", that holds its signature directly."""
    room = 16_000
    field = (
        b"<< /FT /Sig /T (Early) /Type /Annot /Subtype /Widget /Rect [0 0 0 0] /P 3 0 R /V << "
        b"/Type /Sig /Filter /Adobe.PPKLite /SubFilter /ETSI.CAdES.detached /ByteRange [%b] "
        b"/Contents <%b> >> >>" % (b" " * 40, b"0" * room)
    )
    document = pdf(objects | {6: field})
    start = document.index(b"/Contents <") + len(b"/Contents ")
    end = start + room + 2
    ranges = b"0 %d %d %d" % (start, end, len(document) - end)
    document = document.replace(b" " * 40, ranges.ljust(40))
    digest = hashlib.sha256(document[:start] + document[end:]).digest()
    value = cms_over(digest, signer_of(tails.pki.signer)).hex().encode().ljust(room, b"0")
    return document[: start + 1] + value + document[end - 1 :]


FORM = {1: b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [6 0 R] /SigFlags 3 >> >>"}
ANNOTATED = {3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Annots [6 0 R] >>"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "objects", [FORM, ANNOTATED, FORM | ANNOTATED], ids=["form", "page", "both"]
)
def test_a_signature_may_stand_directly_in_its_field(
    objects: dict[int, bytes], tails: Tails, tmp_path: Path
) -> None:
    """The field holds the signature itself; the form lists the field, or a page alone shows it."""
    sealed = signed_in_place(objects, tails)
    report = report_of(sealed, tails)
    assert (report.verdict, report.seals[0].covers_whole_file) == (FileVerdict.OK, True)
    assert by_pdfsig(sealed, tmp_path).genuine == {"Early"}
    assert report_of(tails.seal(sealed), tails).verdict is FileVerdict.OK


def test_fields_without_a_name_are_told_apart(tails: Tails) -> None:
    """Each is reported under a name of its own, whether it can be read or not."""
    field = b"<< /FT /Sig /V << /Type /Sig >> /Subtype /Widget /Rect [0 0 0 0] >>"
    shown = ANNOTATED[3].replace(b"[6 0 R]", b"[6 0 R 7 0 R]")
    report = report_of(pdf({3: shown, 6: field, 7: field}), tails)
    assert [seal.field for seal in report.seals] == ["(unnamed, 1)", "(unnamed, 2)"]


@pytest.mark.slow
def test_a_field_that_the_form_no_longer_lists_is_a_change(tails: Tails, tmp_path: Path) -> None:
    """Whoever takes the field off the form has changed the document, and the signature stays."""
    sealed = signed_in_place(FORM | ANNOTATED, tails)
    changed = updated(sealed, 1, 0, b"<< /Type /Catalog /Pages 2 0 R >>")
    report = report_of(changed, tails)
    assert (report.verdict, len(report.seals)) == (FileVerdict.PROBLEM, 1)
    assert by_pdfsig(changed, tmp_path).genuine == {"Early"}


def test_what_cannot_be_compared_is_said_beside_the_verdict_on_the_signature(tails: Tails) -> None:
    """An object that came after the seal is damaged: the seal is genuine, and the rest unknown."""
    sealed = tails.sealed(PLAIN)
    damaged = updated(sealed, 3, 0, b"<< /Type /Page")
    report = report_of(damaged, tails)
    [seal] = report.seals
    assert (seal.intact, seal.trusted, seal.added) == (True, True, AddedContent.UNKNOWN)
    assert [finding.problem for finding in seal.findings] == [Problem.UNDETERMINED]
    assert report.verdict is FileVerdict.PROBLEM
    assert "Error" not in str(report.problem)


@pytest.mark.parametrize(
    ("number", "generation", "entry"),
    [
        (4, 1, b"<< /Length 0 >>\nstream\n\nendstream"),
        (3, 0, b"null"),
        (2, 0, b"<< /Type /Pages /Kids [] /Count 0 >>"),
    ],
    ids=["another generation", "a page that is gone", "another tree of pages"],
)
def test_an_object_that_was_exchanged_is_a_problem(
    tails: Tails, number: int, generation: int, entry: bytes
) -> None:
    """Readers differ in which version they show, so each of them is another document."""
    report = report_of(updated(tails.sealed(PLAIN), number, generation, entry), tails)
    assert report.seals[0].intact
    assert report.verdict is FileVerdict.PROBLEM


def test_a_page_is_not_renamed_into_document_information(tails: Tails) -> None:
    """A trailer that calls the page the document information does not make its change harmless."""
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>"
    changed = updated(tails.sealed(PLAIN), 3, 0, page).replace(
        b"/Root 1 0 R /Prev", b"/Root 1 0 R /Info 3 0 R /Prev"
    )
    report = report_of(tails.seal(changed), tails)
    assert report.seals[0].findings[0].problem is Problem.EXTENDED


def test_tables_that_leave_out_the_signed_ones_are_not_believed(tails: Tails) -> None:
    """A table without a predecessor replaces the whole document, seal and all."""
    sealed = tails.sealed(PLAIN)
    alone = updated(sealed, 3, 0, b"<< /Type /Page >>")
    cut = alone[: len(sealed)] + alone[len(sealed) :].replace(b"/Prev", b"/Xrev")
    report = report_of(cut, tails)
    assert (report.verdict, report.seals[0].intact) == (FileVerdict.PROBLEM, True)


def test_a_name_without_end_does_not_enter_a_report(tails: Tails) -> None:
    """A field's name of 160 kB of backslashes is shown by its beginning."""
    name = "\\" * 160_000
    field = b"<< /FT /Sig /T (%b) /Type /Annot /Subtype /Widget /Rect [0 0 0 0] /P 3 0 R >>"
    catalog = b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [6 0 R] >> >>"
    document = pdf({1: catalog, 6: field % (name.replace("\\", "\\\\").encode())})
    report = report_of(tails.seal(document, field_name=name), tails)
    assert report.verdict is FileVerdict.OK
    assert len(report.seals[0].field) < 1_000


def signed_by_pyhanko(document: bytes, field: str, tails: Tails) -> bytes:
    signing = PdfSigner(PdfSignatureMetadata(field_name=field), tails.signer)
    return bytes(signing.sign_pdf(writer_of(document)).getvalue())


@pytest.mark.slow
def test_a_document_with_an_integrity_code_is_read(tails: Tails, tmp_path: Path) -> None:
    """Each signature renews the code (ISO/TS 32004), which no seal of ours may do."""
    document = encrypted(user_password="", integrity_code=True)
    signed = signed_by_pyhanko(signed_by_pyhanko(document, "A", tails), "B", tails)
    report = report_of(signed, tails)
    assert report.verdict is FileVerdict.OK, report.problem
    assert [seal.added for seal in report.seals] == [AddedContent.FORM, AddedContent.NOTHING]
    assert by_pdfsig(signed, tmp_path).genuine == {"A", "B"}


@pytest.mark.slow
def test_a_sealed_document_whose_tables_are_lost_is_verified(tails: Tails, tmp_path: Path) -> None:
    """The position of its last table is wrong, so that an earlier end of it is readable too."""
    sealed = tails.sealed(PLAIN)
    start = sealed.rindex(b"/ByteRange")
    first, gap, end, _ = map(
        int, sealed[sealed.index(b"[", start) + 1 :].split(b"]")[0].split()[:4]
    )
    assert first == 0
    at = sealed.rindex(b"startxref\n") + len(b"startxref\n")
    wrong = sealed[:at] + b"9" * sealed[at:].index(b"\n") + sealed[at:][sealed[at:].index(b"\n") :]
    digest = hashlib.sha256(wrong[:gap] + wrong[end:]).digest()
    value = cms_over(digest, tails.signer).hex().encode().ljust(end - gap - 2, b"0")
    again = wrong[: gap + 1] + value + wrong[end - 1 :]
    report = report_of(again, tails)
    assert (report.verdict, report.seals[0].covers_whole_file) == (FileVerdict.OK, True)
    assert by_pdfsig(again, tmp_path).genuine == {"TrustedSignaturesSeal"}
