"""Prepares a PDF to be signed by somebody else: placeholder, digest of the ByteRange, embedding.

The seal is an incremental update (ISO 32000-2, 7.5.6). The result begins with the source, byte for
byte, so everything in it stays as it is, earlier signatures included. The signature is in a field
that is invisible unless the request says otherwise.

Does NOT verify the signature that is embedded: `rotation.vendor.cms` does that before.
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
from rotation.sealing.notices import SealNotice
from rotation.sealing.pdf.accessibility import keep_accessible
from rotation.sealing.pdf.certification import (
    certify,
    lock_fields,
    refuse_certifying_signed,
    refuse_if_no_changes_allowed,
    refuse_locked_field,
)
from rotation.sealing.pdf.extensions import declare_pades
from rotation.sealing.pdf.fields import choose_field_name, put_signature, signature_fields
from rotation.sealing.pdf.incremental_update import ConcatenatedFile, IncrementalUpdate, UpdateBytes
from rotation.sealing.pdf.limits import Limits
from rotation.sealing.pdf.objects import dictionary_at, get_value
from rotation.sealing.pdf.pages import page_at
from rotation.sealing.pdf.pdf_a import LONGEST_STRING, notice_long_string
from rotation.sealing.pdf.reader.document import PdfDocument, readable
from rotation.sealing.pdf.repair import repair_document
from rotation.sealing.pdf.restrictions import restrictions
from rotation.sealing.pdf.signature_dictionary import SignatureDictionary, SubFilter
from rotation.sealing.pdf.visible.stamps import stamp_other_pages
from rotation.sealing.pdf.visible.widget import describe, give_empty_appearance, make_visible
from rotation.sealing.request import SealOptions

_RESERVED: Final = 16 * 1024
_RESERVED_WITH_TIMESTAMP: Final = LONGEST_STRING
# How much larger the next signature may be: certificates and timestamps vary.
_LARGER_SIGNATURE: Final = 1024


class Sha256(Protocol):
    """What `hashlib` makes for SHA-256."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Go on with ``data``."""

    def digest(self) -> bytes:
        """The digest, 32 bytes."""

    def copy(self) -> Sha256:
        """The same state, to go on from independently."""


@runtime_checkable
class SupportsChunks(Protocol):
    """A document that gives all of its bytes in chunks, which is faster than reading it."""

    def chunks(self) -> Iterator[memoryview]:
        """The bytes in order. A chunk is valid until the next one is taken."""


@dataclass(frozen=True)
class PreparedPdf:
    """A document with an empty placeholder for its signature.

    Attributes:
        reserved: the largest signature that fits, in bytes of DER.
        source: the document that the seal is appended to: the given one, or the repaired one.
        repaired: whether the document was repaired.
        sub_filter: what kind of signature the placeholder is for.
        notices: what the caller should know of the document.
        document: the source as it was read.
    """

    reserved: int
    source: BinaryIO = field(repr=False)
    repaired: bool
    sub_filter: SubFilter
    notices: tuple[SealNotice, ...]
    document: PdfDocument = field(repr=False)
    _update: UpdateBytes = field(repr=False)

    @cached_property
    def source_hash(self) -> Sha256:
        """The SHA-256 of the source, to be copied and gone on with.

        Reads the source once, from its first byte to its last, and raises what reading it raises.
        """
        source = self.source
        if not isinstance(source, SupportsChunks):
            source.seek(0)
            return hashlib.file_digest(cast(BufferedReader, source), "sha256")
        digest = hashlib.sha256()
        for chunk in source.chunks():
            digest.update(chunk)
        return digest

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over the ByteRange, 32 bytes; computed when it is first used.

        Reads the source once, from its first byte to its last, and raises what reading it raises.
        """
        digest = self.source_hash.copy()
        start, end = self._update.contents_span
        with self._update.getbuffer() as added:
            digest.update(added[:start])
            digest.update(added[end:])
        return digest.digest()

    def update(self, cms: bytes) -> bytes:
        """The bytes to append to the source: the update, with ``cms`` (DER) in its placeholder.

        Raises:
            SignatureTooLargeError: ``cms`` does not fit.
        """
        if len(cms) > self.reserved:
            raise SignatureTooLargeError(
                f"The signature has {len(cms)} bytes and its placeholder {self.reserved}."
            )
        start, end = self._update.contents_span
        whole = self._update.getvalue()
        padded = cms.ljust(self.reserved, b"\0").hex().upper().encode()
        return b"".join((whole[: start + 1], padded, whole[end - 1 :]))

    def embed(self, cms: bytes) -> bytes:
        """The whole sealed document: the source, then `update`.

        Raises:
            SignatureTooLargeError: ``cms`` does not fit.
        """
        update = self.update(cms)
        self.source.seek(0)
        return self.source.read() + update


def larger_reserve(size: int) -> int:
    """What to reserve for the next signature if one of ``size`` bytes did not fit.

    It stays within what a PDF/A allows while that leaves some room.
    """
    if size + _LARGER_SIGNATURE <= LONGEST_STRING:
        return LONGEST_STRING
    return 2 * size


def prepare(
    document: BinaryIO,
    options: SealOptions,
    at: datetime,
    *,
    sub_filter: SubFilter = SubFilter.PADES,
    reserve: int | None = None,
    limits: Limits | None = None,
) -> PreparedPdf:
    """Add a signature field with an empty placeholder to ``document``.

    Args:
        document: the whole PDF, readable and seekable. Only parts of it are read here, and all of
            it when the digest is used; nothing is written to it.
        options: the name of the field, the entries of the signature dictionary, what the seal
            shows, whether to certify and to repair.
        at: the claimed time of signing (M in the signature dictionary), aware UTC.
        sub_filter: what kind of signature the placeholder is for.
        reserve: bytes of DER to reserve; None means 16 KiB, or 32 KiB with a timestamp.
        limits: what reading may cost; None means the defaults.

    Raises:
        UnsupportedPdfError: the file is not a PDF, or a seal in it could not be honest.
        DocumentTooLargeError: the document exceeds the limits.
        InvalidRequestError: an option cannot be carried out in this document.
    """
    limits = limits or Limits()
    if reserve is None:
        reserve = _RESERVED_WITH_TIMESTAMP if options.wants_timestamp else _RESERVED
    try:
        return _prepare_or_recover(document, options, at, reserve, limits, sub_filter=sub_filter)
    except DamagedPdfError as error:
        if not options.repair:
            raise
        with readable(limits):
            repaired = repair_document(document, error)
    again = _prepare_or_recover(repaired, options, at, reserve, limits, sub_filter=sub_filter)
    return replace(again, repaired=True)


def _prepare_or_recover(
    document: BinaryIO,
    options: SealOptions,
    at: datetime,
    reserve: int,
    limits: Limits,
    *,
    sub_filter: SubFilter,
) -> PreparedPdf:
    """Prepare by the document's own tables, or else by the objects that are found in it."""
    started = time.monotonic()
    with readable(limits):
        try:
            read = PdfDocument(document, limits, since=started)
            return _prepare(read, options, at, reserve, limits, sub_filter=sub_filter)
        except (RotationError, PdfDecodeLimitError, RecursionError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - pyHanko raises any type over a document
            try:
                recovered = PdfDocument(document, limits, recovered=True, since=started)
                return _prepare(recovered, options, at, reserve, limits, sub_filter=sub_filter)
            except (RotationError, PdfDecodeLimitError, RecursionError, MemoryError):
                raise
            except Exception:  # noqa: BLE001 - the first error says more
                raise error from None


def _prepare(
    document: PdfDocument,
    options: SealOptions,
    at: datetime,
    reserve: int,
    limits: Limits,
    *,
    sub_filter: SubFilter,
) -> PreparedPdf:
    update = IncrementalUpdate(document)
    refuse_if_no_changes_allowed(update.root)
    if options.certify:
        refuse_certifying_signed(update.root)
    page = page_at(update.root, options.visible.page or 1 if options.visible else 1)
    field_name = choose_field_name(update.root, options.field_name)
    refuse_locked_field(update.root, field_name)
    signed = any(get_value(found.dictionary, "/V") for found in signature_fields(update.root))
    signature = SignatureDictionary(options, at, reserve, sub_filter)
    reference = update.add_object(signature)
    signed_field = put_signature(update, field_name, reference, page)
    if options.visible:
        make_visible(update, signed_field, page, options, options.visible)
    else:
        give_empty_appearance(update, signed_field.widget)
    notices = [*restrictions(update.root, document.encrypt_dict, new_field=signed_field.is_new)]
    notices += notice_long_string(update.root, reserve)
    if signed_field.is_new:
        notices += keep_accessible(
            update,
            signed_field.reference,
            page,
            describe(options),
            visible=options.visible is not None,
            signed=signed,
        )
    if options.visible and options.visible.every_page:
        stamp_other_pages(update, page, options.visible, describe(options), signed=signed)
    if options.certify:
        certify(update, signature, reference, options.certify)
    if options.lock:
        lock_fields(update, signature, signed_field, options.lock)
    if sub_filter is SubFilter.PADES:
        declare_pades(update)
    written = update.written(signature)
    _read_back(document, written, field_name, options, limits)
    return PreparedPdf(
        reserve, document.stream, False, sub_filter, tuple(notices), document, written
    )


def _read_back(
    document: PdfDocument,
    written: UpdateBytes,
    field_name: str,
    options: SealOptions,
    limits: Limits,
) -> None:
    """Read the update back, so that a broken one is found before a signature is paid for."""
    raw = ConcatenatedFile(document.stream, document.size, written.getvalue())
    # The update adds a few entries, or repeats a whole table.
    doubled = replace(limits, objects=2 * limits.objects + 16)
    again = PdfDocument(BufferedReader(raw), doubled, extends=document)
    found = [field for field in signature_fields(again.root) if field.name == field_name]
    signature = found[0].signature if found else None
    if signature is None or "/ByteRange" not in signature:
        raise DamagedPdfError("The file is damaged: a seal in it would not be found.")
    permissions = dictionary_at(again.root, "/Perms")
    if options.certify and not (permissions and dictionary_at(permissions, "/DocMDP")):
        raise DamagedPdfError("The file is damaged: a certification in it would not be found.")
    page_at(again.root, 1)
