"""Documents in folders of this machine.

The sealed document is written to a temporary file in the same folder, synced and renamed
(rename(2)), so that the destination holds all of it or nothing. If the process is killed meanwhile,
the temporary file stays; the next process that writes to the folder removes it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from io import BufferedReader, FileIO
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Final, Self, cast

from rotation.errors import (
    DestinationError,
    DocumentTooLargeError,
    SourceChangedError,
    SourceNotFoundError,
    SourceUnavailableError,
)
from rotation.sealing.documents import DocumentWriter, SourceDocument, StoredDocument
from rotation.sealing.pdf import PreparedPdf
from rotation.sealing.request import ObjectLocation

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: The names of files that are being written.
UNFINISHED: Final = ".rotation-seal-{}.unfinished"

_CHUNK: Final = 1024 * 1024
# A reader of PDFs goes byte by byte in places.
_BUFFER: Final = 64 * 1024


class LocalDocuments:
    """`rotation.sealing.documents.DocumentStore` in folders.

    Metadata is not stored, since a file has none. A sealed document begins with its source, so it
    shows by itself what it was made from.

    Args:
        folders: the folder that each bucket's name stands for; a key is a path in the folder.
        overwrite: whether a sealed document may replace a file.
    """

    def __init__(self, folders: Mapping[str, Path], *, overwrite: bool = False) -> None:
        self._folders = folders
        self._overwrite = overwrite
        self._cleaned: set[Path] = set()
        self._lock = Lock()

    def open(self, source: ObjectLocation, *, most: int) -> SourceDocument:
        """As `DocumentStore.open`; the file is read as it is asked for."""
        path = self.path(source)
        if source.version_id is not None:
            raise SourceNotFoundError(f"{path} cannot be read: a file has no versions.")
        try:
            file = _SourceFile(path)
            status = os.fstat(file.fileno())
        except OSError as error:
            raise SourceNotFoundError(f"{path} cannot be read: {error.strerror}.") from error
        content = cast(BinaryIO, BufferedReader(file, _BUFFER))
        if status.st_size > most:
            content.close()
            raise DocumentTooLargeError(
                f"{path} has {status.st_size} bytes; documents of at most {most} are sealed."
            )
        return SourceDocument(
            content,
            source,
            status.st_size,
            etag=f"{status.st_mtime_ns:x}-{status.st_size:x}",
            version_id=None,
            metadata={},
        )

    def open_writer(
        self,
        source: SourceDocument,
        destination: ObjectLocation,
        metadata: Mapping[str, str],  # noqa: ARG002 - see above
        *,
        rewritten: bool,  # noqa: ARG002 - one way for both
    ) -> DocumentWriter:
        """As `DocumentStore.open_writer`; folders that are missing are made."""
        path = self.path(destination)
        _refuse_source(path, self.path(source.location))
        refuse_existing(path, overwrite=self._overwrite)
        try:
            readers = os.fstat(source.content.fileno()).st_mode
            path.parent.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers(path.parent)
            temporary = _TemporaryFile(path.parent, readers)
        except OSError as error:
            raise _unwritable(path, error) from error
        return _FileWriter(temporary, path, overwrite=self._overwrite)

    def path(self, location: ObjectLocation) -> Path:
        """Where a document is."""
        return self._folders[location.bucket] / location.key

    def _remove_leftovers(self, folder: Path) -> None:
        """Remove the temporary files that killed processes left in ``folder``, once."""
        with self._lock:
            if folder in self._cleaned:
                return
            self._cleaned.add(folder)
        for left in folder.glob(UNFINISHED.format("*")):
            # A process that is writing the file holds a lock on it.
            with suppress(OSError), left.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Refuse to write where something is.

    Raises:
        DestinationError: there is a file, and it may not be overwritten; or something else.
    """
    if not overwrite and os.path.lexists(path):
        raise _refused(f"{path} is there already, and is not overwritten.")
    if os.path.lexists(path) and not (path.is_symlink() or path.is_file()):
        raise _refused(f"{path} is there already, and is no file that could be overwritten.")


def _refuse_source(path: Path, source: Path) -> None:
    """Refuse to replace the source, under whatever name it is reached."""
    taken = path.parent.resolve() / path.name
    if taken in {source.resolve(), source.parent.resolve() / source.name}:
        raise _refused(f"{path} is the source itself, and is never replaced. Choose another name.")


def _permissions(source: int) -> int:
    """As cp does: who may read and write the source, as far as the umask allows. Its owner may."""
    return source & 0o666 | 0o600


class _SourceFile(FileIO):
    """A file whose read errors are SourceUnavailableError: they say nothing about the PDF in it."""

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        try:
            return super().readinto(buffer) or 0
        except OSError as error:
            raise SourceUnavailableError(
                f"{self.name!r} could not be read just now: {error.strerror}. Try again."
            ) from error


class _TemporaryFile:
    """A new file in ``folder``, locked so that no other process removes it as a leftover."""

    def __init__(self, folder: Path, mode: int) -> None:
        while True:
            self.path = folder / UNFINISHED.format(secrets.token_hex(8))
            wanted = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self.file = os.fdopen(os.open(self.path, wanted, _permissions(mode)), "wb")
            fcntl.flock(self.file, fcntl.LOCK_EX)
            # Another process may have removed it before it was locked.
            if self.path.exists():
                return
            self.file.close()

    def drop(self) -> None:
        # On a disk that is full, what is still to be written fails here once more.
        with suppress(OSError):
            self.file.close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


class _FileWriter:
    """`DocumentWriter` that writes a temporary file, and then renames it."""

    def __init__(self, temporary: _TemporaryFile, path: Path, *, overwrite: bool) -> None:
        self._temporary = temporary
        self._path = path
        self._overwrite = overwrite

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._temporary.drop()

    def complete(self, prepared: PreparedPdf, cms: bytes, proof: bytes = b"") -> StoredDocument:
        """As `DocumentWriter.complete`. What is stored is what was hashed."""
        update = prepared.update(cms)
        try:
            size = self._write(prepared, cms, update, proof)
            refuse_existing(self._path, overwrite=self._overwrite)
            self._temporary.path.replace(self._path)
            _sync(self._path.parent)
            modified = self._path.stat().st_mtime_ns
        except OSError as error:
            raise _unwritable(self._path, error) from error
        return StoredDocument(f"{modified:x}-{size:x}", None, size)

    def give_up(self) -> None:
        """As `DocumentWriter.give_up`: nobody is in a hurry where files are sealed."""

    def _write(self, prepared: PreparedPdf, cms: bytes, update: bytes, proof: bytes) -> int:
        file, digest = self._temporary.file, hashlib.sha256()
        prepared.source.seek(0)
        while chunk := prepared.source.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
        file.write(update)
        file.write(proof)
        before, after = _around_signature(prepared, cms, update)
        digest.update(before)
        digest.update(after)
        if digest.digest() != prepared.digest:
            raise SourceChangedError(
                f"The source of {self._path} was changed while it was being sealed. Try again."
            )
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def _around_signature(prepared: PreparedPdf, cms: bytes, update: bytes) -> tuple[bytes, bytes]:
    """The signed parts of the update: all of it except the string that holds the signature."""
    held = b"<%b>" % cms.ljust(prepared.reserved, b"\0").hex().upper().encode()
    before, _, after = update.partition(held)
    return before, after


def _sync(folder: Path) -> None:
    """Make sure that the new name survives a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> DestinationError:
    return _refused(f"{path} cannot be written: {error.strerror}.")


def _refused(message: str) -> DestinationError:
    problem = DestinationError(message)
    problem.retryable = False
    return problem
