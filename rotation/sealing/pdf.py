"""A PDF made ready to be signed elsewhere: placeholder, ByteRange digest, embedding.

The seal is an incremental update (ISO 32000-2, 7.5.6): the source stays byte for byte at the front
of the result, so that whatever it contains, earlier signatures included, stays as it is. The
signature is of the kind ETSI.CAdES.detached (ISO 32000-2, 12.8.3.4) in an invisible field.

pyHanko's embedder checks no policy; what may not be sealed is refused here. Does NOT judge the
signature that is embedded: that is `rotation.vendor.cms`, before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from itertools import count
from typing import Any, Final

from pyhanko.pdf_utils.crypt import AuthStatus, StandardSecurityHandler
from pyhanko.pdf_utils.generic import ArrayObject, DictionaryObject, NameObject
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import FieldMDPSpec, MDPPerm, SigSeedSubFilter, enumerate_sig_fields
from pyhanko.sign.signers.cms_embedder import PdfCMSEmbedder, SigIOSetup, SigObjSetup
from pyhanko.sign.signers.pdf_byterange import PreparedByteRangeDigest, SignatureObject
from pyhanko.sign.validation.pdf_embedded import read_certification_data

from rotation.errors import (
    InvalidRequestError,
    RotationError,
    SignatureTooLargeError,
    UnsupportedPdfError,
)
from rotation.sealing.request import SealOptions

FIELD_NAME: Final = "TrustedSignaturesSeal"

_RESERVED: Final = 16 * 1024
_RESERVED_WITH_TIMESTAMP: Final = 32 * 1024
# Where viewers look for %PDF- and %%EOF (PDF Reference 1.7, appendix H, notes 13 and 18).
_EDGE: Final = 1024


@dataclass(frozen=True)
class PreparedPdf:
    """A document with an empty placeholder for its signature.

    Attributes:
        digest: SHA-256 over the ByteRange, 32 bytes.
        reserved: the largest signature that fits, in bytes of DER.
    """

    digest: bytes
    reserved: int
    _output: BytesIO = field(repr=False)
    _placeholder: PreparedByteRangeDigest = field(repr=False)

    def embed(self, cms: bytes) -> bytes:
        """The sealed document: the placeholder filled with ``cms``, DER, and padded with zeros.

        Raises:
            SignatureTooLargeError: it does not fit.
        """
        if len(cms) > self.reserved:
            raise SignatureTooLargeError(
                f"The signature has {len(cms)} bytes and its placeholder {self.reserved}."
            )
        self._placeholder.fill_with_cms(self._output, cms.ljust(self.reserved, b"\0"))
        return self._output.getvalue()


def prepare(
    document: bytes, options: SealOptions, at: datetime, *, reserve: int | None = None
) -> PreparedPdf:
    """``document`` with a signature field and an empty placeholder, and the digest to sign.

    Args:
        document: the whole PDF.
        options: the field's name and what the signature dictionary says.
        at: the claimed time of signing (the dictionary's M), aware UTC.
        reserve: bytes of DER to keep free; None: 16 KiB, or 32 KiB with a timestamp.

    Raises:
        UnsupportedPdfError: it is no PDF, or one that cannot be sealed honestly.
        InvalidRequestError: the named field cannot be used in this document.
    """
    _refuse_non_pdf(document)
    if reserve is None:
        reserve = _RESERVED_WITH_TIMESTAMP if options.timestamp else _RESERVED
    with readable():
        return _prepare(document, options, at, reserve)


@contextmanager
def readable() -> Iterator[None]:
    """Turn whatever pyHanko raises over a document into UnsupportedPdfError."""
    try:
        yield
    except RotationError:
        raise
    except Exception as error:
        raise UnsupportedPdfError(
            "The file is damaged, or built in a way that this function does not understand "
            f"({type(error).__name__}). Open it in a PDF editor and save it anew."
        ) from error


def unlock(reader: PdfFileReader) -> None:
    """Open an encrypted document with the empty password, as every viewer does.

    Raises:
        UnsupportedPdfError: it needs a password or a private key, or an integrity code that only
            its author can renew (ISO/TS 32004).
    """
    handler = reader.security_handler
    if handler is None:
        return
    if not isinstance(handler, StandardSecurityHandler):
        raise UnsupportedPdfError(
            "The file is encrypted for certain recipients. Store it without encryption."
        )
    if handler.pdf_mac_enabled:
        raise UnsupportedPdfError(
            "The file is encrypted with an integrity code over all of it (ISO/TS 32004), which a "
            "seal would break. Store it without encryption."
        )
    if reader.decrypt("").status is AuthStatus.FAILED:
        raise UnsupportedPdfError(
            "The file is encrypted with a password. Store it without encryption."
        )


class _Update(IncrementalPdfFileWriter):
    """Writes what a signature needs and nothing else."""

    def _update_meta(self) -> None:
        # The document's Info and XMP are its author's, and rewriting some real XMP fails.
        pass


def _refuse_non_pdf(document: bytes) -> None:
    if not document:
        raise UnsupportedPdfError("The file is empty.")
    if not document.startswith(b"%PDF-"):
        if b"%PDF-" in document[:_EDGE]:
            raise UnsupportedPdfError("The file has other bytes before its PDF header (%PDF-).")
        raise UnsupportedPdfError("The file is not a PDF: it does not begin with %PDF-.")
    if b"%%EOF" not in document[-_EDGE:]:
        raise UnsupportedPdfError("The file is cut off: the end of a PDF (%%EOF) is missing.")


def _prepare(document: bytes, options: SealOptions, at: datetime, reserve: int) -> PreparedPdf:
    output = BytesIO(document)
    if not document.endswith((b"\n", b"\r")):
        output.seek(0, 2)
        output.write(b"\n")
    update = _Update(output, strict=False)
    unlock(update.prev)
    _refuse_frozen(update)
    _refuse_pageless(update)
    field_name = _field_for(update, options.field_name)
    _refuse_locked(update, field_name)
    signature = SignatureObject(
        timestamp=at,
        subfilter=SigSeedSubFilter.PADES,
        reason=options.reason,
        location=options.location,
        contact_info=options.contact,
        # pyHanko counts hexadecimal digits here.
        bytes_reserved=2 * reserve,
    )
    steps = PdfCMSEmbedder().write_cms(field_name, update)
    next(steps)
    steps.send(SigObjSetup(sig_placeholder=signature))
    _refuse_unwritable_names(update)
    placeholder, _ = steps.send(SigIOSetup(md_algorithm="sha256", in_place=True))
    _read_back(output, field_name)
    return PreparedPdf(placeholder.document_digest, reserve, output, placeholder)


def _refuse_frozen(update: _Update) -> None:
    certification = read_certification_data(update.prev)
    frozen = certification is not None and certification.permission is MDPPerm.NO_CHANGES
    # PDF 2.0 lets an ordinary signature do the same, by its field's lock (ISO 32000-2, 12.7.5.5).
    for _, _, reference in enumerate_sig_fields(update, filled_status=True):
        lock = _value(reference.get_object(), "/Lock")
        frozen = frozen or (lock is not None and _value(lock, "/P") == 1)
    if frozen:
        raise UnsupportedPdfError(
            "The file bears a signature that allows no changes at all (DocMDP, P=1): a seal would "
            "break it."
        )


def _refuse_pageless(update: _Update) -> None:
    pages = update.root["/Pages"]
    if not pages["/Kids"] or pages["/Count"] < 1:
        raise UnsupportedPdfError("The file has no pages.")


def _refuse_locked(update: _Update, field_name: str) -> None:
    for name, signature, _ in enumerate_sig_fields(update, filled_status=True):
        for entry in _value(signature.get_object(), "/Reference") or ():
            reference = entry.get_object()
            if reference["/TransformMethod"] != "/FieldMDP":
                continue
            if FieldMDPSpec.from_pdf_object(reference["/TransformParams"]).is_locked(field_name):
                raise UnsupportedPdfError(
                    f"The file's signature {name} locks the field {field_name} (FieldMDP): a seal "
                    "would break it."
                )


def _field_for(update: _Update, requested: str | None) -> str:
    """The name of the field to sign: the requested one, or the first of ours that is free."""
    taken = _top_level_names(update)
    if requested is None:
        names = (FIELD_NAME if number == 1 else f"{FIELD_NAME}{number}" for number in count(1))
        return next(name for name in names if name not in taken)
    for name, signature, reference in enumerate_sig_fields(update):
        if name != requested:
            continue
        if signature:
            raise InvalidRequestError(
                f"options.fieldName: the document's field {requested} is signed already."
            )
        if {"/SV", "/Lock"} & reference.get_object().keys():
            raise UnsupportedPdfError(
                f"The file's field {requested} prescribes how it is to be signed (seed values or a "
                "lock), which this function does not carry out. Name another field."
            )
        return requested
    if requested in taken:
        raise InvalidRequestError(
            f"options.fieldName: the document's field {requested} is not a signature field."
        )
    if "." in requested:
        raise InvalidRequestError(
            f"options.fieldName: the document has no signature field {requested}, and a new one "
            "cannot have a dot in its name."
        )
    return requested


def _refuse_unwritable_names(update: _Update) -> None:
    # A name is a string of bytes (ISO 32000-2, 7.3.5). pyHanko takes what is not UTF-8 for Latin-1
    # and writes it as UTF-8, and writes a byte below 16 with one digit. A page that is rewritten so
    # loses its fonts. Text beyond Latin-1 can only have been UTF-8, and is written as it was.
    for value in update.objects.values():
        for name in _names(value):
            if min(name) < "\x10" or (not name.isascii() and max(name) <= "\xff"):
                raise UnsupportedPdfError(
                    "The file's catalog, form or first page has names in an encoding that cannot "
                    "be repeated byte for byte. Open it in a PDF editor and save it anew."
                )


def _names(value: object) -> Iterator[str]:
    if isinstance(value, NameObject):
        yield value
    elif isinstance(value, DictionaryObject):
        for name in value:
            yield name
            yield from _names(value.raw_get(name))
    elif isinstance(value, ArrayObject):
        for index in range(len(value)):
            yield from _names(value.raw_get(index))


def _read_back(output: BytesIO, field_name: str) -> None:
    # An update that pyHanko writes and cannot read is found here, before a signature is bought.
    reader = PdfFileReader(output, strict=False)
    unlock(reader)
    ((_, signature, _),) = enumerate_sig_fields(reader, with_name=field_name)
    signature.get_object()["/ByteRange"]


def _top_level_names(update: _Update) -> set[str]:
    form = _value(update.root, "/AcroForm")
    entries = _value(form, "/Fields") if form else None
    fields = (entry.get_object() for entry in entries or ())
    return {str(_value(found, "/T")) for found in fields if isinstance(found, DictionaryObject)}


def _value(dictionary: DictionaryObject, name: str) -> Any:
    """The entry's value, its reference followed; None if it is absent or null."""
    try:
        return dictionary[name]
    except KeyError:
        return None
