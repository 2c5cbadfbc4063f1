"""Verifies one file, and prints the result."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final, cast

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from rotation.cli.shared.output import progress_shown
from rotation.cms.timestamps import Timestamp
from rotation.errors import RotationError
from rotation.privacy.printable import printable
from rotation.sealing.request import Certification
from rotation.sealing.verification.report import (
    AddedContent,
    DocumentTimestampReport,
    FileReport,
    SealReport,
)
from rotation.sealing.verify import examine

STANDARD_INPUT: Final = "-"

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
    """

    name: str
    report: FileReport | None = None
    unreadable: str | None = None

    @property
    def status(self) -> str:
        """Stable: ``ok``, ``problem``, ``unsigned`` or ``unreadable``."""
        if self.report is None:
            return "unreadable"
        if not self.report.seals:
            return "unsigned"
        return "ok" if self.report.problem is None else "problem"

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
            "bytes": report.size,
            "signatures": [_seal_as_json(seal) for seal in report.seals],
            "documentTimestamps": [_stamp_as_json(stamp) for stamp in report.document_timestamps],
        }


def verify_file(name: str, anchors: bytes | None) -> FileVerification:
    """Verify the file ``name``. Raises nothing if the file is wrong or cannot be read."""
    columns = (
        TextColumn("{task.description}"),
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
    style = "green" if verification.status == "ok" else "red"
    name = "standard input" if verification.name == STANDARD_INPUT else verification.name
    line = f"{name}  {verification.problem or _signers(verification.report)}"
    console.print(Text.assemble((f"{verification.status:<12}", style), " ", printable(line)))
    if verification.report is None:
        return
    size = verification.report.size
    for seal in verification.report.seals:
        _print_signature(console, seal.field, _seal_lines(seal, size))
    for stamp in verification.report.document_timestamps:
        _print_signature(console, stamp.field, _stamp_lines(stamp, size))


def _signers(report: FileReport | None) -> str:
    seals = report.seals if report else ()
    names = dict.fromkeys(seal.organization or seal.subject or "nobody" for seal in seals)
    named = f"sealed by {' and '.join(names)}"
    known = all(seal.trusted for seal in seals)
    return named if known else f"{named}; this name was not checked"


def _print_signature(console: Console, field: str, facts: Iterator[tuple[str, str]]) -> None:
    console.print(f"{'':<13}{printable(field)}", markup=False)
    for label, fact in facts:
        console.print(f"{'':<15}{label:<10} {printable(fact)}", markup=False)


def _seal_lines(seal: SealReport, size: int) -> Iterator[tuple[str, str]]:
    if seal.problem is not None:
        yield "problem", seal.problem
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
    if stamp.problem is not None:
        yield "problem", stamp.problem
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
    if timestamp.proven:
        return f"{text}: proven"
    if not timestamp.intact:
        return f"{text}: worthless, because it is damaged, forged, or belongs to something else"
    return f"{text}: not proven, because the authority is {_unproven(timestamp)}"


def _unproven(timestamp: Timestamp) -> str:
    return "not trusted" if timestamp.trusted is False else "not checked; give --trust"


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
        "problem": seal.problem,
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
        "timestamp": _timestamp_as_json(stamp.timestamp),
        "coveredBytes": stamp.covered,
        "added": stamp.added.name.lower(),
    }


def _timestamp_as_json(timestamp: Timestamp | None) -> dict[str, Any] | None:
    if timestamp is None:
        return None
    return {
        "time": timestamp.time.isoformat(),
        "authority": timestamp.authority,
        "intact": timestamp.intact,
        "trusted": timestamp.trusted,
        "proven": timestamp.proven,
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
