"""Documents to seal on this machine: a file or a folder of PDFs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import click

from rotation.cli.seal.run import DestinationState, DocumentToSeal
from rotation.errors import InvalidRequestError, RotationError
from rotation.sealing.request import ObjectLocation, is_object_key
from rotation.sealing.storage.folders import LocalDocuments

# The names of the buckets in requests to the sealer.
_SOURCE: Final = "source"
_DESTINATION: Final = "destination"

_CHUNK: Final = 1024 * 1024


class LocalFolders:
    """`rotation.cli.seal.run.SealLocations` on this machine.

    Args:
        source: a file, or a folder with all its subfolders.
        destination: a file for a file; else a folder, in which the source's subfolders are made.
        anchors: PEM certificates that a seal must chain to to count as one, or None.
        follow_links: whether links may lead out of the source's folder, or of the destination's.

    Raises:
        click.UsageError: nothing can be sealed from here to there.
    """

    def __init__(
        self, source: str, destination: str, anchors: bytes | None, *, follow_links: bool = False
    ) -> None:
        self._anchors = anchors
        self._follow_links = follow_links
        self._folder = Path(source)
        into = Path(destination)
        self._only: tuple[str, str] | None = None
        if self._folder.is_file():
            self._only = (self._folder.name, self._folder.name)
            if not (into.is_dir() or destination.endswith("/")):
                self._only, into = (self._folder.name, into.name), into.parent
            self._folder = self._folder.parent
        elif not self._folder.is_dir():
            raise click.UsageError(f"There is no file or folder {source}.")
        elif into.is_file():
            raise click.UsageError(f"{destination} is a file. Name a folder for the sealed files.")
        elif _lies_in(into, self._folder):
            raise click.UsageError(
                f"{destination} lies in {source}: what is sealed would be taken for a source the "
                "next time. Name a folder outside."
            )
        self._roots = {_SOURCE: self._folder, _DESTINATION: into}
        if self._only is not None:
            name, sealed = self._only
            if (self._folder / name).resolve() == into.resolve() / sealed:
                raise click.UsageError(
                    f"{into / sealed} is the source itself. Name another file or a folder."
                )

    @property
    def buckets(self) -> tuple[str, str]:
        """As `SealLocations.buckets`."""
        return _SOURCE, _DESTINATION

    def port(self, *, overwrite: bool) -> LocalDocuments:
        """As `SealLocations.port`."""
        return LocalDocuments(self._roots, overwrite=overwrite)

    def documents(self) -> list[DocumentToSeal]:
        """As `SealLocations.documents`."""
        if self._only is not None:
            return [self._document(*self._only)]
        names, root = sorted(self._pdfs()), self._roots[_DESTINATION]
        for folder in sorted({(root / name).parent for name in names}):
            if _lies_in(folder, self._folder):
                raise click.UsageError(
                    f"{folder}, where files would be sealed, lies in {self._folder}: they would be "
                    "taken for sources the next time. Name another folder."
                )
        return [self._document(name, name) for name in names]

    def state(self, document: DocumentToSeal) -> DestinationState:
        """As `SealLocations.state`: a seal is the source's bytes and a good signature after them.

        Both files are read: neither a name nor a time would prove it.

        Raises:
            InvalidRequestError: no document may have that name, or a link leads elsewhere.
        """
        for place in (document.source, document.destination):
            if not is_object_key(place.key):
                raise InvalidRequestError(
                    field=None,
                    problem="Rename it: the path of a document may have 1024 bytes of UTF-8, and "
                    "no control characters.",
                )
        read_from, written_to = Path(document.read_from), Path(document.written_to)
        if not self._follow_links:
            self._refuse_links(read_from, written_to)
        if not os.path.lexists(written_to):
            return DestinationState.NOTHING
        try:
            with read_from.open("rb") as source, written_to.open("rb") as sealed:
                if _begins_with(sealed, source) and self._signed_after(sealed, document.size):
                    return DestinationState.ITS_SEAL
        except (OSError, RotationError):
            pass
        return DestinationState.SOMETHING_ELSE

    def _refuse_links(self, read_from: Path, written_to: Path) -> None:
        """Refuse what lies elsewhere than its path says. A file that a person named is no such."""
        into = self._roots[_DESTINATION]
        for what, leads_out in (
            (read_from, self._only is None and not _lies_in(read_from, self._folder)),
            (written_to, not _lies_in(written_to.parent, into)),
        ):
            if leads_out:
                raise InvalidRequestError(
                    field=None,
                    problem=f"{what} leads through a link out of its folder. To read and write "
                    "where links lead, give --follow-links.",
                )

    def _signed_after(self, sealed: BinaryIO, size: int) -> bool:
        # Loading pyHanko's judge takes longer than a short run; most runs find nothing to judge.
        from rotation.sealing.verify import examine

        seals = examine(sealed, self._anchors).seals
        return any(seal.covered > size and seal.problem is None for seal in seals)

    def _document(self, name: str, sealed: str) -> DocumentToSeal:
        source, destination = self._roots[_SOURCE] / name, self._roots[_DESTINATION] / sealed
        return DocumentToSeal(
            ObjectLocation(_SOURCE, name),
            ObjectLocation(_DESTINATION, sealed),
            str(source),
            str(destination),
            source.stat().st_size,
        )

    def _pdfs(self) -> Iterator[str]:
        for folder, _, names in os.walk(self._folder, onerror=_unreadable):
            for name in names:
                path = Path(folder, name)
                if path.suffix.lower() == ".pdf" and path.is_file():
                    yield path.relative_to(self._folder).as_posix()


def _lies_in(inner: Path, outer: Path) -> bool:
    return inner.resolve().is_relative_to(outer.resolve())


def _begins_with(sealed: BinaryIO, source: BinaryIO) -> bool:
    while chunk := source.read(_CHUNK):
        if sealed.read(len(chunk)) != chunk:
            return False
    return True


def _unreadable(error: OSError) -> None:
    raise click.ClickException(f"{error.filename} cannot be read: {error.strerror}.") from error
