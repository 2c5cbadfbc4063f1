"""What a reader of a report should look at: exceptions, each with the section that shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rotation.cli.report.audit import Audit, condition, life_of
from rotation.cli.report.lives import said
from rotation.cli.report.sources import RECORDS
from rotation.credential import iso_utc, json_object
from rotation.incident.closing import SCHEMA as RECORD_SCHEMA
from rotation.journal.document import incident_members
from rotation.journal.model import Incident
from rotation.journal.succession import broken_succession
from rotation.secrets_manager.labels import HOLD_TAG, hold_until


@dataclass(frozen=True)
class Deviation:
    """Something that a reader of the report should look at.

    Attributes:
        code: what it is, as a stable word.
        text: a sentence.
        section: the section of the report that shows it.
    """

    code: str
    text: str
    section: str

    def members(self) -> dict[str, str]:
        """As JSON members."""
        return {"code": self.code, "text": self.text, "section": self.section}


def deviations(audit: Audit, rotations: Mapping[str, Any]) -> list[Deviation]:
    """Everything that deviates from an ordinary life of keys, or that the sources do not tell.

    Args:
        audit: the sources.
        rotations: the member ``rotations`` of the report.
    """
    return [
        *_of_the_storage(audit),
        *_of_the_rotations(audit, rotations),
        *_of_the_keys(audit),
        *_of_the_incidents(audit),
    ]


def _of_the_storage(audit: Audit) -> Iterator[Deviation]:
    sources = audit.sources
    for what, code in sources.not_seen.items():
        yield Deviation("not_seen", f"Not seen: {said(what)} ({said(code)}).", "access")
    for number in audit.unreadable:
        text = f"State {number} is not a journal of this secret that this version can read."
        yield Deviation("state_unreadable", text, "sources")
    for place, problem in broken_succession([one.journal for one in audit.states]):
        number = audit.states[place].number
        text = f"State {number} does not follow from the one before: {said(problem)}"
        yield Deviation("state_does_not_follow", text, "sources")
    for version, at in sources.deletions:
        text = f"The journal was deleted {iso_utc(at)} (marker {said(version)})."
        yield Deviation("journal_deleted", text, "sources")
    numbered = [(f"State {number}", one) for number, one in enumerate(sources.states, start=1)]
    numbered += [(f"The record {said(one.name)}", one) for one in sources.records]
    for name, one in numbered:
        if not one.agrees:
            yield Deviation(
                "checksum", f"{name} differs from the checksum that S3 keeps.", "sources"
            )
    open_to_deletion = [one for _, one in numbered if one.lock is None]
    if open_to_deletion:
        yield Deviation(
            "not_locked",
            f"Of {len(numbered)} stored states and records {len(open_to_deletion)} show no Object "
            "Lock: they have none, or the caller may not see it.",
            "sources",
        )


def _of_the_rotations(audit: Audit, rotations: Mapping[str, Any]) -> Iterator[Deviation]:
    snapshot = audit.snapshot
    if snapshot.deleted_at is not None:
        text = f"The secret is scheduled for deletion, {iso_utc(snapshot.deleted_at)}."
        yield Deviation("deleted", text, "rotations")
    if not snapshot.rotation_enabled:
        yield Deviation("rotation_off", "Rotation is turned off.", "rotations")
    if rotations["limitDays"] is None:
        text = "The schedule does not tell an interval, so no rotation is compared with it."
        yield Deviation("no_interval", text, "rotations")
    for one in rotations["becameCurrent"]:
        if one["within"] is False:
            text = (
                f"Version {one['version']} became current {one['daysSince']:.1f} days after the "
                "one before; the schedule that is set now allows fewer."
            )
            yield Deviation("rotation_late", text, "rotations")
    if rotations["within"] is False:
        text = (
            f"The last rotation was seen {rotations['daysSinceLast']:.1f} days ago: it is overdue."
        )
        yield Deviation("rotation_overdue", text, "rotations")
    held = hold_until({HOLD_TAG: audit.sources.hold} if audit.sources.hold is not None else {})
    if held is not None and held > audit.sources.made_at:
        text = f"Retirement is on hold until {said(audit.sources.hold)}."
        yield Deviation("held", text, "rotations")


def _of_the_keys(audit: Audit) -> Iterator[Deviation]:
    now = audit.sources.made_at
    for key in audit.events:
        life, name = life_of(key, audit), said(key)
        if life is None:
            text = f"Key {name} is named, and no state tells of its life."
            yield Deviation("life_unknown", text, "keys")
            continue
        if life.death is not None and life.death.attested:
            text = f"The death of key {name} is attested by a person; nothing proves it."
            yield Deviation("attested", text, "keys")
        for one in life.prolongations:
            text = f"The grace of key {name} was prolonged to {iso_utc(one.until)} for "
            yield Deviation("prolonged", f"{text}{said(one.by)}: {said(one.reason)}", "keys")
        asked, due = life.asked_at, life.retire_after
        early = asked is not None and due is not None and asked < due
        if early and not audit.journal.suspect(key):
            text = f"Key {name} was to be revoked before its grace was over, and was not suspect."
            yield Deviation("revoked_in_grace", text, "keys")
        if life.death is None and life.retire_after is not None and life.retire_after < now:
            text = f"The grace of key {name} is over, and it is not proven dead."
            yield Deviation("not_dead_after_grace", text, "keys")
        expires = [one.expires_at for one in audit.journal.versions.values() if one.key_id == key]
        if condition(key, life, audit) == "current" and any(one and one < now for one in expires):
            yield Deviation("current_expired", f"The current key {name} has expired.", "keys")
    unread = (one for one, record in audit.journal.versions.items() if record.key_id is None)
    for version in sorted(unread):
        text = f"Version {said(version)} was current, and no state tells which key it held."
        yield Deviation("key_unknown", text, "keys")
    if audit.journal.step_failures:
        last = audit.journal.step_failures[-1]
        text = f"A rotation failed {iso_utc(last.at)} in {said(last.step)}: {said(last.message)}"
        yield Deviation("rotation_failed", text, "rotations")


def _of_the_incidents(audit: Audit) -> Iterator[Deviation]:
    journal = audit.journal
    for incident in journal.incidents:
        name = said(incident.id)
        if incident.closing is None:
            yield Deviation("incident_open", f"Incident {name} is open.", "incidents")
        for key in sorted(journal.suspects_alive(incident)):
            text = f"Key {said(key)} of incident {name} is suspect and not proven dead."
            yield Deviation("suspect_not_dead", text, "incidents")
        for version, why in sorted(incident.set_aside.items()):
            text = f"Incident {name} set version {said(version)} aside: {said(why)}"
            yield Deviation("set_aside", text, "incidents")
        if incident.closing is not None and RECORDS not in audit.sources.not_seen:
            for code, problem in _of_a_record(incident, audit):
                yield Deviation(code, f"The record of incident {name} {problem}", "incidents")


def _of_a_record(incident: Incident, audit: Audit) -> Iterator[tuple[str, str]]:
    closing = incident.closing
    place = None if closing is None else closing.evidence
    stored = [
        one for one in audit.sources.records if place == f"s3://{audit.sources.bucket}/{one.name}"
    ]
    if closing is None or not stored:
        yield "record_missing", "is not among those that were read."
        return
    if len(stored) > 1:
        yield "record_replaced", "was written more than once; the oldest is compared."
    record = json_object(stored[0].body)
    if record is None or record.get("schema") != RECORD_SCHEMA:
        yield "record_unreadable", "is not one that this version can read."
    elif record.get("incident") != incident_members(
        replace(incident, closing=replace(closing, evidence=None))
    ):
        yield "record_differs", "differs from the journal's entry."
