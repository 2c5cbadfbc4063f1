"""A seal breaks nothing that the document promised; judges that nobody here wrote say so."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pikepdf
import pytest
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.signers.pdf_cms import SimpleSigner

from rotation.errors import UnsupportedPdfError
from rotation.sandbox.vendor import Pki
from rotation.sealing.notices import NoticeCode
from rotation.sealing.pdf import PreparedPdf, larger_reserve, prepare
from rotation.sealing.request import SealOptions
from rotation.sealing.verify import verify
from rotation.sealing.visible_seal import VisibleSeal
from tests.sealing.images import image, saved
from tests.sealing.pdf.conforming_documents import STRUCTURES, pdf_a, pdf_ua
from tests.sealing.pdf.odd_documents import ODD
from tests.sealing.pdf.standards import broken_rules
from tests.sealing.pdf_tools import mutool, preflight, qpdf_check, visible_change
from tests.sealing.pdfs import (
    DATA,
    cms_over,
    encrypted,
    pdf,
    pdf_with_form,
    signed_by_author,
    signer_of,
)

pytestmark = pytest.mark.slow

AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
INVISIBLE = SealOptions()
VISIBLE = SealOptions(visible=VisibleSeal(1, (20, 30, 140, 70), "Sealed\n2026", saved(image())))
TIMESTAMPED = SealOptions(timestamp=True)
KINDS = {"invisible": INVISIBLE, "visible": VISIBLE, "timestamped": TIMESTAMPED}
PARTS = [1, 2, 3, 4]


def prepared(document: bytes, options: SealOptions = INVISIBLE) -> PreparedPdf:
    return prepare(BytesIO(document), options, AT)


def seal(document: bytes, signer: SimpleSigner, options: SealOptions = INVISIBLE) -> bytes:
    found = prepared(document, options)
    return found.embed(cms_over(found.digest, signer))


def notices(document: bytes, options: SealOptions = INVISIBLE) -> list[str]:
    return [notice.code for notice in prepared(document, options).notices]


@pytest.fixture(scope="module")
def preflights(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> dict[str, set[str]]:
    """What PDFBox's preflight says of PDF/A-1 documents and their seals, in one run."""
    signer = signer_of(pki.signer)
    documents = {"source": pdf_a(1), "with annotations": pdf_a(1, page=b"/Annots []")}
    for name, source in list(documents.items()):
        for kind, options in KINDS.items():
            documents[f"{name}, {kind}"] = seal(source, signer, options)
        documents[f"{name}, twice"] = seal(documents[f"{name}, visible"], signer)
    return preflight(documents, tmp_path_factory.mktemp("preflight"))


class TestPdfA:
    """ISO 19005."""

    def test_preflight_finds_that_a_pdf_a_1_stays_one(
        self, preflights: dict[str, set[str]]
    ) -> None:
        """The source conforms, and so does each kind of seal in it."""
        assert len(preflights) == 10
        assert {name: found for name, found in preflights.items() if found} == {}

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("part", PARTS)
    def test_every_part_stays_what_it_is(self, part: int, kind: str, signer: SimpleSigner) -> None:
        """No rule that a seal touches is broken: appearance, fonts, colors, flags, limits."""
        assert broken_rules(pdf_a(part)) == []
        once = seal(pdf_a(part), signer, KINDS[kind])
        assert broken_rules(once) == []
        assert broken_rules(seal(once, signer, KINDS[kind])) == []

    def test_a_field_of_the_form_gets_an_appearance_too(self, signer: SimpleSigner) -> None:
        """An invisible seal in a field that the document has: likewise (ISO 19005-1, 6.9)."""
        sealed = seal(pdf_with_form(), signer, SealOptions(field_name="Here"))
        with pikepdf.open(BytesIO(sealed)) as opened:
            assert isinstance(opened.Root.AcroForm.Fields[0].AP.N, pikepdf.Stream)

    def test_an_appearance_that_a_field_has_is_kept(self, signer: SimpleSigner) -> None:
        """Only a visible seal replaces it."""
        document = pdf_with_form(b"/AP << /N 4 0 R >>")
        sealed = seal(document, signer, SealOptions(field_name="Here"))
        with pikepdf.open(BytesIO(sealed)) as opened:
            assert opened.Root.AcroForm.Fields[0].AP.N.objgen == (4, 0)


class TestPdfUa:
    """ISO 14289."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("part", [1, 2])
    @pytest.mark.parametrize("structure", STRUCTURES)
    def test_a_tagged_document_stays_accessible(
        self, structure: str, part: int, kind: str, signer: SimpleSigner, pki: Pki
    ) -> None:
        """A visible seal has a Form element, an invisible one needs none, and both are named."""
        document = pdf_ua(part, structure=STRUCTURES[structure])
        sealed = seal(document, signer, KINDS[kind])
        assert broken_rules(sealed) == []
        assert notices(document, KINDS[kind]) == []
        (report,) = verify(sealed, pki.root_pem)
        assert (report.problem, report.covers_whole_file) == (None, True)

    def test_the_checker_finds_what_is_missing(self) -> None:
        """A field that nobody tagged breaks the rules, so that the tests above say something."""
        field = b"/Annots [<< /Type /Annot /Subtype /Widget /FT /Sig /T (A) /Rect [0 0 50 50] >>]"
        broken = broken_rules(pdf_ua(page=field))
        assert {rule.partition(": ")[0].rpartition(", ")[2] for rule in broken} == {
            "7.18.1",
            "7.18.3",
            "7.18.4",
        }

    @pytest.mark.parametrize("kind", KINDS)
    def test_an_earlier_signature_is_worth_more_than_a_tag(
        self, kind: str, signer: SimpleSigner, pki: Pki
    ) -> None:
        """A change of the structure would break it in strict validators; a notice says so."""
        signed = signed_by_author(pdf_ua(), signer)
        assert notices(signed, KINDS[kind]) == [NoticeCode.NOT_TAGGED]
        reports = verify(seal(signed, signer, KINDS[kind]), pki.root_pem)
        assert [report.problem for report in reports] == [None, None]

    def test_a_signed_document_with_a_tab_order_stays_accessible(
        self, signer: SimpleSigner, pki: Pki
    ) -> None:
        """An invisible seal then changes nothing that matters to either."""
        signed = signed_by_author(pdf_ua(page=b"/Tabs /S"), signer)
        assert notices(signed) == []

    def test_an_incomplete_structure_is_left_alone(self, signer: SimpleSigner) -> None:
        """A structure without a parent tree cannot be extended, and a notice says so."""
        document = pdf_ua(structure={7: b"<< /Type /StructTreeRoot >>"})
        assert notices(document, VISIBLE) == [NoticeCode.NOT_TAGGED]
        assert notices(document) == []


class TestSharedArrays:
    """An array that several dictionaries refer to is not changed for all of them."""

    @staticmethod
    def shared(fields: bytes = b"") -> bytes:
        page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Annots 9 0 R >>"
        link = b"<< /Type /Annot /Subtype /Link /Rect [10 10 20 20] /Border [0 0 0] >>"
        return pdf(
            {
                1: b"<< /Type /Catalog /Pages 2 0 R " + fields + b" >>",
                2: b"<< /Type /Pages /Kids [6 0 R 7 0 R 8 0 R] /Count 3 >>",
                **dict.fromkeys((6, 7, 8), page),
                9: b"[" + link + b"]",
            }
        )

    @pytest.mark.parametrize(
        "fields",
        [b"", b"/AcroForm << /Fields 9 0 R >>"],
        ids=["pages", "pages and the form"],
    )
    def test_a_seal_is_on_its_page_alone(
        self, fields: bytes, signer: SimpleSigner, tmp_path: Path
    ) -> None:
        """Pages that share their annotations, with one another or with the form, do not show it."""
        document = self.shared(fields)
        options = SealOptions(visible=VisibleSeal(2, (20, 30, 140, 70), "Sealed"))
        sealed = seal(document, signer, options)
        shown = [bool(visible_change(document, sealed, tmp_path, page)) for page in (1, 2, 3)]
        assert shown == [False, True, False]
        with pikepdf.open(BytesIO(sealed)) as opened:
            assert [len(page.obj.Annots) for page in opened.pages] == [1, 2, 1]

    @pytest.mark.parametrize("fields", [b"", b"/AcroForm 11 0 R"], ids=["pages", "form too"])
    def test_an_earlier_signature_stays_valid(
        self, fields: bytes, signer: SimpleSigner, pki: Pki
    ) -> None:
        """Strict validators accept that the page has an array of its own from now on."""
        page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Annots 9 0 R >>"
        note = b"<< /Type /Annot /Subtype /Text /Rect [0 0 9 9] >>"
        document = pdf(
            {
                1: b"<< /Type /Catalog /Pages 2 0 R " + fields + b" >>",
                3: page,
                **dict.fromkeys((6, 7, 8), b"null"),
                9: b"[10 0 R]",
                10: note,
                11: b"<< /Fields 12 0 R >>",
                12: b"[]",
            }
        )
        sealed = seal(signed_by_author(document, signer), signer)
        assert [report.problem for report in verify(sealed, pki.root_pem)] == [None, None]

    def test_what_an_encrypted_document_says_stays_readable(self, signer: SimpleSigner) -> None:
        """A text in a shared array is encrypted anew where it is copied to."""
        source = BytesIO(encrypted(user_password=""))
        changed = BytesIO()
        with pikepdf.open(source) as opened:
            note = pikepdf.Dictionary(
                Type=pikepdf.Name.Annot,
                Subtype=pikepdf.Name.Text,
                Rect=[0, 0, 9, 9],
                Contents=pikepdf.String("a remark"),
            )
            opened.pages[0].obj.Annots = opened.make_indirect(pikepdf.Array([note]))
            opened.save(changed, encryption=pikepdf.Encryption(owner="x", user="", R=4))
        with pikepdf.open(BytesIO(seal(changed.getvalue(), signer))) as opened:
            assert str(opened.pages[0].obj.Annots[0].Contents) == "a remark"


def numbered(last: int) -> bytes:
    """A document whose last object has that number."""
    document = pdf({1: b"<< /Type /Catalog /Pages 2 0 R /PieceInfo %d 0 R >>" % last})
    body, table = document.split(b"xref\n", 1)
    rows, _, _ = table.partition(b"trailer")
    here = len(body)
    return (
        body
        + b"%d 0 obj\n(x)\nendobj\n" % last
        + b"xref\n"
        + rows
        + b"%d 1\n%010d 00000 n \n" % (last, here)
        + b"trailer\n<< /Size %d /Root 1 0 R >>\n" % (last + 1)
        + b"startxref\n%d\n%%%%EOF\n" % (here + len(b"%d 0 obj\n(x)\nendobj\n" % last))
    )


class TestNumbers:
    """Numbers that viewers do not take are not written."""

    @pytest.mark.parametrize("last", [10_000, 8_388_600, 8_388_602])
    def test_what_is_sealed_is_read_without_repair(
        self, last: int, signer: SimpleSigner, tmp_path: Path
    ) -> None:
        """MuPDF, which enforces Acrobat's limit, reads the sealed document by its tables."""
        assert mutool(seal(numbered(last), signer), tmp_path) == ""

    @pytest.mark.parametrize("last", [8_388_603, 8_388_606, 8_388_608, 9_999_999, 2**31])
    def test_numbers_beyond_the_limit_are_refused(self, last: int) -> None:
        """The message says how far viewers count (ISO 32000-1, annex C)."""
        with pytest.raises(UnsupportedPdfError, match="up to 8388607"):
            prepared(numbered(last))


class TestNotices:
    """What speaks against a change is said, and the document is sealed."""

    def test_an_ordinary_document_has_none(self) -> None:
        """Nothing is said where there is nothing to say."""
        assert notices(pdf()) == []
        assert notices(pdf_with_form(), SealOptions(field_name="Here")) == []

    @pytest.mark.parametrize(
        ("size", "found"), [(31_743, []), (31_744, ["long_string"]), (40_000, ["long_string"])]
    )
    def test_a_signature_too_long_for_a_pdf_a(self, size: int, found: list[str]) -> None:
        """The second placeholder keeps to a PDF/A's limit while that leaves room for variation."""
        reserve = larger_reserve(size)
        document = prepare(BytesIO(pdf_a(2)), INVISIBLE, AT, reserve=reserve)
        assert reserve > size
        assert [notice.code for notice in document.notices] == found
        assert prepare(BytesIO(pdf()), INVISIBLE, AT, reserve=reserve).notices == ()

    def test_usage_rights(self) -> None:
        """A signature that grants usage rights is in the catalog."""
        rights = b"<< /Type /Catalog /Pages 2 0 R /Perms << /UR3 6 0 R >> >>"
        assert notices(pdf({1: rights, 6: b"<< /Type /Sig >>"})) == ["usage_rights"]

    @pytest.mark.parametrize(
        ("rendering", "found"), [(b"true", ["dynamic_xfa"]), (b"false", []), (b"1", [])]
    )
    def test_dynamic_xfa(self, rendering: bytes, found: list[str]) -> None:
        """An XFA form whose pages are made when it is opened."""
        catalog = (
            b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [] /XFA 6 0 R >> "
            b"/NeedsRendering " + rendering + b" >>"
        )
        stream = b"<< /Length 6 >>\nstream\n<xdp/>\nendstream"
        assert notices(pdf({1: catalog, 6: stream})) == found

    @pytest.mark.parametrize(
        ("allowed", "new_field", "old_field"),
        [
            ({}, [], []),
            ({"modify_other": False}, ["permissions"], []),
            ({"modify_annotation": False}, ["permissions"], []),
            ({"modify_annotation": False, "modify_form": False}, ["permissions"], ["permissions"]),
        ],
    )
    def test_permissions(
        self, allowed: dict[str, bool], new_field: list[str], old_field: list[str]
    ) -> None:
        """A new field needs two of them, and an empty field of the document one (table 22)."""
        changed = BytesIO()
        with pikepdf.open(BytesIO(pdf_with_form())) as opened:
            allow = pikepdf.Permissions(**allowed)
            opened.save(changed, encryption=pikepdf.Encryption(owner="x", user="", allow=allow))
        assert notices(changed.getvalue()) == new_field
        assert notices(changed.getvalue(), SealOptions(field_name="Here")) == old_field


JUDGED = {
    **{path.name: path.read_bytes() for path in sorted(DATA.glob("*.pdf"))},
    "classic": pdf(),
    "encrypted": encrypted(user_password=""),
    "form": pdf_with_form(),
    "tagged": pdf_ua(),
    **{f"PDF/A-{part}": pdf_a(part) for part in PARTS},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", JUDGED)
def test_mupdf_and_qpdf_find_nothing_that_they_did_not_find_before(
    name: str, kind: str, signer: SimpleSigner, tmp_path: Path
) -> None:
    """MuPDF needs no repair, and qpdf finds no error."""
    document = JUDGED[name]
    sealed = seal(document, signer, KINDS[kind])
    assert mutool(sealed, tmp_path) == mutool(document, tmp_path)
    assert "No syntax or stream encoding errors found" in qpdf_check(sealed, tmp_path)


def test_a_certification_survives_an_invisible_seal(signer: SimpleSigner, pki: Pki) -> None:
    """The appearance that every field has now is no change that a certification forbids."""
    certified = signed_by_author(pdf(), signer, certify=MDPPerm.FILL_FORMS)
    reports = verify(seal(certified, signer), pki.root_pem)
    assert [report.problem for report in reports] == [None, None]


@pytest.mark.parametrize("name", ODD)
def test_mupdf_reads_what_it_read_before(name: str, signer: SimpleSigner, tmp_path: Path) -> None:
    """A document that breaks the rules is no worse for MuPDF when it is sealed."""
    sealed = seal(ODD[name], signer)
    if mutool(ODD[name], tmp_path) == "":
        assert mutool(sealed, tmp_path) == ""
