"""Which phases a secret's keys and incidents are in, and which of them are new. It does no IO.

A phase is found in the journal and in what the run has seen, whoever brought it about. What the
last run did not find is new, and becomes an event that waits in the journal until the bus has taken
it (`rotation.reconciliation.announcer`). ``docs/phases.md`` describes the events.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any, Final

from rotation.core.policy import MOST_WAITING_EVENTS, ROTATION_NOTICE
from rotation.credential import iso_utc, whole_milliseconds
from rotation.journal.model import Journal, PhaseEvent, Phases
from rotation.reconciliation.situation import Reading, Situation

SCHEMA: Final = "trusted-signatures-rotation/phase/1"

_NAMESPACE: Final = uuid.UUID("5a5f3f0a-5a0f-4c3a-9a39-8a3f8d0f6a51")


#: An event names so many suspect keys at most, so that it stays far below the size that EventBridge
#: takes; the journal has them all.
_MOST_KEYS: Final = 100


class Phase(Enum):
    """The phases that are announced. Values are stable."""

    PLANNED = "planned"
    PROMOTED = "promoted"
    RETIRING = "retiring"
    DEAD = "dead"
    INCIDENT_OPENED = "incident_opened"
    CONTAINED = "contained"


#: The phases of the secret as a whole. One of them lasts until another one of its kind is found:
#: that it is not found may mean that the run could not see it.
_OF_THE_SECRET: Final = (Phase.PLANNED, Phase.PROMOTED)


@dataclass(frozen=True)
class FoundPhase:
    """A phase that was found.

    Attributes:
        phase: the phase.
        at: when it began, aware UTC.
        facts: what an event says of it, as JSON members.
        subject: what it is of; two phases of one kind differ in it.
    """

    phase: Phase
    at: datetime
    facts: Mapping[str, Any]
    subject: str

    @property
    def name(self) -> str:
        """The phase and what it is of, as one line of text."""
        return f"{self.phase.value} {self.subject}"


def note_phases(
    journal: Journal, before: Journal, situation: Situation | None, now: datetime
) -> Journal:
    """The journal with an event for each phase that is new.

    What the journal said before events were turned on is no news: a journal without phases begins
    with those of ``before``.

    At most `MOST_WAITING_EVENTS` wait. A new phase for which there is no room stays unknown, so
    that a later run finds it anew, for as long as the journal tells of it. Does NOT drop an event.

    Args:
        journal: the journal, which others may have changed since the run read it.
        before: the journal as it was before this run.
        situation: what the run has seen; None: it looked at nothing but the journal.
        now: our clock, aware UTC.
    """
    found = [*_seen(situation, now), *_recorded(journal)]
    phases = journal.phases or Phases(_known_at_first(before, situation, found))
    names = frozenset(one.name for one in found)
    lasting = _lasting(phases.known, found)
    new = [one for one in found if one.name not in phases.known]
    room = max(0, MOST_WAITING_EVENTS - len(phases.waiting))
    events = tuple(_event(journal.secret_arn, one, now) for one in new[:room])
    left = {one.name for one in new[room:]}
    return replace(journal, phases=Phases((names - left) | lasting, (*phases.waiting, *events)))


def without_events(journal: Journal, ids: frozenset[str]) -> Journal:
    """The journal without the events that the bus has taken."""
    phases = journal.phases
    if phases is None:
        return journal
    waiting = tuple(one for one in phases.waiting if one.id not in ids)
    return replace(journal, phases=replace(phases, waiting=waiting))


def event_members(event: PhaseEvent, secret_arn: str, installation: str) -> dict[str, Any]:
    """An event as JSON members, as ``docs/phase-event.schema.json`` describes them."""
    return {
        "schema": SCHEMA,
        "id": event.id,
        "phase": event.phase,
        "at": iso_utc(event.at),
        "installation": installation,
        "secret": secret_arn,
        **event.facts,
    }


def _seen(situation: Situation | None, now: datetime) -> Iterator[FoundPhase]:
    """The phases of the secret as a whole."""
    if situation is None:
        return
    now, snapshot, current = whole_milliseconds(now), situation.snapshot, situation.current
    date = snapshot.next_rotation
    if snapshot.rotation_enabled and date is not None and now < date <= now + ROTATION_NOTICE:
        by = iso_utc(date)
        yield FoundPhase(Phase.PLANNED, now, {"rotatesBy": by}, by)
    if current is not None and current.reading is Reading.READ and current.key_id is not None:
        facts = {"keyId": current.key_id, "versionId": current.id}
        yield FoundPhase(Phase.PROMOTED, now, facts, f"{current.id} {current.key_id}")


def _recorded(journal: Journal) -> Iterator[FoundPhase]:
    """The phases of keys and of incidents."""
    for incident in journal.incidents:
        at, keys = incident.declarations[0].at, sorted(incident.suspects)[:_MOST_KEYS]
        facts: dict[str, Any] = {"incidentId": incident.id, "keyIds": keys}
        yield FoundPhase(Phase.INCIDENT_OPENED, at, facts, incident.id)
        closing = incident.closing
        if closing is not None:
            facts = {
                "incidentId": incident.id,
                "keyId": closing.current_key,
                "versionId": closing.current_version,
            }
            yield FoundPhase(Phase.CONTAINED, closing.at, facts, incident.id)
    for key_id, life in sorted(journal.keys.items()):
        if life.death is not None:
            facts = {"keyId": key_id, "attested": life.death.attested}
            yield FoundPhase(Phase.DEAD, life.death.at, facts, f"{key_id} {iso_utc(life.death.at)}")
        elif (
            life.displaced_at is not None
            and life.retire_after is not None
            and not journal.suspect(key_id)
        ):
            until = iso_utc(life.retire_after)
            facts = {"keyId": key_id, "retiresAfter": until}
            yield FoundPhase(Phase.RETIRING, life.displaced_at, facts, f"{key_id} {until}")


def _known_at_first(
    before: Journal, situation: Situation | None, found: Iterable[FoundPhase]
) -> frozenset[str]:
    """The phases that are no news when events are turned on."""
    known = {one.name for one in _recorded(before)}
    current = None if situation is None else situation.current
    # A first run finds a current version, and does not know since when it is current.
    if current is None or not before.versions or before.was_current(current.id):
        known |= {one.name for one in found if one.phase is Phase.PROMOTED}
    return frozenset(known)


def _lasting(known: Iterable[str], found: Iterable[FoundPhase]) -> frozenset[str]:
    """The known phases of the secret of which no other one was found."""
    missing = {*_OF_THE_SECRET} - {one.phase for one in found}
    return frozenset(
        name for name in known if any(name.startswith(f"{one.value} ") for one in missing)
    )


def _event(secret_arn: str, found: FoundPhase, now: datetime) -> PhaseEvent:
    """The event for a new phase. A phase that comes again is another event."""
    name = f"{secret_arn} {found.name} {iso_utc(now)}"
    return PhaseEvent(
        str(uuid.uuid5(_NAMESPACE, name)), found.phase.value, found.at, dict(found.facts)
    )
