"""The documents of one ``rotation seal``, sealed several at a time, and their results."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from threading import Event
from typing import Any, Final, Protocol

from rotation.cli.seal.options import option_name
from rotation.client.contract import Seal
from rotation.credential import iso_utc
from rotation.errors import (
    DocumentTooLargeError,
    InvalidRequestError,
    RotationError,
    SourceChangedError,
    SourceNotFoundError,
    UnsupportedPdfError,
)
from rotation.sealing.documents import DocumentStore
from rotation.sealing.request import ObjectLocation, error_message, option_names

# Errors of one document, which say nothing about the next. Any other error may affect all.
_DOCUMENT_ERRORS: Final = (
    DocumentTooLargeError,
    InvalidRequestError,
    SourceChangedError,
    SourceNotFoundError,
    UnsupportedPdfError,
)
#: This many other failures in a row end the run: each may cost a signature, or minutes.
MAX_FAILURES_IN_A_ROW: Final = 5


@dataclass(frozen=True)
class DocumentToSeal:
    """One document to seal.

    Attributes:
        source: its location in the request to the sealer.
        destination: the location of the sealed document in that request.
        read_from: its path or address, for people.
        written_to: the path or address of the sealed document, for people.
        size: its size in bytes.
        etag: S3's entity tag, without quotes; empty for a file.
    """

    source: ObjectLocation
    destination: ObjectLocation
    read_from: str
    written_to: str
    size: int
    etag: str = ""


class DestinationState(StrEnum):
    """What is at a document's destination."""

    NOTHING = "nothing"
    ITS_SEAL = "its seal"
    SOMETHING_ELSE = "something else"


class SealLocations(Protocol):
    """A source of documents and the destination of their sealed copies."""

    @property
    def buckets(self) -> tuple[str, str]:
        """The buckets of the source and of the destination in requests to the sealer."""

    def port(self, *, overwrite: bool) -> DocumentStore:
        """What a sealer in this process reads from and writes to."""

    def documents(self) -> list[DocumentToSeal]:
        """The PDFs in the source, in the order of their names."""

    def state(self, document: DocumentToSeal) -> DestinationState:
        """What is at the destination. Raises RotationError if that cannot be found out."""


class DocumentStatus(StrEnum):
    """What happened to a document. Values are stable."""

    SEALED = "sealed"
    #: Its seal was there before.
    SKIPPED = "skipped"
    #: Something else is at its destination, and stays there.
    EXISTS = "exists"
    FAILED = "error"
    #: A run without --dry-run would seal it.
    PLANNED = "planned"


@dataclass(frozen=True)
class DocumentResult:
    """What happened to one document.

    Attributes:
        seal: the sealer's answer, if the document was sealed.
        error: the error, if sealing failed.
    """

    document: DocumentToSeal
    status: DocumentStatus
    seal: Seal | None = None
    error: RotationError | None = None

    @property
    def succeeded(self) -> bool:
        """Whether nothing is left to do."""
        return self.status not in {DocumentStatus.FAILED, DocumentStatus.EXISTS}

    @property
    def error_text(self) -> str | None:
        """The message of the error, with the names of the command line's options."""
        return None if self.error is None else error_message(self.error, option_names(option_name))

    def as_json(self) -> dict[str, Any]:
        """The members of the line that ``--json`` prints."""
        members: dict[str, Any] = {
            "status": self.status,
            "source": self.document.read_from,
            "destination": self.document.written_to,
        }
        if self.error is not None:
            error = self.error
            members |= {
                "code": error.code,
                "message": self.error_text,
                "retryable": error.retryable,
            }
        if self.seal is not None:
            seal, time = self.seal, self.seal.timestamped_at
            members |= {
                "bytes": seal.size,
                "keyId": seal.key_id,
                "digest": base64.b64encode(seal.digest).decode(),
                "signer": seal.signer,
                "timestampedAt": iso_utc(time) if time else None,
                "timestampProven": seal.timestamp_proven,
                "repaired": seal.repaired,
                "profile": seal.profile,
                "subFilter": seal.sub_filter,
                "signatures": seal.signatures,
                "notices": [notice.members() for notice in seal.notices],
                "level": seal.level,
                "levelProblem": seal.level_problem,
            }
        return members


class SealRun:
    """Seals documents, several at a time, and continues after those that fail.

    Args:
        locations: the source and the destination.
        seal: seals one document; raises RotationError.
        jobs: how many documents are sealed at a time.
        overwrite: whether a seal may replace something else at the destination.
        stop: once it is set, no further document is begun.

    Attributes:
        gave_up: whether the run ended because too many failed in a row for a common reason.
    """

    def __init__(
        self,
        locations: SealLocations,
        seal: Callable[[DocumentToSeal], Seal],
        *,
        jobs: int,
        overwrite: bool,
        stop: Event,
    ) -> None:
        self._locations = locations
        self._seal = seal
        self._jobs = jobs
        self._overwrite = overwrite
        self._stop = stop
        self.gave_up = False

    def results(self, documents: list[DocumentToSeal]) -> Iterator[DocumentResult]:
        """Seal the documents; yields each result as it is known, none for a document not begun."""
        waiting = iter(documents)
        in_a_row = 0
        with ThreadPoolExecutor(self._jobs, thread_name_prefix="seal") as pool:

            def begin(count: int) -> set[Future[DocumentResult]]:
                if self._stop.is_set() or self.gave_up:
                    return set()
                return {pool.submit(self._one, document) for document in islice(waiting, count)}

            under_way = begin(self._jobs)
            while under_way:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for result in (future.result() for future in done):
                    if result.status is DocumentStatus.SEALED:
                        in_a_row = 0
                    elif result.error and not isinstance(result.error, _DOCUMENT_ERRORS):
                        in_a_row += 1
                    self.gave_up |= in_a_row >= MAX_FAILURES_IN_A_ROW
                    yield result
                under_way |= begin(len(done))

    def _one(self, document: DocumentToSeal) -> DocumentResult:
        planned = planned_result(self._locations, document, overwrite=self._overwrite)
        if planned.status is not DocumentStatus.PLANNED:
            return planned
        try:
            return DocumentResult(document, DocumentStatus.SEALED, seal=self._seal(document))
        except RotationError as error:
            return DocumentResult(document, DocumentStatus.FAILED, error=error)


def planned_result(
    locations: SealLocations,
    document: DocumentToSeal,
    *,
    overwrite: bool,
    check: Callable[[DocumentToSeal], None] | None = None,
) -> DocumentResult:
    """What a run would do with a document, given what is at its destination.

    Args:
        locations: the source and the destination.
        document: the document.
        overwrite: whether a seal may replace something else at the destination.
        check: opens the document; raises RotationError if it cannot be sealed.
    """
    try:
        state = locations.state(document)
    except RotationError as error:
        return DocumentResult(document, DocumentStatus.FAILED, error=error)
    if state is DestinationState.ITS_SEAL:
        return DocumentResult(document, DocumentStatus.SKIPPED)
    if state is DestinationState.SOMETHING_ELSE and not overwrite:
        return DocumentResult(document, DocumentStatus.EXISTS)
    try:
        if check is not None:
            check(document)
    except RotationError as error:
        return DocumentResult(document, DocumentStatus.FAILED, error=error)
    return DocumentResult(document, DocumentStatus.PLANNED)
