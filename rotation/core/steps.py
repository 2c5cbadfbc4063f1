"""The four steps of a rotation: createSecret, setSecret, testSecret, finishSecret.

Secrets Manager calls them in this order, each in an invocation of its own, and repeats the whole
process with the same token when one fails (UserGuide rotate-secrets_lambda-functions). So every
step may run twice, concurrently, or after success; each begins by classifying its token:

- on AWSCURRENT: the rotation is over, the step succeeds and changes nothing (finishSecret removes
  a leftover AWSPENDING);
- on AWSPENDING: the step proceeds;
- on AWSPENDING, and current before: the label is a leftover, and is taken off; VersionStateError;
- anything else, AWSPREVIOUS included: VersionStateError, so that no replay, late retry or hostile
  event promotes a retired key.

Invariants: AWSCURRENT only moves to a key that was proven in the same act; no step revokes a key
that a version of the secret names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from rotation.core.invocation import (
    Rotation,
    classify,
    current_document,
    log_step,
    statement,
    unreadable_yet,
)
from rotation.core.issuing import (
    discard,
    issue,
    read_back,
    refuse_too_large,
    revoke_strays_of_token,
    store,
)
from rotation.core.journal_reading import read_journal
from rotation.core.listing import list_own_keys
from rotation.core.policy import least_life, least_life_when_issued
from rotation.core.proving import (
    abandon,
    compare_identities,
    pending_document,
    prove_first,
    prove_pending,
    refuse_leftover,
    refuse_short_life,
    refuse_suspect,
    refuse_undoing,
)
from rotation.credential import ApiKey, SecretDocument
from rotation.errors import (
    ConfigurationError,
    InvalidCredentialError,
    RotationError,
    SecretStoreError,
    VersionStateError,
)
from rotation.journal.model import Journal
from rotation.privacy.observability import count, logger
from rotation.secrets_manager.labels import AWSCURRENT
from rotation.secrets_manager.snapshot import Snapshot


def create_secret(rotation: Rotation) -> None:
    """Issue a key and store it as AWSPENDING. A current key is untouched.

    In a secret that never had a value the first stored one is current at once, so there the key
    is proven before it is stored. A version that has a value keeps it. Only when the stored value
    has been read back are other keys that bear this token revoked: the strays of lost answers and
    the losers of races, which thereby adopt the winner's value.

    Raises:
        VersionStateError: the token is not staged (any more), rotation is off, or the secret is
            scheduled for deletion.
        InvalidCredentialError: the current value cannot be carried over, or leaves no room for a
            key; nothing was issued.
        ConfigurationError: the key would not outlive the next rotation; nothing was issued.
    """
    snapshot = _staged(rotation)
    if snapshot is None:
        return
    journal = read_journal(rotation.journal, snapshot)
    refuse_leftover(rotation, snapshot, was_current=journal.was_current(rotation.token))
    refuse_suspect(rotation, snapshot, journal)
    if rotation.secret.read(rotation.token) is None:
        document = _to_carry_over(rotation, snapshot, journal)
        _refuse_short_lifetime(rotation, snapshot)
        if document is not None:
            refuse_too_large(document, snapshot.arn)
        key = issue(rotation, snapshot, journal)
        if document is None:
            _prove_or_discard(rotation, key)
            document = SecretDocument.empty(key)
        store(rotation, document.with_key(key))
    stored = read_back(rotation)
    revoke_strays_of_token(rotation, stored.key.id)
    log_step("key staged", rotation, key_id=stored.key.id, expires_at=stored.key.expires_at)


def set_secret(rotation: Rotation) -> None:
    """Make sure that the pending key was not revoked and lives long enough.

    A vendor's key works from birth, so there is nothing to set; whether it does work is
    testSecret's. A pending key that is revoked or about to be by a person, or that expires before
    the next rotation and its grace, can never be promoted: it is abandoned, so that the next
    rotation begins anew.

    Raises:
        VersionStateError: as in create_secret; or the key was abandoned.
    """
    snapshot = _staged(rotation)
    if snapshot is None:
        return
    key = pending_document(rotation).key
    if key.expires_at is not None:
        life = key.expires_at - rotation.clock()
        least = least_life(snapshot.rotation_interval, rotation.policy.grace)
        try:
            refuse_short_life("The life left to the pending key", life, least, snapshot)
        except ConfigurationError as error:
            abandon(rotation, VersionStateError(str(error)))
    listing = list_own_keys(rotation.issuer, rotation.policy.installations, rotation.secret.arn)
    listed = next((one for one in listing.keys if one.id == key.id), None)
    if listed is not None and not listed.active:
        abandon(rotation, VersionStateError(f"Pending key {key.id} was revoked or has expired."))
    if listed is not None and listed.revocation_asked:
        asked = VersionStateError(f"A person was asked to revoke the pending key {key.id}.")
        abandon(rotation, asked)
    log_step("key set", rotation, key_id=key.id, expires_at=key.expires_at)


def test_secret(rotation: Rotation) -> None:
    """Prove the pending key by using it, until its propagation limit has passed. Promotes nothing.

    With RotateImmediately=false Secrets Manager runs this step alone, against a temporary
    AWSPENDING version that may have no value (API_RotateSecret). Then what can be proven is proven:
    that the issuer answers, that a new key would live long enough, and that the vendor accepts the
    current key, where there is one.

    Raises:
        ConfigurationError: a new key would not outlive the next rotation.
        CredentialRejectedError: the vendor does not accept the key; after the propagation limit,
            and while the current key is accepted, the pending key was abandoned.
        SealVerificationError: the vendor answers, but not as the configured signer.
        VendorError: the vendor could not be asked.
    """
    snapshot = _staged(rotation)
    if snapshot is None:
        return
    pending = rotation.secret.read(rotation.token)
    if pending is None:
        _test_configuration(rotation, snapshot)
        return
    proof = prove_pending(rotation, snapshot, pending.key, insist=False)
    if not proof.identity_checked:
        compare_identities(rotation, snapshot, proof)
    log_step("key proven", rotation, key_id=pending.key.id, **proof.facts)


def finish_secret(rotation: Rotation) -> None:
    """Promote the pending key. Promotion is last; nothing after it is needed for safety.

    The key is proven once more here, since a step can be called on its own. What somebody stored
    while the rotation was pending is not undone: the rotation is abandoned. Does NOT revoke the key
    that it displaces: that key goes on working for the grace period.

    Raises:
        VersionStateError: the pending version has no value yet, is not staged, or was abandoned.
        CompromisedKeyError: the pending key was declared compromised; it was abandoned.
        SecretStoreError: AWSCURRENT was moved by somebody else meanwhile.
    """
    snapshot = _staged(rotation)
    if snapshot is None:
        _remove_leftover(rotation)
        return
    pending = pending_document(rotation)
    prove_pending(rotation, snapshot, pending.key)
    # The proof took time: look again, then swap only from the version that was looked at.
    snapshot = _staged(rotation)
    if snapshot is None:
        _remove_leftover(rotation)
        return
    displaced = snapshot.version_with(AWSCURRENT)
    refuse_undoing(rotation, displaced, pending)
    # Last of all, since a declaration may come at any time.
    journal = read_journal(rotation.journal, snapshot)
    refuse_leftover(rotation, snapshot, was_current=journal.was_current(rotation.token))
    refuse_suspect(rotation, snapshot, journal, pending.key.id)
    try:
        rotation.secret.promote(rotation.token, displaced)
    except SecretStoreError:
        # A lost answer, or a retry by the AWS client: the label tells whether it moved.
        if not rotation.secret.snapshot().has(rotation.token, AWSCURRENT):
            raise
    count("KeysPromoted")
    _remove_leftover(rotation)
    log_step("key promoted", rotation, key_id=pending.key.id, displaced_version=displaced)


STEPS: Final[Mapping[str, Callable[[Rotation], None]]] = MappingProxyType(
    {
        "createSecret": create_secret,
        "setSecret": set_secret,
        "testSecret": test_secret,
        "finishSecret": finish_secret,
    }
)


def _staged(rotation: Rotation) -> Snapshot | None:
    """As `classify`, and a leftover AWSPENDING is taken off."""
    snapshot = classify(rotation)
    if snapshot is not None:
        refuse_leftover(rotation, snapshot)
    return snapshot


def _to_carry_over(
    rotation: Rotation, snapshot: Snapshot, journal: Journal
) -> SecretDocument | None:
    """What is current, with everything that the organisation keeps in it; None: nothing is.

    In an incident a current value that is no key, or that may not be read at all, is none: the leak
    comes first. Its version stays as it is, and people find their other members there.

    Raises:
        VersionStateError: something is current, and cannot be read yet.
        InvalidCredentialError, SecretStoreError: it cannot be read, and no incident is open.
    """
    try:
        document = current_document(rotation, snapshot)
    except (InvalidCredentialError, SecretStoreError) as error:
        if journal.open_incident is None or error.retryable:
            raise
        logger.warning(
            "the current value is not carried over", secret=snapshot.arn, reason=str(error)
        )
        return None
    current = snapshot.version_with(AWSCURRENT)
    if document is None and current is not None:
        raise unreadable_yet(rotation, current)
    for warning in document.warnings if document is not None else ():
        logger.warning("a time in the current value is unknown", reason=warning)
    return document


def _prove_or_discard(rotation: Rotation, key: ApiKey) -> None:
    try:
        prove_first(rotation, key)
    except RotationError:
        # It will not be stored, and every attempt would leave one more.
        discard(rotation, key.id, "first key could not be proven")
        raise


def _remove_leftover(rotation: Rotation) -> None:
    """Take AWSPENDING off the promoted version; AWS should, and is known to leave it at times."""
    try:
        rotation.secret.unstage_pending(rotation.token)
    except SecretStoreError as error:
        # Harmless on the current version (API_RotateSecret): the rotation is complete.
        logger.warning("AWSPENDING was left behind", version=rotation.token, reason=error.aws_code)


def _refuse_short_lifetime(rotation: Rotation, snapshot: Snapshot) -> None:
    least = least_life_when_issued(snapshot.rotation_interval, rotation.policy.grace)
    refuse_short_life("The life of a new key", rotation.policy.key_lifetime, least, snapshot)


def _test_configuration(rotation: Rotation, snapshot: Snapshot) -> None:
    list_own_keys(rotation.issuer, rotation.policy.installations, snapshot.arn)
    _refuse_short_lifetime(rotation, snapshot)
    current = current_document(rotation, snapshot)
    if current is not None:
        rotation.prover.prove(current.key, statement(rotation))
    log_step("configuration proven", rotation, key_id=current.key.id if current else None)
