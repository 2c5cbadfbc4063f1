"""Goes back to the previous key, if it signs and is neither suspect nor about to be revoked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from rotation.core.journal_reading import read_journal
from rotation.core.policy import ROLLBACK_MARGIN
from rotation.core.ports import EvidenceStore, KeyProver
from rotation.core.statements import of_a_rollback
from rotation.credential import ApiKey, iso_utc
from rotation.errors import CompromisedKeyError, EvidenceError, SecretStoreError, VersionStateError
from rotation.journal.keeper import JournalKeeper
from rotation.journal.model import Journal, KeyLife
from rotation.privacy.observability import count, logger
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING, AWSPREVIOUS, hold_until
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
    secret: SecretVersions,
    prover: KeyProver,
    keeper: JournalKeeper,
    clock: Callable[[], datetime],
) -> RollbackResult:
    """Move AWSCURRENT back to the version that bears AWSPREVIOUS, once its key has signed.

    Does NOT revoke the displaced key: it gets its grace, like every displaced key. So does the key
    that comes back, when it is displaced again: the journal has it in use before it is current, so
    a reconciliation that was about to revoke it does not.

    Args:
        secret: the secret, by its full ARN.
        prover: proves the previous key.
        keeper: keeps the journal.
        clock: our clock, aware UTC.

    Raises:
        VersionStateError: there is no previous key, it is dead, was asked to be revoked or is about
            to be, a rotation or an incident is open, or the secret is scheduled for deletion.
        CompromisedKeyError: the previous key was declared compromised.
        VendorError, SealVerificationError: it could not be proven.
        JournalError: the journal could not be read or changed.
        SecretStoreError: AWSCURRENT was moved by somebody else meanwhile, or AWS failed.
    """
    snapshot = secret.snapshot()
    previous, _ = _versions(snapshot)
    document = secret.read(previous)
    if document is None:
        raise VersionStateError(f"Version {previous} of {secret.arn} has no value.")
    key = document.key
    if key.expired(clock()):
        raise VersionStateError(f"The previous key {key.id} expired at {key.expires_at}.")
    journal = read_journal(keeper, snapshot)
    _refuse_condemned(journal, snapshot, previous, key, clock())
    prover.prove(key, of_a_rollback(secret.arn, previous))
    # The proof took time: look again, then swap only from the version that was looked at.
    snapshot = secret.snapshot()
    again, current = _versions(snapshot)
    if again != previous:
        raise VersionStateError(f"AWSPREVIOUS of {secret.arn} was moved meanwhile. Look again.")

    def in_use(found: Journal) -> Journal:
        _refuse_condemned(found, snapshot, previous, key, clock())
        life = found.keys.get(key.id) or KeyLife(clock())
        return found.with_key(key.id, life.used_again())

    keeper.change(journal, in_use)
    try:
        secret.promote(previous, current)
    except SecretStoreError:
        if not secret.snapshot().has(previous, AWSCURRENT):
            raise
    done = RollbackResult(secret.arn, current, previous, key.id, clock())
    count("RolledBack")
    logger.warning("rolled back", extra={"secret": secret.arn} | done.as_json())
    return done


def keep_record(done: RollbackResult, evidence: EvidenceStore) -> dict[str, Any]:
    """Keep the facts of a rollback beside the records of incidents, and return them with the place.

    A record that could not be kept undoes nothing: the facts then have the problem in its stead.
    """
    facts = done.as_json()
    name = f"rollbacks/{quote(done.arn, safe=':')}/{facts['at']}.json"
    try:
        return facts | {"evidence": evidence.keep(name, json.dumps(facts).encode())}
    except EvidenceError as error:
        return facts | {"evidence": None, "problem": str(error)}


def _versions(snapshot: Snapshot) -> tuple[str, str]:
    """The previous and the current version; raises an error if a rollback is not possible."""
    if snapshot.deleted_at is not None:
        raise VersionStateError(f"{snapshot.arn} is scheduled for deletion. Restore it first.")
    pending = snapshot.version_with(AWSPENDING)
    previous, current = snapshot.version_with(AWSPREVIOUS), snapshot.version_with(AWSCURRENT)
    if pending not in {None, current, previous}:
        raise VersionStateError(
            f"A rotation of {snapshot.arn} is under way (version {pending}). Wait for it, or end "
            f"it with `rotation unstick {snapshot.arn} --apply`."
        )
    if previous is None or current is None or previous == current:
        raise VersionStateError(f"{snapshot.arn} has no previous version to go back to.")
    return previous, current


def _refuse_condemned(
    journal: Journal, snapshot: Snapshot, version: str, key: ApiKey, now: datetime
) -> None:
    """Refuse a previous key that is to die.

    Raises:
        CompromisedKeyError: it was declared compromised.
        VersionStateError: it is dead, somebody was asked to revoke it, a run may be about to revoke
            it, or an incident is open.
    """
    arn = snapshot.arn
    formerly = snapshot.formerly_compromised(version)
    if formerly or journal.suspect(key.id, version):
        raise CompromisedKeyError(
            f"The previous key {key.id} of {arn} was declared compromised. It stays where it is; "
            f"rotate forward instead: `rotation rotate {arn}`."
        )
    if journal.open_incident is not None:
        raise VersionStateError(
            f"An incident is open on {arn}: its older keys are suspect. Rotate forward."
        )
    life = journal.keys.get(key.id) or KeyLife(now)
    if life.death is not None or life.asked_at is not None:
        fact = "is dead" if life.death is not None else "was asked to be revoked"
        raise VersionStateError(
            f"The previous key {key.id} of {arn} {fact}. Rotate forward instead: "
            f"`rotation rotate {arn}`."
        )
    held = hold_until(snapshot.tags)
    on_hold = held is not None and now + ROLLBACK_MARGIN < held
    due = life.retire_after
    if due is not None and due <= now + ROLLBACK_MARGIN and not on_hold:
        raise VersionStateError(
            f"The grace of the previous key {key.id} of {arn} is over: a run may be about to "
            f"revoke it. Rotate forward instead: `rotation rotate {arn}`; or pause retirement "
            f"first: `rotation hold {arn} --until DATE`."
        )
