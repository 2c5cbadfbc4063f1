"""Reads the journal of a secret, and does not take a lost one for one that never was."""

from __future__ import annotations

from rotation.errors import JournalError
from rotation.journal.keeper import JournalReader
from rotation.journal.model import Journal
from rotation.secrets_manager.snapshot import Snapshot


def read_journal(reader: JournalReader, snapshot: Snapshot) -> Journal:
    """The journal of a secret, read after ``snapshot``; an empty one if none was ever written.

    Whoever may do so can remove every state of it, once nothing forbids that any more. Then the
    store says what it says of a journal that never was, and no key would be suspect any more.

    Raises:
        JournalError: it could not be read; or there is none, and labels or tags of the secret say
            that there was one. Nothing may be concluded without it.
    """
    journal = reader.read(snapshot.arn)
    signs = snapshot.signs_of_a_journal
    if journal.revision is None and signs:
        raise JournalError(
            f"There is no journal of {snapshot.arn}, and {', '.join(signs)} of the secret was set "
            "by whoever keeps one: it is lost, or the secret is a promoted replica. See "
            "docs/journal.md for how to go on.",
            retryable=False,
        )
    return journal
