"""Documents that break one rule each, as real documents do."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence

from tests.sealing.pdf import encrypted_documents as encrypted
from tests.sealing.pdfs import CATALOG, CONTENT, PAGE, PAGES, pdf

_row = re.compile(rb"^(\d{10}) (\d{5}) ([nf]) $", re.MULTILINE)


def moved(document: bytes, by: int) -> bytes:
    """``document`` with every position in its classic table larger by ``by``."""
    document = _row.sub(
        lambda row: b"%010d %b %b " % (int(row[1]) + by * (row[3] == b"n"), row[2], row[3]),
        document,
    )
    return re.sub(
        rb"startxref\n(\d+)", lambda found: b"startxref\n%d" % (int(found[1]) + by), document
    )


def rows(change: Callable[[re.Match[bytes]], bytes]) -> bytes:
    """A document whose table's rows are changed; nothing after the table has a position."""
    return _row.sub(change, pdf())


def tiff(data: bytes, width: int) -> bytes:
    """``data`` in rows of ``width`` bytes, each byte less its left neighbour."""
    out = bytearray()
    for start in range(0, len(data), width):
        row = data[start : start + width]
        out += bytes((byte - (row[at - 1] if at else 0)) & 0xFF for at, byte in enumerate(row))
    return bytes(out)


def png(data: bytes, width: int, kinds: Sequence[int]) -> bytes:
    """``data`` in rows of ``width`` bytes, with PNG's filters ``kinds`` in turn."""
    out = bytearray()
    above = bytes(width)
    for number, start in enumerate(range(0, len(data), width)):
        row = data[start : start + width]
        kind = kinds[number % len(kinds)]
        out.append(kind)
        for at, byte in enumerate(row):
            left = row[at - 1] if at else 0
            corner = above[at - 1] if at else 0
            up = above[at]
            nearest = min((left, up, corner), key=lambda one: abs(left + up - corner - one))
            out.append((byte - (0, left, up, (left + up) // 2, nearest)[kind]) & 0xFF)
        above = row
    return bytes(out)


def streamed(
    parameters: bytes = b"",
    pack: Callable[[bytes], bytes] = zlib.compress,
    predict: Callable[[bytes], bytes] = lambda data: data,
    stream_length: int | None = None,
) -> bytes:
    """A document with an object stream and a cross-reference stream with rows of four bytes."""
    packed = {1: CATALOG, 2: PAGES, 3: PAGE}
    body, head = b"", b""
    for number, value in packed.items():
        head += b"%d %d " % (number, len(body))
        body += value + b" "
    content = b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n"
    places = {4: len(content)}
    content += b"4 0 obj\n" + CONTENT + b"\nendobj\n"
    data = zlib.compress(head + body)
    places[6] = len(content)
    length = len(data) if stream_length is None else stream_length
    content += b"6 0 obj\n<< /Type /ObjStm /N 3 /First %d /Filter /FlateDecode /Length %d >>\n" % (
        len(head),
        length,
    )
    content += b"stream\n" + data + b"\nendstream\nendobj\n"
    places[7] = len(content)
    table = b"\0\0\0\xff"
    for number in range(1, 8):
        if number in packed:
            table += b"\2" + (6).to_bytes(2, "big") + bytes([number - 1])
        elif number in places:
            table += b"\1" + places[number].to_bytes(2, "big") + b"\0"
        else:
            table += b"\0\0\0\0"
    data = pack(predict(table))
    content += (
        b"7 0 obj\n<< /Type /XRef /Size 8 /W [1 2 1] /Root 1 0 R /Filter /FlateDecode %b"
        b" /Length %d >>\nstream\n%b\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n"
        % (parameters, len(data), data, places[7])
    )
    return content


def hybrid() -> bytes:
    """A classic table whose trailer names a stream that holds the rest (ISO 32000-2, 7.5.8.4)."""
    content = b"%PDF-1.5\n"
    places: dict[int, int] = {}
    objects = {1: CATALOG, 2: PAGES, 4: CONTENT}
    for number, body in objects.items():
        places[number] = len(content)
        content += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    head = b"3 0 "
    places[5] = len(content)
    content += (
        b"5 0 obj\n<< /Type /ObjStm /N 1 /First %d /Length %d >>\nstream\n%b\nendstream\n"
        % (
            len(head),
            len(head + PAGE),
            head + PAGE,
        )
    )
    content += b"endobj\n"
    places[6] = len(content)
    table = b"\2\0\5\0" + b"\1" + places[5].to_bytes(2, "big") + b"\0"
    content += (
        b"6 0 obj\n<< /Type /XRef /Size 7 /W [1 2 1] /Index [3 1 5 1] /Length %d >>\nstream\n%b\n"
        b"endstream\nendobj\n" % (len(table), table)
    )
    start = len(content)
    content += b"xref\n0 7\n0000000000 65535 f \n"
    for number in range(1, 7):
        used = number in objects
        content += b"%010d 00000 %b \n" % (places[number] if used else 0, b"n" if used else b"f")
    return content + (
        b"trailer\n<< /Size 7 /Root 1 0 R /XRefStm %d >>\nstartxref\n%d\n%%%%EOF\n"
        % (places[6], start)
    )


def form(fields: bytes, more: dict[int, bytes] | None = None) -> bytes:
    """A document with these entries in its form's list of fields."""
    catalog = CATALOG.replace(b">>", b"/AcroForm << /Fields [" + fields + b"] >> >>")
    return pdf({1: catalog} | (more or {}))


def updated(objects: bytes, trailer: bytes = b"") -> bytes:
    """A document with an update of the text ``objects``, whose object 5 the table names."""
    document = pdf()
    start = len(document) + len(objects)
    previous = re.findall(rb"startxref\n(\d+)", document)[-1]
    return (
        document
        + objects
        + b"xref\n5 1\n%010d 00000 n \ntrailer\n<< /Size 6 /Root 1 0 R /Prev %b %b >>\n"
        % (len(document), previous, trailer)
        + b"startxref\n%d\n%%%%EOF\n" % start
    )


_PNG = b"/DecodeParms << /Predictor 15 /Columns 4 >>"
_TIFF = b"/DecodeParms << /Predictor 2 /Columns 4 >>"
_MORE = PAGE.removesuffix(b">>")

#: What each is, and the document. All are sealed in place.
ODD: dict[str, bytes] = {
    "bytes before the header, positions from the header": b"HTTP/1.1 200 OK\r\n\r\n" + pdf(),
    "a byte order mark before the header": b"\xef\xbb\xbf" + pdf(),
    "bytes before the header, streams": b"\0\0\0\0" + streamed(),
    "bytes after the end": pdf() + b"\r\n<!-- served in 3 ms -->" * 200,
    "zeros after the end": pdf() + bytes(5000),
    "a cross-reference stream": streamed(),
    "a TIFF predictor": streamed(_TIFF, predict=lambda data: tiff(data, 4)),
    "every PNG predictor": streamed(_PNG, predict=lambda data: png(data, 4, (0, 1, 2, 3, 4))),
    "a stream without its checksum": streamed(pack=lambda data: zlib.compress(data)[:-4]),
    "a stream length that is too small": streamed(stream_length=7),
    "a stream length that is too large": streamed(stream_length=99999),
    "a hybrid file": hybrid(),
    "rows of 19 bytes": rows(lambda row: b"%b %b %b" % (row[1], row[2], row[3])),
    "rows of 21 bytes": rows(lambda row: b"%b %b %b \r" % (row[1], row[2], row[3])),
    "rows without a space": rows(lambda row: b"%b %b%b  " % (row[1], row[2], row[3])),
    "rows padded with blanks": rows(
        lambda row: b"%10d %5d %b " % (int(row[1]), int(row[2]), row[3])
    ),
    "a table that begins at 1 with the free object": pdf().replace(b"xref\n0 6", b"xref\n1 6"),
    "a startxref that is three bytes off": re.sub(
        rb"startxref\n(\d+)", lambda found: b"startxref\n%d" % (int(found[1]) - 3), pdf()
    ),
    "a Size that is too small": pdf().replace(b"/Size 6", b"/Size 2"),
    "no Size": pdf().replace(b"/Size 6", b""),
    "a malformed ID": pdf().replace(b"/Size 6", b"/Size 6 /ID [1]"),
    "stray delimiters in the trailer": pdf().replace(b"/Size 6", b"/Size 6 /Odd } /Odder )"),
    "no table where one should be": pdf().replace(b"xref\n0 6", b"xfer\n0 6"),
    "a table that claims rows by the million": pdf().replace(b"xref\n0 6", b"xref\n0 6000000"),
    "malformed rows": rows(lambda row: b"%b %b x " % (row[1], row[2])),
    "bytes before the header, and no table": b"junk\n" + pdf().replace(b"xref\n0 6", b"xfer\n0 6"),
    "bytes before the header, and no columns": b"junk\n"
    + streamed().replace(b"/W [1 2 1]", b"/W [0 0 0]"),
    "positions that are wrong": moved(pdf(), 40),
    "no startxref": pdf().replace(b"startxref", b"startzref"),
    "tables in a circle": updated(b"5 0 obj\n<< >>\nendobj\n", b"").replace(
        b"/Info 5 0 R", b"/Prev " + str(len(pdf()) + 22).encode()
    ),
    "a damaged object stream's table": streamed().replace(b"/W [1 2 1]", b"/W [0 0 0]"),
    "names that are not UTF-8": pdf(
        {3: _MORE + b"/Stra#DFe /#E9t#E9 /A#20b#09 null /\xe5\xae\x8b 1 >>"}
    ),
    "a name with a lone number sign": pdf({3: _MORE + b"/F#1 /50# >>"}),
    "very small numbers": pdf({3: _MORE + b"/UserUnit 1.0000000001 /Note 0.00000001 >>"}),
    "malformed numbers": pdf({3: _MORE + b"/Note [--5 1.2.3 +. 00000012345678901234567890] >>"}),
    "entries of the form that are not fields": form(
        b"null 7 (text) << >> [1] 99 0 R 6 0 R", {6: b"(no)"}
    ),
    "a field that is its own kid": form(b"6 0 R", {6: b"<< /T (A) /FT /Tx /Kids [6 0 R] >>"}),
    "a form that is an array": pdf({1: CATALOG.replace(b">>", b"/AcroForm [1 2] >>")}),
    "a form that is a stream": pdf({1: CATALOG.replace(b">>", b"/AcroForm 4 0 R >>")}),
    "fields that are a dictionary": pdf(
        {1: CATALOG.replace(b">>", b"/AcroForm << /Fields 3 >> >>")}
    ),
    "pages without a type": pdf(
        {2: b"<< /Kids [3 0 R] /Count 1 >>", 3: PAGE.replace(b"/Type", b"/X")}
    ),
    "a page that is a direct object": pdf(
        {2: b"<< /Type /Pages /Kids [" + PAGE + b"] /Count 1 >>"}
    ),
    "a page tree that is a page": pdf({1: CATALOG.replace(b"2 0 R", b"3 0 R")}),
    "annotations that are a string": pdf({3: _MORE + b"/Annots (none) >>"}),
    "annotations in an object of their own": pdf({3: _MORE + b"/Annots 6 0 R >>", 6: b"[ ]"}),
    "an object stream that is its own length": re.sub(
        rb"(/ObjStm.*?/Length )\d+", rb"\g<1>6 0 R", streamed(), flags=re.DOTALL
    ),
    "an object stream that contains its own length": re.sub(
        rb"(/ObjStm.*?/Length )\d+", rb"\g<1>2 0 R", streamed(), flags=re.DOTALL
    ),
    "an encryption without the length of the key": encrypted.without_a_key_length(),
    "an encryption from before PDF 2.0": encrypted.by_revision_5(),
    "an encryption from before PDF 2.0, opened by its owner": encrypted.by_revision_5(
        b"a user's", b""
    ),
    "an encryption described by references": encrypted.described_by_references(),
    "permissions of an old edition": encrypted.with_permissions_that_stop_at_bit_12(),
    "PDF 2.0": pdf().replace(b"%PDF-1.7", b"%PDF-2.0"),
}
