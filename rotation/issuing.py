"""A new key for a token, stored once: issue, store, read back, and only then clear the strays.

The vendor's answer can be lost after a key was made, and two invocations can make one each. So the
stored value decides: whatever bears this token and was not stored is revoked after it was read
back, never before.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from rotation.credential import ApiKey, SecretDocument
from rotation.errors import KeyQuotaError, VersionStateError
from rotation.invocation import Rotation, require_staged, say
from rotation.observability import count, logger
from rotation.ports import KeyLabel
from rotation.versions import Snapshot

#: A key that bears our label and that no version names is a stray once it is this old.
STRAY_AGE: Final = timedelta(minutes=30)


def issue(rotation: Rotation, snapshot: Snapshot) -> ApiKey:
    """A new key. If the vendor's quota stands in the way, old strays are revoked first."""
    label = KeyLabel(rotation.policy.installation, snapshot.arn, rotation.token)
    try:
        key = rotation.issuer.issue(label, rotation.policy.key_lifetime)
    except KeyQuotaError:
        if not _revoke_old_strays(rotation, snapshot):
            raise
        key = rotation.issuer.issue(label, rotation.policy.key_lifetime)
    count("KeysIssued")
    return key


def store(rotation: Rotation, document: SecretDocument) -> None:
    """Store the new key, unless the token was unstaged meanwhile (by a forced rotation)."""
    key_id = document.key.id
    try:
        require_staged(rotation)
    except VersionStateError:
        # Nobody else ever saw this key, and it will not be stored: it may go at once.
        _revoke(rotation, key_id, "token unstaged before the put")
        raise
    try:
        rotation.secret.put_pending(rotation.token, document)
    except VersionStateError:
        logger.info("another invocation stored its key first", version=rotation.token)
    require_staged(rotation)


def read_back(rotation: Rotation) -> SecretDocument:
    """The stored value; reads are eventually consistent, so a fresh one may need a moment."""
    for pause in (0.2, 0.5, 1.0, None):
        document = rotation.secret.read(rotation.token)
        if document is not None:
            return document
        if pause is not None:
            rotation.sleep(pause)
    raise VersionStateError(
        f"Version {rotation.token} of {rotation.secret.arn} cannot be read back yet; "
        "Secrets Manager will try again."
    )


def revoke_strays_of_token(rotation: Rotation, kept: str) -> None:
    """Revoke every other key that bears this token: a value is stored, so none can win now."""
    listing = rotation.issuer.list_keys(rotation.policy.installation, rotation.secret.arn)
    for stray in listing.keys:
        if stray.active and stray.label.token == rotation.token and stray.id != kept:
            _revoke(rotation, stray.id, "stray of this token")


def _revoke_old_strays(rotation: Rotation, snapshot: Snapshot) -> bool:
    """Revoke this secret's old keys that no version can name; whether there was any."""
    listing = rotation.issuer.list_keys(rotation.policy.installation, snapshot.arn)
    named = {
        document.key.id
        for version in snapshot.labels
        if (document := rotation.secret.read(version)) is not None
    }
    strays = [
        key
        for key in listing.keys
        if key.active
        and key.id not in named
        and key.label.token not in snapshot.labels
        and listing.vendor_time - key.created_at > STRAY_AGE
    ]
    for stray in strays:
        _revoke(rotation, stray.id, "stray in the way of the vendor's quota")
    return bool(strays)


def _revoke(rotation: Rotation, key_id: str, reason: str) -> None:
    outcome = rotation.issuer.revoke(key_id)
    count("StrayKeysRevoked")
    say("stray key revoked", rotation, key_id=key_id, reason=reason, outcome=outcome.value)
