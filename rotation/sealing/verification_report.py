"""What was found out about the signatures of one file: facts, and what follows from them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from rotation.sealing.request import Certification


class AddedContent(Enum):
    """What was added to a file after a signature."""

    NOTHING = "nothing"
    PROOF = "validation data or timestamps"
    FORM = "signatures or entries in the form"
    COMMENTS = "comments"
    OTHER = "other changes"


@dataclass(frozen=True)
class Timestamp:
    """What a time-stamping authority says.

    Attributes:
        time: when that which it covers existed, aware UTC.
        authority: the subject of the authority's certificate.
        intact: it is genuine, and covers what it is enclosed with.
        trusted: the authority chains to one of the given anchors; None: none was given.
    """

    time: datetime
    authority: str
    intact: bool
    trusted: bool | None

    @property
    def proven(self) -> bool:
        """Whether the time is proven, and not only claimed."""
        return self.intact and self.trusted is True


@dataclass(frozen=True)
class SealReport:
    """What one signature in a file is worth.

    Attributes:
        field: the signature field's name.
        intact: the signature is genuine, and the bytes that it covers are as they were.
        trusted: its signer's certificate chains to one of the given anchors; None: none was given,
            so that the signer's name was held against nothing.
        covers_whole_file: nothing was added to the file after it.
        subject: the signer's subject, where it can be read.
        organization: the signer's organisation (O), where it names one.
        claimed_time: when the signer says it signed; not proven by this alone.
        problem: what is wrong, in words; None if the file is as the signer left it, or was only
            extended in a way that the signature allows.
        timestamp: the timestamp that the signature encloses, or None.
        allows: what it lets be added after it, where it says so; an ordinary signature does not.
        covered: it covers the file from its beginning up to here, bytes; 0 where it does not.
        added: what came after it.
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
    """What a document timestamp is worth: it says when the file existed, and not who sealed it.

    Attributes:
        field: the signature field's name.
        timestamp: what it says; None if it cannot be read.
        covered: as in `SealReport`.
        added: as in `SealReport`.
        problem: what is wrong, in words, or None.
    """

    field: str
    timestamp: Timestamp | None = None
    covered: int = 0
    added: AddedContent = AddedContent.NOTHING
    problem: str | None = None


@dataclass(frozen=True)
class FileReport:
    """What one file is worth.

    Attributes:
        size: its bytes.
        seals: its signatures, in the order in which they were made.
        document_timestamps: its document timestamps, likewise.
    """

    size: int
    seals: tuple[SealReport, ...]
    document_timestamps: tuple[DocumentTimestampReport, ...]

    @property
    def problem(self) -> str | None:
        """What is wrong with it, the first thing that is; None: it is sealed, and nothing is."""
        if not self.seals:
            return "The file bears no signature."
        for report in self._all():
            if report.problem is not None:
                return f"{report.field}: {report.problem}"
        return self._unsigned()

    def _all(self) -> list[SealReport | DocumentTimestampReport]:
        return [*self.seals, *self.document_timestamps]

    def _unsigned(self) -> str | None:
        """Each signature allows what came after it, and the last of it may be signed by nobody."""
        last = max(self._all(), key=lambda report: report.covered)
        if last.added in {AddedContent.NOTHING, AddedContent.PROOF}:
            return None
        return (
            f"After the last signature, {self.size - last.covered} bytes were added that nobody "
            f"has signed: {last.added.value}."
        )
