"""The record of an incident, which proves that every compromised key is dead. It does no IO.

Each set of compromised versions has one record. Its name follows from the versions, so two runs
that finish at the same time, or a run that is repeated, write the same record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from rotation.credential import iso_utc
from rotation.reconciliation.plan import Retirement
from rotation.reconciliation.proof_of_death import ProbeHistory
from rotation.reconciliation.situation import ExaminedVersion, Situation
from rotation.secrets_manager.labels import INCIDENT_TAG

SCHEMA: Final = "trusted-signatures-rotation/incident/1"
POOL_SCHEMA: Final = "trusted-signatures-rotation/pool-incident/1"


def incidents_of(secret_name: str) -> str:
    """The folder of the records of a secret's incidents."""
    return f"incidents/{secret_name}/"


def record_name(secret_name: str, versions: Iterable[str]) -> str:
    """Where the record of these versions is kept: ``incidents/<secret>/<hash>.json``."""
    digest = hashlib.sha256("\n".join(sorted(versions)).encode()).hexdigest()
    return f"{incidents_of(secret_name)}{digest[:16]}.json"


def record(
    situation: Situation,
    retirements: Iterable[Retirement],
    deaths: Mapping[str, ProbeHistory],
    *,
    installation: str,
    completed_at: datetime,
) -> bytes:
    """The record as JSON. Times are UTC; nothing in it is key material.

    Args:
        situation: what was found in the run that finished the incident.
        retirements: the compromised keys.
        deaths: the probes of each key of which the material is known, by key id.
        installation: the id of this installation.
        completed_at: our clock, aware UTC.
    """
    snapshot = situation.snapshot
    declared = _declared(snapshot.tags.get(INCIDENT_TAG))
    current = situation.current
    document = {
        "schema": SCHEMA,
        "secret": {"arn": snapshot.arn, "name": snapshot.name},
        "installation": installation,
        "declared": declared,
        "completedAt": iso_utc(completed_at),
        "compromisedVersions": [
            version_facts(version) for version in situation.versions if version.compromised
        ],
        "keys": [_key(one, situation, deaths.get(one.key_id)) for one in retirements],
        "current": None if current is None else version_facts(current),
    }
    return json.dumps(document, indent=2).encode()


def pool_record_name(pool: str, key_id: str) -> str:
    """Where the record of a leaked pool key is kept: ``pools/<pool>/<key id>.json``."""
    return f"pools/{pool}/{key_id}.json"


def pool_record(pool: str, key_id: str, declared: str, death: ProbeHistory) -> bytes:
    """The record of a leaked pool key's death as JSON; ``declared`` is when, why and by whom."""
    document = {
        "schema": POOL_SCHEMA,
        "pool": pool,
        "declared": _declared(declared),
        "keys": [{"keyId": key_id, "proof": death_facts(death)}],
    }
    return json.dumps(document, indent=2).encode()


def _declared(tag: str | None) -> dict[str, str | None]:
    """When, why and by whom: the first word of the tag, the words between, and the last one."""
    words = (tag or "").split()
    return {
        "at": words[0] if words else None,
        "reason": " ".join(words[1:-1]) or None,
        "actor": words[-1] if len(words) > 1 else None,
    }


def version_facts(version: ExaminedVersion) -> dict[str, Any]:
    """A version and the key that it holds, as JSON members."""
    return {
        "versionId": version.id,
        "keyId": version.key_id,
        "createdAt": time_text(version.created_at),
        "issuedAt": time_text(version.issued_at),
        "expiresAt": time_text(version.expires_at),
    }


def _key(
    retirement: Retirement, situation: Situation, death: ProbeHistory | None
) -> dict[str, Any]:
    listed = situation.listed(retirement.key_id)
    return {
        "keyId": retirement.key_id,
        "versionIds": list(retirement.versions),
        "listed": listed is not None,
        "proof": death_facts(death) if death else {"by": "the vendor lists it as not active"},
    }


def death_facts(death: ProbeHistory) -> dict[str, Any]:
    """The probes of one key, as JSON members."""
    return {
        "by": "rejections between accepted calls of the control key",
        "controlKeyId": death.control_id,
        "verdict": death.verdict.value,
        "probes": [
            {
                "at": iso_utc(probe.at),
                "vendorTime": time_text(probe.vendor_time),
                "outcome": probe.outcome.value,
                **({"detail": probe.detail} if probe.detail else {}),
            }
            for probe in death.probes
        ],
    }


def time_text(time: datetime | None) -> str | None:
    """A time in UTC as text, or None."""
    return None if time is None else iso_utc(time)
