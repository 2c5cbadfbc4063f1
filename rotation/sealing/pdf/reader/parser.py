"""Parses PDF objects (ISO 32000-2, 7.3) as tolerantly as viewers do, into pyHanko's objects.

A token that is out of place counts as null, as in qpdf: a stray brace, an unknown word, a key of a
dictionary that is not a name. An object that ends too early is an error.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import re
from binascii import unhexlify
from collections.abc import Callable
from typing import BinaryIO, Final, TypeVar

from pyhanko.pdf_utils.generic import (
    ArrayObject,
    BooleanObject,
    Dereferenceable,
    DictionaryObject,
    IndirectObject,
    NullObject,
    NumberObject,
    PdfObject,
    Reference,
)
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.pdf_utils.rw_common import PdfHandler

from rotation.sealing.pdf.limits import ReadBudget
from rotation.sealing.pdf.objects import name_from, real_from, string_from
from rotation.sealing.pdf.reader.filters import Stream

T = TypeVar("T")

SPACE: Final = rb"\0\t\n\f\r "
_skip = re.compile(rb"(?:[%b]|%%[^\r\n]*)*" % SPACE)
_regular = re.compile(rb"[^%b()<>\[\]{}/%%]*" % SPACE)
_reference = re.compile(rb"(\d{1,10})[%b]+(\d{1,5})[%b]+R(?![^%b()<>\[\]{}/%%])" % ((SPACE,) * 3))
_in_literal = re.compile(rb"[\\()\r]")
_octal = re.compile(rb"[0-7]{1,3}")
_not_hex = re.compile(rb"[^0-9A-Fa-f]")
_header = re.compile(rb"(\d{1,10})[%b]+(\d{1,5})[%b]*obj" % (SPACE, SPACE))
_endstream = re.compile(rb"[%b]*endstream" % SPACE)
_ESCAPES: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
# Keywords that only come after an object. Inside of an object they mean that its end is missing.
_ENDS: Final = frozenset({b"endobj", b"endstream", b"xref", b"trailer", b"startxref", b"obj"})

# How many bytes of an object, whose length is not known before, are read at first and at most.
_WINDOW: Final = 4 * 1024
_LARGEST: Final = 64 * 1024 * 1024
# The longest token that must be seen whole, apart from strings and names: a reference.
_LONGEST_REFERENCE: Final = 64
_CHUNK: Final = 64 * 1024


class _WindowTooShortError(Exception):
    """The window ends before the object does, so more of the document must be read."""


def parse_at(
    stream: BinaryIO, start: int, parse: Callable[[bytes, bool], tuple[T, int]]
) -> tuple[T, int]:
    """The result of ``parse`` for the bytes from ``start`` on, and the position after them.

    Args:
        stream: the document.
        start: the position of the first byte.
        parse: takes the bytes, and whether they go to the end of the document; returns its result
            and how many bytes it has used.
    """
    size = _WINDOW
    while True:
        stream.seek(start)
        window = stream.read(size)
        try:
            result, used = parse(window, len(window) < size or size >= _LARGEST)
        except _WindowTooShortError:
            size *= 8
        else:
            return result, start + used


class Parser:
    """Parses the objects in a window, which is a part of a document.

    Args:
        window: the bytes.
        container: the indirect object or trailer that the parsed objects belong to.
        budget: what reading may cost.
        final: whether the document ends where the window does.
    """

    def __init__(
        self, window: bytes, container: Dereferenceable, budget: ReadBudget, *, final: bool
    ) -> None:
        self._window = window
        self._container = container
        self._budget = budget
        self._final = final
        self._count = 0

    def read_object(self, at: int, depth: int = 0) -> tuple[PdfObject, int]:
        """The object that begins at ``at``, and the position after it.

        Raises:
            PdfReadError: the object has no end.
            DocumentTooLargeError: the object is nested too deeply, or reading takes too long.
        """
        self._count += 1
        if self._count % 4096 == 0:
            self._budget.check_time()
        at = self.skip(at)
        found, at = self._dispatch(at, depth)
        found.container_ref = self._container
        return found, at

    def skip(self, at: int) -> int:
        """The position after white space and comments."""
        match = _skip.match(self._window, at)
        at = match.end() if match else at
        if at >= len(self._window):
            self._demand_more()
        return at

    def word(self, at: int) -> bytes:
        """The characters from ``at`` on, up to a delimiter or white space."""
        match = _regular.match(self._window, at)
        end = match.end() if match else at
        if end == len(self._window) and not self._final:
            raise _WindowTooShortError
        return self._window[at:end]

    def starts_with(self, at: int, word: bytes) -> bool:
        """Whether ``word`` stands at ``at``."""
        if at + len(word) > len(self._window) and not self._final:
            raise _WindowTooShortError
        return self._window.startswith(word, at)

    def _demand_more(self) -> None:
        if not self._final:
            raise _WindowTooShortError
        raise PdfReadError("an object has no end")

    def _dispatch(self, at: int, depth: int) -> tuple[PdfObject, int]:
        first = self._window[at : at + 1]
        if first == b"<" and self.starts_with(at, b"<<"):
            return self._dictionary(at + 2, depth + 1)
        if first == b"[":
            return self._array(at + 1, depth + 1)
        simple = {b"/": self._name, b"<": self._hexadecimal, b"(": self._literal}.get(first)
        if simple:
            return simple(at + 1)
        return self._numeric(at) if first in b"0123456789+-." else self._word(at, depth)

    def _name(self, at: int) -> tuple[PdfObject, int]:
        token = self.word(at)
        return name_from(token), at + len(token)

    def _word(self, at: int, depth: int) -> tuple[PdfObject, int]:
        token = self.word(at)
        if token in {b"true", b"false"}:
            return BooleanObject(token == b"true"), at + len(token)
        if token in _ENDS:
            if depth:
                raise PdfReadError("an object has no end")
            return NullObject(), at
        # A lone delimiter or an unknown word counts as null, and is skipped.
        return NullObject(), at + max(len(token), 1)

    def _numeric(self, at: int) -> tuple[PdfObject, int]:
        if at + _LONGEST_REFERENCE > len(self._window) and not self._final:
            raise _WindowTooShortError
        if match := _reference.match(self._window, at):
            number, generation = int(match[1]), int(match[2])
            if not number:
                return NullObject(), match.end()
            handler = self._container.get_pdf_handler()
            return IndirectObject(number, generation, handler), match.end()
        token = self.word(at)
        end = at + len(token)
        try:
            return NumberObject(token.decode("ascii")), end
        except ValueError:
            return real_from(token), end

    def _array(self, at: int, depth: int) -> tuple[PdfObject, int]:
        self._budget.check_nesting(depth)
        found = ArrayObject()
        while True:
            at = self.skip(at)
            if self._window[at] == 0x5D:  # ]
                return found, at + 1
            element, at = self.read_object(at, depth)
            found.append(element)

    def _dictionary(self, at: int, depth: int) -> tuple[PdfObject, int]:
        self._budget.check_nesting(depth)
        entries: dict[PdfObject, PdfObject] = {}
        while True:
            at = self.skip(at)
            if self.starts_with(at, b">>"):
                return DictionaryObject(entries), at + 2
            if self._window[at] != 0x2F:  # /
                _, at = self.read_object(at, depth)
                continue
            key, at = self.read_object(at, depth)
            at = self.skip(at)
            if not self.starts_with(at, b">>"):
                entries[key], at = self.read_object(at, depth)

    def _hexadecimal(self, at: int) -> tuple[PdfObject, int]:
        end = self._window.find(b">", at)
        if end < 0:
            self._demand_more()
        digits = _not_hex.sub(b"", self._window[at:end])
        return string_from(unhexlify(digits + b"0" * (len(digits) % 2))), end + 1

    def _literal(self, at: int) -> tuple[PdfObject, int]:
        content = bytearray()
        open_brackets = 1
        while True:
            match = _in_literal.search(self._window, at)
            # The longest escape has three characters after its backslash.
            if match is None or (match.end() + 3 > len(self._window) and not self._final):
                self._demand_more()
            assert match is not None
            content += self._window[at : match.start()]
            at = match.end()
            if match[0] == b"\\":
                part, at = self._escaped(at)
                content += part
                continue
            open_brackets += {b"(": 1, b")": -1}.get(match[0], 0)
            if not open_brackets:
                return string_from(bytes(content)), at
            if match[0] == b"\r":
                at += self._window.startswith(b"\n", at)
                content += b"\n"
            else:
                content += match[0]

    def _escaped(self, at: int) -> tuple[bytes, int]:
        if match := _octal.match(self._window, at):
            return bytes([int(match[0], 8) & 0xFF]), match.end()
        if self._window.startswith(b"\r\n", at):
            return b"", at + 2
        character = self._window[at : at + 1]
        if character in {b"\r", b"\n"}:
            return b"", at + 1
        return _ESCAPES.get(character, character), at + 1


def indirect_object(
    stream: BinaryIO,
    position: int,
    handler: PdfHandler,
    budget: ReadBudget,
    length_of: Callable[[IndirectObject], object],
) -> tuple[Reference, PdfObject, int]:
    """The indirect object at ``position``: its reference, its value, and the position after it.

    Args:
        stream: the document.
        position: the position of the object's header, or of white space before it.
        handler: the reader that references in the object belong to.
        budget: what reading may cost.
        length_of: resolves the reference that a stream gives as its length.

    Raises:
        PdfReadError: there is no object, or it has no end.
    """

    def read(window: bytes, final: bool) -> tuple[tuple[Reference, PdfObject, bool], int]:
        # The object's number is not known yet: any number does to skip white space.
        parser = Parser(window, Reference(1, 0, handler), budget, final=final)
        at = parser.skip(0)
        header = _header.match(window, at)
        if header is None:
            raise PdfReadError(f"no object at {position}")
        reference = Reference(int(header[1]), int(header[2]), handler)
        parser = Parser(window, reference, budget, final=final)
        value, at = parser.read_object(header.end())
        if not isinstance(value, DictionaryObject):
            return (reference, value, False), at
        # The last object of a document may be followed by nothing at all.
        if final and not window[at:].strip():
            return (reference, value, False), at
        at = parser.skip(at)
        if not parser.starts_with(at, b"stream"):
            return (reference, value, False), at
        at += len(b"stream")
        if parser.starts_with(at, b"\r\n"):
            at += 2
        elif window[at : at + 1] in {b"\r", b"\n"}:
            at += 1
        return (reference, value, True), at

    (reference, value, is_stream), end = parse_at(stream, position, read)
    if not is_stream or not isinstance(value, DictionaryObject):
        return reference, value, end
    length: object = value.raw_get("/Length") if "/Length" in value else None
    if isinstance(length, IndirectObject):
        length = length_of(length)
    data, end = _data(stream, end, int(length) if isinstance(length, int) else -1)
    found = Stream(value, encoded_data=data)
    found.container_ref = reference
    return reference, found, end


def _data(stream: BinaryIO, start: int, length: int) -> tuple[bytes, int]:
    """A stream's data, and the position after it. A wrong length is corrected by its endstream."""
    if length >= 0:
        stream.seek(start)
        data = stream.read(length)
        if len(data) == length and (found := _endstream.match(stream.read(32))):
            return data, start + length + found.end()
    stream.seek(start)
    content = bytearray()
    while chunk := stream.read(_CHUNK):
        seen = max(0, len(content) - len(b"endstream"))
        content += chunk
        at = content.find(b"endstream", seen)
        if at >= 0:
            end = start + at + len(b"endstream")
            body = bytes(content[:at])
            # The end of the line before endstream is not part of the data (7.3.8.1).
            for line_end in (b"\r\n", b"\n", b"\r"):
                if body.endswith(line_end):
                    return body[: -len(line_end)], end
            return body, end
    raise PdfReadError(f"a stream at {start} has no end")
