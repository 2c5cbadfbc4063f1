"""How many seals were made with the suspect keys of an incident, and how many of them are ours.

The ledger knows ours. What else was signed, only the vendor knows, where it tells.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from rotation.core.policy import USE_BEFORE_ISSUE
from rotation.core.ports import LedgerReader, SignatureLog
from rotation.core.statements import all_statements
from rotation.errors import RotationError
from rotation.journal.model import Incident, Journal


def seal_counts(
    journal: Journal,
    incident: Incident,
    ledger: LedgerReader,
    signatures: SignatureLog | None,
    *,
    secret_name: str,
) -> dict[str, Any]:
    """The member ``seals`` of an incident's record, for each suspect key.

    A count that cannot be told is null, and never zero. An error of the ledger or of the vendor
    does not hold up the record: it is named instead.

    Args:
        journal: the journal of the secret.
        incident: the incident.
        ledger: the ledger of seals.
        signatures: what the vendor signed; None: it does not tell.
        secret_name: the name of the secret.
    """
    suspects = sorted(incident.suspects)
    try:
        entries, complete = ledger.entries(suspects, _since(journal, incident))
    except RotationError as error:
        return {"complete": False, "problem": error.code, "keys": []}
    statements = all_statements(
        journal.secret_arn, secret_name, journal.versions, [*journal.keys, *suspects]
    )
    keys = [
        {
            "keyId": key,
            "inLedger": len(entries[key]),
            "notInLedger": _strangers(key, entries[key], signatures, statements)
            if complete
            else None,
        }
        for key in suspects
    ]
    return {"complete": complete, "keys": keys}


def _strangers(
    key: str,
    entries: Collection[bytes],
    signatures: SignatureLog | None,
    statements: Collection[str],
) -> int | None:
    """How many digests were signed with the key that are neither in the ledger nor test seals."""
    try:
        found = signatures.documents(key, statements) if signatures else None
    except RotationError:
        return None
    return None if found is None else len(found - set(entries))


def _since(journal: Journal, incident: Incident) -> datetime | None:
    """The time before which no suspect key existed; None if that is not known of each."""
    versions = [journal.versions.get(one) for held in incident.suspects.values() for one in held]
    issued = [one.issued_at for one in versions if one is not None and one.issued_at is not None]
    return min(issued) - USE_BEFORE_ISSUE if issued and len(issued) == len(versions) else None
