"""One file that is raised to a level: what it has, what would be done, and what was done."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from rotation.errors import DestinationError, LevelError, RotationError, SourceNotFoundError
from rotation.sealing.pdf import Limits
from rotation.sealing.request import Level

if TYPE_CHECKING:
    from rotation.sealing.levels.raiser import LevelRaiser


class ExtensionStatus(StrEnum):
    """What happened to a file. Values are stable."""

    RAISED = "raised"
    #: It has the level, or a higher one.
    SKIPPED = "skipped"
    #: A run without --dry-run would raise it.
    PLANNED = "planned"
    #: It has a higher level than before, and not the one that was asked for.
    LOWER = "lower"
    FAILED = "error"


@dataclass(frozen=True)
class ExtensionResult:
    """What happened to one file.

    Attributes:
        before: the level that it had; None if that is not known.
        after: the level that it has now; None if nothing was written.
        problem: why it has not the level that was asked for.
    """

    file: str
    destination: str
    status: ExtensionStatus
    before: Level | None = None
    after: Level | None = None
    problem: str | None = None
    code: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether nothing is left to do."""
        return self.status not in {ExtensionStatus.FAILED, ExtensionStatus.LOWER}

    def as_json(self) -> dict[str, Any]:
        """The members of the line that ``--json`` prints."""
        return {
            "status": self.status,
            "file": self.file,
            "destination": self.destination,
            "before": self.before,
            "after": self.after,
            "code": self.code,
            "problem": self.problem,
        }


@dataclass(frozen=True)
class Extension:
    """Raises files by the same services.

    Attributes:
        raiser: what raises documents.
        wanted: the level that each file shall have.
        folder: where raised files go; None: into the files themselves.
        fail: whether a file that gets a lower level than asked for is left as it was.
        renew: whether a file that has the level B-LTA gets a new document timestamp.
        dry_run: whether nothing is asked and nothing is written.
    """

    raiser: LevelRaiser
    wanted: Level
    folder: Path | None
    fail: bool
    renew: bool
    dry_run: bool

    def result(self, path: Path) -> ExtensionResult:
        """Raise one file. Raises nothing of `rotation.errors`."""
        target = path if self.folder is None else self.folder / path.name
        try:
            return self._result(path, target)
        except RotationError as error:
            return ExtensionResult(
                str(path), str(target), ExtensionStatus.FAILED, problem=str(error), code=error.code
            )

    def _result(self, path: Path, target: Path) -> ExtensionResult:
        from rotation.sealing.levels.growing_document import GrowingDocument
        from rotation.sealing.pdf.reader.document import PdfDocument, readable

        try:
            file = path.open("rb")
        except OSError as error:
            raise SourceNotFoundError(f"{path} cannot be read: {error.strerror}.") from error
        with file:
            if self.folder is not None and os.path.lexists(target):
                problem = DestinationError(f"{target} is there already, and is not overwritten.")
                problem.retryable = False
                raise problem
            with readable():
                read = PdfDocument(file)
            document = GrowingDocument(
                read, lambda: hashlib.file_digest(_from_start(file), "sha256"), Limits()
            )
            before = self.raiser.level(document)
            if before is None:
                raise LevelError("The document has no signature that could be raised.")
            names = (str(path), str(target))
            if before.reaches(self.wanted) and not (self.renew and before is Level.B_LTA):
                return ExtensionResult(*names, ExtensionStatus.SKIPPED, before, before)
            if self.dry_run:
                return ExtensionResult(*names, ExtensionStatus.PLANNED, before)
            raised = self.raiser.raise_level(document, self.wanted)
            if not document.tail or (raised.problem is not None and self.fail):
                return ExtensionResult(
                    *names,
                    ExtensionStatus.FAILED,
                    before,
                    problem=raised.problem,
                    code=LevelError.code,
                )
            _write(file, document.tail, target)
            status = ExtensionStatus.LOWER if raised.problem else ExtensionStatus.RAISED
            code = LevelError.code if raised.problem else None
            return ExtensionResult(*names, status, before, raised.reached, raised.problem, code)


def _from_start(file: BinaryIO) -> Any:
    file.seek(0)
    return file


def _write(source: BinaryIO, tail: bytes, target: Path) -> None:
    """Write the source and ``tail`` to a temporary file, and rename it: all of it, or nothing."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A link stays a link: what it names is replaced.
        target = target.resolve()
        descriptor, name = tempfile.mkstemp(prefix=".rotation-extend-", dir=target.parent)
    except OSError as error:
        raise DestinationError(f"{target} cannot be written: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "wb") as temporary:
            shutil.copyfileobj(_from_start(source), temporary, 1024 * 1024)
            temporary.write(tail)
            temporary.flush()
            os.fchmod(temporary.fileno(), os.fstat(source.fileno()).st_mode & 0o777)
            os.fsync(temporary.fileno())
        Path(name).replace(target)
    except OSError as error:
        raise DestinationError(f"{target} cannot be written: {error.strerror}.") from error
    finally:
        with suppress(OSError):
            Path(name).unlink(missing_ok=True)
