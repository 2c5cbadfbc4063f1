"""Checks that the parts of an update are written as ISO 32000-2 has them, and in no other way.

Viewers repair what is malformed, each in its own way: an unknown word, a number such as 9-0, a key
that stands twice, a wrong Length, a table that is not where startxref says. What none of them
repairs, all of them read alike. `verify` demands that of what follows a signature.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import BinaryIO, Final

from pyhanko.pdf_utils.generic import (
    DictionaryObject,
    IndirectObject,
    PdfObject,
    Reference,
    TrailerReference,
)
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.pdf_utils.rw_common import PdfHandler

from rotation.sealing.pdf.limits import ReadBudget
from rotation.sealing.pdf.reader.parser import SPACE, Parser, parse_at

_space = re.compile(rb"[%b]*" % SPACE)
# Numbers without a fraction that do not fit into 32 bits are read differently (7.3.3, annex C).
_number = re.compile(rb"[+-]?(?:\d{1,10}|\d{1,10}\.\d{0,20}|\.\d{1,20})")
_hexadecimal_string = re.compile(rb"[0-9A-Fa-f%b]*>" % SPACE)
_bad_escape = re.compile(rb"#(?![0-9A-Fa-f]{2})|#00")
_after_word: Final = rb"(?![^%b()<>\[\]{}/%%])" % SPACE
_header = re.compile(rb"(\d{1,10})[%b]{1,8}(\d{1,5})[%b]{1,8}obj%b" % (SPACE, SPACE, _after_word))
# Between the parts of an object there are line ends, and not pages of white space.
_end_of_object = re.compile(rb"[%b]{0,64}endobj(?=[%b])" % (SPACE, SPACE))
_end_of_stream = re.compile(rb"(?:\r\n|\n|\r)?endstream[%b]{1,64}endobj(?=[%b])" % (SPACE, SPACE))
_start_of_data = re.compile(rb"[%b]{0,64}stream(?:\r\n|\n)" % SPACE)
_heading = re.compile(rb"(\d{1,10}) (\d{1,10}) *(?:\r\n|\n|\r)")
# 7.5.4: each row has 20 bytes.
_row = re.compile(rb"(\d{10}) (\d{5}) ([nf])(?: \r| \n|\r\n)")
_ROW_WIDTH: Final = 20
_ROWS_READ: Final = 1024
_LARGEST_NUMBER: Final = 2**31 - 1
_LARGEST_GENERATION: Final = 65535


class StrictParser(Parser):
    """Parses objects, and raises PdfReadError over everything that `Parser` tolerates.

    A comment is an error too: it may hide what a viewer that repairs the document takes for an
    object.
    """

    def skip(self, at: int) -> int:
        """The position after white space."""
        match = _space.match(self._window, at)
        at = match.end() if match else at
        if at >= len(self._window):
            self._demand_more()
        return at

    def _name(self, at: int) -> tuple[PdfObject, int]:
        if _bad_escape.search(self.word(at)):
            raise PdfReadError("a name with a malformed escape")
        return super()._name(at)

    def _word(self, at: int, depth: int) -> tuple[PdfObject, int]:
        if self.word(at) not in {b"true", b"false", b"null"}:
            raise PdfReadError("an unknown word")
        return super()._word(at, depth)

    def _numeric(self, at: int) -> tuple[PdfObject, int]:
        found, end = super()._numeric(at)
        if isinstance(found, IndirectObject):
            return found, end
        token = self.word(at)
        integer = b"." not in token
        if (
            end != at + len(token)
            or not _number.fullmatch(token)
            or (integer and abs(int(token)) > _LARGEST_NUMBER)
        ):
            raise PdfReadError("a malformed number")
        return found, end

    def _dictionary(self, at: int, depth: int) -> tuple[PdfObject, int]:
        self._budget.check_nesting(depth)
        entries: dict[PdfObject, PdfObject] = {}
        while True:
            at = self.skip(at)
            if self.starts_with(at, b">>"):
                return DictionaryObject(entries), at + 2
            if self._window[at] != 0x2F:  # /
                raise PdfReadError("a key that is not a name")
            key, at = self.read_object(at, depth)
            if key in entries:
                raise PdfReadError("a key that stands twice")
            entries[key], at = self.read_object(at, depth)

    def _hexadecimal(self, at: int) -> tuple[PdfObject, int]:
        found, end = super()._hexadecimal(at)
        if not _hexadecimal_string.fullmatch(self._window, at, end):
            raise PdfReadError("a malformed string")
        return found, end


def strict_object(
    stream: BinaryIO,
    position: int,
    reference: Reference,
    budget: ReadBudget,
    length_of: Callable[[IndirectObject], object],
) -> tuple[PdfObject, int]:
    """The object at ``position`` (of a stream its dictionary), and the position after its endobj.

    Args:
        stream: the document.
        position: the position of the object's header.
        reference: the number and generation that the header must have.
        budget: what reading may cost.
        length_of: resolves the reference that a stream gives as its length.

    Raises:
        PdfReadError: it is not written as the standard has it.
    """

    def read(window: bytes, final: bool) -> tuple[tuple[PdfObject, bool], int]:
        header = _header.match(window)
        if header is None or tuple(map(int, header.groups())) != (
            reference.idnum,
            reference.generation,
        ):
            raise PdfReadError(f"object {reference.idnum} is not where the tables say")
        parser = StrictParser(window, reference, budget, final=final)
        value, at = parser.read_object(header.end())
        parser.skip(at)
        # The window has room for the longest end, unless the document ends.
        parser.starts_with(at, bytes(160))
        if isinstance(value, DictionaryObject) and (found := _start_of_data.match(window, at)):
            return (value, True), found.end()
        found = _end_of_object.match(window, at)
        if found is None:
            raise PdfReadError(f"object {reference.idnum} has no end")
        return (value, False), found.end()

    (value, is_stream), end = parse_at(stream, position, read)
    if not is_stream:
        return value, end
    assert isinstance(value, DictionaryObject)
    length: object = value.raw_get("/Length") if "/Length" in value else None
    if isinstance(length, IndirectObject):
        length = length_of(length)
    if not isinstance(length, int) or length < 0:
        raise PdfReadError("a stream without a length")
    stream.seek(end + length)
    ended = _end_of_stream.match(stream.read(160))
    if ended is None:
        raise PdfReadError("a stream of another length")
    return value, end + length + ended.end()


def strict_table(
    stream: BinaryIO, position: int, handler: PdfHandler, budget: ReadBudget
) -> tuple[DictionaryObject, list[range], int]:
    """The trailer, the numbers of each subsection, and the end of the trailer's dictionary.

    Args:
        stream: the document.
        position: the position of the keyword xref.
        handler: the reader that references in the trailer belong to.
        budget: what reading may cost.

    Raises:
        PdfReadError: the table is not written as the standard has it (7.5.4).
    """
    stream.seek(position)
    start = re.match(rb"xref *(?:\r\n|\n|\r)", stream.read(64))
    if start is None:
        raise PdfReadError(f"no cross-reference table at {position}")
    at = position + start.end()
    numbers: list[range] = []
    while True:
        stream.seek(at)
        heading = _heading.match(stream.read(64))
        if heading is None:
            break
        first, count = int(heading[1]), int(heading[2])
        at += heading.end()
        numbers.append(range(first, first + count))
        _check_rows(stream, at, first, count, budget)
        at += _ROW_WIDTH * count

    def trailer_in(window: bytes, final: bool) -> tuple[DictionaryObject, int]:
        parser = StrictParser(window, TrailerReference(handler), budget, final=final)
        if not parser.starts_with(0, b"trailer"):
            raise PdfReadError("a cross-reference table without a trailer")
        found, end = parser.read_object(len(b"trailer"))
        if not isinstance(found, DictionaryObject):
            raise PdfReadError("a trailer that is not a dictionary")
        return found, end

    trailer, end = parse_at(stream, at, trailer_in)
    return trailer, numbers, end


def _check_rows(stream: BinaryIO, at: int, first: int, count: int, budget: ReadBudget) -> None:
    stream.seek(at)
    for done in range(0, count, _ROWS_READ):
        budget.check_time()
        some = min(count - done, _ROWS_READ)
        rows = stream.read(_ROW_WIDTH * some)
        for index in range(some):
            row = _row.fullmatch(rows, _ROW_WIDTH * index, _ROW_WIDTH * (index + 1))
            generation = int(row[2]) if row else _LARGEST_GENERATION + 1
            if row is None or generation > _LARGEST_GENERATION:
                raise PdfReadError("a malformed row of a cross-reference table")
            number = first + done + index
            # Some viewers take an object at 0, and object 1 as the first free one, for a mistake.
            if (row[3] == b"n" and not (number and int(row[1]))) or (
                row[3] == b"f" and number == 1 and generation == _LARGEST_GENERATION
            ):
                raise PdfReadError("an impossible row of a cross-reference table")


def disjoint(numbers: list[range]) -> bool:
    """Whether no number is in two of the ranges."""
    ordered = sorted((each for each in numbers if each), key=lambda each: each.start)
    return all(before.stop <= after.start for before, after in pairwise(ordered))
