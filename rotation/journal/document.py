"""The journal as a JSON document, and back. It holds no key material, and no value of a secret.

``docs/journal.md`` describes each member. Times are ISO 8601 in UTC.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rotation.credential import iso_utc
from rotation.errors import JournalError
from rotation.journal.model import (
    BegunRotation,
    Closing,
    Death,
    Declaration,
    DepartureNote,
    Incident,
    Journal,
    KeyLife,
    PhaseEvent,
    Phases,
    Prolongation,
    StepFailure,
    VersionRecord,
)

SCHEMA: Final = "trusted-signatures-rotation/journal/1"


def serialize(journal: Journal) -> bytes:
    """The document of a journal, UTF-8 JSON. Equal journals have equal documents."""
    members = {
        "schema": SCHEMA,
        "secret": journal.secret_arn,
        "begunAt": _text(journal.begun_at),
        "versions": {one: _version(journal.versions[one]) for one in sorted(journal.versions)},
        "keys": {one: key_members(journal.keys[one]) for one in sorted(journal.keys)},
        "incidents": [incident_members(one) for one in journal.incidents],
        "stepFailures": step_failure_members(journal),
        "phases": None if journal.phases is None else _phases(journal.phases),
        "departures": departure_members(journal),
    }
    return json.dumps(members).encode()


def parse(document: bytes, secret_arn: str, revision: str) -> Journal:
    """The journal in a document.

    Raises:
        JournalError: it is not a journal of this secret, or one of a newer version of this package.
    """
    try:
        members = json.loads(document)
        if members["schema"] == SCHEMA and members["secret"] == secret_arn:
            return Journal(
                secret_arn,
                _time(members["begunAt"]),
                {one: _read_version(found) for one, found in members["versions"].items()},
                {one: _read_key(found) for one, found in members["keys"].items()},
                tuple(map(_read_incident, members["incidents"])),
                # Journals of version 0.2 and older have none of these members.
                tuple(map(_read_step_failure, members.get("stepFailures", ()))),
                _read_phases(members.get("phases")),
                tuple(map(_read_departure, members.get("departures", ()))),
                revision,
            )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise JournalError(
        f"What is kept as the journal of {secret_arn} is not one that this version of the function "
        "can read. Its former versions are kept in the evidence bucket: see docs/journal.md.",
        retryable=False,
    )


def key_members(life: KeyLife) -> dict[str, Any]:
    """The life of one key, as JSON members."""
    return {
        "firstSeenAt": _text(life.first_seen_at),
        "displacedAt": _text(life.displaced_at),
        "retireAfter": _text(life.retire_after),
        "askedAt": _text(life.asked_at),
        "outcome": life.outcome,
        "answeredAt": _text(life.answered_at),
        "accepted": life.accepted,
        "probes": [dict(probe) for probe in life.probes],
        "death": None
        if life.death is None
        else {"at": _text(life.death.at), "proof": dict(life.death.proof)},
        "prolongations": [
            {
                "by": one.by,
                "at": _text(one.at),
                "until": _text(one.until),
                "formerEnd": _text(one.former_end),
                "reason": one.reason,
            }
            for one in life.prolongations
        ],
    }


def step_failure_members(journal: Journal) -> list[dict[str, Any]]:
    """The failed steps of the newest rotation that had any, as JSON members."""
    return [
        {
            "token": one.token,
            "at": _text(one.at),
            "step": one.step,
            "code": one.code,
            "message": one.message,
            "retryable": one.retryable,
        }
        for one in journal.step_failures
    ]


def departure_members(journal: Journal) -> list[dict[str, Any]]:
    """The rotations because somebody left, as JSON members."""
    return [
        {"token": one.token, "at": _text(one.at), "reason": one.reason, "actor": one.actor}
        for one in journal.departures
    ]


def incident_members(incident: Incident) -> dict[str, Any]:
    """One incident, as JSON members."""
    closing = incident.closing
    return {
        "id": incident.id,
        "declarations": [
            {
                "id": one.id,
                "at": _text(one.at),
                "reason": one.reason,
                "actor": one.actor,
                "ofAllKeys": one.of_all_keys,
            }
            for one in incident.declarations
        ],
        "suspects": {one: list(incident.suspects[one]) for one in sorted(incident.suspects)},
        "versions": sorted(incident.versions),
        "setAside": dict(sorted(incident.set_aside.items())),
        "rotations": [
            {"token": one.token, "at": _text(one.at), "refused": one.refused}
            for one in incident.rotations
        ],
        "closing": None
        if closing is None
        else {
            "at": _text(closing.at),
            "currentKey": closing.current_key,
            "currentVersion": closing.current_version,
            "evidence": closing.evidence,
        },
    }


def _version(record: VersionRecord) -> dict[str, Any]:
    return {
        "keyId": record.key_id,
        "wasCurrent": record.was_current,
        "issuedAt": _text(record.issued_at),
        "expiresAt": _text(record.expires_at),
    }


def _read_version(members: Mapping[str, Any]) -> VersionRecord:
    return VersionRecord(
        members["keyId"],
        members["wasCurrent"],
        _time(members["issuedAt"]),
        _time(members["expiresAt"]),
    )


def _read_key(members: Mapping[str, Any]) -> KeyLife:
    death = members["death"]
    return KeyLife(
        datetime.fromisoformat(members["firstSeenAt"]),
        _time(members["displacedAt"]),
        _time(members["retireAfter"]),
        _time(members["askedAt"]),
        members["outcome"],
        _time(members["answeredAt"]),
        members["accepted"],
        tuple(members["probes"]),
        None if death is None else Death(datetime.fromisoformat(death["at"]), death["proof"]),
        # Journals of version 0.2 and older have no such member.
        tuple(
            Prolongation(
                one["by"],
                datetime.fromisoformat(one["at"]),
                datetime.fromisoformat(one["until"]),
                datetime.fromisoformat(one["formerEnd"]),
                one["reason"],
            )
            for one in members.get("prolongations", ())
        ),
    )


def _read_incident(members: Mapping[str, Any]) -> Incident:
    closing = members["closing"]
    return Incident(
        id=members["id"],
        declarations=tuple(
            Declaration(
                one["id"],
                datetime.fromisoformat(one["at"]),
                one["reason"],
                one["actor"],
                one["ofAllKeys"],
            )
            for one in members["declarations"]
        ),
        suspects={one: tuple(versions) for one, versions in members["suspects"].items()},
        versions=frozenset(members["versions"]),
        set_aside=members["setAside"],
        rotations=tuple(
            BegunRotation(one["token"], datetime.fromisoformat(one["at"]), one["refused"])
            for one in members["rotations"]
        ),
        closing=None
        if closing is None
        else Closing(
            datetime.fromisoformat(closing["at"]),
            closing["currentKey"],
            closing["currentVersion"],
            closing["evidence"],
        ),
    )


def _read_step_failure(members: Mapping[str, Any]) -> StepFailure:
    return StepFailure(
        members["token"],
        datetime.fromisoformat(members["at"]),
        members["step"],
        members["code"],
        members["message"],
        members["retryable"],
    )


def _phases(phases: Phases) -> dict[str, Any]:
    return {
        "known": sorted(phases.known),
        "waiting": [
            {"id": one.id, "phase": one.phase, "at": _text(one.at), "facts": dict(one.facts)}
            for one in phases.waiting
        ],
    }


def _read_phases(members: Mapping[str, Any] | None) -> Phases | None:
    if members is None:
        return None
    return Phases(
        frozenset(members["known"]),
        tuple(
            PhaseEvent(one["id"], one["phase"], datetime.fromisoformat(one["at"]), one["facts"])
            for one in members["waiting"]
        ),
    )


def _read_departure(members: Mapping[str, Any]) -> DepartureNote:
    return DepartureNote(
        members["token"],
        datetime.fromisoformat(members["at"]),
        members["reason"],
        members["actor"],
    )


def _text(time: datetime | None) -> str | None:
    return None if time is None else iso_utc(time)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
