"""The report of a reconciliation, as JSON members. ``docs/reconciliation.md`` describes each.

An operator who may not read the secret sees it, so it holds no key material.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from rotation.core.ports import IssuerCondition, VendorKey
from rotation.credential import iso_utc
from rotation.errors import RotationError
from rotation.reconciliation.execution import ExecutionResult
from rotation.reconciliation.incident_record import death_facts, time_text, version_facts
from rotation.reconciliation.key_warnings import KeyWarning
from rotation.reconciliation.plan import Plan, Reason, Retirement
from rotation.reconciliation.situation import ExaminedVersion, Reading, Situation
from rotation.secrets_manager.labels import INCIDENT_TAG

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
    facts: dict[str, Any] = {
        "arn": snapshot.arn,
        "name": snapshot.name,
        "deletedAt": time_text(snapshot.deleted_at),
        "rotationEnabled": snapshot.rotation_enabled,
        "nextRotationAt": time_text(snapshot.next_rotation),
        "replication": dict(snapshot.replication),
        "holdUntil": held,
        "incident": snapshot.tags.get(INCIDENT_TAG),
        "suspended": plan.suspended,
        "versions": [_version(version, situation) for version in situation.versions],
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
    return {
        **version_facts(version),
        "labels": sorted(version.labels),
        "state": _state(version, situation),
        "compromised": version.compromised,
        "retireAfter": time_text(version.retire_after),
    }


def _state(version: ExaminedVersion, situation: Situation) -> str:
    """The first of these words that is true of the version."""
    states = {
        "current": version.current,
        "compromised": version.compromised,
        "in_flight": version.pending,
        "dead": version.dead,
        "unreadable": version.reading is Reading.UNREADABLE,
        "retiring": version.retire_after is not None,
        "in_use": version.key_id is not None and version.key_id in situation.protected,
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
        "marked": result.marked,
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
