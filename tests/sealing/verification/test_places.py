"""An object that has two places in a sealed document is not exchanged under the rule about one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pytest
from pyhanko.pdf_utils.generic import Reference
from pyhanko.sign.fields import FieldMDPAction, MDPPerm

from rotation.sandbox.vendor import Pki
from rotation.sealing.request import Certification
from rotation.sealing.verification.report import FileReport, FileVerdict
from rotation.sealing.verify import examine
from tests.sealing.pdfs import pdf, signed_by_author
from tests.sealing.verification.tails import Tails, writer_of

FILLING = {"certify": Certification.FORM_FILLING}
COMMENTING = {"certify": Certification.ANNOTATIONS}
WIDGET = (
    b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (amount) /V (1) /Rect [0 0 9 9] /P 3 0 R "
    b"/AP << /N %b >> >>"
)
FORM = b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [6 0 R] >> >>"
COMMENT = b"<< /Type /Annot /Subtype /Text /Rect [0 0 9 9] /Contents (%b) >>"


def page(entries: bytes) -> bytes:
    return b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] %b >>" % entries


def stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<< %b /Length %d >>\nstream\n%b\nendstream" % (entries, len(data), data)


def packet(date: bytes) -> bytes:
    data = (
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/' xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'"
        b" xmlns:p='http://ns.adobe.com/xap/1.0/'><r:RDF><r:Description><p:ModifyDate>%b"
        b"</p:ModifyDate></r:Description></r:RDF></x:xmpmeta>" % date
    )
    return stream(data, b"/Type /Metadata /Subtype /XML")


@dataclass(frozen=True)
class Case:
    """A document, how it is sealed, and what an update then writes.

    Attributes:
        sealed: the objects of the document, beside those that every one has.
        update: the objects that the update writes, by number, or by number and generation.
        options: the options of the seal.
        with_proof: whether the update has validation data too, which makes dates harmless.
        good: whether the update is one that the seal allows.
    """

    sealed: Mapping[int, bytes]
    update: Mapping[Any, bytes]
    options: Mapping[str, Any] = field(default_factory=dict)
    with_proof: bool = True
    good: bool = False


#: A comment and a field for the seal, listed in an array of their own.
HERE = {**COMMENTING, "field_name": "Here"}
LISTED = {
    1: FORM.replace(b"6 0 R", b"8 0 R"),
    6: b"[7 0 R 8 0 R]",
    7: COMMENT % b"1",
    8: b"<< /FT /Sig /T (Here) /Type /Annot /Subtype /Widget /Rect [0 0 0 0] /P 3 0 R >>",
}
INFO = b"<< /Title (a) /X %b /ModDate (D:20260101000000Z) >>"
CASES = {
    "contents in another order": Case(
        {3: page(b"/Contents 6 0 R"), 6: b"[4 0 R 7 0 R]", 7: stream(b"f")},
        {6: b"[7 0 R 4 0 R]"},
    ),
    "contents shown twice": Case(
        {3: page(b"/Contents 6 0 R"), 6: b"[4 0 R 7 0 R]", 7: stream(b"f")},
        {6: b"[4 0 R 7 0 R 4 0 R]"},
    ),
    "numbers in another order": Case(
        {3: b"<< /Type /Page /Parent 2 0 R /MediaBox 6 0 R >>", 6: b"[0 0 400 200]"},
        {6: b"[0 0 200 400]"},
    ),
    "annotations in another order": Case(
        LISTED | {3: page(b"/Annots 6 0 R")}, {6: b"[8 0 R 7 0 R]"}, HERE, with_proof=False
    ),
    "annotations that are contents too": Case(
        LISTED | {3: page(b"/Annots 6 0 R /Contents 6 0 R")},
        {6: b"[7 0 R 8 0 R 50 0 R]", 50: COMMENT % b"2"},
        HERE,
        with_proof=False,
    ),
    "annotations in an array": Case(
        LISTED | {3: page(b"/Annots 6 0 R")},
        {6: b"[7 0 R 8 0 R 50 0 R]", 50: COMMENT % b"2"},
        HERE,
        with_proof=False,
        good=True,
    ),
    "a comment edited": Case(
        {3: page(b"/Annots [6 0 R]"), 6: COMMENT % b"1"},
        {6: COMMENT % b"2"},
        COMMENTING,
        with_proof=False,
        good=True,
    ),
    "a page that is called a comment": Case(
        {3: page(b"/Contents 4 0 R /Subtype /Text")},
        {3: page(b"/Contents 50 0 R /Subtype /Text"), 50: stream(b"0 0 9 9 re f")},
        COMMENTING,
        with_proof=False,
    ),
    "a font that is a comment too": Case(
        {
            3: page(b"/Annots [6 0 R] /Contents 4 0 R /Resources << /Font << /F 6 0 R >> >>"),
            6: COMMENT % b"1",
        },
        {6: COMMENT % b"2"},
        COMMENTING,
        with_proof=False,
    ),
    "another generation": Case(
        {3: page(b"/Contents [4 0 R 50 0 R]")},
        {(50, 5): b"null", (50, 0): stream(b"0 0 9 9 re f")},
    ),
    "an object freed in an odd generation": Case({}, {(4, 65534): b"null"}),
    "information that was contents before it was there": Case(
        {3: page(b"/Contents [4 0 R 50 0 R]"), 5: INFO % b"50 0 R"},
        {5: INFO.replace(b"2026", b"2027") % b"50 0 R", 50: stream(b"0 0 9 9 re f")},
    ),
    "contents with a comment in the reference": Case(
        {3: page(b"/Contents [4 0 R 50 % \n0 R]"), 5: INFO % b"50 0 R"},
        {5: INFO.replace(b"2026", b"2027") % b"50 0 R", 50: stream(b"0 0 9 9 re f")},
    ),
    "information that is a page": Case(
        {2: b"<< /Type /Pages /Kids [5 0 R] /Count 1 >>", 5: page(b"/Rotate 0")},
        {5: page(b"/Rotate 90")},
    ),
    "a date in XMP": Case(
        {1: b"<< /Type /Catalog /Pages 2 0 R /Metadata 6 0 R >>", 6: packet(b"2026")},
        {6: packet(b"2027")},
        good=True,
    ),
    "XMP that is contents": Case(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R /Metadata 6 0 R >>",
            3: page(b"/Contents [4 0 R 6 0 R]"),
            6: packet(b"2026"),
        },
        {6: packet(b"2027")},
    ),
    "XMP that is contents by an array of its own": Case(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R /Metadata 6 0 R >>",
            3: page(b"/Contents 7 0 R"),
            6: packet(b"2026"),
            7: b"[4 0 R 6 0 R]",
        },
        {6: packet(b"2027")},
    ),
    "a dictionary of resources with the keys of a field": Case(
        {
            3: page(b"/Contents 4 0 R /Resources << /XObject 6 0 R >>"),
            6: b"<< /FT 7 0 R /V 7 0 R >>",
        },
        {6: b"<< /FT 7 0 R /V 50 0 R >>", 50: stream(b"0 0 9 9 re f")},
        FILLING,
        with_proof=False,
    ),
    "a field's appearance": Case(
        {1: FORM, 3: page(b"/Annots [6 0 R]"), 6: WIDGET % b"7 0 R", 7: stream(b"f")},
        {7: stream(b"0 0 9 9 re f")},
        FILLING,
        with_proof=False,
        good=True,
    ),
    "a field's appearance that is contents": Case(
        {
            1: FORM,
            3: page(b"/Annots [6 0 R] /Contents 7 0 R"),
            6: WIDGET % b"7 0 R",
            7: stream(b"f"),
        },
        {7: stream(b"0 0 9 9 re f")},
        FILLING,
        with_proof=False,
    ),
    "a state of a field's appearance that is contents": Case(
        {1: FORM, 3: page(b"/Annots [6 0 R] /Contents 4 0 R"), 6: WIDGET % b"<< /Off 4 0 R >>"},
        {4: stream(b"0 0 9 9 re f")},
        FILLING,
        with_proof=False,
    ),
    "states of a field's appearance that are a page's resources": Case(
        {
            1: FORM,
            3: page(b"/Annots [6 0 R] /Contents 4 0 R /Resources << /XObject 7 0 R >>"),
            6: WIDGET % b"7 0 R",
            7: b"<< /On 8 0 R >>",
            8: stream(b"f"),
        },
        {8: stream(b"0 0 9 9 re f")},
        FILLING,
        with_proof=False,
    ),
}


@pytest.fixture(scope="module")
def tails(pki: Pki) -> Tails:
    return Tails(pki)


def report_of(document: bytes, tails: Tails) -> FileReport:
    return examine(BytesIO(document), tails.pki.root_pem)


def updated(document: bytes, objects: Mapping[Any, bytes]) -> bytes:
    """The document with an update that writes the objects; null frees one."""
    start = document.rindex(b"startxref")
    previous = document[start:].split()[1]
    rows = b""
    for place, body in objects.items():
        number, generation = place if isinstance(place, tuple) else (place, 0)
        if body == b"null":
            rows += b"%d 1\n%010d %05d f \n" % (number, 0, generation + 1)
            continue
        rows += b"%d 1\n%010d %05d n \n" % (number, len(document), generation)
        document += b"%d %d obj\n%b\nendobj\n" % (number, generation, body)
    return document + (
        b"xref\n%btrailer\n<< /Size 60 /Root 1 0 R /Info 5 0 R /Prev %b >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (rows, previous, len(document))
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_object_is_exchanged_only_where_its_rule_is_about_all_its_places(
    case: Case, tails: Tails
) -> None:
    """The update is refused, also if another seal covers it, unless the seal allows it."""
    sealed = tails.seal(pdf(case.sealed), **case.options)
    assert report_of(sealed, tails).verdict is FileVerdict.OK
    changed = updated(sealed, case.update)
    if case.with_proof:
        changed = with_validation_data(changed, tails)
    report = report_of(changed, tails)
    assert (report.problem is None) is case.good, report.problem
    if not case.good and not case.options:
        assert report_of(tails.seal(changed), tails).problem is not None


def with_validation_data(document: bytes, tails: Tails) -> bytes:
    certificate = stream(tails.certificates[0].dump())
    writer = writer_of(document)
    catalog = BytesIO()
    root = writer.prev.get_object(Reference(1, 0, writer.prev))
    root.write_to_stream(catalog, None)
    body = catalog.getvalue().rstrip().removesuffix(b">>") + b" /DSS 57 0 R >>"
    store = b"<< /Type /DSS /Certs [58 0 R] >>"
    return updated(document, {1: body, 57: store, 58: certificate})


@pytest.mark.parametrize("place", [b"[4 0 R 7 0 R]", b"8 0 R"], ids=["named", "by its array"])
def test_validation_data_that_a_page_shows_is_no_validation_data(
    place: bytes, tails: Tails
) -> None:
    """A certificate that is page content as well is not exchanged, and none is added beside it."""
    first, second = (stream(one.dump()) for one in tails.certificates[:2])
    sealed = tails.seal(
        pdf(
            {
                1: b"<< /Type /Catalog /Pages 2 0 R /DSS 6 0 R >>",
                3: page(b"/Contents %b" % place),
                6: b"<< /Type /DSS /Certs 8 0 R >>",
                7: first,
                8: b"[7 0 R]",
            }
        )
    )
    store = b"<< /Type /DSS /Certs [7 0 R 50 0 R] >>"
    report = report_of(updated(sealed, {6: store, 7: second, 50: first}), tails)
    assert report.verdict is FileVerdict.PROBLEM


@pytest.mark.parametrize("locks", [FieldMDPAction.ALL, None])
def test_a_lock_holds_the_appearance_of_a_field(locks: FieldMDPAction | None, tails: Tails) -> None:
    """What shows a locked field is as locked as its value."""
    document = pdf({1: FORM, 3: page(b"/Annots [6 0 R]"), 6: WIDGET % b"7 0 R", 7: stream(b"f")})
    sealed = signed_by_author(document, tails.signer, certify=MDPPerm.FILL_FORMS, locks=locks)
    report = report_of(updated(sealed, {7: stream(b"0 0 9 9 re f")}), tails)
    assert (report.problem is None) is (locks is None), report.problem


def test_what_shows_a_seal_stays(tails: Tails) -> None:
    """A certification that allows filling in fields does not let another name stand in the seal."""
    field_ = WIDGET.replace(b"/FT /Tx /T (amount) /V (1)", b"/FT /Sig /T (Here)")
    document = pdf({1: FORM, 3: page(b"/Annots [6 0 R]"), 6: field_ % b"7 0 R", 7: stream(b"f")})
    sealed = tails.seal(document, field_name="Here", **FILLING)
    assert report_of(sealed, tails).verdict is FileVerdict.OK
    number = writer_of(sealed).root["/AcroForm"]["/Fields"][0]["/AP"].raw_get("/N").idnum
    report = report_of(updated(sealed, {number: stream(b"0 0 9 9 re f")}), tails)
    assert report.verdict is FileVerdict.PROBLEM


def test_metadata_may_stand_directly_in_the_catalog(tails: Tails) -> None:
    """A dictionary where a reference should be does not end the comparison."""
    sealed = tails.seal(pdf({1: b"<< /Type /Catalog /Pages 2 0 R /Metadata << >> >>"}))
    assert report_of(tails.seal(sealed), tails).verdict is FileVerdict.OK


def test_fields_with_hierarchical_names_are_signed_one_after_the_other(tails: Tails) -> None:
    """The second one is a new kid of the field that both names begin with."""
    first = signed_by_author(pdf(), tails.signer, field="Form.One")
    second = signed_by_author(first, tails.signer, field="Form.Two")
    report = report_of(second, tails)
    assert report.verdict is FileVerdict.OK, report.problem
    assert {seal.field for seal in report.seals} == {"Form.One", "Form.Two"}
