"""What the journal needs of a store: one document for each secret, and a true compare-and-swap."""

from __future__ import annotations

from typing import Protocol


class JournalStore(Protocol):
    """Keeps one document for each secret. Reads are strongly consistent. Former states are kept.

    Each state of a document has a revision, a short text. Two states of it have the same revision
    only if their bodies are equal, byte for byte.
    """

    def read(self, secret_arn: str) -> tuple[bytes, str] | None:
        """The document and its revision; None: the store says that none was ever written.

        A document that was deleted, or that may not be read, is an error and never None.

        Args:
            secret_arn: the full ARN of the secret.

        Raises:
            JournalError: the store could not be asked, or the document was deleted.
        """

    def write(self, secret_arn: str, body: bytes, replaces: str | None) -> str:
        """Store ``body`` if the document still has the revision ``replaces``; return its new one.

        Of several writers that change the same state one succeeds, even if their bodies are equal.

        Args:
            secret_arn: the full ARN of the secret.
            body: the document, UTF-8 JSON.
            replaces: the revision that was read; None: there must be no document.

        Raises:
            JournalConflictError: somebody else has written meanwhile: read and decide again. If an
                answer was lost, the body may have been stored, and that somebody built on it.
            JournalError: the store refused or failed; the body may have been stored all the same.
        """
