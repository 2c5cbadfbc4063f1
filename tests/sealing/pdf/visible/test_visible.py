"""Visible seals: they are where they were asked for, upright, and nowhere else."""

from __future__ import annotations

import re
import unicodedata
import zlib
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.signers.pdf_cms import SimpleSigner

from rotation.errors import InvalidRequestError, NoPagesError
from rotation.sandbox.vendor import Pki
from rotation.sealing.pdf import prepare
from rotation.sealing.pdf.visible.glyphs import OUTLINES, glyph_for
from rotation.sealing.request import Certification, SealOptions
from rotation.sealing.verify import verify
from rotation.sealing.visible_seal import Box, VisibleSeal
from tests.harness.glyphs.outlines import FONT, outlines
from tests.sealing.images import image, saved
from tests.sealing.pdf.odd_documents import ODD
from tests.sealing.pdf_tools import (
    is_within,
    nss_database,
    pdfsig,
    qpdf_check,
    render_page,
    visible_change,
)
from tests.sealing.pdfs import (
    CATALOG,
    DATA,
    PAGE,
    cms_over,
    encrypted,
    pdf,
    pdf_with_form,
    signed_by_author,
)

pytestmark = pytest.mark.slow

AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
BOX: Box = (20.0, 30.0, 140.0, 70.0)
TEXT = "Sealed by Größe & Söhne\nЖ Ω § 2026"
ARCHIVAL = "verapdf-6-6-2-3-1-t01-pass-k.pdf"


def seal(document: bytes, signer: SimpleSigner, visible: VisibleSeal, **more: object) -> bytes:
    options = SealOptions(visible=visible, **more)  # type: ignore[arg-type]
    prepared = prepare(BytesIO(document), options, AT)
    return prepared.embed(cms_over(prepared.digest, signer))


def refused(document: bytes, visible: VisibleSeal, **more: object) -> str:
    with pytest.raises(InvalidRequestError) as failed:
        prepare(BytesIO(document), SealOptions(visible=visible, **more), AT)  # type: ignore[arg-type]
    return str(failed.value)


def pages(count: int, page: bytes = PAGE) -> bytes:
    """A document of that many pages, whose numbers are their widths above 300."""
    kids = b" ".join(b"%d 0 R" % number for number in range(6, 6 + count))
    tree = {2: b"<< /Type /Pages /Kids [" + kids + b"] /Count %d >>" % count}
    own = page.replace(b"[0 0 200 200]", b"[0 0 %d 200]")
    return pdf(tree | {5 + number: own % (300 + number) for number in range(1, count + 1)})


def turned(rotation: int, more: bytes = b"") -> bytes:
    """A page of 300 by 200 points, cropped to 270 by 180, and rotated."""
    boxes = b"/MediaBox [0 0 300 200] /CropBox [20 10 290 190] /Rotate %d " % rotation
    return pdf({3: b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R " + boxes + more + b" >>"})


@pytest.mark.parametrize("rotation", [0, 90, 180, 270, -90, 450])
def test_the_seal_is_seen_in_its_box_however_the_page_is_turned(
    rotation: int, signer: SimpleSigner, tmp_path: Path
) -> None:
    """Points count from the corner of the page as viewers show it, cropped and rotated."""
    document = turned(rotation)
    for content in (
        VisibleSeal(1, BOX, TEXT),
        VisibleSeal(1, BOX, None, saved(image())),
        VisibleSeal(1, BOX, TEXT, saved(image("RGBA"))),
        VisibleSeal(1, BOX, TEXT, saved(image(), "JPEG")),
    ):
        found = visible_change(document, seal(document, signer, content), tmp_path)
        assert is_within(found, BOX), (content, found)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_the_seal_is_upright(rotation: int, signer: SimpleSigner, tmp_path: Path) -> None:
    """The left is darker than the right, as in the image, on a page with any rotation."""
    halves = image("L").resize((60, 20))
    document = turned(rotation, b"/Annots []").replace(b"10 10 50 50 re f", b"  ")
    sealed = seal(document, signer, VisibleSeal(1, BOX, None, saved(halves)))
    page = render_page(sealed, tmp_path)
    row = page.height - 1 - 50
    left, right = (page.grays[row * page.width + x] for x in (40, 120))
    pixels = halves.tobytes()
    assert abs(left - pixels[10]) < 12
    assert abs(right - pixels[50]) < 12
    assert left != right


def test_text_reads_from_left_to_right(signer: SimpleSigner, tmp_path: Path) -> None:
    """The first line is on top, and a short line ends before a long one."""
    document = pdf({4: b"<< /Length 0 >>\nstream\n\nendstream"})
    sealed = seal(document, signer, VisibleSeal(1, (0, 0, 200, 100), "MMMMMMMM\nM"))
    changes = render_page(sealed, tmp_path).changes(render_page(document, tmp_path))
    upper = {x for x, y in changes if y >= 50}
    lower = {x for x, y in changes if y < 45}
    assert max(upper) > 190
    assert max(lower) < 50


@pytest.mark.parametrize(("number", "page"), [(1, 1), (2, 2), (5, 5), (-1, 5), (-2, 4), (-5, 1)])
def test_pages_count_from_either_end(
    number: int, page: int, signer: SimpleSigner, tmp_path: Path
) -> None:
    """1 is the first page and -1 the last, and no other page changes."""
    document = pages(5)
    sealed = seal(document, signer, VisibleSeal(number, BOX, TEXT))
    changed = [n for n in range(1, 6) if visible_change(document, sealed, tmp_path, n)]
    assert changed == [page]


def test_a_page_that_stands_twice_in_the_tree_counts_twice(
    signer: SimpleSigner, tmp_path: Path
) -> None:
    """As in viewers, the third page is number 3, although the second is the first again."""
    document = pages(2).replace(
        b"/Kids [6 0 R 7 0 R] /Count 2", b"/Kids [6 0 R 6 0 R 7 0 R]/Count 3"
    )
    sealed = seal(document, signer, VisibleSeal(3, BOX, TEXT))
    assert [bool(visible_change(document, sealed, tmp_path, n)) for n in (1, 2, 3)] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("number", [6, -6, 1_000_000])
def test_a_page_that_does_not_exist_is_refused(number: int) -> None:
    """The message says which page was asked for, and how many pages there are."""
    told = refused(pages(5), VisibleSeal(number, BOX, TEXT))
    assert told == f"options.visible.page: is {number}, and the document has only 5 pages."


def test_a_document_without_pages_has_none_to_be_seen_on() -> None:
    """The error is the same as without the option."""
    with pytest.raises(NoPagesError):
        prepare(
            BytesIO(pdf({2: b"<< /Type /Pages /Kids [] /Count 0 >>"})),
            SealOptions(visible=VisibleSeal(-1, BOX, TEXT)),
            AT,
        )


@pytest.mark.parametrize(
    ("document", "size"),
    [
        (turned(0), "270 points wide and 180 high"),
        (turned(90), "180 points wide and 270 high"),
        (turned(0, b"/UserUnit 2"), "540 points wide and 360 high"),
        (pdf({3: PAGE.replace(b"/MediaBox [0 0 200 200]", b"")}), "612 points wide and 792 high"),
        (pdf({3: PAGE.replace(b"[0 0 200 200]", b"[0 0 0 0]")}), "612 points wide and 792 high"),
        (pdf({3: PAGE.replace(b"[0 0 200 200]", b"[9 (x)]")}), "612 points wide and 792 high"),
        (pdf({3: PAGE.replace(b"0 0 200 200", b"200 200 0 0")}), "200 points wide and 200 high"),
        (
            pdf({3: PAGE.replace(b"/Contents", b"/CropBox [900 900 950 950] /Contents")}),
            "200 points wide and 200 high",
        ),
    ],
)
def test_a_box_outside_of_the_page_is_refused(document: bytes, size: str) -> None:
    """The message tells the size of the page as it is shown, whatever the page says of itself."""
    told = refused(document, VisibleSeal(1, (0, 0, 100, 100_000), TEXT))
    assert told == (
        f"options.visible.box: reaches outside of the page, which is {size} as it is shown."
    )
    assert "outside" in refused(document, VisibleSeal(1, (0, 0, 100_000, 100), TEXT))


def test_the_size_is_inherited_from_the_pages_above(signer: SimpleSigner, tmp_path: Path) -> None:
    """MediaBox, CropBox and Rotate may stand in any node of the tree."""
    tree = b"<< /Type /Pages /Kids [3 0 R] /Count 1 /MediaBox [0 0 300 200] /Rotate 90 >>"
    document = pdf({2: tree, 3: PAGE.replace(b"/MediaBox [0 0 200 200]", b"")})
    sealed = seal(document, signer, VisibleSeal(1, BOX, TEXT))
    assert is_within(visible_change(document, sealed, tmp_path), BOX)


def test_points_are_points_in_a_document_with_a_larger_unit(signer: SimpleSigner) -> None:
    """UserUnit 2: a box of 120 points is 60 units wide."""
    sealed = seal(turned(0, b"/UserUnit 2"), signer, VisibleSeal(1, BOX, TEXT))
    (field,) = PdfFileReader(BytesIO(sealed)).root["/AcroForm"]["/Fields"]
    assert [float(side) for side in field.get_object()["/Rect"]] == [30, 25, 90, 45]


@pytest.mark.parametrize(
    "document",
    [pdf(), pdf_with_form(), encrypted(user_password=""), *ODD.values()]
    + [path.read_bytes() for path in sorted(DATA.glob("*.pdf"))],
)
def test_every_kind_of_document_can_bear_a_visible_seal(
    document: bytes, signer: SimpleSigner, pki: Pki
) -> None:
    """The source's bytes stay, and the seal is intact, trusted and covers the whole file."""
    sealed = seal(document, signer, VisibleSeal(-1, (0, 0, 60, 12), "Seal", saved(image())))
    assert sealed.startswith(document)
    (report,) = verify(sealed, pki.root_pem)
    assert (report.problem, report.covers_whole_file) == (None, True)


@pytest.mark.parametrize("document", [pdf(), encrypted(user_password="")], ids=["plain", "locked"])
def test_poppler_and_qpdf_find_nothing_wrong(
    document: bytes, signer: SimpleSigner, pki: Pki, tmp_path: Path
) -> None:
    """The signature is valid and trusted, the file is sound, and the image is visible."""
    sealed = seal(document, signer, VisibleSeal(1, BOX, TEXT, saved(image("RGBA"))))
    said = pdfsig(sealed, tmp_path, anchors=nss_database(tmp_path, pki.root_pem))
    for words in ("Signature is Valid.", "Certificate is Trusted.", "Total document signed"):
        assert words in said
    assert "No syntax or stream encoding errors found" in qpdf_check(sealed, tmp_path)
    assert is_within(visible_change(document, sealed, tmp_path), BOX)


def test_a_visible_seal_can_certify(signer: SimpleSigner, pki: Pki) -> None:
    """The seal is visible and certifies the document."""
    visible = VisibleSeal(1, BOX, TEXT)
    sealed = seal(pdf(), signer, visible, certify=Certification.NO_CHANGES)
    (report,) = verify(sealed, pki.root_pem)
    assert report.problem is None
    (found,) = PdfFileReader(BytesIO(sealed)).embedded_signatures
    assert found.docmdp_level is MDPPerm.NO_CHANGES


def test_without_the_option_nothing_is_seen(signer: SimpleSigner, tmp_path: Path) -> None:
    """A seal is invisible by default."""
    prepared = prepare(BytesIO(pdf()), SealOptions(), AT)
    assert (
        visible_change(pdf(), prepared.embed(cms_over(prepared.digest, signer)), tmp_path) is None
    )


class TestFieldsOfTheDocument:
    """A form may keep a place for the seal."""

    PLACE = b"/Rect [20 30 140 70]"

    def form(self, entries: bytes = PLACE, kid: bytes = b"") -> bytes:
        field = b"<< /FT /Sig /T (Here) /P 3 0 R " + entries + b" >>"
        catalog = CATALOG.replace(b">>", b"/AcroForm << /Fields [6 0 R] >> >>")
        widget = b"/Subtype /Widget " + kid + b" >>"
        annotation = b"7 0 R" if kid else b"6 0 R"
        page = PAGE.replace(b"/Contents", b"/Annots [" + annotation + b"] /Contents")
        return pdf({1: catalog, 3: page, 6: field, 7: b"<< " + widget})

    @pytest.mark.parametrize(
        ("entries", "kid"),
        [
            (b"/Subtype /Widget " + PLACE, b""),
            (b"/Subtype /Widget /F 2 " + PLACE, b""),
            (b"/Kids [7 0 R]", PLACE + b" /Parent 6 0 R"),
        ],
        ids=["the field itself", "a hidden one", "its kid"],
    )
    def test_the_seal_is_seen_in_the_place_of_the_field(
        self, entries: bytes, kid: bytes, signer: SimpleSigner, pki: Pki, tmp_path: Path
    ) -> None:
        """Text and image without a page or a box go where the named field is."""
        document = self.form(entries, kid)
        sealed = seal(document, signer, VisibleSeal(text=TEXT), field_name="Here")
        assert is_within(visible_change(document, sealed, tmp_path), BOX)
        (report,) = verify(sealed, pki.root_pem)
        assert (report.field, report.problem) == ("Here", None)

    def test_a_field_that_is_turned_shows_the_seal_turned(
        self, signer: SimpleSigner, tmp_path: Path
    ) -> None:
        """The rotation of the widget (MK, R) says what is upright."""
        document = self.form(b"/Subtype /Widget /MK << /R 90 >> " + self.PLACE)
        sealed = seal(document, signer, VisibleSeal(text="I"), field_name="Here")
        left, bottom, right, top = visible_change(document, sealed, tmp_path) or (0, 0, 0, 0)
        assert right - left > top - bottom, "a letter I that lies on its side"

    def test_a_place_of_its_own_is_not_given_another(self) -> None:
        """A request with page and box is refused, because the field has its place."""
        told = refused(self.form(), VisibleSeal(1, BOX, TEXT), field_name="Here")
        assert told.endswith("Leave page and box out, or name a new field.")

    def test_a_field_without_a_place_shows_nothing(self) -> None:
        """An invisible field of the document cannot be made to be seen."""
        told = refused(pdf_with_form(), VisibleSeal(text=TEXT), field_name="Here")
        assert told.endswith("Name a new field, with page and box.")

    def test_a_field_that_is_not_there_has_no_place(self) -> None:
        """A new field needs page and box."""
        told = refused(pdf(), VisibleSeal(text=TEXT), field_name="There")
        assert told.startswith("options.visible: needs page and box")


class TestCertifiedDocuments:
    """For strict validators a new visible field breaks a certification."""

    @pytest.mark.parametrize("level", [MDPPerm.FILL_FORMS, MDPPerm.ANNOTATE])
    def test_a_new_visible_field_is_refused(self, level: MDPPerm, signer: SimpleSigner) -> None:
        """It is refused, and an invisible seal in the same document is not."""
        certified = signed_by_author(pdf(), signer, certify=level)
        told = refused(certified, VisibleSeal(1, BOX, TEXT))
        assert told.startswith("options.visible: the document is certified")
        assert prepare(BytesIO(certified), SealOptions(), AT).digest

    def test_a_field_that_it_has_is_filled(self, signer: SimpleSigner, pki: Pki) -> None:
        """Signing a field that stood in the document when it was certified is allowed."""
        document = TestFieldsOfTheDocument().form(b"/Subtype /Widget /Rect [20 30 140 70]")
        certified = signed_by_author(document, signer, certify=MDPPerm.FILL_FORMS)
        sealed = seal(certified, signer, VisibleSeal(text=TEXT), field_name="Here")
        assert {report.problem for report in verify(sealed, pki.root_pem)} == {None}

    def test_an_approval_is_no_certification(self, signer: SimpleSigner, pki: Pki) -> None:
        """A visible seal can be added after an ordinary signature, and both are valid."""
        sealed = seal(signed_by_author(pdf(), signer), signer, VisibleSeal(1, BOX, TEXT))
        assert [report.problem for report in verify(sealed, pki.root_pem)] == [None, None]


class TestArchives:
    """PDF/A stays PDF/A (ISO 19005): no font, no color of a device, no transparency."""

    def test_nothing_is_added_that_an_archive_forbids(self, signer: SimpleSigner) -> None:
        """Neither text nor images bring a font, a device's color space or a soft mask."""
        document = (DATA / ARCHIVAL).read_bytes()
        for content in (saved(image()), saved(image("L")), saved(image(), "JPEG")):
            sealed = seal(document, signer, VisibleSeal(1, BOX, TEXT, content))
            update = sealed[len(document) :]
            for forbidden in (b"/Font", b"/Device", b"/SMask", b"/Group", b"/LZW", b"/JavaScript"):
                assert forbidden not in update
            (field,) = PdfFileReader(BytesIO(sealed)).root["/AcroForm"]["/Fields"]
            widget = field.get_object()
            assert list(widget["/AP"]) == ["/N"]
            assert widget["/F"] == 132, "printed and locked, and not hidden"

    def test_a_transparent_image_is_refused(self, signer: SimpleSigner) -> None:
        """A transparent image is refused in a PDF/A, and accepted in another document."""
        transparent = VisibleSeal(1, BOX, None, saved(image("RGBA")))
        told = refused((DATA / ARCHIVAL).read_bytes(), transparent)
        assert told.startswith("options.visible.image: is transparent")
        assert b"/SMask" in seal(pdf(), signer, transparent)

    @pytest.mark.parametrize(
        "xmp",
        [
            b"<x xmlns:pdfaid='http://www.aiim.org/pdfa/ns/id/'/>",
            "<x xmlns:pdfaid='http://www.aiim.org/pdfa/ns/id/'/>".encode("utf-16"),
        ],
    )
    def test_the_claim_is_found_in_any_encoding(self, xmp: bytes) -> None:
        """XMP may be in UTF-8 or UTF-16."""
        catalog = CATALOG.replace(b">>", b"/Metadata 6 0 R >>")
        metadata = b"<< /Type /Metadata /Length %d >>\nstream\n%b\nendstream" % (len(xmp), xmp)
        told = refused(
            pdf({1: catalog, 6: metadata}), VisibleSeal(1, BOX, None, saved(image("RGBA")))
        )
        assert "a PDF/A" in told


class TestText:
    """Text is drawn in three scripts, as large as it fits."""

    def test_the_outlines_are_what_the_font_gives(self) -> None:
        """`make glyphs` has been run since the font or the generator changed."""
        assert zlib.decompress(OUTLINES.read_bytes()) == outlines()

    def test_every_character_of_the_font_can_be_drawn(self) -> None:
        """Each character but combining marks has closed paths of whole numbers, and a width."""
        font = TTFont(FONT)
        closed = re.compile(r"(-?\d+ -?\d+ m( -?\d+ -?\d+ l| (-?\d+ ){6}c)* h ?)*")
        for code in font.getBestCmap():
            glyph = glyph_for(chr(code))
            if unicodedata.combining(chr(code)):
                assert glyph is None, hex(code)
            else:
                assert glyph, hex(code)
                assert closed.fullmatch(glyph.path()), hex(code)

    def test_an_outline_is_where_the_font_has_it(self) -> None:
        """Points relative to one another become positions within the glyph's bounds."""
        bounds = TTFont(FONT)["glyf"]["g"]
        glyph = glyph_for("g")
        assert glyph
        numbers = [int(word) for word in glyph.path().split() if not word.isalpha()]
        assert min(numbers[::2]) >= bounds.xMin
        assert max(numbers[::2]) == bounds.xMax
        assert min(numbers[1::2]) == bounds.yMin
        assert max(numbers[1::2]) <= bounds.yMax

    WINDOWS = sorted({*range(0x80, 0xA0)} - {0x81, 0x8D, 0x8F, 0x90, 0x9D})

    def test_the_whole_of_latin_1_is_there(self, signer: SimpleSigner) -> None:
        """Every printable character of WinAnsi, and the scripts that the page names."""
        latin = bytes(sorted({*range(0x20, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}))
        text = latin.decode("latin-1") + bytes(self.WINDOWS).decode("cp1252") + "ЁЖя" + "ΑΩω"
        assert seal(pdf(), signer, VisibleSeal(1, (0, 0, 200, 50), text[:60]))
        for character in text:
            assert glyph_for(character), character

    @pytest.mark.parametrize(
        ("text", "code"),
        [("日本", "U+65E5"), ("שלום", "U+05E9"), ("🔏", "U+1F50F"), ("q̃", "U+0303")],
    )
    def test_what_cannot_be_drawn_is_refused(self, text: str, code: str) -> None:
        """Other scripts, emoji and lone marks are refused, and the message suggests an image."""
        told = refused(pdf(), VisibleSeal(1, BOX, text))
        assert told.startswith(f"options.visible.text: the character {code} cannot be drawn")
        assert "as an image" in told

    def test_marks_that_a_letter_takes_up_are_drawn(
        self, signer: SimpleSigner, tmp_path: Path
    ) -> None:
        """A letter and its mark are drawn as one where Unicode has a composed letter."""
        composed, parted = (
            render_page(seal(pdf(), signer, VisibleSeal(1, BOX, text)), tmp_path)
            for text in ("\u00e9", "e\u0301")
        )
        assert composed == parted

    @pytest.mark.parametrize("box", [(0, 0, 20, 40), (0, 0, 100, 6), (0, 0, 3, 3)])
    def test_text_that_would_be_too_small_is_refused(self, box: Box) -> None:
        """Nobody can read text of less than three points."""
        told = refused(pdf(), VisibleSeal(1, box, "The quick brown fox\nand so on"))
        assert told.startswith("options.visible.text: does not fit into its box")

    def test_a_screen_reader_is_told(self, signer: SimpleSigner) -> None:
        """The letters are only drawn, so the field has the text for screen readers."""
        sealed = seal(pdf(), signer, VisibleSeal(1, BOX, TEXT))
        (field,) = PdfFileReader(BytesIO(sealed)).root["/AcroForm"]["/Fields"]
        assert field.get_object()["/TU"] == "Sealed by Größe & Söhne Ж Ω § 2026"


def test_a_box_too_small_for_an_image_is_refused() -> None:
    """The margins leave no room for an image."""
    told = refused(pdf(), VisibleSeal(1, (0, 0, 4, 4), None, saved(image())))
    assert told == "options.visible.box: is too small for an image."


def test_a_damaged_image_is_refused_before_a_signature_is_bought() -> None:
    """The request only checks the first bytes of an image, and preparing parses it."""
    told = refused(pdf(), VisibleSeal(1, BOX, None, b"\x89PNG\r\n\x1a\nand nothing else"))
    assert told.startswith("options.visible.image: is damaged")
