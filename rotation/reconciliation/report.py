"""The report of a reconciliation, as JSON members. ``docs/report.md`` describes each.

An operator who may not read the secret sees it, so it holds no key material.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from rotation.core.ports import IssuerCondition, VendorKey
from rotation.credential import iso_utc
from rotation.errors import RotationError
from rotation.incident.declaration import tag_text
from rotation.journal.document import (
    departure_members,
    incident_members,
    key_members,
    step_failure_members,
)
from rotation.reconciliation.execution import ExecutionResult
from rotation.reconciliation.key_warnings import KeyWarning
from rotation.reconciliation.plan import Plan, Reason, Retirement
from rotation.reconciliation.proof_of_death import death_facts
from rotation.reconciliation.situation import ExaminedVersion, Reading, Situation

SCHEMA: Final = "trusted-signatures-rotation/report/1"


def secret_report(
    situation: Situation,
    plan: Plan,
    key_warnings: Iterable[KeyWarning],
    result: ExecutionResult | None,
) -> dict[str, Any]:
    """One secret: what was found, what is due, and what was done.

    Args:
        situation: what was found.
        plan: what is due.
        key_warnings: what people should know.
        result: what was done; None: nothing, since only a report was asked for.
    """
    snapshot = situation.snapshot
    hold = situation.hold_until
    # A hold that is not a time is held as the year 9999.
    held = None if hold is None else "unreadable" if hold.year == 9999 else iso_utc(hold)
    refused = {one.key_id for one in plan.refused}
    incident = situation.journal.open_incident
    facts: dict[str, Any] = {
        "arn": snapshot.arn,
        "name": snapshot.name,
        "deletedAt": time_text(snapshot.deleted_at),
        "rotationEnabled": snapshot.rotation_enabled,
        "nextRotationAt": time_text(snapshot.next_rotation),
        "replication": dict(snapshot.replication),
        "holdUntil": held,
        "incident": None if incident is None else tag_text(incident.declarations[0]),
        "suspended": plan.suspended,
        "versions": [_version(version, situation) for version in situation.versions],
        "keys": [
            {"keyId": key_id, "suspect": key_id in situation.suspects, **key_members(life)}
            for key_id, life in sorted(situation.journal.keys.items())
        ],
        "incidents": [incident_members(one) for one in situation.journal.incidents],
        "stepFailures": step_failure_members(situation.journal),
        "departures": departure_members(situation.journal),
        "vendorKeys": None
        if situation.listing is None
        else [_vendor_key(key) for key in situation.listing.keys],
        "retirements": [
            _retirement(one, "waiting" if one in plan.waiting else "due")
            for one in (*plan.retire, *plan.waiting)
            if one.key_id not in refused
        ]
        + [_retirement(one, "refused") for one in plan.refused],
        "warnings": warnings(key_warnings),
        "failures": [],
    }
    if result is not None:
        facts["done"] = _done(result)
        facts["failures"] = [failure(error) for error in result.failures]
    return facts


def unexamined(
    arn: str, key_warnings: Iterable[KeyWarning], failures: Iterable[RotationError]
) -> dict[str, Any]:
    """One secret that could not be examined, and why."""
    return {
        "arn": arn,
        "warnings": warnings(key_warnings),
        "failures": [failure(error) for error in failures],
    }


def issuer_report(condition: IssuerCondition) -> dict[str, Any]:
    """The condition of the issuer, as JSON members."""
    return {
        "credentialId": condition.credential_id,
        "credentialExpiresAt": time_text(condition.credential_expires_at),
        "keysLeft": condition.keys_left,
    }


def warnings(key_warnings: Iterable[KeyWarning]) -> list[dict[str, str]]:
    """Warnings, as JSON members. A code may occur more than once."""
    return [{"code": one.code.value, "message": one.message} for one in key_warnings]


def failure(error: RotationError) -> dict[str, Any]:
    """A failure, as JSON members; the codes are those of ``docs/errors.md``."""
    return {"code": error.code, "message": str(error), "retryable": error.retryable}


def _version(version: ExaminedVersion, situation: Situation) -> dict[str, Any]:
    life = situation.journal.keys.get(version.key_id or "")
    return {
        "versionId": version.id,
        "keyId": version.key_id,
        "createdAt": time_text(version.created_at),
        "issuedAt": time_text(version.issued_at),
        "expiresAt": time_text(version.expires_at),
        "labels": sorted(version.labels),
        "state": _state(version, situation),
        "compromised": _compromised(version, situation),
        "retireAfter": time_text(life.retire_after if life else None),
        "problem": version.problem or None,
    }


def _compromised(version: ExaminedVersion, situation: Situation) -> bool:
    """Whether the version holds a suspect key that is not proven dead."""
    return situation.suspect(version) and not situation.journal.dead(version.key_id)


def _state(version: ExaminedVersion, situation: Situation) -> str:
    """The first of these words that is true of the version."""
    states = {
        "current": version.current,
        "dead": situation.journal.dead(version.key_id),
        "compromised": _compromised(version, situation),
        "in_flight": version.pending,
        "unreadable": version.reading is Reading.UNREADABLE,
        "in_use": version.key_id is not None and version.key_id in situation.protected,
        "retiring": version.key_id in situation.journal.keys,
        "displaced": bool(version.labels),
    }
    return next((word for word, true in states.items() if true), "deprecated")


def _vendor_key(key: VendorKey) -> dict[str, Any]:
    return {
        "keyId": key.id,
        "token": key.label.token,
        "createdAt": iso_utc(key.created_at),
        "expiresAt": time_text(key.expires_at),
        "active": key.active,
        "revocationAsked": key.revocation_asked,
    }


def _retirement(one: Retirement, state: str) -> dict[str, Any]:
    return {
        "keyId": one.key_id,
        "versionIds": list(one.versions),
        "reason": one.reason.value,
        "after": iso_utc(one.due),
        "state": "due" if state == "waiting" and one.reason is Reason.COMPROMISED else state,
        "revoked": not one.revoke,
    }


def _done(result: ExecutionResult) -> dict[str, Any]:
    return {
        "kept": result.kept,
        "abandoned": result.abandoned,
        "revoked": [
            {"keyId": key_id, "outcome": outcome.value}
            for key_id, outcome in result.revoked.items()
        ],
        "provenDead": sorted(result.dead),
        "proofs": [
            {"keyId": key_id} | death_facts(death) for key_id, death in result.deaths.items()
        ],
        "evidence": result.evidence,
    }


def time_text(time: datetime | None) -> str | None:
    """A time in UTC as text, or None."""
    return None if time is None else iso_utc(time)
