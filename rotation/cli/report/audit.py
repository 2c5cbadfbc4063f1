"""The sources of a report, read once: the states of the journal, and the events in them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rotation.cli.report.lives import Event, State, key_events
from rotation.cli.report.sources import ReportSources
from rotation.errors import JournalError
from rotation.journal.document import parse
from rotation.journal.model import Journal, KeyLife
from rotation.secrets_manager.labels import AWSCURRENT
from rotation.secrets_manager.snapshot import Snapshot


@dataclass(frozen=True)
class Audit:
    """The sources, read once.

    Attributes:
        sources: the sources.
        snapshot: the secret, as it was described.
        states: the states that can be read, oldest first.
        unreadable: the numbers of the others.
        events: the events in the life of each key.
    """

    sources: ReportSources
    snapshot: Snapshot
    states: tuple[State, ...]
    unreadable: tuple[int, ...]
    events: dict[str, list[Event]]

    @property
    def journal(self) -> Journal:
        """What the newest readable state says."""
        return self.states[-1].journal if self.states else Journal(self.sources.arn)


def read_audit(sources: ReportSources, odd: Collection[int] = ()) -> Audit:
    """Read the states of the journal; the numbers in ``odd`` count as unreadable."""
    states, unreadable = [], []
    for number, stored in enumerate(sources.states, start=1):
        if number in odd:
            unreadable.append(number)
            continue
        try:
            journal = parse(stored.body, sources.arn, stored.version)
        except JournalError:
            unreadable.append(number)
        else:
            states.append(State(number, stored, journal))
    return Audit(
        sources,
        Snapshot.read(sources.secret),
        tuple(states),
        tuple(unreadable),
        key_events(states),
    )


def life_of(key: str, audit: Audit) -> KeyLife | None:
    """The life of a key in the newest state that has it."""
    found = (one.journal.keys.get(key) for one in reversed(audit.states))
    return next((life for life in found if life is not None), None)


def condition(key: str, life: KeyLife | None, audit: Audit) -> str:
    """The first of these words that is true of a key."""
    current = audit.journal.versions.get(audit.snapshot.version_with(AWSCURRENT) or "")
    if life is not None and life.death is not None:
        return "attested" if life.death.attested else "dead"
    if life is None:
        return "unknown"
    words = {
        "suspect": audit.journal.suspect(key),
        "asked": life.asked_at is not None,
        "displaced": life.displaced_at is not None,
        "current": current is not None and current.key_id == key,
    }
    return next((word for word, true in words.items() if true), "in-use")
