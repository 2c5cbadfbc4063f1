"""A document and the updates that were appended to it: the updates alone are held in memory."""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BufferedReader
from itertools import count
from typing import Any, Final

from asn1crypto import crl, ocsp, x509
from pyhanko.pdf_utils.decode_limits import DecodePurpose
from pyhanko.pdf_utils.generic import EncryptedObjAccess
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.errors import ValidationInfoReadingError

from rotation.cms.signed_data import UNREADABLE, SignedData, read_signed_data
from rotation.errors import LevelError, SignatureTooLargeError
from rotation.sealing.levels.validation_data import ValidationData
from rotation.sealing.pdf.extensions import declare_pades
from rotation.sealing.pdf.fields import put_signature, signature_fields
from rotation.sealing.pdf.incremental_update import ConcatenatedFile, IncrementalUpdate
from rotation.sealing.pdf.limits import Limits, ReadBudget
from rotation.sealing.pdf.objects import array_at, get_value, is_name
from rotation.sealing.pdf.pages import page_at
from rotation.sealing.pdf.preparation import Sha256
from rotation.sealing.pdf.reader.document import PdfDocument, readable
from rotation.sealing.pdf.signature_dictionary import TimestampDictionary

_FIELD: Final = "DocumentTimestamp"


@dataclass(frozen=True)
class FoundSignature:
    """A signature of the document.

    Attributes:
        signed: its CMS.
        is_timestamp: whether it is a document timestamp.
        end: one past the last byte that it covers.
    """

    signed: SignedData
    is_timestamp: bool
    end: int


class GrowingDocument:
    """A signed document that gets a DSS and document timestamps.

    Args:
        document: the document as it lies at its source.
        source_hash: gives the SHA-256 of its bytes.
        limits: what reading it may cost.
        tail: the updates that it has got already, such as its seal.

    Attributes:
        document: the document with all updates.
        tail: the bytes of the updates.
    """

    def __init__(
        self,
        document: PdfDocument,
        source_hash: Callable[[], Sha256],
        limits: Limits,
        tail: bytes = b"",
    ) -> None:
        self._source = document
        self._source_hash = source_hash
        self._limits = replace(limits, objects=4 * limits.objects + 64)
        self.tail = tail
        self.document = document
        if tail:
            self._reread()
        self._restart_clock()

    def signatures(self) -> list[FoundSignature]:
        """The signatures and document timestamps, in the order in which they were made.

        Raises:
            LevelError: one cannot be read.
        """
        found = []
        self._restart_clock()
        with readable(self._limits):
            fields = [field for field in signature_fields(self.document.root) if field.signature]
        for field in fields:
            try:
                signature: Any = field.signature
                # Contents is never encrypted (7.6.2).
                contents = signature.raw_get("/Contents", decrypt=EncryptedObjAccess.RAW)
                signed = read_signed_data(contents.original_bytes)
                *_, start, length = array_at(signature, "/ByteRange")
            except (*UNREADABLE, PdfReadError) as error:
                raise LevelError(
                    f"The signature {field.name[:100]} cannot be read ({type(error).__name__})."
                ) from error
            kind = get_value(signature, "/Type")
            end = int(start) + int(length)
            found.append(FoundSignature(signed, is_name(kind, "/DocTimeStamp"), end))
        return sorted(found, key=lambda one: one.end)

    @property
    def size(self) -> int:
        """The bytes of the document with all updates."""
        return self._source.size + len(self.tail)

    def validation_data(self) -> ValidationData:
        """What the document's DSS holds; empty without a DSS, or with one that cannot be read."""
        found = ValidationData()
        self._restart_clock()
        with suppress(*UNREADABLE, PdfReadError, ValidationInfoReadingError):
            store: Any = DocumentSecurityStore.read_dss(self.document)
            for reference in store.certs.values():
                found.add(
                    certificates=[
                        x509.Certificate.load(_data(reference, DecodePurpose.CERTIFICATE))
                    ]
                )
            for reference in store.ocsps:
                found.add(
                    ocsps=[ocsp.OCSPResponse.load(_data(reference, DecodePurpose.OCSP_RESPONSE))]
                )
            for reference in store.crls:
                found.add(crls=[crl.CertificateList.load(_data(reference, DecodePurpose.CRL))])
        return found

    def add_validation_data(self, data: ValidationData) -> None:
        """Append a DSS with ``data``, or add to the one that there is (ISO 32000-2, 12.8.4.3).

        There are no VRI dictionaries: they repeat what the DSS says, and validators need none.
        """
        self._restart_clock()
        with readable(self._limits):
            update = IncrementalUpdate(self.document)
            DocumentSecurityStore.supply_dss_in_writer(
                update,
                None,
                certs=data.certificates.values(),
                ocsps=data.ocsps.values(),
                crls=data.crls.values(),
            )
            declare_pades(update)
            self._append(bytes(update.written(None).getvalue()))

    def add_timestamp(self, reserve: int, stamp: Callable[[bytes], bytes]) -> None:
        """Append a document timestamp over all bytes so far (ISO 32000-2, 12.8.5).

        Args:
            reserve: the largest token that fits.
            stamp: the token (DER) for a SHA-256 digest.

        Raises:
            SignatureTooLargeError: the token does not fit.
        """
        self._restart_clock()
        with readable(self._limits):
            update = IncrementalUpdate(self.document)
            dictionary = TimestampDictionary(reserve)
            taken = {field.name for field in signature_fields(update.root)}
            name = next(found for number in count(1) if (found := f"{_FIELD}{number}") not in taken)
            page = page_at(update.root, 1)
            put_signature(update, name, update.add_object(dictionary), page)
            declare_pades(update)
            written = update.written(dictionary)
            start, end = written.contents_span
            whole = written.getvalue()
        digest = self._source_hash().copy()
        for part in (self.tail, whole[:start], whole[end:]):
            digest.update(part)
        token = stamp(digest.digest())
        if len(token) > reserve:
            raise SignatureTooLargeError(
                f"The timestamp has {len(token)} bytes and its placeholder {reserve}."
            )
        padded = token.ljust(reserve, b"\0").hex().upper().encode()
        with readable(self._limits):
            self._append(b"".join((whole[: start + 1], padded, whole[end - 1 :])))

    def _append(self, update: bytes) -> None:
        before, self.tail = self.tail, self.tail + update
        try:
            self._reread()
        except BaseException:
            self.tail = before
            self._reread()
            raise

    def _restart_clock(self) -> None:
        # The time for reading does not count the waits for services in between.
        self._source.budget = ReadBudget(self._limits)
        self.document.budget = ReadBudget(self._limits)

    def _reread(self) -> None:
        self._source.budget = ReadBudget(self._limits)
        raw = ConcatenatedFile(self._source.stream, self._source.size, self.tail)
        self.document = PdfDocument(BufferedReader(raw), self._limits, extends=self._source)


def _data(reference: Any, purpose: DecodePurpose) -> bytes:
    return bytes(reference.get_object().read_data(purpose))
