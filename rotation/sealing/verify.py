"""Verifies the signatures of a sealed file, and reports on them.

Nothing is fetched: the certificates are those in the file and the given anchors, and revocation is
NOT checked. For a legal judgement use a qualified validation service.

A file is read and never held in memory, so its size does not matter. The work is linear in the
file's size: what signatures share is read, hashed and verified once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from typing import BinaryIO

from rotation.sealing.verification.examination import FileExamination
from rotation.sealing.verification.report import FileReport, SealReport


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
        file: the whole PDF, readable and seekable.
        trust_anchors: PEM, one certificate or more, for signers and time-stamping authorities
            alike; None: no certificate is checked.
        at: when certificates must be valid, aware; None: now.

    Raises:
        UnsupportedPdfError: it cannot be read as a PDF.
        DocumentTooLargeError: it is made to cost more than a file of its size may.
        ValueError: the anchors are not PEM certificates.
    """
    return FileExamination(file, trust_anchors, at or datetime.now(UTC)).report()
