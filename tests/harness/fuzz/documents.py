"""Documents that nobody would write: PDF syntax put together by chance, its tables mostly right."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Mapping
from typing import Final

_NUMBERS: Final = (*range(1, 12), 99, 2**31)
_KEYS: Final = (
    *(b"Type", b"Kids", b"Count", b"Parent", b"Fields", b"T", b"FT", b"V", b"Kids", b"Annots"),
    *(b"Pages", b"AcroForm", b"Perms", b"DocMDP", b"Reference", b"TransformMethod", b"Lock", b"SV"),
    *(b"MediaBox", b"CropBox", b"Rotate", b"UserUnit", b"Rect", b"MK", b"AP", b"Metadata", b"P"),
    *(
        b"Length",
        b"Filter",
        b"DecodeParms",
        b"Extends",
        b"SigFlags",
        b"ByteRange",
        b"A#42",
        b"\xe9",
    ),
)
_NAMES: Final = (
    *(b"Catalog", b"Pages", b"Page", b"Sig", b"Tx", b"Widget", b"ObjStm", b"XRef", b"FlateDecode"),
    *(b"DocMDP", b"FieldMDP", b"All", b"ASCIIHexDecode", b"LZWDecode", b"Crypt", b"", b"#00"),
)
_WORDS: Final = (
    b"null",
    b"true",
    b"false",
    b"0",
    b"1",
    b"-1",
    b"612",
    b"1e3",
    b"0.5",
    b"--7",
    b"R",
)
_TEXTS: Final = (b"(text)", b"(\\(\\777)", b"<FEFF0041>", b"<4>", b"()")


def made(chance: random.Random) -> bytes:
    """A document of a few objects; most of what a reader needs is most often there."""
    objects: dict[int, bytes] = {
        number: _object(chance) for number in range(1, chance.randint(5, 11))
    }
    often: Mapping[int, Callable[[], bytes]] = {
        1: lambda: _catalog(chance),
        2: lambda: b"<< /Type /Pages /Kids [3 0 R %b] /Count 1 >>" % _value(chance, 2),
        3: lambda: b"<< /Type /Page /Parent 2 0 R %b >>" % _entries(chance, 1),
    }
    for number, usual in often.items():
        if chance.random() < 0.9:
            objects[number] = usual()
    streamed = chance.random() < 0.4
    return _streamed(objects, chance) if streamed else _classic(objects, chance)


def _catalog(chance: random.Random) -> bytes:
    form = chance.choice((b"", b"/AcroForm 4 0 R", b"/AcroForm << /Fields [4 0 R 5 0 R] >>"))
    return b"<< /Type /Catalog /Pages 2 0 R %b %b >>" % (form, _entries(chance, 1))


def _object(chance: random.Random) -> bytes:
    kind = chance.random()
    if kind < 0.3:
        return b"<< /T (%d) /FT /Sig %b >>" % (chance.randrange(9), _entries(chance, 2))
    if kind < 0.5:
        data = chance.randbytes(chance.randrange(40))
        if chance.random() < 0.5:
            data = zlib.compress(data)
        length = chance.choice((b"%d" % len(data), b"0", b"99999", _reference(chance)))
        head = b"<< /Length %b /Filter /FlateDecode %b >>" % (length, _entries(chance, 1))
        return head + b"\nstream\n" + data + b"\nendstream"
    return _value(chance, 3)


def _value(chance: random.Random, depth: int) -> bytes:
    simple: tuple[Callable[[], bytes], ...] = (
        *((lambda: _reference(chance),) * 2),
        lambda: b"/" + chance.choice(_NAMES),
        lambda: chance.choice(_WORDS),
        lambda: chance.choice(_TEXTS),
        lambda: b"[%d %d %d %d]" % tuple(chance.randrange(-9, 900) for _ in range(4)),
    )
    nested: tuple[Callable[[], bytes], ...] = (
        lambda: b"<< " + _entries(chance, depth - 1) + b" >>",
        lambda: b"[%b]" % b" ".join(_value(chance, depth - 1) for _ in range(chance.randrange(4))),
    )
    return chance.choice((*simple, *nested) if depth else simple)()


def _entries(chance: random.Random, depth: int) -> bytes:
    return b" ".join(
        b"/%b %b" % (chance.choice(_KEYS), _value(chance, depth))
        for _ in range(chance.randrange(5))
    )


def _reference(chance: random.Random) -> bytes:
    return b"%d %d R" % (chance.choice(_NUMBERS), 0 if chance.random() < 0.95 else 1)


def _trailer(chance: random.Random, size: int) -> bytes:
    more = b"" if chance.random() < 0.7 else _entries(chance, 2)
    previous = b"" if chance.random() < 0.8 else b"/Prev %d" % chance.randrange(900)
    return b"/Size %d /Root 1 0 R %b %b" % (size, previous, more)


def _classic(objects: Mapping[int, bytes], chance: random.Random) -> bytes:
    content = b"%PDF-1.7\n"
    rows = b"0000000000 65535 f \n"
    for number, body in sorted(objects.items()):
        rows += b"%010d 00000 n \n" % len(content)
        content += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    size = len(objects) + 1
    return (
        content
        + b"xref\n0 %d\n%btrailer\n<< %b >>\n" % (size, rows, _trailer(chance, size))
        + b"startxref\n%d\n%%%%EOF\n" % len(content)
    )


def _streamed(objects: Mapping[int, bytes], chance: random.Random) -> bytes:
    """Some objects packed into a stream, and a cross-reference stream."""
    packed = {
        number: body
        for number, body in objects.items()
        if b"stream" not in body and chance.random() < 0.6
    }
    content = b"%PDF-1.7\n"
    holder, table = len(objects) + 1, len(objects) + 2
    head, bodies = b"", b""
    for number, body in packed.items():
        head += b"%d %d " % (number, len(bodies))
        bodies += body + b" "
    data = zlib.compress(head + bodies)
    own = {number: body for number, body in objects.items() if number not in packed}
    own[holder] = b"<< /Type /ObjStm /N %d /First %d /Filter /FlateDecode /Length %d %b >>" % (
        *(len(packed), len(head), len(data)),
        _entries(chance, 1),
    )
    own[holder] += b"\nstream\n" + data + b"\nendstream"
    rows = {0: b"\0\0\0\xff"}
    for number, body in own.items():
        rows[number] = b"\1" + len(content).to_bytes(2, "big") + b"\0"
        content += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    for index, number in enumerate(packed):
        # Now and then in a stream that is none, or in itself.
        where = holder if chance.random() < 0.95 else chance.choice((number, 3, 7))
        rows[number] = b"\2" + where.to_bytes(2, "big") + bytes([index])
    rows[table] = b"\1" + len(content).to_bytes(2, "big") + b"\0"
    entries = zlib.compress(b"".join(rows[number] for number in range(table + 1)))
    return content + (
        b"%d 0 obj\n<< /Type /XRef /W [1 2 1] /Filter /FlateDecode /Length %d %b >>\nstream\n%b\n"
        b"endstream\nendobj\nstartxref\n%d\n%%%%EOF\n"
        % (table, len(entries), _trailer(chance, table + 1), entries, len(content))
    )
