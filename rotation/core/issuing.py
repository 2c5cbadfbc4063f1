"""Makes a new key for a token: issue, store, read back, and only then revoke the strays.

The vendor's answer can be lost after a key was made, and two invocations can make one each. So the
stored value decides. A key that bears this token and was not stored is a stray; it is revoked
after the stored value was read back, and never before.

A key whose put was definitely refused is another matter: nobody else knows it, no retry stores it,
and every retry would leave one more. It is revoked at once, after a look at the version.
"""

from __future__ import annotations

from typing import Final

from rotation.core.invocation import Rotation, log_step, require_staged
from rotation.core.listing import list_own_keys
from rotation.core.policy import MOST_KEYS_OF_A_TOKEN, STRAY_AGE
from rotation.core.ports import KeyLabel, Revocation, VendorKey
from rotation.core.proving import refuse_suspect
from rotation.credential import ApiKey, SecretDocument
from rotation.errors import (
    CompromisedKeyError,
    ConfigurationError,
    InvalidCredentialError,
    KeyQuotaError,
    RotationError,
    SecretStoreError,
    VersionStateError,
)
from rotation.journal.model import Journal
from rotation.privacy.observability import count, logger
from rotation.secrets_manager.snapshot import Snapshot
from rotation.secrets_manager.versions import MOST_VALUE_BYTES

#: How many suspect keys an issuer may give before a person has to look.
_MOST_SUSPECT_KEYS: Final = 5


def issue(rotation: Rotation, snapshot: Snapshot, journal: Journal) -> ApiKey:
    """Issue a key that is not suspect.

    If the vendor's quota is full, this token's old strays are revoked first. A suspect key, which
    an issuer of keys that people made may hold once more, is revoked, and another one is asked for.

    Raises:
        KeyQuotaError: too many keys exist at the vendor, or too many bear this token.
        CompromisedKeyError: the issuer gave one suspect key after the other.
    """
    _refuse_one_more_stray(rotation)
    for _ in range(_MOST_SUSPECT_KEYS):
        key = _issue(rotation, snapshot)
        if not journal.suspect(key.id) and not journal.dead(key.id):
            count("KeysIssued")
            return key
        discard(rotation, key.id, "the issuer gave a key that was declared compromised")
    raise CompromisedKeyError(
        f"The issuer gave {_MOST_SUSPECT_KEYS} keys that were declared compromised. Remove them "
        "from the key pool (rotation pool list)."
    )


def _issue(rotation: Rotation, snapshot: Snapshot) -> ApiKey:
    label = KeyLabel(rotation.policy.installation, snapshot.arn, rotation.token)
    try:
        return rotation.issuer.issue(label, rotation.policy.key_lifetime)
    except KeyQuotaError:
        if not _make_room(rotation):
            raise
        return rotation.issuer.issue(label, rotation.policy.key_lifetime)


def store(rotation: Rotation, document: SecretDocument) -> None:
    """Store the new key, unless the token was unstaged or declared compromised meanwhile.

    Does NOT keep a put that comes late from taking AWSPENDING back: between the look and the put a
    forced rotation may have unstaged the token. Whoever forces looks again after unstaging, and
    finishSecret reads the journal again.

    Raises:
        VersionStateError: the token is not staged any more.
        CompromisedKeyError: the key was declared compromised; the token was abandoned.
        JournalError: the journal could not be read.
        SecretStoreError: AWS refused the put, and the key was revoked; or AWS failed in a way that
            may pass, and the key was left for the retry.
    """
    key_id = document.key.id
    try:
        journal = rotation.journal.read(rotation.secret.arn)
        refuse_suspect(rotation, require_staged(rotation), journal, key_id)
    except RotationError:
        # Nobody else ever saw this key, and it will not be stored: it may go at once.
        discard(rotation, key_id, "token given up before the put")
        raise
    try:
        rotation.secret.put_pending(rotation.token, document)
    except VersionStateError:
        logger.info("another invocation stored its key first", version=rotation.token)
    except (ConfigurationError, SecretStoreError) as refusal:
        if not refusal.retryable:
            _discard_refused(rotation, key_id)
        raise
    require_staged(rotation)


def read_back(rotation: Rotation) -> SecretDocument:
    """Read the stored value. Reads are eventually consistent, so it may need a moment to show."""
    document = _read_patiently(rotation)
    if document is None:
        raise VersionStateError(
            f"{rotation.version} cannot be read back yet; Secrets Manager will try again."
        )
    return document


def refuse_too_large(document: SecretDocument, secret_arn: str) -> None:
    """Refuse a current value that leaves no room for a new key, before one is issued.

    Raises:
        InvalidCredentialError: Secrets Manager would refuse the new value.
    """
    size = document.largest_size_with_a_new_key()
    if size > MOST_VALUE_BYTES:
        raise InvalidCredentialError(
            f"The value of {secret_arn} would have up to {size} bytes with a new key, and Secrets "
            f"Manager stores {MOST_VALUE_BYTES} at most. Remove or shorten its other members."
        )


def revoke_strays_of_token(rotation: Rotation, kept: str) -> None:
    """Revoke every key that bears this token but the stored one, which can no longer change."""
    listing = list_own_keys(rotation.issuer, rotation.policy.installations, rotation.secret.arn)
    for stray in listing.keys:
        if stray.active and stray.label.token == rotation.token and stray.id != kept:
            discard(rotation, stray.id, "stray of this token")


def discard(rotation: Rotation, key_id: str, reason: str) -> None:
    """Revoke a key that no version names and that none ever will, and log the outcome."""
    outcome = rotation.issuer.revoke(key_id)
    if outcome is Revocation.REVOKED:
        count("StrayKeysRevoked")
    log_step("stray key", rotation, key_id=key_id, reason=reason, outcome=outcome.value)


def _read_patiently(rotation: Rotation) -> SecretDocument | None:
    for pause in (0.2, 0.5, 1.0, None):
        document = rotation.secret.read(rotation.token)
        if document is not None or pause is None:
            return document
        rotation.sleep(pause)
    return None


def _discard_refused(rotation: Rotation, key_id: str) -> None:
    """Discard the key of a refused put, unless the version holds it or cannot be read.

    The AWS client repeats a call whose answer was lost, so what was refused in the end can have
    been stored at first. Never raises: the refusal is what has to be told.
    """
    try:
        stored = _read_patiently(rotation)
        if stored is None or stored.key.id != key_id:
            discard(rotation, key_id, "the put was refused")
    except RotationError as error:
        logger.warning(
            "a new key is left to reconciliation",
            version=rotation.token,
            key_id=key_id,
            reason=error.code,
        )


def _refuse_one_more_stray(rotation: Rotation) -> None:
    if len(_living_keys_of_token(rotation)) < MOST_KEYS_OF_A_TOKEN:
        return
    _make_room(rotation)
    living = len(_living_keys_of_token(rotation))
    if living >= MOST_KEYS_OF_A_TOKEN:
        minutes = STRAY_AGE.total_seconds() / 60
        raise KeyQuotaError(
            f"{living} keys were issued for {rotation.version} and none could be stored. No other "
            f"is issued before these are {minutes:.0f} minutes old and revoked. Mend what made the "
            "earlier attempts fail; the log names it."
        )


def _living_keys_of_token(rotation: Rotation) -> list[VendorKey]:
    listing = list_own_keys(rotation.issuer, rotation.policy.installations, rotation.secret.arn)
    return [key for key in listing.keys if key.active and key.label.token == rotation.token]


def _make_room(rotation: Rotation) -> bool:
    """Revoke this token's old strays, and return whether there were any.

    Does NOT revoke keys of other tokens. Reconciliation does: it sees the versions without labels
    too, and so it knows which keys are in their grace.
    """
    listing = list_own_keys(rotation.issuer, rotation.policy.installations, rotation.secret.arn)
    stored = rotation.secret.read(rotation.token)
    strays = [
        key
        for key in listing.keys
        if key.active
        and key.label.token == rotation.token
        and (stored is None or key.id != stored.key.id)
        and listing.vendor_time - key.created_at > STRAY_AGE
    ]
    for stray in strays:
        discard(rotation, stray.id, "stray in the way of the vendor's quota")
    return bool(strays)
