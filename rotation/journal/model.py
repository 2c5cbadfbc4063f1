"""The journal of one secret: the life of each of its keys, and its incidents. It does no IO.

A journal speaks of keys, by the vendor's key id. A key can be in several versions of the secret, in
a version without labels, or in none, and what was said of it stays true. A journal is a value:
whoever changes it makes another one, and `rotation.journal.keeper` stores that by compare-and-swap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

#: The member of a proof that names who attests a death which nothing proves.
ATTESTED_BY: Final = "attestedBy"

#: How many failed steps of a rotation a journal keeps. Secrets Manager repeats a rotation several
#: times, and a person needs the newest cause.
MOST_STEP_FAILURES: Final = 20

#: How many departures of people a journal keeps, the newest.
MOST_DEPARTURES: Final = 20

#: How many characters of the message of a failed step are kept.
LONGEST_FAILURE_MESSAGE: Final = 1000

_BEFORE_ANY_KEY: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class VersionRecord:
    """What is known of one version of the secret. The value of a version never changes.

    Attributes:
        key_id: the key that it holds; None: its value was not read.
        was_current: whether it ever bore AWSCURRENT when somebody looked.
        issued_at: when the key was issued, as the value says, aware UTC.
        expires_at: when the key stops working, as the value says, aware UTC.
    """

    key_id: str | None = None
    was_current: bool = False
    issued_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Death:
    """That a key is dead, and what proves it, or who attests it.

    Attributes:
        at: when it was proven or attested, aware UTC.
        proof: the evidence, as JSON members.
    """

    at: datetime
    proof: Mapping[str, Any]

    @property
    def attested(self) -> bool:
        """Whether a person says so, and nothing proves it."""
        return ATTESTED_BY in self.proof


@dataclass(frozen=True)
class Prolongation:
    """That the grace of a key was prolonged.

    Attributes:
        by: who asked for it, or what gave cause.
        at: when, aware UTC.
        until: until when, aware UTC.
        former_end: when the grace was to end before ``by`` first asked, aware UTC.
        reason: one word or a few.
    """

    by: str
    at: datetime
    until: datetime
    former_end: datetime
    reason: str


@dataclass(frozen=True)
class KeyLife:
    """The life of one key. Every time is aware UTC.

    Attributes:
        first_seen_at: when a run first saw the key.
        displaced_at: when a run first saw that nothing uses it; None: something does.
        retire_after: when its grace is over; None as long as ``displaced_at`` is.
        asked_at: when the issuer was first asked to revoke it, or is about to be asked.
        outcome: the issuer's last answer to that, as the text of a `Revocation`.
        answered_at: when the vendor was last asked whether it accepts the key.
        accepted: the vendor's answer then.
        probes: the newest probes, as JSON members.
        death: that it is dead; None: it may be alive.
        prolongations: why its grace ends later than it was to, one for each who asked for it.
    """

    first_seen_at: datetime
    displaced_at: datetime | None = None
    retire_after: datetime | None = None
    asked_at: datetime | None = None
    outcome: str | None = None
    answered_at: datetime | None = None
    accepted: bool | None = None
    probes: tuple[Mapping[str, Any], ...] = ()
    death: Death | None = None
    prolongations: tuple[Prolongation, ...] = ()

    def used_again(self) -> KeyLife:
        """This life of a key that something uses: it has no grace that could end."""
        return replace(self, displaced_at=None, retire_after=None, prolongations=())


@dataclass(frozen=True)
class Declaration:
    """That somebody declared the keys of a secret compromised.

    Attributes:
        id: names this declaration; whoever declares chooses it, so that a repeated request
            declares once.
        at: aware UTC, whole milliseconds.
        reason: one word or a few, such as ``key-compromise``.
        actor: who, such as an ARN; no spaces.
        of_all_keys: whether every key that existed then is suspect; if not, it joins an incident
            that was open, and adds no suspects.
    """

    id: str
    at: datetime
    reason: str
    actor: str
    of_all_keys: bool = True


@dataclass(frozen=True)
class BegunRotation:
    """A rotation that an incident began.

    Attributes:
        token: its ClientRequestToken.
        at: when it was begun, aware UTC.
        refused: whether Secrets Manager refused to begin it, or gave no answer.
    """

    token: str
    at: datetime
    refused: bool = False


@dataclass(frozen=True)
class Closing:
    """The end of an incident.

    Attributes:
        at: when it was closed, aware UTC.
        current_key: the key that was current then, which is not suspect.
        current_version: the version that held it.
        evidence: where the copy of the closed entry is kept; None: it is not kept yet.
    """

    at: datetime
    current_key: str
    current_version: str
    evidence: str | None = None


@dataclass(frozen=True)
class Incident:
    """An incident: which keys are suspect, and what was done about them.

    Attributes:
        id: the id of its first declaration.
        declarations: every declaration, in their order.
        suspects: the suspect keys, each with the versions that were seen to hold it.
        versions: the versions that existed at a declaration; whatever key one of them turns out to
            hold is suspect.
        set_aside: versions whose key cannot be known, each with the cause.
        rotations: the rotations that it began, in their order.
        closing: its end; None: it is open.
    """

    id: str
    declarations: tuple[Declaration, ...]
    suspects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    versions: frozenset[str] = frozenset()
    set_aside: Mapping[str, str] = field(default_factory=dict)
    rotations: tuple[BegunRotation, ...] = ()
    closing: Closing | None = None

    @property
    def declared_at(self) -> datetime:
        """When every key that existed was last declared compromised, aware UTC.

        If no declaration was of all keys, this is before any key was made.
        """
        times = (one.at for one in self.declarations if one.of_all_keys)
        return max(times, default=_BEFORE_ANY_KEY)

    @property
    def begun(self) -> tuple[BegunRotation, ...]:
        """The rotations that Secrets Manager has said to have begun."""
        return tuple(one for one in self.rotations if not one.refused)

    def names(self, declaration: str) -> bool:
        """Whether the declaration with this id is one of its own."""
        return any(one.id == declaration for one in self.declarations)


@dataclass(frozen=True)
class StepFailure:
    """That a step of a rotation failed, as the rotation function says it.

    Attributes:
        token: the rotation's ClientRequestToken.
        at: when the reconcile function heard of it, aware UTC.
        step: the step, such as ``createSecret``.
        code: the code of the error.
        message: the message of the error.
        retryable: whether the step may succeed when it is repeated and nobody mends anything.
    """

    token: str
    at: datetime
    step: str
    code: str
    message: str
    retryable: bool


@dataclass(frozen=True)
class PhaseEvent:
    """One phase of a key or of an incident, of which others are to hear.

    Attributes:
        id: names the event; it is the same however often the event is sent.
        phase: the phase, such as ``promoted``.
        at: when it began, aware UTC.
        facts: what else the event says, as JSON members. Never key material.
    """

    id: str
    phase: str
    at: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Phases:
    """Which phases others have heard of, and of which they are about to hear.

    Attributes:
        known: the phases that were found by the last run, each as one line of text.
        waiting: the events that the bus has not taken yet, in their order.
    """

    known: frozenset[str] = frozenset()
    waiting: tuple[PhaseEvent, ...] = ()


@dataclass(frozen=True)
class DepartureNote:
    """That the secret is rotated because somebody who knew it leaves.

    Attributes:
        token: the ClientRequestToken of the rotation; a departure is noted once under it.
        at: when it was noted, aware UTC.
        reason: who leaves.
        actor: who has it rotated, such as an ARN.
    """

    token: str
    at: datetime
    reason: str
    actor: str


@dataclass(frozen=True)
class Journal:
    """What is known of one secret.

    Attributes:
        secret_arn: the full ARN of the secret.
        begun_at: when a run first wrote it, aware UTC; None: no run has written it yet, so what
            the staging labels and tags of version 0.2 and older say of the secret still counts.
        versions: its versions, by their id.
        keys: its keys, by their id.
        incidents: its incidents, in the order in which they were opened.
        step_failures: the failed steps of the newest rotation that had any, in their order.
        phases: the phases that were announced; None: nothing is announced.
        departures: the rotations because somebody left, in their order.
        revision: which state of the stored journal this was read from; None: none was stored.
    """

    secret_arn: str
    begun_at: datetime | None = None
    versions: Mapping[str, VersionRecord] = field(default_factory=dict)
    keys: Mapping[str, KeyLife] = field(default_factory=dict)
    incidents: tuple[Incident, ...] = ()
    step_failures: tuple[StepFailure, ...] = ()
    phases: Phases | None = None
    departures: tuple[DepartureNote, ...] = ()
    revision: str | None = field(default=None, compare=False)

    @property
    def open_incident(self) -> Incident | None:
        """The incident that is open. There is one at most."""
        return next((one for one in self.incidents if one.closing is None), None)

    def incident_of(self, declaration: str) -> Incident | None:
        """The incident that has the declaration with this id."""
        return next((one for one in self.incidents if one.names(declaration)), None)

    def suspect(self, key_id: str | None, version: str | None = None) -> bool:
        """Whether a key was ever declared compromised, by its id or by a version that holds it.

        A suspect key stays suspect when its incident is closed: nobody may promote it again.
        """
        return any(key_id in one.suspects or version in one.versions for one in self.incidents)

    def dead(self, key_id: str | None) -> bool:
        """Whether the key was proven dead."""
        life = self.keys.get(key_id or "")
        return life is not None and life.death is not None

    def was_current(self, version: str) -> bool:
        """Whether the version was ever seen to be current."""
        record = self.versions.get(version)
        return record is not None and record.was_current

    def holders(self, key_id: str) -> tuple[str, ...]:
        """The versions that hold the key, as far as they were read."""
        return tuple(v for v, record in self.versions.items() if record.key_id == key_id)

    def with_key(self, key_id: str, life: KeyLife) -> Journal:
        """This journal with another life of one key."""
        return replace(self, keys={**self.keys, key_id: life})

    def with_incident(self, incident: Incident) -> Journal:
        """This journal with an incident changed, or added if it has none of this id."""
        known = any(one.id == incident.id for one in self.incidents)
        changed = tuple(incident if one.id == incident.id else one for one in self.incidents)
        return replace(self, incidents=changed if known else (*changed, incident))

    def with_step_failure(self, failure: StepFailure) -> Journal:
        """This journal with one more failed step; those of an earlier rotation are left out."""
        same = [one for one in self.step_failures if one.token == failure.token]
        return replace(self, step_failures=(*same, failure)[-MOST_STEP_FAILURES:])

    def with_departure(self, note: DepartureNote) -> Journal:
        """This journal with a departure noted, once under its token."""
        if any(one.token == note.token for one in self.departures):
            return self
        return replace(self, departures=(*self.departures, note)[-MOST_DEPARTURES:])

    def suspects_alive(self, incident: Incident) -> Iterable[str]:
        """The suspect keys of an incident that are not proven dead."""
        return [key_id for key_id in incident.suspects if not self.dead(key_id)]

    def resolved(self, incident: Incident) -> bool:
        """Whether no suspect key of the incident is alive, nor a version of it left to be read."""
        read = {one for one, record in self.versions.items() if record.key_id is not None}
        known = read | incident.set_aside.keys()
        return incident.versions <= known and not any(self.suspects_alive(incident))
