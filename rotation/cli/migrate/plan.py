"""Decides how a key gets into a secret, or that it must not; asks nobody and writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rotation.credential import (
    API_KEY,
    API_KEY_ID,
    ApiKey,
    Confidential,
    SecretDocument,
    iso_utc,
    json_object,
)
from rotation.errors import InvalidCredentialError, VersionStateError


class MigrationAction(Enum):
    """How the key gets into the secret. Values are stable."""

    CREATE = "create"
    STORE = "store"
    NOTHING = "nothing"


@dataclass(frozen=True)
class ExistingSecret:
    """A secret that exists, and its current value.

    Attributes:
        arn: its full ARN.
        version: the id of its current version, or None if it has no value.
        value: the text of its current version, or None if it has no value.
        rotation_enabled: whether its rotation is turned on.
    """

    arn: str
    version: str | None
    value: Confidential | None
    rotation_enabled: bool


@dataclass(frozen=True)
class MigrationPlan:
    """What will be done.

    Attributes:
        description: the plan as a sentence for people.
        document: what is to be stored; None if the secret holds the key already.
    """

    action: MigrationAction
    description: str
    document: SecretDocument | None


def plan_migration(name: str, existing: ExistingSecret | None, key: ApiKey) -> MigrationPlan:
    """Plan how ``key`` gets into the secret ``name``.

    Args:
        name: the secret, as the person named it.
        existing: the secret; None if there is none.
        key: the key.

    Raises:
        VersionStateError: the secret holds another key.
        InvalidCredentialError: the secret holds a value to which a key cannot be added.
    """
    if existing is None:
        description = f"Create the secret {name} with key {key.id}."
        return MigrationPlan(MigrationAction.CREATE, description, SecretDocument.empty(key))
    if existing.value is None:
        description = f"Store key {key.id} in the secret {existing.arn}, which has no value yet."
        return MigrationPlan(MigrationAction.STORE, description, SecretDocument.empty(key))
    members = json_object(existing.value)
    if members is None:
        raise InvalidCredentialError(
            f"{existing.arn} holds a value that is not a JSON object. It is not overwritten: name "
            "another secret, or delete this one if nothing uses it."
        )
    if members.get(API_KEY) is None and members.get(API_KEY_ID) is None:
        kept = _members(len(members))
        description = f"Add key {key.id} to the value of {existing.arn}; its {kept}."
        document = SecretDocument.added_to(existing.value, key, of=existing.arn)
        return MigrationPlan(MigrationAction.STORE, description, document)
    stored = _same_key(existing, existing.value, key)
    description = f"{existing.arn} holds key {key.id} already: there is nothing to store."
    return MigrationPlan(MigrationAction.NOTHING, description + _expiry_note(stored, key), None)


def _expiry_note(stored: ApiKey, key: ApiKey) -> str:
    """A sentence for the case that another expiry was given than the secret says."""
    if key.expires_at in {None, stored.expires_at}:
        return ""
    if stored.expires_at is None:
        return " It does not say when the key expires; that stays."
    return f" It says that the key expires at {iso_utc(stored.expires_at)}; that stays."


def _same_key(existing: ExistingSecret, value: Confidential, key: ApiKey) -> ApiKey:
    """The key in the secret, if it is the given key; otherwise raises."""
    document = SecretDocument.parse(value, of=existing.arn)
    stored = document.key
    if stored.id != key.id:
        until = f", until {iso_utc(stored.expires_at)}" if stored.expires_at else ""
        raise VersionStateError(
            f"{existing.arn} holds another key: {stored.id} in version {existing.version}{until}. "
            f"It is not overwritten by key {key.id}. If applications may use the key that is "
            "there, run this again with that key, or leave the secret as it is. If not, name "
            "another secret: rotation migrate ANOTHER-NAME."
        )
    if stored.material != key.material:
        raise VersionStateError(
            f"{existing.arn} holds key {stored.id} in version {existing.version}, with other "
            "material than was given. It is not overwritten. One of them is mistyped: compare "
            "with the vendor's portal; rotation doctor tells whether the stored one works."
        )
    return stored


def _members(count: int) -> str:
    return "other member stays" if count == 1 else f"{count} other members stay"
