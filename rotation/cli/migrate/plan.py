"""What becomes of a secret into which a key moves: a plan, or a refusal. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rotation.credential import (
    API_KEY,
    API_KEY_ID,
    ApiKey,
    Confidential,
    SecretDocument,
    iso_utc,
)
from rotation.errors import InvalidCredentialError, VersionStateError


class Act(Enum):
    """What is to be done. Values are stable."""

    CREATE = "create"
    STORE = "store"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Held:
    """What a secret that exists holds now.

    Attributes:
        name: its name.
        arn: its full ARN.
        version: the version that is current, or None.
        value: its text, or None: there is no value.
        kms_key: its customer managed key, as DescribeSecret names it, or None.
        rotates: whether its rotation is turned on.
    """

    name: str
    arn: str
    version: str | None
    value: Confidential | None
    kms_key: str | None
    rotates: bool


@dataclass(frozen=True)
class Plan:
    """What is to be done, in words, and the document that is to be stored (None: nothing)."""

    act: Act
    says: str
    document: SecretDocument | None


def plan(name: str, held: Held | None, key: ApiKey) -> Plan:
    """How ``key`` gets into the secret ``name``.

    Args:
        name: the secret, as it was asked for.
        held: what it holds; None: it does not exist.
        key: the key.

    Raises:
        VersionStateError: it holds another key.
        InvalidCredentialError: it holds something that a key cannot be added to.
    """
    if held is None:
        says = f"Create the secret {name} with key {key.id}."
        return Plan(Act.CREATE, says, SecretDocument.empty(key))
    if held.value is None:
        says = f"Store key {key.id} in the secret {held.arn}, which has no value yet."
        return Plan(Act.STORE, says, SecretDocument.empty(key))
    members = _json_object(held.value)
    if members is None:
        raise InvalidCredentialError(
            f"{held.arn} holds a value that is not a JSON object. It is not overwritten: name "
            "another secret, or delete this one if nothing uses it."
        )
    if members.get(API_KEY) is None and members.get(API_KEY_ID) is None:
        says = f"Add key {key.id} to the value of {held.arn}; its {_members(len(members))}."
        return Plan(Act.STORE, says, SecretDocument(key, members))
    there = _compare(held, members, key)
    says = f"{held.arn} holds key {key.id} already: there is nothing to store."
    return Plan(Act.NOTHING, says + _other_expiry(there, key), None)


def _other_expiry(there: ApiKey, key: ApiKey) -> str:
    """What the secret says of the key's expiry, if something else was given."""
    if key.expires_at in {None, there.expires_at}:
        return ""
    if there.expires_at is None:
        return " It does not say when the key expires; that stays."
    return f" It says that the key expires at {iso_utc(there.expires_at)}; that stays."


def _compare(held: Held, members: dict[str, Any], key: ApiKey) -> ApiKey:
    """The key in the secret, which is this very key, or else a refusal."""
    document = SecretDocument.parse(Confidential(json.dumps(members)), of=held.arn)
    there = document.key
    if there.id != key.id:
        until = f", until {iso_utc(there.expires_at)}" if there.expires_at else ""
        raise VersionStateError(
            f"{held.arn} holds another key: {there.id} in version {held.version}{until}. It is "
            f"not overwritten by key {key.id}. If applications may use the key that is there, run "
            "this again with that key, or leave the secret as it is. If not, name another secret: "
            "rotation migrate ANOTHER-NAME."
        )
    if there.material != key.material:
        raise VersionStateError(
            f"{held.arn} holds key {there.id} in version {held.version}, with other material than "
            "was given. It is not overwritten. One of them is mistyped: compare with the vendor's "
            "portal; rotation doctor tells whether the stored one works."
        )
    return there


def _members(count: int) -> str:
    return "other member stays" if count == 1 else f"{count} other members stay"


def _json_object(value: Confidential) -> dict[str, Any] | None:
    # JSONDecodeError carries the whole document in .doc: it must not leave this frame.
    try:
        members = json.loads(value.reveal())
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) else None
