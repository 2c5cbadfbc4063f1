"""An indirect object at its position: header, value, and the data of a stream."""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import re
from collections.abc import Callable
from typing import BinaryIO, Final

from pyhanko.pdf_utils.generic import DictionaryObject, IndirectObject, PdfObject, Reference
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.pdf_utils.rw_common import PdfHandler

from rotation.sealing.pdf.limits import Effort
from rotation.sealing.pdf.reader.filters import Stream
from rotation.sealing.pdf.reader.parser import SPACE, Parser, parse_at

_header = re.compile(rb"(\d{1,10})[%b]+(\d{1,5})[%b]*obj" % (SPACE, SPACE))
_end = re.compile(rb"[%b]*endstream" % SPACE)
_CHUNK: Final = 64 * 1024


def indirect_object(
    stream: BinaryIO,
    position: int,
    handler: PdfHandler,
    effort: Effort,
    length_of: Callable[[IndirectObject], object],
) -> tuple[Reference, PdfObject, int]:
    """The object whose header stands at ``position``, its reference, and where it ends.

    Args:
        stream: the document.
        position: of the header, or of white space before it.
        handler: the reader that references in the object belong to.
        effort: what it may cost.
        length_of: what a reference given as a stream's length refers to.

    Raises:
        PdfReadError: there is no object, or it has no end.
    """

    def read(window: bytes, final: bool) -> tuple[tuple[Reference, PdfObject, bool], int]:
        # The header of an object that is at hand belongs to no object itself.
        parser = Parser(window, Reference(1, 0, handler), effort, final=final)
        at = parser.skip(0)
        header = _header.match(window, at)
        if header is None:
            raise PdfReadError(f"no object at {position}")
        reference = Reference(int(header[1]), int(header[2]), handler)
        parser = Parser(window, reference, effort, final=final)
        value, at = parser.value(header.end())
        if not isinstance(value, DictionaryObject):
            return (reference, value, False), at
        # What follows the last object of a document may be nothing at all.
        if final and not window[at:].strip():
            return (reference, value, False), at
        at = parser.skip(at)
        if not parser.starts(at, b"stream"):
            return (reference, value, False), at
        at += len(b"stream")
        if parser.starts(at, b"\r\n"):
            at += 2
        elif window[at : at + 1] in {b"\r", b"\n"}:
            at += 1
        return (reference, value, True), at

    (reference, value, streamed), end = parse_at(stream, position, read)
    if not streamed or not isinstance(value, DictionaryObject):
        return reference, value, end
    length: object = value.raw_get("/Length") if "/Length" in value else None
    if isinstance(length, IndirectObject):
        length = length_of(length)
    data, end = _data(stream, end, int(length) if isinstance(length, int) else -1)
    found = Stream(value, encoded_data=data)
    found.container_ref = reference
    return reference, found, end


def _data(stream: BinaryIO, start: int, length: int) -> tuple[bytes, int]:
    """A stream's data, and the position after it; found by its end if the length is wrong."""
    if length >= 0:
        stream.seek(start)
        data = stream.read(length)
        if len(data) == length and (found := _end.match(stream.read(32))):
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
