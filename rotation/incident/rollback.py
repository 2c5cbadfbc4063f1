"""Goes back to the previous key, if it signs and is neither compromised nor about to be revoked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rotation.core.policy import ROLLBACK_MARGIN
from rotation.core.ports import EvidenceStore, KeyProver
from rotation.credential import iso_utc
from rotation.errors import CompromisedKeyError, EvidenceError, SecretStoreError, VersionStateError
from rotation.privacy.observability import count, logger
from rotation.secrets_manager.labels import (
    AWSCURRENT,
    AWSPENDING,
    AWSPREVIOUS,
    INCIDENT_TAG,
    RETIRE_AFTER_PREFIX,
    is_proven_dead,
    retire_after,
)
from rotation.secrets_manager.snapshot import Snapshot
from rotation.secrets_manager.versions import SecretVersions


@dataclass(frozen=True)
class RollbackResult:
    """What a rollback did.

    Attributes:
        arn: the secret.
        displaced: the version that was current.
        restored: the version that is current now.
        key_id: its key.
        at: our clock, aware UTC.
    """

    arn: str
    displaced: str
    restored: str
    key_id: str
    at: datetime

    def as_json(self) -> dict[str, Any]:
        """The result as JSON members, none of them confidential."""
        return {
            "arn": self.arn,
            "displaced": self.displaced,
            "restored": self.restored,
            "keyId": self.key_id,
            "at": iso_utc(self.at),
        }


def roll_back(
    secret: SecretVersions, prover: KeyProver, clock: Callable[[], datetime]
) -> RollbackResult:
    """Move AWSCURRENT back to the version that bears AWSPREVIOUS, once its key has signed.

    Does NOT revoke the displaced key: it gets its grace, like every displaced key. So does the key
    that comes back, when it is displaced again: its old retirement mark is removed before it is
    current.

    Raises:
        VersionStateError: there is no previous key, it is dead or about to be retired, a rotation
            or an incident is open, or the secret is scheduled for deletion.
        CompromisedKeyError: the previous key was declared compromised.
        VendorError, SealVerificationError: it could not be proven.
        SecretStoreError: AWSCURRENT was moved by somebody else meanwhile, or AWS failed.
    """
    snapshot = secret.snapshot()
    previous, _ = _versions(snapshot, clock())
    document = secret.read(previous)
    if document is None:
        raise VersionStateError(f"Version {previous} of {secret.arn} has no value.")
    key = document.key
    if key.expired(clock()):
        raise VersionStateError(f"The previous key {key.id} expired at {key.expires_at}.")
    prover.prove(key, f"rotation test seal for {secret.arn} {previous} (rollback)")
    for mark in sorted(
        one for one in snapshot.labels[previous] if one.startswith(RETIRE_AFTER_PREFIX)
    ):
        secret.remove_label(mark, previous)
    # The proof took time: look again, then swap only from the version that was looked at.
    again, current = _versions(secret.snapshot(), clock())
    if again != previous:
        raise VersionStateError(f"AWSPREVIOUS of {secret.arn} was moved meanwhile. Look again.")
    try:
        secret.promote(previous, current)
    except SecretStoreError:
        if not secret.snapshot().has(previous, AWSCURRENT):
            raise
    done = RollbackResult(secret.arn, current, previous, key.id, clock())
    count("RolledBack")
    logger.warning("rolled back", extra={"secret": secret.arn} | done.as_json())
    return done


def keep_record(done: RollbackResult, secret_name: str, evidence: EvidenceStore) -> dict[str, Any]:
    """Keep the facts of a rollback beside the records of incidents, and return them with the place.

    A record that could not be kept undoes nothing: the facts then have the problem in its stead.
    """
    facts = done.as_json()
    name = f"rollbacks/{secret_name}/{facts['at']}.json"
    try:
        return facts | {"evidence": evidence.keep(name, json.dumps(facts).encode())}
    except EvidenceError as error:
        return facts | {"evidence": None, "problem": str(error)}


def _versions(snapshot: Snapshot, now: datetime) -> tuple[str, str]:
    """The previous and the current version; raises an error if a rollback is not possible."""
    _refuse_unsettled(snapshot)
    previous, current = snapshot.version_with(AWSPREVIOUS), snapshot.version_with(AWSCURRENT)
    if previous is None or current is None or previous == current:
        raise VersionStateError(f"{snapshot.arn} has no previous version to go back to.")
    labels = snapshot.labels[previous]
    if snapshot.compromised(previous):
        raise CompromisedKeyError(
            f"The previous key of {snapshot.arn} was declared compromised. It stays where it is; "
            "rotate forward instead."
        )
    due = retire_after(labels)
    if is_proven_dead(labels) or (due is not None and due <= now + ROLLBACK_MARGIN):
        raise VersionStateError(
            f"The previous key of {snapshot.arn} is dead, or about to be retired. Rotate forward "
            "instead (rotation rotate)."
        )
    return previous, current


def _refuse_unsettled(snapshot: Snapshot) -> None:
    if snapshot.deleted_at is not None:
        raise VersionStateError(f"{snapshot.arn} is scheduled for deletion. Restore it first.")
    if INCIDENT_TAG in snapshot.tags:
        raise VersionStateError(
            f"An incident is open on {snapshot.arn}: its older keys are suspect. Rotate forward."
        )
    pending = snapshot.version_with(AWSPENDING)
    if pending is not None and not snapshot.has(pending, AWSCURRENT):
        raise VersionStateError(
            f"A rotation of {snapshot.arn} is under way (version {pending}). Wait for it, or end "
            "it with rotation unstick."
        )
