"""Verifies the signatures of a sealed file, and reports on them.

Nothing is fetched: the certificates are those in the file and the given anchors, and revocation is
NOT checked. For a legal judgement use a qualified validation service.

A file is read and never held in memory, so its size does not matter.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any, BinaryIO, Final

from asn1crypto import x509
from cryptography import x509 as pyca_x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.general import byte_range_digest
from pyhanko.sign.validation import validate_pdf_signature, validate_pdf_timestamp
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko.sign.validation.status import (
    ModificationInfo,
    PdfSignatureStatus,
    SignatureCoverageLevel,
)
from pyhanko_certvalidator import ValidationContext

from rotation.cms.signed_data import attributes_by_name
from rotation.cms.timestamps import PathCheck, Timestamp, judge_timestamp
from rotation.sealing.pdf import Limits
from rotation.sealing.pdf.fields import SignatureField, signature_fields
from rotation.sealing.pdf.objects import get_value
from rotation.sealing.pdf.reader.document import PdfDocument, readable
from rotation.sealing.request import Certification
from rotation.sealing.verification.paths import TrustAnchors
from rotation.sealing.verification.report import (
    AddedContent,
    DocumentTimestampReport,
    FileReport,
    SealReport,
)

# A certificate that signs documents may name either usage (ETSI EN 319 412-2, 4.3.2).
_SEALING: Final = KeyUsageConstraints(
    key_usage={"digital_signature", "non_repudiation"}, match_all_key_usages=False
)
_WHOLE_REVISIONS: Final = (
    SignatureCoverageLevel.ENTIRE_FILE,
    SignatureCoverageLevel.ENTIRE_REVISION,
)
_ADDED: Final = {
    ModificationLevel.NONE: AddedContent.NOTHING,
    ModificationLevel.LTA_UPDATES: AddedContent.PROOF,
    ModificationLevel.FORM_FILLING: AddedContent.FORM,
    ModificationLevel.ANNOTATIONS: AddedContent.COMMENTS,
}
_ALLOWED: Final = {
    MDPPerm.NO_CHANGES: Certification.NO_CHANGES,
    MDPPerm.FILL_FORMS: Certification.FORM_FILLING,
    MDPPerm.ANNOTATE: Certification.ANNOTATIONS,
}
# pyHanko's own is 4 KiB.
_CHUNK: Final = 1024 * 1024
# The time for reading a document goes on while its digests are computed.
_SLOWEST_DIGESTS: Final = 10_000_000  # bytes a second, all signatures together


def verify(
    document: bytes, trust_anchors: bytes, *, at: datetime | None = None
) -> tuple[SealReport, ...]:
    """A report for each signature in the file, in the order in which they were made.

    Document timestamps are not seals and are not reported; `examine` reports them.

    Args:
        document: the whole PDF.
        trust_anchors: PEM, one certificate or more.
        at: when certificates must be valid, aware; None: now.

    Raises:
        UnsupportedPdfError: it cannot be read as a PDF.
        ValueError: the anchors are not PEM certificates.
    """
    return examine(BytesIO(document), trust_anchors, at=at).seals


def examine(
    file: BinaryIO, trust_anchors: bytes | None, *, at: datetime | None = None
) -> FileReport:
    """The report on ``file``.

    A signer's certificate must be valid at the time of a proven timestamp, or at ``at`` if the
    signature has none: a certificate that has expired since the signing was good when it signed.

    Args:
        file: the whole PDF, readable and seekable; it is read from its beginning to its end once
            for each signature.
        trust_anchors: PEM, one certificate or more, for signers and time-stamping authorities
            alike; None: no certificate is checked.
        at: when certificates must be valid, aware; None: now.

    Raises:
        UnsupportedPdfError: it cannot be read as a PDF.
        ValueError: the anchors are not PEM certificates.
    """
    validator = _SignatureValidator(_certificates(trust_anchors), at or datetime.now(UTC))
    size = file.seek(0, 2)
    patience = Limits().time + timedelta(seconds=size / _SLOWEST_DIGESTS)
    with readable():
        reader = PdfDocument(file, Limits(time=patience))
        fields = [one for one in signature_fields(reader.root) if get_value(one.dictionary, "/V")]
    reports = sorted(_reports(reader, fields, validator), key=lambda report: report.covered)
    return FileReport(
        size,
        tuple(report for report in reports if isinstance(report, SealReport)),
        tuple(report for report in reports if isinstance(report, DocumentTimestampReport)),
    )


class _Signature(EmbeddedPdfSignature):
    """A signature whose digest is computed in large chunks."""

    reader: PdfDocument

    @property
    def fits(self) -> bool:
        """Whether its ByteRange lies within the file; another one could be read without end."""
        numbers = [int(number) for number in self.byte_range]
        return min(numbers) >= 0 and sum(numbers[1::2]) <= self.reader.size

    @property
    def end(self) -> int:
        """One past the last byte of its ByteRange."""
        return int(self.byte_range[-2]) + int(self.byte_range[-1])

    def compute_digest(self, hash_algo: str | None = None) -> bytes:
        """As pyHanko's own."""
        algorithm = hash_algo or self.external_md_algorithm
        if algorithm not in self.external_digests:
            _, self.external_digests[algorithm] = byte_range_digest(
                self.reader.stream, self.byte_range, algorithm, chunk_size=_CHUNK
            )
        return self.external_digests[algorithm]


def _reports(
    reader: PdfDocument, fields: list[SignatureField], validator: _SignatureValidator
) -> Iterator[SealReport | DocumentTimestampReport]:
    for field in fields:
        # pyHanko raises any type over a damaged signature; the other signatures still count.
        try:
            signature = _Signature(reader, field.dictionary, field.name)
            if not signature.fits:
                yield _unreadable_report(
                    field, "The signature is of another file, or this one is cut off."
                )
            elif signature.sig_object_type == "/DocTimeStamp":
                yield validator.stamp(signature)
            else:
                yield validator.seal(signature)
        except Exception as error:  # noqa: BLE001
            yield _unreadable_report(
                field, f"The signature cannot be read ({type(error).__name__})."
            )


@dataclass(frozen=True)
class _SignatureValidator:
    """Validates signatures by the same anchors and at the same time."""

    anchors: list[x509.Certificate] | None
    at: datetime

    def seal(self, signature: _Signature) -> SealReport:
        status = self._status(signature, self.at)
        timestamp = self._timestamp(signature, status)
        moment = timestamp.time if timestamp and timestamp.proven else self.at
        trusted = status.trusted or (
            moment != self.at and self._status(signature, moment, skip_diff=True).trusted
        )
        subject, permission = status.signing_cert.subject, signature.docmdp_level
        return SealReport(
            signature.fq_name,
            intact=status.intact and status.valid,
            trusted=trusted if self.anchors is not None else None,
            covers_whole_file=status.coverage is SignatureCoverageLevel.ENTIRE_FILE,
            subject=subject.human_friendly,
            organization=subject.native.get("organization_name"),
            claimed_time=status.signer_reported_dt,
            problem=_damage(status)
            or _timestamp_damage(timestamp)
            or (self._distrust(status.signing_cert, moment) if not trusted else None),
            timestamp=timestamp,
            allows=None if permission is None else _ALLOWED[permission],
            covered=signature.end if status.coverage in _WHOLE_REVISIONS else 0,
            added=_added(status),
        )

    def stamp(self, signature: _Signature) -> DocumentTimestampReport:
        status = validate_pdf_timestamp(signature, self._context(self.at))
        timestamp = judge_timestamp(
            signature.pkcs7_content,
            signature.compute_digest,
            chains=self._chains,
            at=self.at,
        )
        return DocumentTimestampReport(
            signature.fq_name,
            timestamp,
            covered=signature.end if status.coverage in _WHOLE_REVISIONS else 0,
            added=_added(status),
            problem=_damage(status)
            or (None if status.trusted else self._distrust(status.signing_cert, self.at)),
        )

    def _status(
        self, signature: _Signature, moment: datetime, *, skip_diff: bool = False
    ) -> PdfSignatureStatus:
        return validate_pdf_signature(
            signature,
            self._context(moment),
            self._context(self.at),
            key_usage_settings=_SEALING,
            skip_diff=skip_diff,
        )

    def _context(self, moment: datetime) -> ValidationContext:
        # A context keeps the certificates that it sees, so each signature gets its own.
        return ValidationContext(
            trust_roots=self.anchors or [], allow_fetching=False, moment=moment
        )

    @property
    def _chains(self) -> PathCheck | None:
        return TrustAnchors(tuple(self.anchors)).chains if self.anchors else None

    def _timestamp(self, signature: _Signature, status: PdfSignatureStatus) -> Timestamp | None:
        attributes = attributes_by_name(signature.signer_info["unsigned_attrs"])
        tokens = attributes.get("signature_time_stamp_token", ())
        if not tokens:
            return None
        value = signature.signer_info["signature"].native
        return judge_timestamp(
            tokens[0].dump(),
            lambda algorithm: hashlib.new(algorithm, value).digest(),
            chains=self._chains,
            at=self.at,
            signed_at=status.signer_reported_dt,
            signer=status.signing_cert,
        )

    def _distrust(self, certificate: x509.Certificate, moment: datetime) -> str | None:
        """Why a genuine signature's signer is not trusted; None where there are no anchors."""
        if self.anchors is None:
            return None
        first, last = certificate.not_valid_before, certificate.not_valid_after
        if not first <= moment <= last:
            return (
                f"The signer's certificate is valid from {first:%Y-%m-%d} to {last:%Y-%m-%d}, and "
                "no trusted timestamp proves that the signature was made then."
            )
        return "The signer's certificate does not chain to a given trust anchor."


def _damage(status: Any) -> str | None:
    """What is wrong with the signature, whoever the signer is."""
    if not status.intact:
        return "The document was changed after it was sealed."
    if not status.valid:
        return "The signature itself is damaged or forged."
    if status.coverage not in _WHOLE_REVISIONS:
        return "The signature covers only parts of the document."
    if status.docmdp_ok is False or _added(status) is AddedContent.OTHER:
        return "The document was extended after it was sealed, in a way that the seal forbids."
    return None


def _timestamp_damage(timestamp: Timestamp | None) -> str | None:
    if timestamp is None or timestamp.intact:
        return None
    return "The timestamp is damaged, forged, or of another signature."


def _added(status: ModificationInfo) -> AddedContent:
    level = status.modification_level
    return AddedContent.OTHER if level is None else _ADDED.get(level, AddedContent.OTHER)


def _unreadable_report(field: SignatureField, problem: str) -> SealReport:
    return SealReport(
        field.name, intact=False, trusted=False, covers_whole_file=False, problem=problem
    )


def _certificates(pem: bytes | None) -> list[x509.Certificate] | None:
    if pem is None:
        return None
    return [
        x509.Certificate.load(certificate.public_bytes(Encoding.DER))
        for certificate in pyca_x509.load_pem_x509_certificates(pem)
    ]
