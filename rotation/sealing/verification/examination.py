"""Examines one file: reads its signatures, verifies each, and compares what came between them.

Whatever one signature is made of, the others are still examined. The work is linear in the file's
size: what signatures share is read, hashed and verified once, and one budget of time covers it all.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from io import BufferedReader
from itertools import chain, pairwise
from typing import BinaryIO, Final, cast

from pyhanko.pdf_utils.misc import PdfDecodeLimitError

from rotation.cms.signed_data import UNREADABLE, SignedData, read_signed_data
from rotation.cms.timestamps import Timestamp, Unproven, imprint_algorithm
from rotation.errors import (
    DamagedPdfError,
    DocumentTooLargeError,
    EncryptedPdfError,
    RotationError,
)
from rotation.privacy.printable import outside_text
from rotation.sealing.pdf.fields import SignatureField
from rotation.sealing.pdf.limits import Limits
from rotation.sealing.pdf.reader.document import PdfDocument, readable
from rotation.sealing.verification.census import Census
from rotation.sealing.verification.changes import (
    Change,
    ChangeKind,
    forbidden,
    settled,
    unsigned,
)
from rotation.sealing.verification.comparison import SignedBy, compare
from rotation.sealing.verification.digests import SignedBytes, Wanted
from rotation.sealing.verification.dss import stored_certificates
from rotation.sealing.verification.history import FilePrefix, History, Revision
from rotation.sealing.verification.judgement import SignatureJudge, SignatureVerdict
from rotation.sealing.verification.layout import malformed_part
from rotation.sealing.verification.paths import TrustAnchors
from rotation.sealing.verification.report import (
    AddedContent,
    DocumentTimestampReport,
    FileReport,
    Finding,
    Problem,
    SealReport,
)
from rotation.sealing.verification.signatures import (
    CMS_FORMS,
    FieldSignature,
    UnreadableSignatureError,
    filled_fields,
    read_signature,
)

# The time for reading a document goes on while its digests are computed.
_SLOWEST_DIGESTS: Final = 10_000_000  # bytes a second, all signatures together
#: The word for what was added, the worst kinds first.
_ADDED: Final = (
    (AddedContent.UNKNOWN, {ChangeKind.UNKNOWN}),
    (AddedContent.OTHER, {ChangeKind.OTHER, ChangeKind.STRAY}),
    (AddedContent.METADATA, {ChangeKind.METADATA}),
    (AddedContent.COMMENTS, {ChangeKind.COMMENT}),
    (
        AddedContent.FORM,
        {
            ChangeKind.SIGNATURE,
            ChangeKind.VISIBLE_SIGNATURE,
            ChangeKind.FORM,
            ChangeKind.FORM_SETTINGS,
            ChangeKind.EMPTY_FIELD,
        },
    ),
    (AddedContent.PROOF, {ChangeKind.PROOF, ChangeKind.DATES}),
)
# How far back, and how often, the end of a document is looked for that is damaged at its end.
_SEARCHED_FOR_ENDS: Final = 1024 * 1024
_MOST_ENDS: Final = 4
_end_of_file = re.compile(rb"%%EOF(?:\r\n|\n|\r)?")
_UNKNOWN: Final = Change(ChangeKind.UNKNOWN, "what cannot be compared with what was signed")
_TOO_MUCH_WORK: Final = Finding(
    Problem.TOO_MUCH_WORK,
    "The file is made so that verifying all its signatures would read it over and over; this one "
    "was not verified.",
)


@dataclass(frozen=True)
class _Signature:
    """A signature that can be read, and what it is made of."""

    field: FieldSignature
    cms: SignedData | None
    wanted: Wanted


class FileExamination:
    """The examination of one file.

    Attributes:
        history: the document's revisions; it counts the objects that were read.
        signed_bytes: computes the digests; it counts the bytes that were hashed.
        judged: how many signatures were verified.
    """

    def __init__(self, file: BinaryIO, trust_anchors: bytes | None, at: datetime) -> None:
        anchors = TrustAnchors.from_pem(trust_anchors) if trust_anchors is not None else None
        self._size = file.seek(0, 2)
        limits = Limits(time=Limits().time + timedelta(seconds=self._size / _SLOWEST_DIGESTS))
        with readable(limits):
            self.history, self._fields = _opened(file, self._size, limits)
        document = self.history.document
        self._last = Revision(self.history, len(self.history.trailers), self._size)
        self._check_time = document.budget.check_time
        self.signed_bytes = SignedBytes(file, self._size, self._check_time)
        self.judged = 0
        self._judge = SignatureJudge(anchors, at, tuple(stored_certificates(self._last)))
        self._digests: dict[Wanted, bytes] = {}
        self._cms: dict[bytes, SignedData | None] = {}
        self._verdicts: dict[tuple[object, ...], SignatureVerdict] = {}

    def report(self) -> FileReport:
        """The report on the file."""
        unreadable: list[SealReport] = []
        signatures: list[_Signature] = []
        for field in self._fields:
            self._check_time()
            found = self._read(field)
            if isinstance(found, SealReport):
                unreadable.append(found)
            else:
                signatures.append(found)
        signatures.sort(key=lambda one: one.field.end)
        digests = self.signed_bytes.digests(one.wanted for one in signatures)
        self._digests = digests
        stamps = self._stamps(signatures, digests)
        seals = self._seals(signatures, digests, stamps)
        return self._with_changes(signatures, stamps, seals, unreadable)

    # --- reading ------------------------------------------------------------------------------

    def _read(self, field: SignatureField) -> _Signature | SealReport:
        """The signature in the field, or the report that says why it cannot be read."""
        try:
            signed = read_signature(field, self.history)
        except UnreadableSignatureError as error:
            return _unreadable(field.name, error.problem, str(error))
        except RotationError:
            raise
        except Exception:  # noqa: BLE001 - pyHanko raises any type over a damaged signature
            text = "The signature cannot be read: its dictionary is damaged."
            return _unreadable(field.name, Problem.UNREADABLE, text)
        if signed.form not in CMS_FORMS:
            text = f"This command does not verify signatures of the form {signed.form[:40] or '-'}."
            return _unreadable(field.name, Problem.UNSUPPORTED, text)
        if signed.contents not in self._cms:
            self._cms[signed.contents] = self._parsed(signed.contents)
        cms = self._cms[signed.contents]
        algorithm = self._algorithm(signed, cms)
        if cms is None or algorithm is None:
            text = "The signature cannot be read: its value is no CMS SignedData."
            return _unreadable(field.name, Problem.UNREADABLE, text)
        if algorithm not in hashlib.algorithms_guaranteed | {"ripemd160"}:
            text = f"This command does not know the digest algorithm {algorithm[:40]}."
            return _unreadable(field.name, Problem.UNSUPPORTED, text)
        return _Signature(signed, cms, (signed.ranges, algorithm))

    def _parsed(self, contents: bytes) -> SignedData | None:
        try:
            signed = read_signed_data(contents, self._judge.known)
            _ = signed.key, signed.digests, signed.certificate.subject.human_friendly
        except UNREADABLE:
            return None
        return signed

    def _algorithm(self, signed: FieldSignature, cms: SignedData | None) -> str | None:
        """The digest algorithm for the bytes that the signature covers."""
        if cms is None:
            return None
        if signed.form == "/adbe.pkcs7.sha1":
            return "sha1"
        if not signed.is_timestamp:
            return cms.digest_algorithm
        try:
            return imprint_algorithm(signed.contents, self._judge.known)
        except UNREADABLE:
            return None

    # --- verifying ----------------------------------------------------------------------------

    def _stamps(
        self, signatures: list[_Signature], digests: dict[Wanted, bytes]
    ) -> dict[int, Timestamp | Finding]:
        """The verdict on each document timestamp, by the place of its signature in the list.

        A later timestamp proves when an earlier one existed, so the last one comes first.
        """
        found: dict[int, Timestamp | Finding] = {}
        moment = self._judge.at
        claims = self._claims(signatures)
        for index in reversed(range(len(signatures))):
            one = signatures[index]
            if not one.field.is_timestamp:
                continue
            self._check_time()
            digest = digests.get(one.wanted)
            if digest is None:
                found[index] = _TOO_MUCH_WORK
                continue
            self.judged += 1
            try:
                stamp = self._judge.judge_stamp(
                    one.field.contents, _constant(digest), moment, claims[index]
                )
            except UNREADABLE:
                text = "The signature cannot be read: its value is no timestamp."
                found[index] = Finding(Problem.UNREADABLE, text)
                continue
            found[index] = stamp
            if stamp.proven and one.field.whole:
                moment = min(moment, stamp.time)
        return found

    @staticmethod
    def _claims(signatures: list[_Signature]) -> list[datetime | None]:
        """For each signature the latest time that a seal before it claims."""
        latest: datetime | None = None
        found: list[datetime | None] = []
        for one in signatures:
            found.append(latest)
            claimed = one.field.claimed
            if claimed is not None and claimed.tzinfo and not one.field.is_timestamp:
                latest = max(latest or claimed, claimed)
        return found

    def _seals(
        self,
        signatures: list[_Signature],
        digests: dict[Wanted, bytes],
        stamps: dict[int, Timestamp | Finding],
    ) -> dict[int, SignatureVerdict | Finding]:
        """The verdict on each seal, by the place of its signature in the list."""
        found: dict[int, SignatureVerdict | Finding] = {}
        proven_later: datetime | None = None
        for index in reversed(range(len(signatures))):
            one = signatures[index]
            stamp = stamps.get(index)
            if isinstance(stamp, Timestamp) and stamp.proven and one.field.whole:
                proven_later = min(proven_later or stamp.time, stamp.time)
            if one.field.is_timestamp:
                continue
            self._check_time()
            digest = digests.get(one.wanted)
            found[index] = (
                _TOO_MUCH_WORK if digest is None else self._verdict(one, digest, proven_later)
            )
        return found

    def _verdict(
        self, one: _Signature, digest: bytes, proven_later: datetime | None
    ) -> SignatureVerdict | Finding:
        cms, field = one.cms, one.field
        assert cms is not None
        relied_on: tuple[str, ...] = ()
        if field.form == "/adbe.pkcs7.sha1":
            relied_on = ("sha1",)
            # The digest of the file is the content that is signed (ISO 32000-1, 12.8.3.3).
            if cms.content != digest:
                digest = b""
            else:
                digest = hashlib.new(cms.digest_algorithm, cms.content).digest()
        key = (field.contents, field.form, digest, field.claimed, proven_later)
        if key not in self._verdicts:
            self.judged += 1
            try:
                self._verdicts[key] = self._judge.judge(
                    cms, digest, field.claimed, proven_later, relied_on
                )
            except UNREADABLE:
                text = "This command does not know the algorithm of the signature."
                return Finding(Problem.UNSUPPORTED, text)
        return self._verdicts[key]

    # --- comparing ----------------------------------------------------------------------------

    def _with_changes(
        self,
        signatures: list[_Signature],
        stamps: dict[int, Timestamp | Finding],
        seals: dict[int, SignatureVerdict | Finding],
        unreadable: list[SealReport],
    ) -> FileReport:
        genuine: dict[int, dict[int, SignedBy]] = {}
        for index, one in enumerate(signatures):
            verdict = stamps.get(index) or seals.get(index)
            if one.field.number is not None and not isinstance(verdict, Finding | None):
                kind = SignedBy.DOCUMENT_TIMESTAMP if index in stamps else SignedBy.SEAL
                if verdict.intact and one.field.whole:
                    genuine.setdefault(one.field.end, {})[one.field.number] = kind
        later = self._changes([one.field for one in signatures], genuine)
        seal_reports: list[SealReport] = []
        stamp_reports: list[DocumentTimestampReport] = []
        for index, one in enumerate(signatures):
            changes = later.get(one.field.end, [_UNKNOWN])
            if index in seals:
                seal_reports.append(self._seal_report(one.field, seals[index], changes))
            else:
                stamp_reports.append(self._stamp_report(one.field, stamps[index], changes))
        report = FileReport(self._size, (*unreadable, *seal_reports), tuple(stamp_reports))
        last = [one.field for index, one in enumerate(signatures) if index in seals]
        if not last or not last[-1].whole:
            return report
        return self._with_tail(report, last[-1], later, [one.field for one in signatures])

    def _changes(
        self, fields: list[FieldSignature], genuine: dict[int, dict[int, SignedBy]]
    ) -> dict[int, list[Change]]:
        """For the end of each revision all changes that came after it, one of a kind."""
        revisions = {one.end: one.revision for one in fields if one.revision is not None}
        ordered = [revisions[end] for end in sorted(revisions)]
        locks = any(one.permission.locks or one.permission.locks_others for one in fields)
        found: dict[int, list[Change]] = {self._size: []}
        after: dict[object, Change] = {}
        steps = list(pairwise([*ordered, self._last]))
        census = cache(lambda: Census(self.history))
        for old, new in reversed(steps):
            self._check_time()
            for change in self._step(old, new, genuine.get(new.end, {}), census):
                after[change.kind, change.field if locks else None] = change
            found[old.end] = list(after.values())
        return found

    def _step(
        self,
        old: Revision,
        new: Revision,
        signed: dict[int, SignedBy],
        census: Callable[[], Census],
    ) -> list[Change]:
        """The changes between two revisions that follow one another."""
        if old.end == new.end:
            return []
        try:
            changes = settled(compare(old, new, signed, census()))
            malformed = malformed_part(self.history, old, new)
        except RotationError:
            raise
        except Exception:  # noqa: BLE001 - pyHanko raises any type over a damaged object
            return [_UNKNOWN]
        if malformed is not None:
            changes.append(malformed)
        elif not changes:
            changes.append(Change(ChangeKind.STRAY, "an update that changes nothing"))
        return changes

    def _seal_report(
        self, field: FieldSignature, verdict: SignatureVerdict | Finding, changes: list[Change]
    ) -> SealReport:
        if isinstance(verdict, Finding):
            return replace(
                _unreadable(field.name, verdict.problem, verdict.text),
                covered=field.end if field.whole else 0,
            )
        findings = list(verdict.findings)
        if verdict.intact:
            findings = [*_extension(field, changes), *findings]
        return SealReport(
            outside_text(field.name),
            intact=verdict.intact,
            trusted=verdict.trusted,
            covers_whole_file=field.whole and field.end == self._size,
            subject=verdict.subject,
            organization=verdict.organization,
            claimed_time=verdict.claimed,
            findings=tuple(findings),
            timestamp=verdict.timestamp,
            allows=field.permission.level,
            covered=field.end if field.whole else 0,
            added=_added(changes),
            digest=self._digests.get((field.ranges, "sha256")) if verdict.intact else None,
        )

    def _stamp_report(
        self, field: FieldSignature, verdict: Timestamp | Finding, changes: list[Change]
    ) -> DocumentTimestampReport:
        if isinstance(verdict, Finding):
            return DocumentTimestampReport(outside_text(field.name), findings=(verdict,))
        findings: list[Finding] = []
        if verdict.unproven is Unproven.OTHER_CONTENT:
            text = "The document was changed after it was timestamped."
            findings.append(Finding(Problem.ALTERED, text))
        elif not verdict.intact:
            findings.append(Finding(Problem.FORGED, "The timestamp is damaged or forged."))
        else:
            findings += _extension(field, changes)
            if verdict.unproven not in {None, Unproven.NO_ANCHORS}:
                assert verdict.unproven is not None
                weak = verdict.unproven is Unproven.WEAK_ALGORITHM
                text = f"The time of the document timestamp is not proven: {verdict.unproven.text}."
                findings.append(
                    Finding(Problem.WEAK_ALGORITHM if weak else Problem.UNTRUSTED, text)
                )
        return DocumentTimestampReport(
            outside_text(field.name),
            verdict,
            covered=field.end if field.whole else 0,
            added=_added(changes),
            findings=tuple(findings),
        )

    def _with_tail(
        self,
        report: FileReport,
        last: FieldSignature,
        later: dict[int, list[Change]],
        fields: list[FieldSignature],
    ) -> FileReport:
        """The report, with what follows the last seal."""
        changes = later.get(last.end, [_UNKNOWN])
        change = unsigned(changes, [one.permission for one in fields])
        if change is not None:
            code = Problem.UNSIGNED_CONTENT
            if change.kind is ChangeKind.UNKNOWN:
                code = Problem.UNDETERMINED
            text = (
                f"After the last signature, {self._size - last.end} bytes were added that nobody "
                f"has signed: {change.text}."
            )
            return replace(report, unsigned=Finding(code, text))
        filled_in = {ChangeKind.FORM, ChangeKind.COMMENT} & {one.kind for one in changes}
        return replace(report, filled_in=bool(filled_in))


def _opened(file: BinaryIO, size: int, limits: Limits) -> tuple[History, list[SignatureField]]:
    """The document and its signed fields.

    A document that is damaged is read up to its last end that can be read, or else without its
    tables, if it then bears a signature. What follows that end is judged as what was added.
    """
    started = time.monotonic()
    try:
        return _read_fields(PdfDocument(file, limits, signed=True, since=started))
    except (EncryptedPdfError, DocumentTooLargeError, PdfDecodeLimitError, MemoryError):
        raise
    except Exception as error:
        for again in chain(_prefixes(file, size, limits, started), [None]):
            with suppress(Exception):
                document = again or PdfDocument(
                    file, limits, recovered=True, signed=True, since=started
                )
                history, fields = _read_fields(document)
                if fields:
                    return history, fields
        if isinstance(error, RotationError | RecursionError):
            raise
        raise DamagedPdfError(
            "The file is damaged, or built in a way that this command does not understand."
        ) from error


def _read_fields(document: PdfDocument) -> tuple[History, list[SignatureField]]:
    history = History(document)
    return history, filled_fields(history)


def _prefixes(file: BinaryIO, size: int, limits: Limits, started: float) -> Iterator[PdfDocument]:
    """The document up to each of its ends that can be read, the last one first."""
    for end in _ends(file, size):
        with suppress(Exception):
            yield PdfDocument(
                cast(BinaryIO, BufferedReader(FilePrefix(file, end))),
                limits,
                signed=True,
                since=started,
            )


def _ends(file: BinaryIO, size: int) -> list[int]:
    """The last positions at which the document may end, the last one first."""
    start = max(0, size - _SEARCHED_FOR_ENDS)
    file.seek(start)
    found = [start + match.end() for match in _end_of_file.finditer(file.read(size - start))]
    return [end for end in reversed(found) if end < size][:_MOST_ENDS]


def _extension(field: FieldSignature, changes: list[Change]) -> list[Finding]:
    """What is wrong with what the signature covers, and with what came after it."""
    if not field.whole:
        text = "The signature covers only parts of the document."
        return [Finding(Problem.PARTIAL, text)]
    change = forbidden(changes, field.permission)
    if change is None:
        return []
    if change.kind is ChangeKind.UNKNOWN:
        text = (
            "The signature is good for what it covers. What was added after it cannot be compared "
            "with that."
        )
        return [Finding(Problem.UNDETERMINED, text)]
    text = (
        "The document was extended after it was sealed, in a way that the seal forbids: "
        f"{change.text}."
    )
    return [Finding(Problem.EXTENDED, text)]


def _added(changes: Iterable[Change]) -> AddedContent:
    kinds = {change.kind for change in changes}
    return next((word for word, some in _ADDED if kinds & some), AddedContent.NOTHING)


def _unreadable(name: str, problem: Problem, text: str) -> SealReport:
    return SealReport(
        outside_text(name),
        intact=False,
        trusted=False,
        covers_whole_file=False,
        findings=(Finding(problem, text),),
        added=AddedContent.UNKNOWN,
    )


def _constant(digest: bytes) -> Callable[[str], bytes]:
    return lambda _: digest
