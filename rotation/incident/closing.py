"""Closes an incident in the journal, and writes the copy that is the evidence. It does no IO."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from rotation.credential import iso_utc
from rotation.journal.document import incident_members, key_members
from rotation.journal.model import Closing, Incident, Journal

SCHEMA: Final = "trusted-signatures-rotation/incident/2"


def close(
    journal: Journal, incident_id: str, *, current_key: str, current_version: str, now: datetime
) -> Journal:
    """The journal with the incident closed, if every suspect key in it is proven dead.

    A declaration that came after the proofs has added suspects, which are not dead: then the
    incident stays open. So it does while a version that existed at a declaration was neither read
    nor set aside, and while the current key is suspect.

    Args:
        journal: the journal, as it is just now.
        incident_id: the incident.
        current_key: the key that is current, which has just signed.
        current_version: the version that holds it.
        now: our clock, aware UTC.
    """
    incident = journal.open_incident
    if incident is None or incident.id != incident_id or not journal.resolved(incident):
        return journal
    if journal.suspect(current_key, current_version):
        return journal
    closing = Closing(now, current_key, current_version)
    return journal.with_incident(replace(incident, closing=closing))


def record_folder(secret_arn: str) -> str:
    """The folder of the records of a secret's incidents. No other secret's folder is in it."""
    return f"incidents/{quote(secret_arn, safe=':')}/"


def record_name(secret_arn: str, incident: Incident) -> str:
    """Where the record of an incident is kept. There is one record for each incident."""
    return f"{record_folder(secret_arn)}{quote(incident.id, safe='')}.json"


def record(
    journal: Journal,
    incident: Incident,
    *,
    secret_name: str,
    installation: str,
    seals: Mapping[str, Any] | None = None,
) -> bytes:
    """The record of a closed incident as JSON. Times are UTC; nothing in it is key material.

    It is made of the closed entry, and of the seals that were counted when it was written.

    Args:
        journal: the journal with the closed entry.
        incident: the closed entry.
        secret_name: the name of the secret.
        installation: the id of this installation.
        seals: see `rotation.incident.seal_counts`; None where no ledger is kept.
    """
    closing = incident.closing
    if closing is None:
        raise ValueError("the incident is open")
    declared = incident.declarations[0]
    entry = incident_members(replace(incident, closing=replace(closing, evidence=None)))
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "secret": {"arn": journal.secret_arn, "name": secret_name},
        "installation": installation,
        "declared": {
            "at": iso_utc(declared.at),
            "reason": declared.reason,
            "actor": declared.actor,
        },
        "completedAt": iso_utc(closing.at),
        "incident": entry,
        "keys": [
            {"keyId": key_id, "versionIds": list(versions), **key_members(journal.keys[key_id])}
            for key_id, versions in sorted(incident.suspects.items())
        ],
        "attested": sorted(
            key_id
            for key_id in incident.suspects
            if (death := journal.keys[key_id].death) is not None and death.attested
        ),
        "seals": seals,
        "gaps": list(_gaps(journal.secret_arn, incident, ledger=seals is not None)),
        "current": {"keyId": closing.current_key, "versionId": closing.current_version},
    }
    return json.dumps(document, indent=2).encode()


def readers_folder(secret_arn: str, incident: Incident) -> str:
    """The folder in which those are kept who read the keys, beside the incident's record."""
    return f"{record_folder(secret_arn)}{quote(incident.id, safe='')}.readers/"


def _gaps(secret_arn: str, incident: Incident, *, ledger: bool) -> Iterator[dict[str, str]]:
    """What the record does not tell of the keys, and who can find it out."""
    yield {
        "code": "readers",
        "message": "This record does not tell who read the keys. Ask: rotation exposure "
        f"{secret_arn} --incident. What was found is kept below "
        f"{readers_folder(secret_arn, incident)}",
    }
    if not ledger:
        yield {
            "code": "seals",
            "message": "No ledger of seals is kept, so nobody can tell which seals by these keys "
            "are the organisation's own.",
        }


def with_evidence(journal: Journal, incident_id: str, place: str) -> Journal:
    """The journal with the place of the record in its closed entry."""
    for incident in journal.incidents:
        if incident.id == incident_id and incident.closing is not None:
            closing = replace(incident.closing, evidence=place)
            return journal.with_incident(replace(incident, closing=closing))
    return journal
