"""Where a document's objects are: cross-reference tables and streams (ISO 32000-2, 7.5.4, 7.5.8).

Read as tolerantly as viewers read them. Positions in a document with other bytes before its header
are counted from the header (PDF Reference 1.7, appendix H, note 13); here they all become positions
in the file.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from pyhanko.pdf_utils.decode_limits import DecodePurpose
from pyhanko.pdf_utils.generic import DictionaryObject, Reference, TrailerReference
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.pdf_utils.rw_common import PdfHandler
from pyhanko.pdf_utils.xref import (
    ObjStreamRef,
    TrailerDictionary,
    XRefEntry,
    XRefSection,
    XRefSectionData,
    XRefSectionMetaInfo,
    XRefSectionType,
    XRefType,
)

from rotation.errors import DamagedPdfError
from rotation.sealing.pdf.limits import Effort
from rotation.sealing.pdf.objects import array_at, integer_at
from rotation.sealing.pdf.reader.filters import Stream
from rotation.sealing.pdf.reader.parser import SPACE, Parser, indirect_object, parse_at

#: Where viewers look for %%EOF (PDF Reference 1.7, appendix H, note 18).
_EDGE: Final = 1024
#: How much may stand after %%EOF that is no part of the document.
_LATE: Final = 1024 * 1024

_startxref = re.compile(rb"startxref[%b]*(\d+)" % SPACE)
_object = re.compile(rb"\d+[%b]+\d+[%b]+obj\b" % (SPACE, SPACE))
_near = re.compile(rb"(?<!start)xref[%b]|\d+[%b]+\d+[%b]+obj" % ((SPACE,) * 3))
# How far from where it should be a table is looked for.
_NEAR: Final = 32

_section = re.compile(rb"[%b]*(\d+)[%b]+(\d+)(?=[%b])" % (SPACE, SPACE, SPACE))
_row = re.compile(rb"[%b]*(\d+)[%b]+(\d+)[%b]*([nf])" % (SPACE, SPACE, SPACE))
_gap = re.compile(rb"[%b]*" % SPACE)
# Objects that are in use, 20 bytes each.
_regular = re.compile(rb"(?:\d{10} \d{5} n(?: \r| \n|\r\n))+")
_WIDTH: Final = 20
_WINDOW: Final = 1024  # rows
_LARGEST_GENERATION: Final = 65535


@dataclass
class Tables:
    """What the tables say.

    Attributes:
        sections: one for each revision, the oldest first.
        trailer: the entries of all trailers, the newest first.
        header: the position of the header; positions in the file's own tables count from ``base``.
        startxref: the newest table's position as the file gives it.
        streamed: whether the newest table is a stream.
    """

    trailer: TrailerDictionary
    sections: list[XRefSection] = field(default_factory=list)
    base: int = 0
    startxref: int = 0
    streamed: bool = False


class TableReader:
    """Reads all tables of a document, beginning with the newest.

    Args:
        stream: the document.
        handler: the reader that references in it belong to.
        effort: what it may cost.
        known: the tables of the document that this one extends; they are not read again.
    """

    def __init__(
        self, stream: BinaryIO, handler: PdfHandler, effort: Effort, known: Tables | None = None
    ) -> None:
        self._stream = stream
        self._handler = handler
        self._effort = effort
        self._known = known
        trailer = TrailerDictionary()
        trailer.container_ref = TrailerReference(handler)
        self._tables = Tables(trailer)

    def read(self, header: int, startxref: int) -> Tables:
        """Follow the chain of tables from ``startxref`` on.

        Raises:
            PdfReadError: a table is missing, damaged, or refers to a newer one.
        """
        tables = self._tables
        tables.startxref = startxref
        tables.base = self._base(header, startxref)
        seen: set[int] = set()
        position: int | None = startxref
        while position is not None:
            if position in seen:
                raise PdfReadError("the tables refer to each other in a circle")
            if self._is_known(position):
                break
            self._effort.check_time()
            previous = self._section(position, newest=not seen)
            seen.add(position)
            position = previous
        tables.sections.reverse()
        return tables

    def _is_known(self, position: int) -> bool:
        known, tables = self._known, self._tables
        if known is None or (known.startxref, known.base) != (position, tables.base):
            return False
        tables.sections += reversed(known.sections)
        return True

    def _base(self, header: int, startxref: int) -> int:
        for base in (header, 0):
            self._stream.seek(base + startxref)
            if _near.match(self._stream.read(_NEAR).lstrip()):
                return base
        return header

    def _section(self, position: int, *, newest: bool) -> int | None:
        start = self._located(self._tables.base + position)
        self._stream.seek(start)
        streamed = self._stream.read(1) != b"x"
        if newest:
            self._tables.streamed = streamed
        trailer = self._streamed(start, position) if streamed else self._table(start, position)
        previous = trailer.get("/Prev")
        return None if previous is None else _whole(previous, "/Prev")

    def _located(self, position: int) -> int:
        """Where the table really is; some are a few bytes from where they are said to be."""
        start = max(0, position - _NEAR)
        self._stream.seek(start)
        window = self._stream.read(position - start + 2 * _NEAR)
        found = [start + match.start() for match in _near.finditer(window)]
        if not found:
            raise PdfReadError(f"no cross-reference table at {position}")
        return min(found, key=lambda at: abs(at - position))

    def _table(self, start: int, declared: int) -> DictionaryObject:
        data = XRefSectionData()
        rows = start + len(b"xref")
        end = read_rows(self._stream, rows, self._tables.base, self._effort, data)

        def trailer_in(window: bytes, final: bool) -> tuple[DictionaryObject, int]:
            parser = Parser(window, TrailerReference(self._handler), self._effort, final=final)
            at = parser.skip(0)
            if not parser.starts(at, b"trailer"):
                raise PdfReadError("a cross-reference table without a trailer")
            found, at = parser.value(at + len(b"trailer"))
            if not isinstance(found, DictionaryObject):
                raise PdfReadError("a trailer that is no dictionary")
            return found, at

        trailer, _ = parse_at(self._stream, end, trailer_in)
        kind = XRefSectionType.STANDARD
        stream_reference = None
        hybrid = integer_at(trailer, "/XRefStm")
        if hybrid is not None:
            kind = XRefSectionType.HYBRID_MAIN
            reference, stream, ended = self._stream_object(self._tables.base + hybrid)
            meta = XRefSectionMetaInfo(
                XRefSectionType.HYBRID_STREAM,
                integer_at(stream, "/Size") or 0,
                hybrid,
                self._tables.base + hybrid,
                ended,
                reference,
            )
            data.process_hybrid_entries(self._streamed_rows(stream), meta, strict=False)
            stream_reference = reference
        self._add(data, trailer, kind, (declared, start, end), stream_reference)
        return trailer

    def _streamed(self, start: int, declared: int) -> DictionaryObject:
        reference, stream, end = self._stream_object(start)
        data = XRefSectionData()
        data.process_entries(self._streamed_rows(stream), strict=False)
        self._add(data, stream, XRefSectionType.STREAM, (declared, start, end), reference)
        return stream

    def _stream_object(self, position: int) -> tuple[Reference, Stream, int]:
        reference, found, end = indirect_object(
            self._stream, position, self._handler, self._effort, lambda _: None
        )
        if not isinstance(found, Stream) or found.raw_get("/Type") != "/XRef":
            raise PdfReadError(f"no cross-reference stream at {position}")
        return reference, found, end

    def _streamed_rows(self, stream: Stream) -> Iterator[XRefEntry]:
        widths = [_whole(width, "/W") for width in array_at(stream, "/W")]
        size = integer_at(stream, "/Size")
        index = [_whole(number, "/Index") for number in array_at(stream, "/Index")] or [
            0,
            size or 0,
        ]
        if len(widths) < 3 or min(widths) < 0 or not 0 < sum(widths) < 64:
            raise PdfReadError("a cross-reference stream with impossible columns")
        data = stream.read_data(DecodePurpose.XREF_STREAM)
        total = len(data) // sum(widths)
        at = 0
        for first, count in zip(index[::2], index[1::2], strict=False):
            some = min(max(count, 0), total)
            total -= some
            self._effort.count_objects(some)
            for number in range(first, first + some):
                fields = []
                for width in widths[:3]:
                    fields.append(int.from_bytes(data[at : at + width], "big"))
                    at += width
                at += sum(widths[3:])
                yield self._streamed_entry(number, *fields, typed=widths[0] > 0)

    def _streamed_entry(
        self, number: int, kind: int, second: int, third: int, *, typed: bool
    ) -> XRefEntry:
        if not typed:
            kind = 1
        if kind == 2:
            return XRefEntry(XRefType.IN_OBJ_STREAM, ObjStreamRef(second, third), number)
        in_use = kind == 1 and second
        return entry(number, self._tables.base + second if in_use else None, third)

    def _add(
        self,
        data: XRefSectionData,
        trailer: DictionaryObject,
        kind: XRefSectionType,
        places: tuple[int, int, int],
        reference: Reference | None,
    ) -> None:
        size = integer_at(trailer, "/Size") or 0
        meta = XRefSectionMetaInfo(kind, size, *places, reference)
        self._tables.sections.append(XRefSection(meta, data))
        self._tables.trailer.add_trailer_revision(trailer)


def startxref_of(stream: BinaryIO, size: int) -> int:
    """The position that the last ``startxref`` gives.

    Raises:
        DamagedPdfError: the end of the document is missing.
        PdfReadError: its end is there, without a position.
    """
    for reach in (_EDGE, _LATE):
        stream.seek(max(0, size - reach))
        tail = stream.read(reach)
        end = tail.rfind(b"%%EOF")
        if end >= 0:
            break
    # Objects after the last end: an update was begun and not finished.
    if end < 0 or _object.search(tail, end):
        raise DamagedPdfError("The file is cut off: the end of a PDF (%%EOF) is missing.")
    found = list(_startxref.finditer(tail, max(0, end - _EDGE), end))
    if not found:
        raise PdfReadError("no startxref")
    return int(found[-1][1])


def entry(number: int, position: int | None, generation: int) -> XRefEntry:
    """The entry for an object at ``position`` in the file, or for one that is free (None)."""
    if position is None:
        return XRefEntry(XRefType.FREE, None, number, generation)
    return XRefEntry(XRefType.STANDARD, position, number, generation)


def read_rows(
    stream: BinaryIO, start: int, base: int, effort: Effort, data: XRefSectionData
) -> int:
    """Add the rows of every subsection to ``data``; gives the position behind the last one.

    Args:
        stream: the document.
        start: where the first subsection's heading is.
        base: what positions in the rows count from.
        effort: what it may cost.
        data: what is known of this table's objects.

    Raises:
        PdfReadError: a row is missing.
        DocumentTooLargeError: there are too many.
    """
    position = start
    while True:
        stream.seek(position)
        heading = _section.match(stream.read(64))
        if heading is None:
            return position
        number, left = int(heading[1]), int(heading[2])
        position += heading.end()
        heads_list = number == 1
        while left:
            stream.seek(position)
            # A heading may claim anything: what counts is what is there.
            some = min(left, _WINDOW)
            effort.count_objects(some)
            window = stream.read((_WIDTH + 4) * some + _NEAR)
            # The list of free objects begins with object 0, whatever the heading says.
            if heads_list and (row := _row.match(window)) and row[3] == b"f":
                number -= int(row[2]) == _LARGEST_GENERATION
            heads_list = False
            numbers = range(number, number + some)
            used = _regular_rows(window, numbers, base, data)
            position += used or _any_rows(window, numbers, base, data)
            number += some
            left -= some


def _regular_rows(window: bytes, numbers: range, base: int, data: XRefSectionData) -> int:
    """Add the rows if all are as they should be; gives their end, or 0: none was added."""
    gap = _gap.match(window)
    start = gap.end() if gap else 0
    end = start + _WIDTH * len(numbers)
    if len(window) < end or numbers[0] == 0 or not _regular.fullmatch(window, start, end):
        return 0
    fields = window[start:end].split()
    positions, generations = [*map(int, fields[::3])], [*map(int, fields[1::3])]
    if not all(positions) or max(generations) > _LARGEST_GENERATION:
        return 0
    places = [base + position for position in positions] if base else positions
    data.standard_xrefs.update(zip(numbers, zip(generations, places, strict=True), strict=True))
    data.explicit_refs_in_revision.update(zip(numbers, generations, strict=True))
    return end


def _any_rows(window: bytes, numbers: range, base: int, data: XRefSectionData) -> int:
    """Add the rows, of whatever width; gives their end."""
    entries: list[XRefEntry] = []
    end = 0
    for number in numbers:
        row = _row.match(window, end)
        if row is None:
            raise PdfReadError(f"row {number} of a cross-reference table is none")
        offset = int(row[1])
        place = base + offset if row[3] == b"n" and offset else None
        entries.append(entry(number, place, int(row[2])))
        end = row.end()
    data.process_entries(iter(entries), strict=False)
    return end


def _whole(found: object, key: str) -> int:
    if not isinstance(found, int):
        raise PdfReadError(f"{key} is no whole number")
    return int(found)
