"""Verifies one file, and prints the result."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedReader
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final, cast

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from rotation.cli.shared.output import progress_shown
from rotation.cli.verify.ledger import LedgerFinding, ledger_totals
from rotation.cms.timestamps import Timestamp
from rotation.errors import RotationError
from rotation.privacy.printable import printable
from rotation.sealing.request import Certification
from rotation.sealing.verification.report import (
    AddedContent,
    DocumentTimestampReport,
    FileReport,
    FileVerdict,
    Finding,
    SealReport,
)
from rotation.sealing.verify import examine

STANDARD_INPUT: Final = "-"
UNREADABLE: Final = "unreadable"

#: The exit code for each verdict; the first one in this order that a file has counts.
EXIT_CODES: Final = {
    UNREADABLE: 1,
    FileVerdict.UNSIGNED.value: 1,
    FileVerdict.PROBLEM.value: 1,
    FileVerdict.UNTRUSTED.value: 1,
    FileVerdict.UNCHECKED.value: 3,
    FileVerdict.MODIFIED.value: 4,
    FileVerdict.OK.value: 0,
}
_STYLES: Final = {0: "green", 1: "red", 3: "yellow", 4: "yellow"}

# In places a PDF is read byte by byte.
_BUFFER: Final = 64 * 1024
_ALLOWED: Final = {
    Certification.NO_CHANGES: "no changes at all",
    Certification.FORM_FILLING: "signatures and entries in the form",
    Certification.ANNOTATIONS: "signatures, entries in the form and comments",
}


@dataclass(frozen=True)
class FileVerification:
    """The result of verifying one file.

    Attributes:
        name: the file's name on the command line.
        report: what was found; None if the file could not be read.
        unreadable: why the file could not be read, or None.
        ledger: what the ledger says of each seal, in their order; empty if nobody asked.
    """

    name: str
    report: FileReport | None = None
    unreadable: str | None = None
    ledger: tuple[LedgerFinding, ...] = ()

    @property
    def status(self) -> str:
        """Stable: a `FileVerdict`, or ``unreadable``."""
        return UNREADABLE if self.report is None else self.report.verdict.value

    @property
    def problem(self) -> str | None:
        """What is wrong; None if nothing is."""
        return self.report.problem if self.report else self.unreadable

    def as_json(self) -> dict[str, Any]:
        """The members that ``--json`` prints for a file."""
        report = self.report or FileReport(0, (), ())
        return {
            "file": self.name,
            "verdict": self.status,
            "problem": self.problem,
            "unsigned": report.unsigned.problem if report.unsigned else None,
            "bytes": report.size,
            "signatures": [
                _seal_as_json(seal) | ({"ledger": found.as_json()} if found else {})
                for seal, found in zip_longest(report.seals, self.ledger)
            ],
            "documentTimestamps": [_stamp_as_json(stamp) for stamp in report.document_timestamps],
        }


def verify_file(name: str, anchors: bytes | None) -> FileVerification:
    """Verify the file ``name``. Raises nothing if the file is wrong or cannot be read."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    try:
        with _opened(name) as file, progress_shown(*columns) as progress:
            size = file.seek(0, 2)
            task = progress.add_task(printable(name), total=size)
            watched: Any = progress.wrap_file(file, task_id=task)
            return FileVerification(
                name, examine(cast(BinaryIO, BufferedReader(watched, _BUFFER)), anchors)
            )
    except RotationError as error:
        return FileVerification(name, unreadable=str(error))
    except OSError as error:
        return FileVerification(
            name, unreadable=f"The file cannot be read: {error.strerror or error}."
        )


def print_verification(console: Console, verification: FileVerification) -> None:
    """Print a line for the file, and a few for each signature."""
    style = _STYLES[EXIT_CODES[verification.status]]
    name = "standard input" if verification.name == STANDARD_INPUT else verification.name
    line = f"{name}  {verification.problem or _signers(verification.report)}"
    console.print(Text.assemble((f"{verification.status:<12}", style), " ", printable(line)))
    if verification.report is None:
        return
    size = verification.report.size
    for seal, found in zip_longest(verification.report.seals, verification.ledger):
        _print_signature(console, seal.field, _seal_lines(seal, size))
        if found:
            _print_facts(console, [("ledger", found.text)])
    for stamp in verification.report.document_timestamps:
        _print_signature(console, stamp.field, _stamp_lines(stamp, size))


def totals(verifications: Sequence[FileVerification]) -> dict[str, int]:
    """How many files have each verdict, in the order of `EXIT_CODES`."""
    counted = Counter(verification.status for verification in verifications)
    return {verdict: counted[verdict] for verdict in EXIT_CODES if counted[verdict]}


def exit_code(verifications: Sequence[FileVerification]) -> int:
    """The exit code for all files together."""
    return next((EXIT_CODES[verdict] for verdict in totals(verifications)), 0)


def print_totals(console: Console, verifications: Sequence[FileVerification]) -> None:
    """Print one line for all files, if there are several, and one for all seals in the ledger."""
    if of_seals := [finding for one in verifications for finding in one.ledger]:
        counts = ledger_totals(of_seals).items()
        each = ", ".join(f"{count} {answer}" for answer, count in counts)
        console.print(f"{len(of_seals)} seals: {each}", markup=False)
    if len(verifications) < 2:
        return
    each = ", ".join(f"{count} {verdict}" for verdict, count in totals(verifications).items())
    console.print(f"{len(verifications)} files: {each}", markup=False)


def _signers(report: FileReport | None) -> str:
    seals = report.seals if report else ()
    names = dict.fromkeys(seal.organization or seal.subject or "nobody" for seal in seals)
    named = f"sealed by {' and '.join(names)}"
    if not all(seal.trusted for seal in seals):
        return (
            f"{named}; nobody vouches for the signer: this name was not checked, because no trust "
            "anchor was given"
        )
    if report and report.filled_in:
        return f"{named}; filled in since, in a way that the certification allows"
    return named


def _print_signature(console: Console, field: str, facts: Iterator[tuple[str, str]]) -> None:
    console.print(f"{'':<13}{printable(field)}", markup=False)
    _print_facts(console, facts)


def _print_facts(console: Console, facts: Iterable[tuple[str, str]]) -> None:
    for label, fact in facts:
        console.print(f"{'':<15}{label:<10} {printable(fact)}", markup=False)


def _seal_lines(seal: SealReport, size: int) -> Iterator[tuple[str, str]]:
    if seal.subject is not None or seal.findings:
        yield "verdict", seal.verdict.value
    for finding in seal.findings:
        yield "problem", finding.text
    if seal.subject is None:
        return
    yield "signer", seal.subject
    yield "trust", _trust_text(seal.trusted)
    if seal.claimed_time is not None:
        yield "claimed", f"{_time(seal.claimed_time)}, by the signer's own clock"
    yield "timestamp", _timestamp_text(seal.timestamp)
    yield "covers", _coverage_text(seal.covered, seal.added, size)
    if seal.allows is not None:
        yield "allows", _ALLOWED[seal.allows]


def _stamp_lines(stamp: DocumentTimestampReport, size: int) -> Iterator[tuple[str, str]]:
    for finding in stamp.findings:
        yield "problem", finding.text
    yield "timestamp", f"of the file: {_timestamp_text(stamp.timestamp)}"
    yield "covers", _coverage_text(stamp.covered, stamp.added, size)


def _trust_text(trusted: bool | None) -> str:
    if trusted is None:
        return "unknown: the name was not checked; give --trust"
    return "the certificate chains to a given one" if trusted else "not trusted"


def _timestamp_text(timestamp: Timestamp | None) -> str:
    if timestamp is None:
        return "none: no time is proven"
    text = f"{_time(timestamp.time)}, by {timestamp.authority}"
    if timestamp.unproven is None:
        return f"{text}: proven"
    if not timestamp.intact:
        return f"{text}: worthless, because it is damaged, forged, or belongs to something else"
    hint = "; give --trust" if timestamp.trusted is None else ""
    return f"{text}: unproven, because {timestamp.unproven.text}{hint}"


def _coverage_text(covered: int, added: AddedContent, size: int) -> str:
    if covered == size:
        return f"the whole file, {size} bytes"
    if covered == 0:
        return "parts of the file, or another one"
    return f"the first {covered} bytes of {size}; then came {added.value}"


def _time(time: datetime) -> str:
    if time.tzinfo is None:
        return f"{time:%Y-%m-%d %H:%M:%S} in an unknown time zone"
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _seal_as_json(seal: SealReport) -> dict[str, Any]:
    return {
        "field": seal.field,
        "verdict": seal.verdict,
        "problem": seal.problem,
        "problems": _findings_as_json(seal.findings),
        "intact": seal.intact,
        "trusted": seal.trusted,
        "subject": seal.subject,
        "organization": seal.organization,
        "claimedTime": seal.claimed_time.isoformat() if seal.claimed_time else None,
        "timestamp": _timestamp_as_json(seal.timestamp),
        "coversWholeFile": seal.covers_whole_file,
        "coveredBytes": seal.covered,
        "added": seal.added.name.lower(),
        "allows": seal.allows,
    }


def _stamp_as_json(stamp: DocumentTimestampReport) -> dict[str, Any]:
    return {
        "field": stamp.field,
        "problem": stamp.problem,
        "problems": _findings_as_json(stamp.findings),
        "timestamp": _timestamp_as_json(stamp.timestamp),
        "coveredBytes": stamp.covered,
        "added": stamp.added.name.lower(),
    }


def _findings_as_json(findings: tuple[Finding, ...]) -> list[dict[str, str]]:
    return [{"code": finding.problem, "message": finding.text} for finding in findings]


def _timestamp_as_json(timestamp: Timestamp | None) -> dict[str, Any] | None:
    if timestamp is None:
        return None
    return {
        "time": timestamp.time.isoformat(),
        "authority": timestamp.authority,
        "intact": timestamp.intact,
        "trusted": timestamp.trusted,
        "proven": timestamp.proven,
        "unproven": timestamp.unproven,
        "policy": timestamp.policy,
    }


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """The file, seekable: standard input is copied to a temporary file first."""
    path: Path | int = sys.stdin.fileno() if name == STANDARD_INPUT else Path(name)
    with open(path, "rb", buffering=0, closefd=name != STANDARD_INPUT) as file:
        if file.seekable():
            yield cast(BinaryIO, file)
            return
        with TemporaryFile(buffering=0) as copy:
            shutil.copyfileobj(file, copy)
            yield cast(BinaryIO, copy)
