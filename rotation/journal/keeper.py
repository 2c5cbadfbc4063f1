"""Reads and changes journals, each change a compare-and-swap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from rotation.errors import JournalConflictError
from rotation.journal.document import parse, serialize
from rotation.journal.model import Journal
from rotation.journal.store import JournalStore

#: How often a change is tried while others change the same journal.
_MOST_TRIES: Final = 10


class JournalReader(Protocol):
    """Reads journals."""

    def read(self, secret_arn: str) -> Journal:
        """The journal of a secret; an empty one if none was ever written.

        Raises:
            JournalError: it could not be read; nothing may be concluded without it.
        """


@dataclass(frozen=True)
class JournalKeeper:
    """Keeps the journals of all secrets in one store."""

    store: JournalStore

    def read(self, secret_arn: str) -> Journal:
        """As `JournalReader.read`."""
        found = self.store.read(secret_arn)
        return Journal(secret_arn) if found is None else parse(found[0], secret_arn, found[1])

    def change(self, journal: Journal, change: Callable[[Journal], Journal]) -> Journal:
        """Store what ``change`` makes of a journal; return what is stored now.

        If somebody else has changed the journal since it was read, it is read again, and ``change``
        is asked again. What ``change`` returns unchanged is not written.

        Args:
            journal: the journal as it was read.
            change: a pure function. It may be called several times, and may raise an error: then
                nothing is written.

        Raises:
            JournalConflictError: others changed it again and again.
            JournalError: the store refused or failed; the change may have been stored all the same.
        """
        for _ in range(_MOST_TRIES):
            changed = change(journal)
            if changed == journal:
                return journal
            try:
                arn, body = journal.secret_arn, serialize(changed)
                return replace(changed, revision=self.store.write(arn, body, journal.revision))
            except JournalConflictError:
                journal = self.read(journal.secret_arn)
        raise JournalConflictError(
            f"The journal of {journal.secret_arn} is being changed by others again and again. "
            "The next run tries again."
        )
