"""A journal store in memory. `test_store` holds it to the same contract as the real one."""

from __future__ import annotations

from hashlib import sha256
from threading import Lock

from rotation.errors import JournalConflictError, JournalError


class MemoryJournalStore:
    """A `rotation.journal.store.JournalStore` that forgets everything with the process.

    Equal bodies have the same revision, as with S3's ETag.

    Attributes:
        history: every state that any document ever had, oldest first: its secret's ARN, its body.
    """

    def __init__(self) -> None:
        self.history: list[tuple[str, bytes]] = []
        self._documents: dict[str, bytes] = {}
        self._lock = Lock()

    def read(self, secret_arn: str) -> tuple[bytes, str] | None:
        """As `rotation.journal.store.JournalStore.read`."""
        body = self._documents.get(secret_arn)
        return None if body is None else (body, _revision(body))

    def write(self, secret_arn: str, body: bytes, replaces: str | None) -> str:
        """As `rotation.journal.store.JournalStore.write`."""
        with self._lock:
            found = self._documents.get(secret_arn)
            if found is None and replaces is not None:
                raise JournalError(f"{secret_arn} has no document to replace.", retryable=False)
            if found is not None and replaces != _revision(found):
                raise JournalConflictError(f"The document of {secret_arn} has changed meanwhile.")
            self._documents[secret_arn] = body
            self.history.append((secret_arn, body))
            return _revision(body)


def _revision(body: bytes) -> str:
    return sha256(body).hexdigest()
