"""The facts of a report, from its sources alone: equal sources give equal facts. It does no IO.

Each fact names the state of the journal that it is read from. Where the sources do not tell, the
member is null; nothing is concluded from what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from rotation.cli.report.access import access
from rotation.cli.report.audit import Audit, condition, life_of, read_audit
from rotation.cli.report.controls import CONTROLS, NOT_PROVEN
from rotation.cli.report.deviations import deviations
from rotation.cli.report.lives import State, incident_timeline, said
from rotation.cli.report.sources import EvidenceObject, ReportSources
from rotation.core.policy import RECONCILIATION_INTERVAL, ROTATION_DAY
from rotation.credential import iso_utc
from rotation.errors import ReportError
from rotation.journal.document import incident_members, key_members
from rotation.journal.model import Incident
from rotation.secrets_manager.labels import AWSCURRENT
from rotation.secrets_manager.snapshot import Snapshot

SCHEMA: Final = "trusted-signatures-rotation/audit-report/1"

# What reading members raises that have another form than ours.
_MALFORMED: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def report_facts(sources: ReportSources) -> dict[str, Any]:
    """The report as JSON members; docs/audit-report.md describes them.

    Raises:
        ReportError: what AWS said of the secret has a form that AWS does not give it. A state of
            the journal that nobody can read is an exception in the report.
    """
    try:
        return _facts(sources)
    except _MALFORMED:
        # What a proof says is not prescribed, so a journal that can be read may hold an odd one.
        odd = frozenset(
            number
            for number, state in enumerate(sources.states, start=1)
            if not _can_be_told(replace(sources, states=(state,)))
        )
    try:
        return _facts(sources, odd)
    except _MALFORMED as error:
        kind = type(error).__name__
    raise ReportError(
        f"No report can be made of {said(sources.arn)}: what AWS said of it has a form that AWS "
        f"does not give it ({kind}). Find out what stands between this command and AWS."
    )


def _can_be_told(sources: ReportSources) -> bool:
    try:
        _facts(sources)
    except _MALFORMED:
        return False
    return True


def _facts(sources: ReportSources, odd: frozenset[int] = frozenset()) -> dict[str, Any]:
    audit = read_audit(sources, odd)
    rotations = _rotations(audit)
    return {
        "schema": SCHEMA,
        "madeAt": iso_utc(sources.made_at),
        "madeBy": said(sources.made_by),
        "madeWith": said(sources.made_with),
        "secret": _secret(audit),
        "journal": _journal(audit),
        "keys": [_key(key, audit) for key in audit.events],
        "rotations": rotations,
        "incidents": [_incident(one, audit) for one in audit.journal.incidents],
        "access": access(sources),
        "exceptions": [one.members() for one in deviations(audit, rotations)],
        "controls": [one.members() for one in CONTROLS],
        "notProven": list(NOT_PROVEN),
        "notSeen": {said(what): said(code) for what, code in sources.not_seen.items()},
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else iso_utc(time)


def _secret(audit: Audit) -> dict[str, Any]:
    described, snapshot = audit.sources.secret, audit.snapshot
    rules = described.get("RotationRules", {})
    interval = snapshot.rotation_interval
    kms, window = described.get("KmsKeyId"), rules.get("Duration")
    schedule, function = rules.get("ScheduleExpression"), snapshot.rotation_function
    current = snapshot.version_with(AWSCURRENT)
    record = audit.journal.versions.get(current or "")
    return {
        "arn": said(snapshot.arn),
        "name": said(snapshot.name),
        "createdAt": _time(described.get("CreatedDate")),
        "deletedAt": _time(snapshot.deleted_at),
        "rotationEnabled": snapshot.rotation_enabled,
        "rotationFunction": None if function is None else said(function),
        "rotationDays": None if interval is None else interval / timedelta(days=1),
        "schedule": None if schedule is None else said(schedule),
        "window": None if window is None else said(window),
        "lastRotatedAt": _time(described.get("LastRotatedDate")),
        "nextRotationAt": _time(snapshot.next_rotation),
        "encryptionKey": None if kms is None else said(kms),
        "replicas": {said(region): said(status) for region, status in snapshot.replication.items()},
        "held": None if audit.sources.hold is None else said(audit.sources.hold),
        "currentVersion": None if current is None else said(current),
        "currentKey": None if record is None or record.key_id is None else said(record.key_id),
    }


def _journal(audit: Audit) -> dict[str, Any]:
    sources = audit.sources
    return {
        "bucket": said(sources.bucket),
        "object": said(sources.states[0].name) if sources.states else None,
        "begunAt": _time(audit.journal.begun_at),
        "states": [
            {"number": number, "readable": number not in audit.unreadable, **_stored(one)}
            for number, one in enumerate(sources.states, start=1)
        ],
        "deletions": [{"version": said(one), "at": iso_utc(at)} for one, at in sources.deletions],
        "records": [{"object": said(one.name), **_stored(one)} for one in sources.records],
    }


def _stored(one: EvidenceObject) -> dict[str, Any]:
    return {
        "version": said(one.version),
        "at": iso_utc(one.at),
        "bytes": len(one.body),
        "digest": one.digest,
        "agrees": one.agrees if one.checksum is not None else None,
        "lock": None if one.lock is None else said(one.lock),
        "keptUntil": _time(one.kept_until),
    }


def _key(key: str, audit: Audit) -> dict[str, Any]:
    events, life = audit.events[key], life_of(key, audit)
    records = {
        version: record
        for state in audit.states
        for version, record in state.journal.versions.items()
        if record.key_id == key
    }
    expiries = [record.expires_at for record in records.values() if record.expires_at is not None]
    grace = None
    if life is not None and life.displaced_at is not None and life.retire_after is not None:
        grace = (life.retire_after - life.displaced_at).total_seconds()
    return {
        "keyId": said(key),
        "condition": condition(key, life, audit),
        "suspect": audit.journal.suspect(key),
        "versions": [said(one) for one in sorted(records)],
        "expiresAt": _time(max(expiries, default=None)),
        "graceSeconds": grace,
        "events": [one.members() for one in events],
        "death": None if life is None else _death_facts(key_members(life)),
    }


def _death_facts(life: Mapping[str, Any]) -> dict[str, Any] | None:
    """What proves a death, or who attests it, from the members of a life."""
    death = life["death"]
    if death is None:
        return None
    proof = death["proof"]
    attested = proof.get("attestedBy")
    return {
        "at": said(death["at"]),
        "by": said(proof.get("by", "nothing that is known")),
        "attestedBy": None if attested is None else said(attested),
        "reason": None if attested is None else said(proof.get("reason", "")),
        "controlKeyId": _text(proof.get("controlKeyId")),
        "probes": [
            {
                "at": _text(one.get("at")),
                "vendorTime": _text(one.get("vendorTime")),
                "outcome": _text(one.get("outcome")),
                "detail": _text(one.get("detail")),
            }
            for one in proof.get("probes", ())
        ],
    }


def _text(value: object) -> str | None:
    return None if value is None else said(value)


def _rotations(audit: Audit) -> dict[str, Any]:
    """The versions that became current, each with the days since the one before."""
    known: set[str] = set()
    found: list[dict[str, Any]] = []
    limit = _limit(audit.snapshot)
    last: State | None = None
    for state in audit.states:
        new = {
            version: record
            for version, record in state.journal.versions.items()
            if record.was_current and version not in known
        }
        for version in sorted(new, key=lambda one: (new[one].issued_at or state.stored.at, one)):
            record = new[version]
            known.add(version)
            since = None if last is None or last is state else state.stored.at - last.stored.at
            found.append(
                {
                    "version": said(version),
                    "keyId": _text(record.key_id),
                    "issuedAt": _time(record.issued_at),
                    "currentBy": iso_utc(state.stored.at),
                    "state": state.number,
                    "daysSince": None if since is None else since / timedelta(days=1),
                    "within": None if since is None or limit is None else since <= limit,
                }
            )
        if new:
            last = state
    since = None if last is None else audit.sources.made_at - last.stored.at
    return {
        "limitDays": None if limit is None else limit / timedelta(days=1),
        "becameCurrent": found,
        "daysSinceLast": None if since is None else since / timedelta(days=1),
        "within": None if since is None or limit is None else since <= limit,
    }


def _limit(snapshot: Snapshot) -> timedelta | None:
    """How far apart two rotations may be seen, if the schedule that is set now tells.

    Secrets Manager rotates at any time of the day on which the interval ends
    (API_RotationRulesType), and a run sees it within the hour.
    """
    interval = snapshot.rotation_interval
    return None if interval is None else interval + ROTATION_DAY + RECONCILIATION_INTERVAL


def _incident(incident: Incident, audit: Audit) -> dict[str, Any]:
    lives = {key: life_of(key, audit) for key in incident.suspects}
    facts = incident_facts(
        incident_members(incident),
        {key: None if life is None else key_members(life) for key, life in lives.items()},
    )
    return facts | {"timeline": incident_timeline(incident, audit.events)}


def incident_facts(
    entry: Mapping[str, Any], lives: Mapping[str, Mapping[str, Any] | None]
) -> dict[str, Any]:
    """The facts of one incident, from the JSON members of its entry and of its keys' lives."""
    closing = entry["closing"]
    return {
        "id": said(entry["id"]),
        "declarations": [
            {
                "at": said(one["at"]),
                "reason": said(one["reason"]),
                "actor": said(one["actor"]),
                "ofAllKeys": bool(one["ofAllKeys"]),
            }
            for one in entry["declarations"]
        ],
        "suspects": [
            {
                "keyId": said(key),
                "versions": [said(one) for one in versions],
                "askedAt": None if life is None else _text(life["askedAt"]),
                "outcome": None if life is None else _text(life["outcome"]),
                "death": None if life is None else _death_facts(life),
            }
            for key, versions in sorted(entry["suspects"].items())
            for life in [lives.get(key)]
        ],
        "setAside": {said(one): said(why) for one, why in sorted(entry["setAside"].items())},
        "rotations": [
            {"token": said(one["token"]), "at": said(one["at"]), "refused": bool(one["refused"])}
            for one in entry["rotations"]
        ],
        "closedAt": None if closing is None else said(closing["at"]),
        "currentKey": None if closing is None else said(closing["currentKey"]),
        "evidence": None if closing is None else _text(closing["evidence"]),
    }
