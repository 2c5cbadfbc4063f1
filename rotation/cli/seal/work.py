"""What is to be sealed, and what became of it: facts, and the port to the places where it lies."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from rotation.cli.seal.options import option_name
from rotation.client.contract import Seal
from rotation.credential import iso_utc
from rotation.errors import RotationError
from rotation.sealing.documents import Documents
from rotation.sealing.request import ObjectLocation, error_message, option_names


@dataclass(frozen=True)
class Document:
    """One document to seal.

    Attributes:
        source: where it lies, as the sealer is asked for it.
        destination: where the sealed one goes, likewise.
        read_from: where it lies, as people know it.
        written_to: where the sealed one goes, likewise.
        size: its bytes.
        etag: S3's entity tag, without quotes; empty for a file.
    """

    source: ObjectLocation
    destination: ObjectLocation
    read_from: str
    written_to: str
    size: int
    etag: str = ""


class State(StrEnum):
    """What is at a document's destination."""

    NOTHING = "nothing"
    ITS_SEAL = "its seal"
    SOMETHING_ELSE = "something else"


class Places(Protocol):
    """A source and a destination."""

    @property
    def buckets(self) -> tuple[str, str]:
        """What the locations of documents call the two."""

    def port(self, *, overwrite: bool) -> Documents:
        """The same places for a sealer in this process."""

    def documents(self) -> list[Document]:
        """The PDFs in the source, in the order of their names."""

    def state(self, document: Document) -> State:
        """What is at the destination. Raises RotationError where that cannot be told."""


class Result(StrEnum):
    """What became of a document."""

    SEALED = "sealed"
    #: Its seal was there before.
    SKIPPED = "skipped"
    #: There is something else at its destination, which is left alone.
    EXISTS = "exists"
    FAILED = "error"
    #: It would be sealed.
    PLANNED = "planned"


@dataclass(frozen=True)
class Outcome:
    """What became of one document.

    Attributes:
        seal: what the sealer answered, if it was sealed.
        error: why it was not, if it failed.
    """

    document: Document
    result: Result
    seal: Seal | None = None
    error: RotationError | None = None

    @property
    def well(self) -> bool:
        """Whether nothing is left to do about it."""
        return self.result not in {Result.FAILED, Result.EXISTS}

    @property
    def why(self) -> str | None:
        """Why it failed, in the words of the command line."""
        return None if self.error is None else error_message(self.error, option_names(option_name))

    def as_json(self) -> dict[str, Any]:
        """One line for machines."""
        told: dict[str, Any] = {
            "status": self.result,
            "source": self.document.read_from,
            "destination": self.document.written_to,
        }
        if self.error is not None:
            error = self.error
            told |= {"code": error.code, "message": self.why, "retryable": error.retryable}
        if self.seal is not None:
            seal, time = self.seal, self.seal.timestamped_at
            told |= {
                "bytes": seal.size,
                "keyId": seal.key_id,
                "digest": base64.b64encode(seal.digest).decode(),
                "signer": seal.signer,
                "timestampedAt": iso_utc(time) if time else None,
                "repaired": seal.repaired,
            }
        return told
