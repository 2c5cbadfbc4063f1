"""A seal on every page, and a lock of form fields: what is seen, and what validators say."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pikepdf
import pytest
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import FieldMDPAction
from pyhanko.sign.signers.pdf_cms import SimpleSigner

from rotation.errors import InvalidRequestError, UnsupportedPdfError
from rotation.sandbox.vendor import Pki
from rotation.sealing.pdf import prepare
from rotation.sealing.pdf.visible import stamps
from rotation.sealing.request import ALL, Certification, SealOptions
from rotation.sealing.verify import verify
from rotation.sealing.visible_seal import Box, VisibleSeal
from tests.sealing.images import image, saved
from tests.sealing.pdf.conforming_documents import pdf_a, pdf_ua
from tests.sealing.pdf.standards import broken_rules
from tests.sealing.pdf_tools import is_within, mutool, nss_database, pdfsig, visible_change
from tests.sealing.pdfs import PAGE, cms_over, pdf, pdf_with_form, signed_by_author

pytestmark = pytest.mark.slow

AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
BOX: Box = (20.0, 30.0, 140.0, 70.0)
EVERY = VisibleSeal(2, BOX, "Sealed\n2026", saved(image()), every_page=True)


def seal(document: bytes, signer: SimpleSigner, **options: object) -> bytes:
    prepared = prepare(BytesIO(document), SealOptions(**options), AT)  # type: ignore[arg-type]
    return prepared.embed(cms_over(prepared.digest, signer))


def refused(document: bytes, **options: object) -> str:
    with pytest.raises(InvalidRequestError) as failed:
        prepare(BytesIO(document), SealOptions(**options), AT)  # type: ignore[arg-type]
    return str(failed.value)


def four_pages() -> bytes:
    """Pages of several sizes, one of them rotated."""
    tree = b"<< /Type /Pages /Kids [6 0 R 7 0 R 8 0 R 9 0 R] /Count 4 >>"
    pages = {6: b"/Rotate 0", 7: b"/Rotate 90", 8: b"/Annots []", 9: b"/CropBox [10 10 200 200]"}
    each = {at: PAGE.replace(b"/Contents", b"%b /Contents" % own) for at, own in pages.items()}
    return pdf({2: tree} | each)


def test_every_page_shows_the_seal_in_its_box(
    signer: SimpleSigner, pki: Pki, tmp_path: Path
) -> None:
    """Upright and in place on each page; one signature, valid, over all of it."""
    document = four_pages()
    sealed = seal(document, signer, visible=EVERY)
    for page in range(1, 5):
        assert is_within(visible_change(document, sealed, tmp_path, page), BOX), page
    (report,) = verify(sealed, pki.root_pem)
    assert (report.problem, report.covers_whole_file) == (None, True)
    said = pdfsig(sealed, tmp_path, anchors=nss_database(tmp_path, pki.root_pem))
    assert said.count("Signature is Valid.") == 1
    assert "Total document signed" in said
    assert mutool(sealed, tmp_path) == mutool(document, tmp_path)


def test_a_page_that_stands_twice_in_the_tree_is_stamped_once(signer: SimpleSigner) -> None:
    """The field is on the first page, and the other one has one stamp."""
    document = four_pages().replace(b"8 0 R 9 0 R", b"8 0 R 8 0 R")
    visible = VisibleSeal(1, BOX, "Sealed", every_page=True)
    with pikepdf.open(BytesIO(seal(document, signer, visible=visible))) as opened:
        assert len(opened.Root.Pages.Kids[2].Annots) == 1


@pytest.mark.parametrize("part", [1, 2])
def test_a_tagged_document_stays_accessible(part: int, signer: SimpleSigner) -> None:
    """Each stamp has its place in the structure, and is described."""
    tree = {2: b"<< /Type /Pages /Kids [3 0 R 13 0 R] /Count 2 >>"}
    blank = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>"
    structure = {
        7: b"<< /Type /StructTreeRoot /K [8 0 R] /ParentTree 9 0 R /ParentTreeNextKey 1 >>",
        8: b"<< /Type /StructElem /S /Document /P 7 0 R /K [10 0 R] >>",
        9: b"<< /Nums [0 [10 0 R]] >>",
        10: b"<< /Type /StructElem /S /P /P 8 0 R /Pg 3 0 R /K 0 >>",
        11: b"null",
        12: b"null",
        13: blank,
    }
    sealed = seal(pdf_ua(part, structure=structure | tree), signer, visible=EVERY)
    assert broken_rules(sealed) == []


@pytest.mark.parametrize("part", [1, 2, 3, 4])
def test_a_pdf_a_stays_one(part: int, signer: SimpleSigner) -> None:
    """Stamps are printed and not hidden, and bring no font and no color of a device."""
    visible = VisibleSeal(1, BOX, "Sealed", every_page=True)
    assert broken_rules(seal(pdf_a(part), signer, visible=visible)) == []


def test_what_cannot_be_on_every_page_is_refused(
    signer: SimpleSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that is too small, a signed document, and too many pages."""
    wide = VisibleSeal(1, (0.0, 0.0, 199.0, 20.0), "Sealed", every_page=True)
    assert "reaches outside of the page" in refused(four_pages(), visible=wide)
    signed = signed_by_author(four_pages(), signer)
    assert "bears a signature already" in refused(signed, visible=EVERY)
    monkeypatch.setattr(stamps, "MOST_PAGES", 3)
    assert "more than 3 pages" in refused(four_pages(), visible=EVERY)
    with pytest.raises(InvalidRequestError, match="needs page and box"):
        SealOptions.parse({"fieldName": "A", "visible": {"text": "x", "everyPage": True}})


class TestLock:
    """FieldMDP (ISO 32000-2, 12.8.2.4)."""

    def test_named_fields_are_locked(self, signer: SimpleSigner, pki: Pki) -> None:
        """The signature and its new field say so, and validators read it."""
        sealed = seal(pdf_with_form(), signer, lock=("Name",))
        (found,) = PdfFileReader(BytesIO(sealed)).embedded_signatures
        assert found.fieldmdp is not None
        assert (found.fieldmdp.action, found.fieldmdp.fields) == (FieldMDPAction.INCLUDE, ["Name"])
        with pikepdf.open(BytesIO(sealed)) as opened:
            lock = opened.Root.AcroForm.Fields[2].Lock
            assert lock.is_indirect
            assert lock.Action == "/Include"
            assert [str(name) for name in lock.Fields] == ["Name"]
        (report,) = verify(sealed, pki.root_pem)
        assert report.problem is None

    def test_an_asterisk_locks_every_field(self, signer: SimpleSigner) -> None:
        """No further seal is made then, because its field would be locked too."""
        sealed = seal(pdf_with_form(), signer, lock=(ALL,))
        with pytest.raises(UnsupportedPdfError, match="locks the field"):
            seal(sealed, signer)
        assert seal(seal(pdf_with_form(), signer, lock=("Name",)), signer)

    def test_a_lock_and_a_certification_go_together(self, signer: SimpleSigner, pki: Pki) -> None:
        """Both are in the same signature."""
        sealed = seal(pdf_with_form(), signer, lock=("Name",), certify=Certification.FORM_FILLING)
        with pikepdf.open(BytesIO(sealed)) as opened:
            references = opened.Root.AcroForm.Fields[2].V.Reference
            assert [one.TransformMethod for one in references] == ["/DocMDP", "/FieldMDP"]
        (report,) = verify(sealed, pki.root_pem)
        assert report.problem is None

    def test_a_field_of_the_document_locks_others(self, signer: SimpleSigner) -> None:
        """Its own dictionary gets no entry, which an earlier signature could forbid."""
        sealed = seal(pdf_with_form(), signer, lock=("Name",), field_name="Here")
        (found,) = PdfFileReader(BytesIO(sealed)).embedded_signatures
        assert found.fieldmdp is not None
        with pikepdf.open(BytesIO(sealed)) as opened:
            assert "/Lock" not in opened.Root.AcroForm.Fields[0]

    def test_a_field_that_is_not_there_is_refused(self) -> None:
        """A lock that locks nothing is a mistake."""
        assert refused(pdf_with_form(), lock=("Nmae",)).endswith("has no form field Nmae.")

    @pytest.mark.parametrize("lock", [[], "Name", [1], ["*", "Name"], ["a"] * 101, [""]])
    def test_what_is_no_list_of_names_is_refused(self, lock: object) -> None:
        """The message says what it must be."""
        with pytest.raises(InvalidRequestError, match="must be a list of 1 to 100 names"):
            SealOptions.parse({"lock": lock})
