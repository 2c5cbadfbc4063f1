"""Reads cross-reference tables and streams (ISO 32000-2, 7.5.4 and 7.5.8) as viewers read them.

They say where a document's objects are. Where other bytes stand before the header, positions count
from the header (PDF Reference 1.7, appendix H, note 13); this module turns them into positions in
the file.
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
from rotation.sealing.pdf.limits import ReadBudget
from rotation.sealing.pdf.objects import array_at, integer_at
from rotation.sealing.pdf.reader.filters import Stream
from rotation.sealing.pdf.reader.parser import SPACE, Parser, indirect_object, parse_at

#: Viewers look for %%EOF in so many last bytes (PDF Reference 1.7, appendix H, note 18).
_SEARCHED_FOR_STARTXREF: Final = 1024
#: Servers and mail programs append so many bytes to a document at most.
_SEARCHED_FOR_END: Final = 1024 * 1024

_startxref = re.compile(rb"startxref[%b]*(\d+)" % SPACE)
# Each number is read once, from its first digit on, and no space twice.
_number_of_object = rb"(?<!\d)\d++[%b]++\d++[%b]++obj" % (SPACE, SPACE)
_object = re.compile(rb"%b\b" % _number_of_object)
_xref_or_object = re.compile(rb"(?<!start)xref[%b]|%b" % (SPACE, _number_of_object))
#: A table may be so many bytes away from the position that is given for it.
SEARCH_DISTANCE: Final = 32

_heading = re.compile(rb"[%b]*(\d+)[%b]+(\d+)(?=[%b])" % (SPACE, SPACE, SPACE))
_row = re.compile(rb"[%b]*(\d+)[%b]+(\d+)[%b]*([nf])" % (SPACE, SPACE, SPACE))
_gap = re.compile(rb"[%b]*" % SPACE)
# Rows of 20 bytes, as the standard has them, for objects that are in use.
_uniform_rows = re.compile(rb"(?:\d{10} \d{5} n(?: \r| \n|\r\n))+")
_ROW_WIDTH: Final = 20
# How many rows are read at once.
_ROWS_READ: Final = 1024
_LARGEST_GENERATION: Final = 65535


@dataclass
class XRefTables:
    """The contents of all cross-reference tables of a document.

    Attributes:
        trailer: the entries of all trailers, the newest first.
        sections: one for each revision, the oldest first.
        base: the position in the file that positions in the tables count from.
        startxref: the position of the newest table as the file gives it.
        is_stream: whether the newest table is a stream.
        trailers: the trailer of each section, as it was written, the oldest first.
    """

    trailer: TrailerDictionary
    sections: list[XRefSection] = field(default_factory=list)
    base: int = 0
    startxref: int = 0
    is_stream: bool = False
    trailers: list[DictionaryObject] = field(default_factory=list)


class XRefReader:
    """Reads all tables of a document, beginning with the newest.

    Args:
        stream: the document.
        handler: the reader that references in the document belong to.
        budget: what reading may cost.
        known: the tables of the document that this one extends; they are not read again.
    """

    def __init__(
        self,
        stream: BinaryIO,
        handler: PdfHandler,
        budget: ReadBudget,
        known: XRefTables | None = None,
    ) -> None:
        self._stream = stream
        self._handler = handler
        self._budget = budget
        self._known = known
        trailer = TrailerDictionary()
        trailer.container_ref = TrailerReference(handler)
        self._tables = XRefTables(trailer)

    def read(self, header: int, startxref: int) -> XRefTables:
        """Follow the chain of tables from ``startxref`` on.

        Raises:
            PdfReadError: a table is missing or damaged, or the tables refer to each other in a
                circle.
        """
        tables = self._tables
        tables.startxref = startxref
        tables.base = self._find_base(header, startxref)
        seen: set[int] = set()
        position: int | None = startxref
        while position is not None:
            if position in seen:
                raise PdfReadError("the tables refer to each other in a circle")
            if self._add_known(position):
                break
            self._budget.check_time()
            previous = self._read_section(position, newest=not seen)
            seen.add(position)
            position = previous
        tables.sections.reverse()
        tables.trailers.reverse()
        return tables

    def _add_known(self, position: int) -> bool:
        """Add the tables that are known, and return True, if ``position`` is the newest of them."""
        known, tables = self._known, self._tables
        if known is None or (known.startxref, known.base) != (position, tables.base):
            return False
        tables.sections += reversed(known.sections)
        tables.trailers += reversed(known.trailers)
        return True

    def _find_base(self, header: int, startxref: int) -> int:
        for base in (header, 0):
            self._stream.seek(base + startxref)
            if _xref_or_object.match(self._stream.read(SEARCH_DISTANCE).lstrip()):
                return base
        return header

    def _read_section(self, position: int, *, newest: bool) -> int | None:
        start = self._find_table(self._tables.base + position)
        self._stream.seek(start)
        is_stream = self._stream.read(1) != b"x"
        if newest:
            self._tables.is_stream = is_stream
        trailer = (self._read_stream if is_stream else self._read_table)(start, position)
        previous = trailer.get("/Prev")
        return None if previous is None else _integer(previous, "/Prev")

    def _find_table(self, position: int) -> int:
        """The position of the table, which may be a few bytes from the one that is given."""
        start = max(0, position - SEARCH_DISTANCE)
        self._stream.seek(start)
        window = self._stream.read(position - start + 2 * SEARCH_DISTANCE)
        found = [start + match.start() for match in _xref_or_object.finditer(window)]
        if not found:
            raise PdfReadError(f"no cross-reference table at {position}")
        return min(found, key=lambda at: abs(at - position))

    def _read_table(self, start: int, declared: int) -> DictionaryObject:
        data = XRefSectionData()
        rows = start + len(b"xref")
        end = read_subsections(self._stream, rows, self._tables.base, self._budget, data)

        def trailer_in(window: bytes, final: bool) -> tuple[DictionaryObject, int]:
            parser = Parser(window, TrailerReference(self._handler), self._budget, final=final)
            at = parser.skip(0)
            if not parser.starts_with(at, b"trailer"):
                raise PdfReadError("a cross-reference table without a trailer")
            found, at = parser.read_object(at + len(b"trailer"))
            if not isinstance(found, DictionaryObject):
                raise PdfReadError("a trailer that is not a dictionary")
            return found, at

        trailer, end = parse_at(self._stream, end, trailer_in)
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
            data.process_hybrid_entries(self._stream_entries(stream), meta, strict=False)
            stream_reference = reference
        self._add_section(data, trailer, kind, (declared, start, end), stream_reference)
        return trailer

    def _read_stream(self, start: int, declared: int) -> DictionaryObject:
        reference, stream, end = self._stream_object(start)
        data = XRefSectionData()
        data.process_entries(self._stream_entries(stream), strict=False)
        self._add_section(data, stream, XRefSectionType.STREAM, (declared, start, end), reference)
        return stream

    def _stream_object(self, position: int) -> tuple[Reference, Stream, int]:
        reference, found, end = indirect_object(
            self._stream, position, self._handler, self._budget, lambda _: None
        )
        if not isinstance(found, Stream) or found.raw_get("/Type") != "/XRef":
            raise PdfReadError(f"no cross-reference stream at {position}")
        return reference, found, end

    def _stream_entries(self, stream: Stream) -> Iterator[XRefEntry]:
        widths = [_integer(width, "/W") for width in array_at(stream, "/W")]
        size = integer_at(stream, "/Size") or 0
        index = [_integer(number, "/Index") for number in array_at(stream, "/Index")] or [0, size]
        if len(widths) < 3 or min(widths) < 0 or not 0 < sum(widths) < 64:
            raise PdfReadError("a cross-reference stream with impossible columns")
        data = stream.read_data(DecodePurpose.XREF_STREAM)
        total = len(data) // sum(widths)
        at = 0
        for first, count in zip(index[::2], index[1::2], strict=False):
            some = min(max(count, 0), total)
            total -= some
            self._budget.count_objects(some)
            for number in range(first, first + some):
                fields = []
                for width in widths[:3]:
                    fields.append(int.from_bytes(data[at : at + width], "big"))
                    at += width
                at += sum(widths[3:])
                yield self._stream_entry(number, *fields, has_type=widths[0] > 0)

    def _stream_entry(
        self, number: int, kind: int, second: int, third: int, *, has_type: bool
    ) -> XRefEntry:
        if not has_type:
            kind = 1
        if kind == 2:
            return XRefEntry(XRefType.IN_OBJ_STREAM, ObjStreamRef(second, third), number)
        in_use = kind == 1 and second
        return _xref_entry(number, self._tables.base + second if in_use else None, third)

    def _add_section(
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
        self._tables.trailers.append(trailer)


def read_startxref(stream: BinaryIO, size: int) -> int:
    """The position that the last ``startxref`` gives (ISO 32000-2, 7.5.5).

    Raises:
        DamagedPdfError: the end of the document is missing.
        PdfReadError: the end is there, without a startxref.
    """
    for reach in (_SEARCHED_FOR_STARTXREF, _SEARCHED_FOR_END):
        stream.seek(max(0, size - reach))
        tail = stream.read(reach)
        end = tail.rfind(b"%%EOF")
        if end >= 0:
            break
    # Objects after the last %%EOF belong to an update that was not finished.
    if end < 0 or _object.search(tail, end):
        raise DamagedPdfError("The file is cut off: the end of a PDF (%%EOF) is missing.")
    found = list(_startxref.finditer(tail, max(0, end - _SEARCHED_FOR_STARTXREF), end))
    if not found:
        raise PdfReadError("no startxref")
    return int(found[-1][1])


def _xref_entry(number: int, position: int | None, generation: int) -> XRefEntry:
    """The entry for an object at ``position`` in the file; None stands for a free object."""
    if position is None:
        return XRefEntry(XRefType.FREE, None, number, generation)
    return XRefEntry(XRefType.STANDARD, position, number, generation)


def read_subsections(
    stream: BinaryIO, start: int, base: int, budget: ReadBudget, data: XRefSectionData
) -> int:
    """Add the rows of every subsection of a table to ``data``; return the position after the last.

    Args:
        stream: the document.
        start: the position of the first subsection's heading.
        base: the position that positions in the rows count from.
        budget: what reading may cost.
        data: the entries of this table.

    Raises:
        PdfReadError: a row is missing.
        DocumentTooLargeError: the document has too many objects.
    """
    position = start
    while True:
        stream.seek(position)
        heading = _heading.match(stream.read(64))
        if heading is None:
            return position
        number, left = int(heading[1]), int(heading[2])
        position += heading.end()
        may_be_object_0 = number == 1
        while left:
            stream.seek(position)
            # A heading may claim any number of rows, so only as many as are read are counted.
            some = min(left, _ROWS_READ)
            budget.count_objects(some)
            window = stream.read((_ROW_WIDTH + 4) * some + SEARCH_DISTANCE)
            # Some writers count objects from 1. The first free object is always object 0.
            if may_be_object_0 and (row := _row.match(window)) and row[3] == b"f":
                number -= int(row[2]) == _LARGEST_GENERATION
            may_be_object_0 = False
            numbers = range(number, number + some)
            used = _add_uniform_rows(window, numbers, base, data)
            position += used or _add_any_rows(window, numbers, base, data)
            number += some
            left -= some


def _add_uniform_rows(window: bytes, numbers: range, base: int, data: XRefSectionData) -> int:
    """Add the rows if each has 20 bytes and is in use; return their end, or 0 if none was added."""
    gap = _gap.match(window)
    start = gap.end() if gap else 0
    end = start + _ROW_WIDTH * len(numbers)
    if len(window) < end or numbers[0] == 0 or not _uniform_rows.fullmatch(window, start, end):
        return 0
    fields = window[start:end].split()
    positions, generations = [*map(int, fields[::3])], [*map(int, fields[1::3])]
    if not all(positions) or max(generations) > _LARGEST_GENERATION:
        return 0
    places = [base + position for position in positions] if base else positions
    data.standard_xrefs.update(zip(numbers, zip(generations, places, strict=True), strict=True))
    data.explicit_refs_in_revision.update(zip(numbers, generations, strict=True))
    return end


def _add_any_rows(window: bytes, numbers: range, base: int, data: XRefSectionData) -> int:
    """Add the rows, whatever their width; return their end."""
    entries: list[XRefEntry] = []
    end = 0
    for number in numbers:
        row = _row.match(window, end)
        if row is None:
            raise PdfReadError(f"row {number} of a cross-reference table cannot be read")
        offset = int(row[1])
        place = base + offset if row[3] == b"n" and offset else None
        entries.append(_xref_entry(number, place, int(row[2])))
        end = row.end()
    data.process_entries(iter(entries), strict=False)
    return end


def _integer(found: object, key: str) -> int:
    if not isinstance(found, int):
        raise PdfReadError(f"{key} is not an integer")
    return int(found)
