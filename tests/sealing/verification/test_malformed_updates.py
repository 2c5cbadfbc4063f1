"""What follows a seal is written in one way only: what viewers would repair is no update.

Each document here has a seal, and after it validation data, which every seal allows. Beside it
stands an object that says what it said before, in a form that viewers read differently.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from io import BytesIO

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.generic import Reference
from pyhanko.pdf_utils.reader import PdfFileReader

from rotation.sandbox.vendor import Pki
from rotation.sealing.request import Certification
from rotation.sealing.verification.report import FileVerdict
from rotation.sealing.verify import examine
from tests.sealing.pdfs import pdf
from tests.sealing.verification.tails import Tails

CONTENT = b"0 0 10 10 re f"
PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Rotate 0 /Contents 4 0 R >>"
OTHER_PAGE = PAGE.replace(b"4 0 R", b"6 0 R")
IMAGE = b"/Subtype /Image /Width 8 /Height 1 /BitsPerComponent 1 /ImageMask 1"


def stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<< %b /Length %d >>\nstream\n%b\nendstream" % (entries, len(data), data)


SEALED = pdf({3: PAGE, 4: stream(CONTENT), 6: stream(b"1 1 2 2 re f"), 7: stream(b"\xf0", IMAGE)})


@dataclass(frozen=True)
class Update:
    """An update as it should be, with the parts that a test may exchange.

    Attributes:
        objects: the objects by number.
        header: makes the header of an object.
        row: makes the row of an object from its position.
        size: the Size of the trailer.
        root: the entry of the trailer.
        prev: added to Prev.
        startxref: added to startxref.
        more: entries of the trailer that do not belong there.
        before_table: bytes between the objects and the table.
    """

    objects: Mapping[int, bytes]
    header: bytes = b"%d 0 obj\n"
    row: bytes = b"%010d 00000 n \n"
    size: int = 300
    root: bytes = b"/Root 1 0 R"
    prev: int = 0
    startxref: int = 0
    more: bytes = b""
    before_table: bytes = b""

    def after(self, document: bytes) -> bytes:
        previous = int(re.findall(rb"startxref\s+(\d+)", document)[-1])
        rows = b""
        for number, body in sorted(self.objects.items()):
            rows += b"%d 1\n" % number + self.row % len(document)
            document += self.header % number + body + b"\nendobj\n"
        document += self.before_table
        trailer = b"<< /Size %d %b /Info 5 0 R /Prev %d%b >>" % (
            self.size,
            self.root,
            previous + self.prev,
            self.more,
        )
        end = b"startxref\n%d\n%%%%EOF\n" % (len(document) + self.startxref)
        return document + b"xref\n" + rows + b"trailer\n" + trailer + b"\n" + end


@pytest.fixture(scope="module")
def tails(pki: Pki) -> Tails:
    return Tails(pki)


def raw(document: bytes, number: int) -> bytes:
    output = BytesIO()
    reader = PdfFileReader(BytesIO(document), strict=False)
    found = reader.get_object(Reference(number, 0, reader))  # type: ignore[no-untyped-call]
    found.write_to_stream(output, None)
    return output.getvalue().rstrip()


def store_for(document: bytes, tails: Tails) -> dict[int, bytes]:
    """The objects of an update that adds validation data."""
    certificate = tails.pki.root.certificate.public_bytes(Encoding.DER)
    return {
        1: raw(document, 1)[:-2] + b" /DSS 200 0 R >>",
        200: b"<< /Type /DSS /Certs [201 0 R] >>",
        201: stream(certificate),
    }


def page(change: Callable[[bytes], bytes]) -> Callable[[Update, bytes], Update]:
    """The page is written again, in another form."""
    return lambda update, sealed: replace(
        update, objects={**update.objects, 3: change(raw(sealed, 3))}
    )


def part(**parts: object) -> Callable[[Update, bytes], Update]:
    return lambda update, _: replace(update, **parts)  # type: ignore[arg-type]


def also(number: int, body: bytes) -> Callable[[Update, bytes], Update]:
    return lambda update, _: replace(update, objects={**update.objects, number: body})


def rotated(token: bytes) -> Callable[[Update, bytes], Update]:
    return page(lambda body: body.replace(b"/Rotate 0", b"/Rotate " + token))


#: Another form of what is there already.
MALFORMED: dict[str, Callable[[Update, bytes], Update]] = {
    "a number with letters": rotated(b"90abc"),
    "a number with a sign within": rotated(b"9-0"),
    "a number with two signs": rotated(b"--90"),
    "a number with two points": rotated(b"90.0.0"),
    "a number beyond 32 bits": rotated(b"99999999999"),
    "an unknown word": page(lambda body: body[:-2] + b" nothing >>"),
    "a key that stands twice": page(lambda body: b"<< /Rotate 90" + body[2:]),
    "a key that stands twice, in two forms": page(lambda body: b"<< /#52otate 90" + body[2:]),
    "a key without a value": page(lambda body: body[:-2] + b" /Rotate >>"),
    "a comment within an object": page(lambda body: body[:-2] + b"% 3 0 obj\n>>"),
    "a length that is too small": also(4, stream(CONTENT).replace(b"14", b"5")),
    "a length that is too great": also(4, stream(CONTENT).replace(b"14", b"15")),
    "no length": also(4, stream(CONTENT).replace(b"/Length 14", b"")),
    "true for 1": also(7, stream(b"\xf0", IMAGE.replace(b"Mask 1", b"Mask true"))),
    "1.0 for 1": also(7, stream(b"\xf0", IMAGE.replace(b"Mask 1", b"Mask 1.0"))),
    "headers of another generation": part(header=b"%d 7 obj\n"),
    "rows of 19 bytes": part(row=b"%010d 00000 n\n"),
    "short rows": part(row=b"%d 0 n \n"),
    "a Size below the numbers": part(size=5),
    "no Root": part(root=b""),
    "a Prev that is five bytes off": part(prev=-5),
    "a startxref that is a byte off": part(startxref=1),
    "a startxref that is before the table": part(startxref=-30),
    "a word in the trailer": part(more=b" nothing"),
    "a key in the trailer that stands twice": part(more=b" /Size 300"),
    "a comment before the table": part(before_table=b"% a comment\n"),
    "an object before the table": part(before_table=b"3 0 obj\n%b\nendobj\n" % OTHER_PAGE),
}


def verdict(document: bytes, tails: Tails) -> FileVerdict:
    return examine(BytesIO(document), tails.pki.root_pem).verdict


@pytest.fixture(scope="module")
def sealed(tails: Tails) -> bytes:
    return tails.seal(SEALED)


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED)
def test_what_viewers_repair_does_not_follow_a_seal(
    change: Callable[[Update, bytes], Update], sealed: bytes, tails: Tails
) -> None:
    """The update without that form is good."""
    update = Update(store_for(sealed, tails))
    assert verdict(update.after(sealed), tails) is FileVerdict.OK
    assert verdict(change(update, sealed).after(sealed), tails) is FileVerdict.PROBLEM


def test_an_object_may_be_written_again_as_it_was(sealed: bytes, tails: Tails) -> None:
    """A box in reals is the box in integers, and lines may end elsewhere."""
    again = page(lambda body: re.sub(rb"200 200", b"200.0\r\n200.", body))
    update = again(Update(store_for(sealed, tails)), sealed)
    assert verdict(update.after(sealed), tails) is FileVerdict.OK


# --- object streams ---------------------------------------------------------------------------


def with_object_stream(
    document: bytes,
    update: Update,
    compressed: list[tuple[int, bytes]],
    named: Mapping[int, int],
    *,
    junk: bytes = b"",
    rows_more: bytes = b"",
) -> bytes:
    """The update with an object stream 210 and a cross-reference stream 211.

    Args:
        document: what is extended.
        update: its objects.
        compressed: the objects in the stream.
        named: the place in the stream that the table gives for a number.
        junk: what stands in the stream after its objects.
        rows_more: what stands in the table after its rows.
    """
    previous = int(re.findall(rb"startxref\s+(\d+)", document)[-1])
    head = body = b""
    for number, content in compressed:
        head += b"%d %d " % (number, len(body))
        body += content + b" "
    kind = b"/Type /ObjStm /N %d /First %d /Filter /FlateDecode" % (len(compressed), len(head))
    objects = {**update.objects, 210: stream(zlib.compress(head + body + junk), kind)}
    rows = {number: (2, 210, place) for number, place in named.items()}
    for number, content in sorted(objects.items()):
        rows[number] = (1, len(document), 0)
        document += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    rows[211] = (1, len(document), 0)
    table = b"".join(
        bytes([form]) + place.to_bytes(4, "big") + last.to_bytes(2, "big")
        for _, (form, place, last) in sorted(rows.items())
    )
    index = b" ".join(b"%d 1" % number for number in sorted(rows))
    entries = b"/Type /XRef /W [1 4 2] /Index [%b] /Size 300 /Root 1 0 R /Info 5 0 R /Prev %d" % (
        index,
        previous,
    )
    at = len(document)
    document += b"211 0 obj\n%b\nendobj\n" % stream(table + rows_more, entries)
    return document + b"startxref\n%d\n%%%%EOF\n" % at


def evil(good: bytes) -> bytes:
    return good.replace(b"4 0 R", b"6 0 R")


Compressed = tuple[list[tuple[int, bytes]], dict[int, int], bytes]

#: The objects of the stream, what the table names, and what follows the objects.
OBJECT_STREAMS: dict[str, Callable[[bytes], Compressed]] = {
    "a number twice, the table names the first": lambda good: (
        [(3, evil(good)), (3, good)],
        {3: 0},
        b"",
    ),
    "a number twice, the table names the second": lambda good: (
        [(3, evil(good)), (3, good)],
        {3: 1},
        b"",
    ),
    "an object that no row names": lambda good: ([(3, good), (4, b"null")], {3: 0}, b""),
    "a row that names another place": lambda good: ([(3, good)], {3: 1}, b""),
    "a row that names an object that is not there": lambda good: ([(3, good)], {3: 0, 8: 1}, b""),
    "bytes after the objects": lambda good: ([(3, good)], {3: 0}, b"<< >>"),
    "a comment after the objects": lambda good: ([(3, good)], {3: 0}, b"% << >>"),
    "a malformed object": lambda good: (
        [(3, good.replace(b"/Rotate 0", b"/Rotate 9-0"))],
        {3: 0},
        b"",
    ),
}


@pytest.mark.parametrize("certify", [None, Certification.NO_CHANGES])
@pytest.mark.parametrize("made", OBJECT_STREAMS.values(), ids=OBJECT_STREAMS)
def test_an_object_stream_holds_what_the_table_names_and_no_more(
    made: Callable[[bytes], Compressed], certify: Certification | None, tails: Tails
) -> None:
    """Viewers find an object by its place or by its number, so both must lead to the same one."""
    sealed = tails.seal(SEALED, certify=certify)
    update, good = Update(store_for(sealed, tails)), raw(sealed, 3)
    plain = with_object_stream(sealed, update, [(3, good)], {3: 0})
    assert verdict(plain, tails) is FileVerdict.OK
    compressed, named, junk = made(good)
    tampered = with_object_stream(sealed, update, compressed, named, junk=junk)
    assert verdict(tampered, tails) is FileVerdict.PROBLEM
    assert verdict(tails.seal(tampered) if certify is None else tampered, tails) is (
        FileVerdict.PROBLEM
    )


def test_a_cross_reference_stream_has_no_more_rows_than_it_says(
    sealed: bytes, tails: Tails
) -> None:
    """Viewers differ in whether they read the rows that remain."""
    update, good = Update(store_for(sealed, tails)), raw(sealed, 3)
    more = bytes([2, 0, 0, 0, 210, 0, 0])
    longer = with_object_stream(sealed, update, [(3, good)], {3: 0}, rows_more=more)
    assert verdict(longer, tails) is FileVerdict.PROBLEM


def test_a_hybrid_table_has_no_rows_that_another_hides(sealed: bytes, tails: Tails) -> None:
    """Its stream names another version of an object that the table itself names (7.5.8.4)."""
    update = Update(store_for(sealed, tails))
    hidden = b"3 0 obj\n%b\nendobj\n" % evil(raw(sealed, 3))
    with_page = page(lambda body: body)(update, sealed)
    at = len(replace(with_page).after(sealed).rsplit(b"xref\n", 2)[0])
    rows = b"".join(b"\1" + place.to_bytes(4, "big") + b"\0\0" for place in (at, at + len(hidden)))
    table = b"210 0 obj\n%b\nendobj\n" % stream(
        rows, b"/Type /XRef /W [1 4 2] /Index [3 1 210 1] /Size 300"
    )
    good = replace(with_page, before_table=b"")
    shadowed = replace(good, before_table=hidden + table, more=b" /XRefStm %d" % (at + len(hidden)))
    assert verdict(good.after(sealed), tails) is FileVerdict.OK
    assert verdict(shadowed.after(sealed), tails) is FileVerdict.PROBLEM


# --- the gap that holds the signature -----------------------------------------------------------

#: What is written into the room that the signature leaves, from its end on.
GAPS: dict[str, bytes] = {
    "an object": b"\n6 0 obj\n[7 0 R]\nendobj\n",
    "letters": b"xyz",
    "a comment": b"%00",
    "another string": b"><00",
    "data after the signature": b"ab" * 50,
}


@pytest.mark.parametrize("inserted", GAPS.values(), ids=GAPS)
def test_the_gap_holds_the_signature_and_zeros(
    inserted: bytes, sealed: bytes, tails: Tails
) -> None:
    """No signature covers it, so nothing else may stand there."""
    start = sealed.rindex(b"0" * 1000)
    assert sealed[start + 1000 : start + 1001] == b">"
    tampered = sealed[:start] + inserted + sealed[start + len(inserted) :]
    assert verdict(tampered, tails) is FileVerdict.PROBLEM


def test_white_space_in_the_gap_is_no_data(sealed: bytes, tails: Tails) -> None:
    """Writers may break the lines of a string."""
    start = sealed.rindex(b"0" * 1000)
    broken = sealed[:start] + b"\r\n" * 10 + sealed[start + 20 :]
    assert verdict(broken, tails) is FileVerdict.OK
