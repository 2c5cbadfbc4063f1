"""The report on the signatures of one file: the facts, and the conclusions from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum

from rotation.cms.timestamps import Timestamp
from rotation.sealing.request import Certification


class AddedContent(Enum):
    """The kind of content that was added to a file after a signature."""

    NOTHING = "nothing"
    PROOF = "validation data or timestamps"
    FORM = "signatures or entries in the form"
    COMMENTS = "comments"
    METADATA = "metadata"
    OTHER = "other changes"
    UNKNOWN = "what could not be compared"


class Problem(StrEnum):
    """What can be wrong. Stable."""

    UNREADABLE = "unreadable"
    CUT_OFF = "cut-off"
    PARTIAL = "partial"
    ALTERED = "altered"
    FORGED = "forged"
    TIMESTAMP = "timestamp"
    EXTENDED = "extended"
    UNSIGNED_CONTENT = "unsigned-content"
    UNDETERMINED = "undetermined"
    UNSUPPORTED = "unsupported"
    TOO_MUCH_WORK = "too-much-work"
    WEAK_ALGORITHM = "weak-algorithm"
    CA_SIGNER = "ca-signer"
    PURPOSE = "purpose"
    EXPIRED = "expired"
    UNTRUSTED = "untrusted"

    @property
    def is_of_trust(self) -> bool:
        """Whether it speaks against the signer, while the signature itself is good."""
        return self in _OF_TRUST


_OF_TRUST = frozenset({Problem.CA_SIGNER, Problem.PURPOSE, Problem.EXPIRED, Problem.UNTRUSTED})


class Verdict(StrEnum):
    """The verdict on one signature. Stable.

    Attributes:
        VALID: nothing is wrong, and nothing was added but validation data.
        MODIFIED: nothing is wrong, and what was added since is allowed.
        UNCHECKED: nothing is wrong with the signature, and nobody vouches for the signer, because
            no trust anchors were given.
        UNTRUSTED: nothing is wrong with the signature, and the signer is not to be trusted.
        PROBLEM: something is wrong.
    """

    VALID = "valid"
    MODIFIED = "modified"
    UNCHECKED = "unchecked"
    UNTRUSTED = "untrusted"
    PROBLEM = "problem"


class FileVerdict(StrEnum):
    """The verdict on a file, which is that on the worst of its signatures. Stable."""

    OK = "ok"
    MODIFIED = "modified"
    UNCHECKED = "unchecked"
    UNTRUSTED = "untrusted"
    PROBLEM = "problem"
    UNSIGNED = "unsigned"


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        problem: its code.
        text: a sentence for people.
    """

    problem: Problem
    text: str


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
        findings: what is wrong; empty if the file is unchanged, or was only extended in a way that
            the signature allows.
        timestamp: the timestamp in the signature, or None.
        allows: which later changes a certification allows; None for an ordinary signature.
        covered: how many bytes the signature covers, from the beginning of the file; 0 if it does
            not cover the beginning.
        added: what was added after the signature.
        digest: SHA-256 over what the signature covers, if the signature is intact and made over
            that.
    """

    field: str
    intact: bool
    trusted: bool | None
    covers_whole_file: bool
    subject: str | None = None
    organization: str | None = None
    claimed_time: datetime | None = None
    findings: tuple[Finding, ...] = ()
    timestamp: Timestamp | None = None
    allows: Certification | None = None
    covered: int = 0
    added: AddedContent = AddedContent.NOTHING
    digest: bytes | None = None

    @property
    def problem(self) -> str | None:
        """The first thing that is wrong, as a sentence."""
        return _first(self.findings)

    @property
    def verdict(self) -> Verdict:
        """The verdict on the signature."""
        if any(not finding.problem.is_of_trust for finding in self.findings):
            return Verdict.PROBLEM
        if self.findings:
            return Verdict.UNTRUSTED
        if self.trusted is None:
            return Verdict.UNCHECKED
        unchanged = self.added in {AddedContent.NOTHING, AddedContent.PROOF}
        return Verdict.VALID if unchanged else Verdict.MODIFIED


@dataclass(frozen=True)
class DocumentTimestampReport:
    """The report on a document timestamp, which proves when the file existed, not who sealed it.

    Attributes:
        field: the signature field's name.
        timestamp: the timestamp; None if it cannot be read.
        covered: as in `SealReport`.
        added: as in `SealReport`.
        findings: what is wrong.
    """

    field: str
    timestamp: Timestamp | None = None
    covered: int = 0
    added: AddedContent = AddedContent.NOTHING
    findings: tuple[Finding, ...] = ()

    @property
    def problem(self) -> str | None:
        """The first thing that is wrong, as a sentence."""
        return _first(self.findings)


@dataclass(frozen=True)
class FileReport:
    """The report on one file.

    Attributes:
        size: the file's size in bytes.
        seals: the signatures, in the order in which they were made.
        document_timestamps: the document timestamps, in the same order.
        unsigned: what is wrong with what follows the last seal; None if nothing is.
        filled_in: what follows the last seal was signed by nobody, and a certification allows it.
    """

    size: int
    seals: tuple[SealReport, ...]
    document_timestamps: tuple[DocumentTimestampReport, ...]
    unsigned: Finding | None = None
    filled_in: bool = False

    @property
    def problem(self) -> str | None:
        """The first problem of the file; None if it is sealed and has no problem."""
        if not self.seals:
            return "The file bears no signature."
        reports: list[SealReport | DocumentTimestampReport] = [
            *self.seals,
            *self.document_timestamps,
        ]
        for report in reports:
            if report.problem is not None:
                return f"{report.field}: {report.problem}"
        return self.unsigned.text if self.unsigned else None

    @property
    def verdict(self) -> FileVerdict:
        """The verdict on the file."""
        if not self.seals:
            return FileVerdict.UNSIGNED
        verdicts = {seal.verdict for seal in self.seals}
        of_stamps = [one for stamp in self.document_timestamps for one in stamp.findings]
        if Verdict.PROBLEM in verdicts or self.unsigned is not None:
            return FileVerdict.PROBLEM
        if any(not one.problem.is_of_trust for one in of_stamps):
            return FileVerdict.PROBLEM
        if Verdict.UNTRUSTED in verdicts or of_stamps:
            return FileVerdict.UNTRUSTED
        if Verdict.UNCHECKED in verdicts:
            return FileVerdict.UNCHECKED
        return FileVerdict.MODIFIED if self.filled_in else FileVerdict.OK


def _first(findings: tuple[Finding, ...]) -> str | None:
    return findings[0].text if findings else None
