"""Reads the signatures of a document: what each covers, in which form, and what it says.

ISO 32000-2, 12.8.1. Nothing is concluded here about the signer.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import re
from binascii import unhexlify
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from asn1crypto.parser import peek
from pyhanko.pdf_utils.generic import parse_pdf_date
from pyhanko.pdf_utils.misc import PdfReadError

from rotation.sealing.pdf.fields import (
    SignatureField,
    fields_on_pages,
    signature_fields,
)
from rotation.sealing.pdf.objects import get_value
from rotation.sealing.pdf.reader.parser import SPACE
from rotation.sealing.request import Certification
from rotation.sealing.verification.changes import Permission
from rotation.sealing.verification.facts import Fact, fact_of, text_of
from rotation.sealing.verification.history import History, Revision
from rotation.sealing.verification.report import Problem

_LEVELS: Final = {
    1: Certification.NO_CHANGES,
    2: Certification.FORM_FILLING,
    3: Certification.ANNOTATIONS,
}
#: The forms of signatures that are CMS (ISO 32000-2, table 260).
CMS_FORMS: Final = frozenset(
    {
        *("/adbe.pkcs7.detached", "/ETSI.CAdES.detached", "/ETSI.RFC3161", "/adbe.pkcs7.sha1"),
    }
)
_white_space = re.compile(rb"[%b]+" % SPACE)
_hexadecimal = re.compile(rb"<([0-9A-Fa-f%b]*)>" % SPACE)


class UnreadableSignatureError(Exception):
    """A signature dictionary lacks what makes it one. The message says what."""

    def __init__(self, text: str, problem: Problem = Problem.UNREADABLE) -> None:
        super().__init__(text)
        self.problem = problem


@dataclass(frozen=True)
class FieldSignature:
    """A field that bears a signature.

    Attributes:
        name: the field's full name.
        number: the number of the field's object; None if it is a direct object.
        ranges: the ByteRange: positions and lengths by turns.
        contents: the value of the signature, as it stands in the file.
        form: SubFilter.
        revision: the document as it was when the signature was made; None if that is not known.
        permission: what the signature says about later changes.
        claimed: when the signer claims to have signed (M).
    """

    name: str
    number: int | None
    ranges: tuple[int, ...]
    contents: bytes
    form: str
    is_timestamp: bool
    revision: Revision | None
    permission: Permission
    claimed: datetime | None
    whole: bool

    @property
    def end(self) -> int:
        """One past the last byte that it covers."""
        return self.ranges[-2] + self.ranges[-1]


def filled_fields(history: History) -> list[SignatureField]:
    """The signature fields that hold something, in the form's order.

    If the form has none, those that only a page shows: Poppler verifies them too. They are not
    looked for otherwise, since that reads every page and annotation, which takes many times as long
    as all else in a document of thousands of pages. Fields without a name are numbered.
    """
    root = history.document.root
    found = _filled(signature_fields(root)) or _filled(fields_on_pages(root))
    return [
        field if field.name else replace(field, name=f"(unnamed, {place})")
        for place, field in enumerate(found, 1)
    ]


def _filled(fields: Iterable[SignatureField]) -> list[SignatureField]:
    return [field for field in fields if get_value(field.dictionary, "/V") is not None]


def read_signature(field: SignatureField, history: History) -> FieldSignature:
    """The signature in a field.

    Raises:
        UnreadableSignatureError: something about it is not as it must be.
    """
    dictionary = fact_of(field.signature)
    last = Revision(history, len(history.trailers), history.document.size)
    if not isinstance(dictionary, dict):
        raise UnreadableSignatureError("The field holds something that is no signature.")
    ranges = _byte_range(dictionary, last)
    if min(ranges) < 0 or any(
        start + length > last.end for start, length in zip(ranges[::2], ranges[1::2], strict=True)
    ):
        raise UnreadableSignatureError(
            "The signature is of another file, or this one is cut off.", Problem.CUT_OFF
        )
    written = last.entry(dictionary, "/Contents")
    contents, whole = _contents(history, ranges, written if isinstance(written, bytes) else b"")
    end = ranges[-2] + ranges[-1]
    revision = history.revision(end) if whole else None
    form = last.entry(dictionary, "/SubFilter")
    form = form if isinstance(form, str) else ""
    is_timestamp = form == "/ETSI.RFC3161" or last.entry(dictionary, "/Type") == "/DocTimeStamp"
    lock = last.entry(fact_of(field.dictionary), "/Lock")
    return FieldSignature(
        name=field.name,
        number=field.reference.idnum if field.reference is not None else None,
        ranges=ranges,
        contents=contents,
        form=form,
        is_timestamp=is_timestamp,
        revision=revision,
        permission=_permission(dictionary, lock, revision or last),
        claimed=_date(last.entry(dictionary, "/M")),
        whole=whole,
    )


def _byte_range(dictionary: dict[str, Fact], revision: Revision) -> tuple[int, ...]:
    found = revision.entry(dictionary, "/ByteRange")
    numbers = [revision.resolve(one) for one in found] if isinstance(found, list) else []
    if len(numbers) < 2 or len(numbers) % 2 or not all(isinstance(one, int) for one in numbers):
        raise UnreadableSignatureError("The signature does not say what it covers (ByteRange).")
    if len(numbers) > 64:
        raise UnreadableSignatureError("The signature covers the file in too many pieces.")
    return tuple(numbers)


def _contents(history: History, ranges: tuple[int, ...], written: bytes) -> tuple[bytes, bool]:
    """The signature's value, and whether all of the file up to its end is covered but for it."""
    if len(ranges) == 4 and ranges[0] == 0 and ranges[1] < ranges[2]:
        stream = history.document.stream
        stream.seek(ranges[1])
        gap = stream.read(ranges[2] - ranges[1])
        # Nothing covers the gap, so it must hold the digits of one string and nothing else.
        if found := _hexadecimal.fullmatch(gap):
            digits = _white_space.sub(b"", found[1])
            value = unhexlify(digits + b"0" * (len(digits) % 2))
            # Another value at this place is not this field's.
            return (value, True) if value == written and _is_padded(value) else (written, False)
    return written, False


def _is_padded(value: bytes) -> bool:
    """Whether only zeros follow the DER of the signature (ISO 32000-2, 12.8.3.3)."""
    with suppress(ValueError):
        return not value[peek(value) :].strip(b"\0")
    return False


def _permission(signature: dict[str, Fact], lock: Fact, revision: Revision) -> Permission:
    """DocMDP and FieldMDP in the signature, and the lock of its field (12.8.2, 12.7.5.5)."""
    levels: list[int] = []
    locks: set[str] = set()
    locks_others = False
    for method, parameters in _transforms(signature, lock, revision):
        if method in {"/DocMDP", "/Lock"}:
            level = revision.entry(parameters, "/P")
            # Without P, DocMDP means 2 (table 257), and a lock sets no level (table 237).
            if isinstance(level, int) or method == "/DocMDP":
                levels.append(level if isinstance(level, int) and level in _LEVELS else 2)
        if method in {"/FieldMDP", "/Lock"}:
            action = revision.entry(parameters, "/Action")
            listed = revision.entry(parameters, "/Fields")
            named = {
                text_of(one)
                for one in map(revision.resolve, listed if isinstance(listed, list) else [])
                if isinstance(one, bytes)
            }
            if action == "/All":
                locks, locks_others = set(), True
            elif action == "/Exclude" and not locks_others:
                locks, locks_others = named, True
            elif action == "/Include" and not locks_others:
                locks |= named
    level = min(levels, default=0)
    return Permission(_LEVELS.get(level), frozenset(locks), locks_others)


def _transforms(
    signature: dict[str, Fact], lock: Fact, revision: Revision
) -> Iterator[tuple[Fact, Fact]]:
    found = revision.entry(signature, "/Reference")
    for entry in found if isinstance(found, list) else []:
        reference = revision.resolve(entry)
        yield (
            revision.entry(reference, "/TransformMethod"),
            revision.entry(reference, "/TransformParams"),
        )
    if isinstance(lock, dict):
        yield "/Lock", lock


def _date(found: Fact) -> datetime | None:
    if not isinstance(found, bytes):
        return None
    with suppress(PdfReadError, ValueError, TypeError, IndexError, OverflowError):
        return parse_pdf_date(text_of(found), strict=False)
    return None
