"""What a sealed file is worth, in words.

Nothing is fetched: certificates are those in the file and the given anchors, and revocation is
NOT checked. For a legal judgement use a qualified validation service.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Final

from asn1crypto import x509
from cryptography import x509 as pyca_x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko.sign.validation.status import PdfSignatureStatus, SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

from rotation.sealing.pdf.fields import SignatureField, signature_fields
from rotation.sealing.pdf.objects import value
from rotation.sealing.pdf.reader import Document, readable

# A certificate that signs documents may name either usage (ETSI EN 319 412-2, 4.3.2).
_SEALING: Final = KeyUsageConstraints(
    key_usage={"digital_signature", "non_repudiation"}, match_all_key_usages=False
)
_WHOLE_REVISIONS: Final = (
    SignatureCoverageLevel.ENTIRE_FILE,
    SignatureCoverageLevel.ENTIRE_REVISION,
)


@dataclass(frozen=True)
class SealReport:
    """What one signature in a file is worth.

    Attributes:
        field: the signature field's name.
        intact: the signature is genuine, and the bytes that it covers are as they were.
        trusted: its signer's certificate chains to one of the given anchors.
        covers_whole_file: nothing was added to the file after it.
        subject: the signer's subject, where it can be read.
        organization: the signer's organisation (O), where it names one.
        claimed_time: when the signer says it signed, aware; not proven by this alone.
        problem: what is wrong, in words; None if the file is as the signer left it, or was only
            extended in a way that the signature allows.
    """

    field: str
    intact: bool
    trusted: bool
    covers_whole_file: bool
    subject: str | None = None
    organization: str | None = None
    claimed_time: datetime | None = None
    problem: str | None = None


def verify(
    document: bytes, trust_anchors: bytes, *, at: datetime | None = None
) -> tuple[SealReport, ...]:
    """A report for each signature in the file, in the order of its fields; none: it has none.

    Document timestamps are not seals and are not reported.

    Args:
        document: the whole PDF.
        trust_anchors: PEM, one certificate or more.
        at: when certificates must be valid, aware; None: now.

    Raises:
        UnsupportedPdfError: it cannot be read as a PDF.
        ValueError: the anchors are not PEM certificates.
    """
    anchors = [
        x509.Certificate.load(anchor.public_bytes(Encoding.DER))
        for anchor in pyca_x509.load_pem_x509_certificates(trust_anchors)
    ]
    with readable():
        reader = Document(BytesIO(document))
        fields = [one for one in signature_fields(reader.root) if value(one.dictionary, "/V")]
    return tuple(_reports(reader, fields, anchors, at))


def _reports(
    reader: Document,
    fields: list[SignatureField],
    anchors: list[x509.Certificate],
    at: datetime | None,
) -> Iterator[SealReport]:
    for field in fields:
        # A context keeps the certificates that it meets: each signature gets one of its own.
        context = ValidationContext(trust_roots=anchors, allow_fetching=False, moment=at)
        # pyHanko raises any type over a damaged signature; the other signatures still count.
        try:
            signature = EmbeddedPdfSignature(reader, field.dictionary, field.name)
            if signature.sig_object_type == "/DocTimeStamp":
                continue
            status = validate_pdf_signature(signature, context, key_usage_settings=_SEALING)
        except Exception as error:  # noqa: BLE001
            yield SealReport(
                field.name,
                intact=False,
                trusted=False,
                covers_whole_file=False,
                problem=f"The signature cannot be read ({type(error).__name__}).",
            )
        else:
            yield _report(field.name, status)


def _report(name: str, status: PdfSignatureStatus) -> SealReport:
    subject = status.signing_cert.subject
    return SealReport(
        name,
        intact=status.intact and status.valid,
        trusted=status.trusted,
        covers_whole_file=status.coverage is SignatureCoverageLevel.ENTIRE_FILE,
        subject=subject.human_friendly,
        organization=subject.native.get("organization_name"),
        claimed_time=status.signer_reported_dt,
        problem=_problem(status),
    )


def _problem(status: PdfSignatureStatus) -> str | None:
    if not status.intact:
        return "The document was changed after it was sealed."
    if not status.valid:
        return "The signature itself is damaged or forged."
    if status.coverage not in _WHOLE_REVISIONS:
        return "The signature covers only parts of the document."
    if not status.docmdp_ok:
        return "The document was extended after it was sealed, in a way that the seal forbids."
    if not status.trusted:
        return "The signer's certificate does not chain to a given trust anchor."
    return None
