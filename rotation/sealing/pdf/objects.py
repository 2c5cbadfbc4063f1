"""PDF objects that are written as they were read, and what is asked of objects in general.

pyHanko decodes names, numbers and text when it reads them, and not all that it decodes comes out
the same when it is written. A page that is repeated in an update must be the page it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import IO, Any, TypeGuard

from pyhanko.pdf_utils.generic import (
    ArrayObject,
    ByteStringObject,
    DictionaryObject,
    FloatObject,
    NameObject,
    PdfObject,
    StreamObject,
    TextStringObject,
    pdf_string,
)

_escape = re.compile(rb"#([0-9A-Fa-f]{2})")
_plain = re.compile(rb"[!-~]*")
_number = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)")

String = TextStringObject | ByteStringObject


class Name(NameObject):
    """A name with escapes, or with bytes that should have been escaped (ISO 32000-2, 7.3.5)."""

    raw: bytes

    def write_to_stream(self, stream: IO[bytes], *_: Any, **__: Any) -> None:
        """Write it with the bytes it was read from."""
        stream.write(b"/" + self.raw)


class Real(FloatObject):
    """A number with a point, or one that only tries to be a number, which counts as 0."""

    raw: bytes

    def write_to_stream(self, stream: IO[bytes], *_: Any, **__: Any) -> None:
        """Write it with the bytes it was read from."""
        stream.write(self.raw)


def name(token: bytes) -> NameObject:
    """The name whose bytes after the slash are ``token``."""
    if b"#" not in token and _plain.fullmatch(token):
        return NameObject("/" + token.decode("ascii"))
    decoded = _escape.sub(lambda match: bytes([int(match[1], 16)]), token)
    # Two names are one if their bytes are: what is not UTF-8 must not become what is.
    found = Name("/" + decoded.decode("utf-8", "surrogateescape"))
    found.raw = token
    return found


def real(token: bytes) -> Real:
    """The number that is written ``token``."""
    text = token.decode("ascii") if _number.fullmatch(token) else "0"
    found: Real = Decimal.__new__(Real, text)
    found.raw = token
    return found


def string(content: bytes) -> String:
    """The string of these bytes."""
    found = pdf_string(content)
    if isinstance(found, TextStringObject):
        found.force_output_encoding = found.autodetected_encoding
    return found


def value(dictionary: DictionaryObject, key: str) -> Any:
    """The entry's value, its reference followed; None if it is absent or null."""
    try:
        return dictionary[key]
    except KeyError:
        return None


def is_dictionary(found: object) -> TypeGuard[DictionaryObject]:
    """Whether it is a dictionary and not a stream, which viewers do not take for one."""
    return isinstance(found, DictionaryObject) and not isinstance(found, StreamObject)


def dictionary_at(dictionary: DictionaryObject, key: str) -> DictionaryObject | None:
    """The entry's value if it is a dictionary; None if it is anything else."""
    found = value(dictionary, key)
    return found if is_dictionary(found) else None


def array_at(dictionary: DictionaryObject, key: str) -> ArrayObject:
    """The entry's value if it is an array; an empty one if it is anything else."""
    found = value(dictionary, key)
    return found if isinstance(found, ArrayObject) else ArrayObject()


def entries(dictionary: DictionaryObject, key: str) -> Iterator[PdfObject]:
    """What stands in the array at ``key``, references not followed; nothing if there is none."""
    found = array_at(dictionary, key)
    yield from (found.raw_get(index) for index in range(len(found)))


def integer_at(dictionary: DictionaryObject, key: str) -> int | None:
    """The entry's value if it is a whole number; None if it is anything else."""
    found = value(dictionary, key)
    return int(found) if isinstance(found, int) else None


def text_at(dictionary: DictionaryObject, key: str) -> str | None:
    """The entry's value if it is a text; what cannot be decoded is taken for Latin-1."""
    return text_of(value(dictionary, key))


def text_of(found: PdfObject | None) -> str | None:
    """As `text_at`, for a value at hand."""
    if isinstance(found, ByteStringObject):
        return found.decode("latin-1")
    return str(found) if isinstance(found, TextStringObject) else None


def same(one: PdfObject | None, other: str) -> bool:
    """Whether ``one`` is the name ``other``."""
    return isinstance(one, NameObject) and one == other
