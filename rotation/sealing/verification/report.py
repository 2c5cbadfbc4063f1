"""The report on the signatures of one file: the facts, and the conclusions from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from rotation.cms.timestamps import Timestamp
from rotation.sealing.request import Certification


class AddedContent(Enum):
    """The kind of content that was added to a file after a signature."""

    NOTHING = "nothing"
    PROOF = "validation data or timestamps"
    FORM = "signatures or entries in the form"
    COMMENTS = "comments"
    OTHER = "other changes"


@dataclass(frozen=True)
class SealReport:
    """The report on one signature.

    Attributes:
        field: the signature field's name.
        intact: the signature is genuine, and the bytes that it covers are unchanged.
        trusted: the signer's certificate chains to one of the given anchors; None: no anchors were
            given, so nothing proves the signer's name.
        covers_whole_file: nothing was added to the file after the signature.
        subject: the signer's subject, if it can be read.
        organization: the signer's organisation (O), if the certificate names one.
        claimed_time: the time that the signer claims; this alone proves nothing.
        problem: what is wrong, as a sentence; None if the file is unchanged, or was only extended
            in a way that the signature allows.
        timestamp: the timestamp in the signature, or None.
        allows: which later changes a certification allows; None for an ordinary signature.
        covered: how many bytes the signature covers, from the beginning of the file; 0 if it does
            not cover the beginning.
        added: what was added after the signature.
    """

    field: str
    intact: bool
    trusted: bool | None
    covers_whole_file: bool
    subject: str | None = None
    organization: str | None = None
    claimed_time: datetime | None = None
    problem: str | None = None
    timestamp: Timestamp | None = None
    allows: Certification | None = None
    covered: int = 0
    added: AddedContent = AddedContent.NOTHING


@dataclass(frozen=True)
class DocumentTimestampReport:
    """The report on a document timestamp, which proves when the file existed, not who sealed it.

    Attributes:
        field: the signature field's name.
        timestamp: the timestamp; None if it cannot be read.
        covered: as in `SealReport`.
        added: as in `SealReport`.
        problem: what is wrong, as a sentence, or None.
    """

    field: str
    timestamp: Timestamp | None = None
    covered: int = 0
    added: AddedContent = AddedContent.NOTHING
    problem: str | None = None


@dataclass(frozen=True)
class FileReport:
    """The report on one file.

    Attributes:
        size: the file's size in bytes.
        seals: the signatures, in the order in which they were made.
        document_timestamps: the document timestamps, in the same order.
    """

    size: int
    seals: tuple[SealReport, ...]
    document_timestamps: tuple[DocumentTimestampReport, ...]

    @property
    def problem(self) -> str | None:
        """The first problem of the file; None if it is sealed and has no problem."""
        if not self.seals:
            return "The file bears no signature."
        for report in self._all():
            if report.problem is not None:
                return f"{report.field}: {report.problem}"
        return self._unsigned()

    def _all(self) -> list[SealReport | DocumentTimestampReport]:
        return [*self.seals, *self.document_timestamps]

    def _unsigned(self) -> str | None:
        """The problem of content that was added after the last signature, if there is any."""
        last = max(self._all(), key=lambda report: report.covered)
        if last.added in {AddedContent.NOTHING, AddedContent.PROOF}:
            return None
        return (
            f"After the last signature, {self.size - last.covered} bytes were added that nobody "
            f"has signed: {last.added.value}."
        )
