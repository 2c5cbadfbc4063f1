"""The port to the places where documents are: the sealer opens one, and stores a sealed one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from rotation.sealing.pdf import PreparedPdf
from rotation.sealing.request import ObjectLocation


@dataclass(frozen=True)
class SourceDocument:
    """One version of a document, open for reading; a context manager, which closes it.

    Attributes:
        content: its bytes, readable and seekable; in memory, or read as they are asked for.
        location: where it lies, as it was asked for.
        size: its bytes.
        etag: the entity tag, without quotes.
        version_id: the version that is read; None where the bucket keeps no versions.
        metadata: the user metadata it was stored with.
    """

    content: BinaryIO = field(repr=False)
    location: ObjectLocation
    size: int
    etag: str
    version_id: str | None
    metadata: Mapping[str, str]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.content.close()


@dataclass(frozen=True)
class StoredDocument:
    """A sealed document at its destination.

    Attributes:
        etag: the entity tag, without quotes.
        version_id: its version; None where the bucket keeps no versions.
        size: its bytes.
    """

    etag: str
    version_id: str | None
    size: int


class DocumentWriter(Protocol):
    """Stores one sealed document; a context manager.

    A writer that was not completed at the end of the block leaves nothing behind.
    """

    def __enter__(self) -> Self:
        """Return the writer itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove what was not completed."""

    def complete(self, prepared: PreparedPdf, cms: bytes, proof: bytes = b"") -> StoredDocument:
        """Store the sealed document: all of it appears, or nothing.

        Args:
            prepared: the document, its placeholder empty.
            cms: the signature for it, DER.
            proof: incremental updates that follow the seal.

        Raises:
            SignatureTooLargeError: it does not fit the placeholder.
            SourceChangedError: the source was replaced meanwhile.
            SourceNotFoundError: it was removed meanwhile.
            DestinationError: it could not be stored; retryable if the cause may pass.
        """

    def give_up(self) -> None:
        """Undo what was begun, from another thread, while this one may still wait for a service.

        Raises nothing. Whatever `complete` is doing then has no effect, or all of its effect.
        """


class DocumentStore(Protocol):
    """Opens documents and stores sealed ones."""

    def open(self, source: ObjectLocation, *, most: int) -> SourceDocument:
        """The document, if it has at most ``most`` bytes; a larger one's body is not read.

        Raises:
            SourceNotFoundError: it does not exist, or may not be read.
            DocumentTooLargeError: it is larger.
            SourceUnavailableError: it could not be read just now; retryable.
        """

    def open_writer(
        self,
        source: SourceDocument,
        destination: ObjectLocation,
        metadata: Mapping[str, str],
        *,
        rewritten: bool,
    ) -> DocumentWriter:
        """Begin to store the document that is made from ``source``.

        Args:
            source: the document, as it was opened.
            destination: where the sealed one will appear.
            metadata: user metadata for it.
            rewritten: whether the sealed one does not begin with the source's bytes.

        Raises:
            DestinationError: the destination refuses it; retryable if the cause may pass.
            SealingError: the source's tags, if they are to be copied, cannot be read.
        """
