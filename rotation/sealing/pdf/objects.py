"""PDF objects that are written as they were read, and helpers to look into objects.

pyHanko decodes names, numbers and text when it reads them, and writes some of them differently.
An update repeats whole objects, such as a page, and must not change what is in them.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import re
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


class VerbatimName(NameObject):
    """A name with escapes, or with bytes that should have been escaped (ISO 32000-2, 7.3.5).

    Attributes:
        raw: the bytes after the slash, as they were read.
    """

    raw: bytes

    def write_to_stream(self, stream: IO[bytes], *_: Any, **__: Any) -> None:
        """Write the bytes that were read."""
        stream.write(b"/" + self.raw)


class VerbatimReal(FloatObject):
    """A number with a decimal point, or a malformed number, which counts as 0.

    Attributes:
        raw: the bytes as they were read.
    """

    raw: bytes

    def write_to_stream(self, stream: IO[bytes], *_: Any, **__: Any) -> None:
        """Write the bytes that were read."""
        stream.write(self.raw)


def name_from(token: bytes) -> NameObject:
    """The name whose bytes after the slash are ``token``."""
    if b"#" not in token and _plain.fullmatch(token):
        return NameObject("/" + token.decode("ascii"))
    decoded = _escape.sub(lambda match: bytes([int(match[1], 16)]), token)
    # Names are equal when their bytes are, so bytes that are not UTF-8 must stay distinct.
    found = VerbatimName("/" + decoded.decode("utf-8", "surrogateescape"))
    found.raw = token
    return found


def real_from(token: bytes) -> VerbatimReal:
    """The number whose bytes are ``token``."""
    text = token.decode("ascii") if _number.fullmatch(token) else "0"
    found: VerbatimReal = Decimal.__new__(VerbatimReal, text)
    found.raw = token
    return found


def string_from(content: bytes) -> String:
    """The string whose bytes are ``content``; pyHanko decides whether it is text."""
    found = pdf_string(content)
    if isinstance(found, TextStringObject):
        found.force_output_encoding = found.autodetected_encoding
    return found


def get_value(dictionary: DictionaryObject, key: str) -> Any:
    """The entry's value, its reference followed; None if the entry is absent or null."""
    try:
        return dictionary[key]
    except KeyError:
        return None


def is_dictionary(found: object) -> TypeGuard[DictionaryObject]:
    """Whether ``found`` is a dictionary and not a stream, which viewers do not accept for one."""
    return isinstance(found, DictionaryObject) and not isinstance(found, StreamObject)


def dictionary_at(dictionary: DictionaryObject, key: str) -> DictionaryObject | None:
    """The entry's value if it is a dictionary, else None."""
    found = get_value(dictionary, key)
    return found if is_dictionary(found) else None


def array_at(dictionary: DictionaryObject, key: str) -> ArrayObject:
    """The entry's value if it is an array, else an empty array. Iterating follows no reference."""
    found = get_value(dictionary, key)
    return found if isinstance(found, ArrayObject) else ArrayObject()


def integer_at(dictionary: DictionaryObject, key: str) -> int | None:
    """The entry's value if it is an integer, else None."""
    found = get_value(dictionary, key)
    return int(found) if isinstance(found, int) else None


def text_at(dictionary: DictionaryObject, key: str) -> str | None:
    """The entry's value if it is a string, else None; see `as_text`."""
    return as_text(get_value(dictionary, key))


def as_text(found: PdfObject | None) -> str | None:
    """The text of a string, else None; a string that cannot be decoded is read as Latin-1."""
    if isinstance(found, ByteStringObject):
        return found.decode("latin-1")
    return str(found) if isinstance(found, TextStringObject) else None


def is_name(found: PdfObject | None, name: str) -> bool:
    """Whether ``found`` is the name ``name``, such as ``/Sig``."""
    return isinstance(found, NameObject) and found == name


def number_array(*found: float) -> ArrayObject:
    """An array of numbers, rounded to four decimal places."""
    return ArrayObject(FloatObject(f"{number:.4f}") for number in found)
