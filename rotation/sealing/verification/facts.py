"""PDF objects as plain values, whatever revision or encryption they were read from.

A reference is a `Ref`, a name is a `Name`, a string is bytes, a stream is a `StreamFact`, a boolean
is a `Boolean`; the rest is what Python has for it. Two facts are equal if the objects say the same.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from pyhanko.pdf_utils.generic import (
    ArrayObject,
    BooleanObject,
    ByteStringObject,
    DecryptedObjectProxy,
    DictionaryObject,
    EncryptedObjAccess,
    FloatObject,
    IndirectObject,
    NameObject,
    NumberObject,
    StreamObject,
    TextStringObject,
)

Fact: TypeAlias = Any


class Ref(NamedTuple):
    """A reference to an indirect object."""

    number: int
    generation: int


class Name(str):
    """A name, with its slash."""

    __slots__ = ()


class Boolean(str):
    """true or false, which is no number: for Python, True is 1."""

    __slots__ = ()


class Real(float):
    """A real number that is an entry of a dictionary.

    Where viewers want an integer there, some do not take 1.0 for 1. Integers in arrays (boxes,
    matrices) may be written as reals, and writers do that.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and float(self) == float(other)

    def __hash__(self) -> int:
        return super().__hash__()


class StreamFact:
    """A stream: the entries of its dictionary, and its data.

    Attributes:
        entries: the dictionary, without Length, which says nothing about what the stream holds.
    """

    def __init__(self, entries: dict[str, Fact], stream: StreamObject) -> None:
        self.entries = {key: value for key, value in entries.items() if key != "/Length"}
        self._stream = stream

    @property
    def data(self) -> bytes:
        """The decoded data. Raises what pyHanko raises over data that cannot be decoded."""
        return bytes(self._stream.data)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, StreamFact)
            and self.entries == other.entries
            and (self._stream.encoded_data == other._stream.encoded_data or self.data == other.data)
        )

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.entries)))


def fact_of(found: object) -> Fact:
    """The plain value of an object of pyHanko's. References are not followed."""
    if isinstance(found, DecryptedObjectProxy):
        found = found.decrypted
    if isinstance(found, IndirectObject):
        return Ref(found.idnum, found.generation)
    if isinstance(found, DictionaryObject):
        # The value of a signature is never encrypted (ISO 32000-2, 7.6.2).
        signature = "/ByteRange" in found
        entries = {str(key): _entry(found, key, raw=signature) for key in found}
        return StreamFact(entries, found) if isinstance(found, StreamObject) else entries
    if isinstance(found, ArrayObject):
        return [fact_of(element) for element in list.__iter__(found)]
    return _simple(found)


def _entry(found: DictionaryObject, key: str, *, raw: bool) -> Fact:
    access = EncryptedObjAccess.PROXY
    if raw and key == "/Contents":
        access = EncryptedObjAccess.RAW
    fact = fact_of(found.raw_get(key, access))
    return Real(fact) if isinstance(fact, float) else fact


def _simple(found: object) -> Fact:
    if isinstance(found, BooleanObject):
        return Boolean("true" if found.value else "false")
    if isinstance(found, NameObject):
        return Name(found)
    if isinstance(found, (TextStringObject, ByteStringObject)):
        return bytes(found.original_bytes)
    if isinstance(found, NumberObject):
        return int(found)
    if isinstance(found, FloatObject):
        return float(found)
    return None


def text_of(fact: Fact) -> str:
    """The text of a string (ISO 32000-2, 7.9.2.2); empty for what is no string."""
    if not isinstance(fact, bytes):
        return ""
    for mark, encoding in ((b"\xfe\xff", "utf-16-be"), (b"\xef\xbb\xbf", "utf-8")):
        if fact.startswith(mark):
            return fact[len(mark) :].decode(encoding, "replace")
    return fact.decode("latin-1")


def references(fact: Fact) -> Iterator[Ref]:
    """Every reference in a fact, at whatever depth."""
    todo = [fact]
    while todo:
        found = todo.pop()
        if isinstance(found, Ref):
            yield found
        elif isinstance(found, StreamFact):
            todo += found.entries.values()
        elif isinstance(found, dict):
            todo += found.values()
        elif isinstance(found, list):
            todo += found
