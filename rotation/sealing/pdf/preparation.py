"""A PDF made ready to be signed elsewhere: placeholder, ByteRange digest, embedding.

The seal is an incremental update (ISO 32000-2, 7.5.6): the source stays byte for byte at the front
of the result, so that whatever it contains, earlier signatures included, stays as it is. The
signature is of the kind ETSI.CAdES.detached (ISO 32000-2, 12.8.3.4), in a field that is invisible
unless the request says otherwise.

Does NOT judge the signature that is embedded: that is `rotation.vendor.cms`, before.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from io import BufferedReader
from typing import BinaryIO, Final, Protocol, cast, runtime_checkable

from pyhanko.pdf_utils.misc import PdfDecodeLimitError

from rotation.errors import DamagedPdfError, RotationError, SignatureTooLargeError
from rotation.sealing.pdf.certification import (
    certify,
    refuse_frozen,
    refuse_late_certification,
    refuse_locked,
)
from rotation.sealing.pdf.fields import field_for, put_signature, signature_fields
from rotation.sealing.pdf.incremental_update import Joined, Tail, Update
from rotation.sealing.pdf.limits import Limits
from rotation.sealing.pdf.objects import dictionary_at
from rotation.sealing.pdf.pages import page_at
from rotation.sealing.pdf.reader.document import Document, readable
from rotation.sealing.pdf.repair import rewritten
from rotation.sealing.pdf.signature_dictionary import Signature
from rotation.sealing.pdf.visible.widget import show
from rotation.sealing.request import SealOptions

_RESERVED: Final = 16 * 1024
_RESERVED_WITH_TIMESTAMP: Final = 32 * 1024


@runtime_checkable
class Straight(Protocol):
    """A document that hands out all of its bytes faster than by being read."""

    def pieces(self) -> Iterator[memoryview]:
        """Its bytes in order, each piece good until the next one is asked for."""


@dataclass(frozen=True)
class PreparedPdf:
    """A document with an empty placeholder for its signature.

    Attributes:
        reserved: the largest signature that fits, in bytes of DER.
        source: what the seal is appended to: the document that was given, unless it was repaired.
        repaired: whether the document was rewritten before.
    """

    reserved: int
    source: BinaryIO = field(repr=False)
    repaired: bool
    _tail: Tail = field(repr=False)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over the ByteRange, 32 bytes; made when it is first asked for.

        Reads the source once, from its first byte to its last. Raises whatever reading it raises.
        """
        source = self.source
        if isinstance(source, Straight):
            digest = hashlib.sha256()
            for piece in source.pieces():
                digest.update(piece)
        else:
            source.seek(0)
            digest = hashlib.file_digest(cast(BufferedReader, source), "sha256")
        start, end = self._tail.cms
        with self._tail.getbuffer() as added:
            digest.update(added[:start])
            digest.update(added[end:])
        return digest.digest()

    def update(self, cms: bytes) -> bytes:
        """What comes after the source's bytes: the update, with ``cms`` (DER) in its placeholder.

        Raises:
            SignatureTooLargeError: it does not fit.
        """
        if len(cms) > self.reserved:
            raise SignatureTooLargeError(
                f"The signature has {len(cms)} bytes and its placeholder {self.reserved}."
            )
        start, end = self._tail.cms
        whole = self._tail.getvalue()
        padded = cms.ljust(self.reserved, b"\0").hex().upper().encode()
        return b"".join((whole[: start + 1], padded, whole[end - 1 :]))

    def embed(self, cms: bytes) -> bytes:
        """The sealed document, whole: the source and `update`.

        Raises:
            SignatureTooLargeError: ``cms`` does not fit.
        """
        update = self.update(cms)
        self.source.seek(0)
        return self.source.read() + update


def prepare(
    document: BinaryIO,
    options: SealOptions,
    at: datetime,
    *,
    reserve: int | None = None,
    limits: Limits | None = None,
) -> PreparedPdf:
    """``document`` with a signature field and an empty placeholder.

    Args:
        document: the whole PDF, readable and seekable. It is read as needed here, and as a whole
            when the digest is asked for; nothing is written to it.
        options: the field's name, what the signature dictionary says, what is seen, whether to
            certify and to repair.
        at: the claimed time of signing (the dictionary's M), aware UTC.
        reserve: bytes of DER to keep free; None: 16 KiB, or 32 KiB with a timestamp.
        limits: what reading it may cost; None: the defaults.

    Raises:
        UnsupportedPdfError: it is no PDF, or one that cannot be sealed honestly.
        DocumentTooLargeError: it exceeds the limits.
        InvalidRequestError: an option cannot be carried out in this document.
    """
    limits = limits or Limits()
    if reserve is None:
        reserve = _RESERVED_WITH_TIMESTAMP if options.timestamp else _RESERVED
    try:
        return _prepared(document, options, at, reserve, limits)
    except DamagedPdfError as error:
        if not options.repair:
            raise
        with readable(limits):
            whole = rewritten(document, error)
    return replace(_prepared(whole, options, at, reserve, limits), repaired=True)


def _prepared(
    document: BinaryIO, options: SealOptions, at: datetime, reserve: int, limits: Limits
) -> PreparedPdf:
    """By the document's own tables, or else by the objects that are found in it."""
    started = time.monotonic()
    with readable(limits):
        try:
            return _prepare(Document(document, limits, since=started), options, at, reserve, limits)
        except (RotationError, PdfDecodeLimitError, RecursionError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - pyHanko raises any type over a document
            try:
                recovered = Document(document, limits, recovered=True, since=started)
                return _prepare(recovered, options, at, reserve, limits)
            except (RotationError, PdfDecodeLimitError, RecursionError, MemoryError):
                raise
            except Exception:  # noqa: BLE001 - the first problem tells more
                raise error from None


def _prepare(
    document: Document, options: SealOptions, at: datetime, reserve: int, limits: Limits
) -> PreparedPdf:
    update = Update(document)
    refuse_frozen(update.root)
    if options.certify:
        refuse_late_certification(update.root)
    page = page_at(update.root, options.visible.page or 1 if options.visible else 1)
    field_name = field_for(update.root, options.field_name)
    refuse_locked(update.root, field_name)
    signature = Signature(options, at, reserve)
    reference = update.add_object(signature)
    placed = put_signature(update, field_name, reference, page)
    if options.visible:
        show(update, placed, page, options.visible)
    if options.certify:
        certify(update, signature, reference, options.certify)
    tail = update.tail(signature)
    _read_back(document, tail, field_name, options, limits)
    return PreparedPdf(reserve, document.stream, False, tail)


def _read_back(
    document: Document, tail: Tail, field_name: str, options: SealOptions, limits: Limits
) -> None:
    """An update that is written and cannot be read is found before a signature is bought."""
    joined = BufferedReader(Joined(document.stream, document.size, tail.getvalue()))
    # The update has a few entries of its own, or a whole table.
    again = Document(joined, replace(limits, objects=2 * limits.objects + 16), extends=document)
    found = [field for field in signature_fields(again.root) if field.name == field_name]
    signature = found[0].signature if found else None
    if signature is None or "/ByteRange" not in signature:
        raise DamagedPdfError("The file is damaged: a seal in it would not be found.")
    permissions = dictionary_at(again.root, "/Perms")
    if options.certify and not (permissions and dictionary_at(permissions, "/DocMDP")):
        raise DamagedPdfError("The file is damaged: a certification in it would not be found.")
    page_at(again.root, 1)
