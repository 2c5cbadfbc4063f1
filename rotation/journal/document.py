"""The journal as a JSON document, and back. It holds no key material, and no value of a secret.

``docs/journal.md`` describes each member. Times are ISO 8601 in UTC.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

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

Value = TypeVar("Value")


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
                _optional(_time, members["begunAt"]),
                {one: _read_version(found) for one, found in members["versions"].items()},
                {one: _read_key(found) for one, found in members["keys"].items()},
                tuple(map(_read_incident, _list(members["incidents"]))),
                # Journals of version 0.2 and older have none of these members.
                tuple(map(_read_step_failure, _list(members.get("stepFailures", [])))),
                _optional(_read_phases, members.get("phases")),
                tuple(map(_read_departure, _list(members.get("departures", [])))),
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
        _optional(_string, members["keyId"]),
        _flag(members["wasCurrent"]),
        _optional(_time, members["issuedAt"]),
        _optional(_time, members["expiresAt"]),
    )


def _read_key(members: Mapping[str, Any]) -> KeyLife:
    return KeyLife(
        _time(members["firstSeenAt"]),
        _optional(_time, members["displacedAt"]),
        _optional(_time, members["retireAfter"]),
        _optional(_time, members["askedAt"]),
        _optional(_string, members["outcome"]),
        _optional(_time, members["answeredAt"]),
        _optional(_flag, members["accepted"]),
        tuple(map(_object, _list(members["probes"]))),
        _optional(_read_death, members["death"]),
        # Journals of version 0.2 and older have no such member.
        tuple(
            Prolongation(
                _string(one["by"]),
                _time(one["at"]),
                _time(one["until"]),
                _time(one["formerEnd"]),
                _string(one["reason"]),
            )
            for one in _list(members.get("prolongations", []))
        ),
    )


def _read_death(members: Mapping[str, Any]) -> Death:
    return Death(_time(members["at"]), _object(members["proof"]))


def _read_incident(members: Mapping[str, Any]) -> Incident:
    return Incident(
        id=_string(members["id"]),
        declarations=tuple(
            Declaration(
                _string(one["id"]),
                _time(one["at"]),
                _string(one["reason"]),
                _string(one["actor"]),
                _flag(one["ofAllKeys"]),
            )
            for one in _list(members["declarations"])
        ),
        suspects={
            one: tuple(map(_string, _list(versions)))
            for one, versions in _object(members["suspects"]).items()
        },
        versions=frozenset(map(_string, _list(members["versions"]))),
        set_aside={one: _string(problem) for one, problem in _object(members["setAside"]).items()},
        rotations=tuple(
            BegunRotation(_string(one["token"]), _time(one["at"]), _flag(one["refused"]))
            for one in _list(members["rotations"])
        ),
        closing=_optional(_read_closing, members["closing"]),
    )


def _read_closing(members: Mapping[str, Any]) -> Closing:
    return Closing(
        _time(members["at"]),
        _string(members["currentKey"]),
        _string(members["currentVersion"]),
        _optional(_string, members["evidence"]),
    )


def _read_step_failure(members: Mapping[str, Any]) -> StepFailure:
    return StepFailure(
        _string(members["token"]),
        _time(members["at"]),
        _string(members["step"]),
        _string(members["code"]),
        _string(members["message"]),
        _flag(members["retryable"]),
    )


def _phases(phases: Phases) -> dict[str, Any]:
    return {
        "known": sorted(phases.known),
        "waiting": [
            {"id": one.id, "phase": one.phase, "at": _text(one.at), "facts": dict(one.facts)}
            for one in phases.waiting
        ],
    }


def _read_phases(members: Mapping[str, Any]) -> Phases:
    return Phases(
        frozenset(map(_string, _list(members["known"]))),
        tuple(
            PhaseEvent(
                _string(one["id"]), _string(one["phase"]), _time(one["at"]), _object(one["facts"])
            )
            for one in _list(members["waiting"])
        ),
    )


def _read_departure(members: Mapping[str, Any]) -> DepartureNote:
    return DepartureNote(
        _string(members["token"]),
        _time(members["at"]),
        _string(members["reason"]),
        _string(members["actor"]),
    )


def _text(time: datetime | None) -> str | None:
    return None if time is None else iso_utc(time)


def _optional(read: Callable[[Any], Value], value: Any) -> Value | None:
    return None if value is None else read(value)


def _time(text: Any) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without its offset from UTC")
    return time.astimezone(UTC)


def _string(value: Any) -> str:
    return _of(str, value)


def _flag(value: Any) -> bool:
    return _of(bool, value)


def _list(value: Any) -> list[Any]:
    found: list[Any] = _of(list, value)
    return found


def _object(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = _of(dict, value)
    return found


def _of(kind: type[Value], value: Any) -> Value:
    """The value, if it is of the kind that the member must have: nothing else is believed."""
    if not isinstance(value, kind):
        raise TypeError(kind.__name__)
    return value
