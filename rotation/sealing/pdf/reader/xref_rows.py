"""The rows of a cross-reference table (ISO 32000-2, 7.5.4), read as tolerantly as viewers do.

Most tables are as the standard has them, and some are long: what is regular is read at once.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import re
from typing import BinaryIO, Final

from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.pdf_utils.xref import XRefEntry, XRefSectionData, XRefType

from rotation.sealing.pdf.limits import Effort
from rotation.sealing.pdf.reader.parser import SPACE

_section = re.compile(rb"[%b]*(\d+)[%b]+(\d+)(?=[%b])" % (SPACE, SPACE, SPACE))
_row = re.compile(rb"[%b]*(\d+)[%b]+(\d+)[%b]*([nf])" % (SPACE, SPACE, SPACE))
_gap = re.compile(rb"[%b]*" % SPACE)
# Objects that are in use, 20 bytes each.
_regular = re.compile(rb"(?:\d{10} \d{5} n(?: \r| \n|\r\n))+")
_WIDTH: Final = 20
_WINDOW: Final = 1024  # rows
_NEAR: Final = 32
_LARGEST_GENERATION: Final = 65535


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
