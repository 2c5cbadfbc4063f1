"""The life of each key, as the states of a journal tell it. It does no IO."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rotation.cli.report.sources import EvidenceObject
from rotation.credential import iso_utc
from rotation.journal.model import Death, Incident, Journal, KeyLife, VersionRecord
from rotation.privacy.printable import outside_text
from rotation.privacy.redaction import scrub

#: How many characters of a text by others stand in a report at most.
_LONGEST: Final = 1000


def said(text: object) -> str:
    """What others wrote, as a report shows it: without anything that looks like a key."""
    return outside_text(scrub(str(text)), _LONGEST)


@dataclass(frozen=True)
class State:
    """One state of a journal that can be read.

    Attributes:
        number: its place among all states, counted from 1.
        stored: the object's version that holds it.
        journal: what it says.
    """

    number: int
    stored: EvidenceObject
    journal: Journal


@dataclass(frozen=True)
class Event:
    """Something in the life of a key.

    Attributes:
        at: when it was, aware UTC.
        what: what it was, as a stable word.
        text: what it was, as a sentence without its subject.
        state: the first state that says so.
        clock: whose time it is: ``function`` (the reconcile function, or whoever declared),
            ``storage`` (S3: it was so by then), or ``value`` (the secret's value says so).
    """

    at: datetime
    what: str
    text: str
    state: int
    clock: str = "function"

    def members(self) -> dict[str, Any]:
        """As JSON members."""
        return {
            "at": iso_utc(self.at),
            "event": self.what,
            "text": self.text,
            "state": self.state,
            "clock": self.clock,
        }


#: The order of events that have one time.
_ORDER: Final = (
    *(
        "issued",
        "seen",
        "current",
        "in-use",
        "displaced",
        "prolonged",
        "suspect",
        "asked",
        "answered",
    ),
    *("dead", "attested", "void", "left-out"),
)


def key_events(states: Sequence[State]) -> dict[str, list[Event]]:
    """The events in the life of each key that any state names, by key id, in order of time."""
    events: dict[str, list[Event]] = {}
    before = Journal("")
    for state in states:
        for key, event in _new_events(before, state):
            events.setdefault(key, []).append(event)
        before = state.journal
    for found in events.values():
        found.sort(key=lambda one: (one.at, _ORDER.index(one.what)))
    return dict(sorted(events.items()))


def _new_events(before: Journal, state: State) -> Iterator[tuple[str, Event]]:
    journal, number = state.journal, state.number
    for version, record in sorted(journal.versions.items()):
        if record.key_id is not None:
            known = before.versions.get(version, VersionRecord())
            for event in _of_a_version(version, known, record, state):
                yield record.key_id, event
    for key, life in sorted(journal.keys.items()):
        for event in _of_a_life(before.keys.get(key), life, state):
            yield key, event
    for incident in journal.incidents:
        known_suspects = _suspects(before, incident.id)
        for key in sorted(incident.suspects.keys() - known_suspects):
            at = max((one.at for one in incident.declarations), default=state.stored.at)
            yield (
                key,
                Event(at, "suspect", f"declared compromised, incident {said(incident.id)}", number),
            )
    for key in sorted(before.keys.keys() - journal.keys.keys()):
        text = "left out of the journal, long dead; former states have it"
        yield key, Event(state.stored.at, "left-out", text, number, "storage")


def _suspects(journal: Journal, incident: str) -> frozenset[str]:
    return frozenset(key for one in journal.incidents if one.id == incident for key in one.suspects)


def _of_a_version(
    version: str, before: VersionRecord, after: VersionRecord, state: State
) -> Iterator[Event]:
    number, name = state.number, said(version)
    if before.issued_at is None and after.issued_at is not None:
        yield Event(after.issued_at, "issued", f"issued, as version {name} says", number, "value")
    if after.was_current and not (before.was_current and before.key_id is not None):
        text = f"version {name}, which holds it, had been current by then"
        yield Event(state.stored.at, "current", text, number, "storage")


def _of_a_life(before: KeyLife | None, after: KeyLife, state: State) -> Iterator[Event]:
    number, by_then = state.number, state.stored.at
    known = before or KeyLife(after.first_seen_at)
    if before is None:
        yield Event(after.first_seen_at, "seen", "first seen by a run", number)
    if after.displaced_at is not None and after.displaced_at != known.displaced_at:
        grace = "no known time" if after.retire_after is None else iso_utc(after.retire_after)
        yield Event(after.displaced_at, "displaced", f"displaced; its grace ends {grace}", number)
    for one in after.prolongations:
        if one not in known.prolongations:
            text = f"its grace was prolonged to {iso_utc(one.until)} for {said(one.by)}"
            yield Event(one.at, "prolonged", f"{text}: {said(one.reason)}", number)
    if known.displaced_at is not None and after.displaced_at is None:
        yield Event(by_then, "in-use", "in use again by then", number, "storage")
    if after.asked_at is not None and after.asked_at != known.asked_at:
        text = "the issuer was asked to revoke it, or was about to be"
        yield Event(after.asked_at, "asked", text, number)
    if after.outcome is not None and after.outcome != known.outcome:
        text = f"the issuer had answered by then: {said(after.outcome)}"
        yield Event(by_then, "answered", text, number, "storage")
    if after.death is not None and after.death != known.death:
        yield Event(after.death.at, *_death(after.death), number)
    if known.death is not None and after.death is None:
        yield Event(
            by_then, "void", "the death was void: the key was seen again", number, "storage"
        )


def _death(death: Death) -> tuple[str, str]:
    if death.attested:
        return "attested", "attested dead by a person; nothing proves it"
    return "dead", "proven dead"


def incident_timeline(incident: Incident, events: dict[str, list[Event]]) -> list[dict[str, Any]]:
    """What happened in an incident, in order of time, as JSON members ``at`` and ``text``."""
    found = [
        (one.at, f"declared by {said(one.actor)}: {said(one.reason)}")
        for one in incident.declarations
    ]
    found += [
        (one.at, f"rotation {said(one.token)} " + ("was refused" if one.refused else "was begun"))
        for one in incident.rotations
    ]
    for key in incident.suspects:
        found += [
            (one.at, f"key {said(key)}: {one.text}")
            for one in events.get(key, ())
            if one.what in {"asked", "answered", "dead", "attested", "void"}
        ]
    if incident.closing is not None:
        found.append((incident.closing.at, "closed"))
    return [{"at": iso_utc(at), "text": text} for at, text in sorted(found, key=lambda one: one[0])]
