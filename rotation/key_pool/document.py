"""The value of a pool secret: keys that people made in the vendor's portal, and who has which.

::

    {"keys": [{"apiKeyId": "<uuid>", "apiKey": "<hex>", "state": "free",
               "addedAt": "<time>", "expiresAt": "<time>", "lease": null}, …]}

Times are ISO 8601 in UTC. A leased key names in ``lease`` the installation, the secretArn and the
token of the rotation it was given to, and when (``at``). A key that somebody was asked to revoke
names in ``notice`` when, and whether the message went out. One that was declared compromised says
in ``declared`` when, why and by whom, and in ``seenAliveAt`` when the vendor last accepted it. Any
other member, of the pool or of a key, belongs to the organisation and survives every change
untouched.

The document is ours: the vendor publishes none. Everything here is a value without IO; a change
gives a new `Pool`. Nothing here shows key material in repr, log or error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from rotation.core.ports import KeyLabel
from rotation.credential import (
    API_KEY,
    API_KEY_ID,
    EXPIRES_AT,
    ApiKey,
    Confidential,
    iso_utc,
    json_object,
)
from rotation.errors import InvalidCredentialError

_KEYS: Final = "keys"
_OURS: Final = frozenset(
    {
        *(API_KEY, API_KEY_ID, EXPIRES_AT),
        *("state", "addedAt", "lease", "notice", "declared", "seenAliveAt"),
    },
)


class KeyState(Enum):
    """What may be done with a key of the pool."""

    FREE = "free"
    LEASED = "leased"
    RETIRED = "retired"
    COMPROMISED = "compromised"


@dataclass(frozen=True)
class Lease:
    """Which rotation has the key, and since when (aware UTC, whole milliseconds)."""

    label: KeyLabel
    at: datetime


@dataclass(frozen=True)
class Notice:
    """That a person is asked to revoke the key.

    Attributes:
        by: an id of the call that asks.
        at: since when it does, aware UTC.
        sent: whether the message went out.
    """

    by: str
    at: datetime
    sent: bool


def _nothing_else() -> Confidential:
    return Confidential("{}")


@dataclass(frozen=True)
class PoolKey:
    """One key of the pool.

    Attributes:
        added_at: when it was added, aware UTC, where known.
        lease: who has it; None for a key that nobody was given.
        declared: when, why and by whom it was declared compromised, in words.
        seen_alive_at: when the vendor last accepted it after that, aware UTC.
        rest: its other members, as a JSON object.
    """

    key: ApiKey
    state: KeyState = KeyState.FREE
    added_at: datetime | None = None
    lease: Lease | None = None
    notice: Notice | None = None
    declared: str | None = None
    seen_alive_at: datetime | None = None
    rest: Confidential = field(default_factory=_nothing_else)


@dataclass(frozen=True)
class Pool:
    """The keys of a pool, in the order of their adding.

    Attributes:
        rest: the document's other members, as a JSON object.
    """

    keys: tuple[PoolKey, ...] = ()
    rest: Confidential = field(default_factory=_nothing_else)

    @classmethod
    def parse(cls, value: Confidential, *, of: str) -> Pool:
        """Read a pool secret's value; ``of`` names the secret in the error.

        One entry that cannot be read, or a key that is listed twice, refuses the whole document: a
        key whose lease is misread could be given to two secrets.

        Raises:
            InvalidCredentialError: the message says which entry and why, and repeats no value.
        """
        pool = _read(value)
        if isinstance(pool, str):
            raise InvalidCredentialError(f"The value of {of} is not a key pool: {pool}.")
        return pool

    def find(self, key_id: str) -> PoolKey | None:
        """The entry of that key id."""
        return next((entry for entry in self.keys if entry.key.id == key_id), None)

    def holding(self, entry: PoolKey) -> Pool:
        """The pool with ``entry`` in the place of the one of its id, or at the end."""
        if self.find(entry.key.id) is None:
            return replace(self, keys=(*self.keys, entry))
        return replace(
            self, keys=tuple(entry if held.key.id == entry.key.id else held for held in self.keys)
        )

    def without(self, key_id: str) -> Pool:
        """The pool without the entry of that key id."""
        return replace(self, keys=tuple(held for held in self.keys if held.key.id != key_id))

    def serialize(self) -> Confidential:
        """The JSON text to store."""
        members = json_object(self.rest) or {}
        members[_KEYS] = [_members(entry) for entry in self.keys]
        return Confidential(json.dumps(members))


def whole_milliseconds(time: datetime) -> datetime:
    """``time`` as the document can hold it."""
    return time.astimezone(UTC).replace(microsecond=time.microsecond // 1000 * 1000)


def _members(entry: PoolKey) -> dict[str, Any]:
    members = json_object(entry.rest) or {}
    members[API_KEY_ID] = entry.key.id
    members[API_KEY] = entry.key.material.reveal()
    times = {
        EXPIRES_AT: entry.key.expires_at,
        "addedAt": entry.added_at,
        "seenAliveAt": entry.seen_alive_at,
    }
    members |= {name: iso_utc(time) for name, time in times.items() if time is not None}
    if entry.declared is not None:
        members["declared"] = entry.declared
    members["state"] = entry.state.value
    members["lease"] = None
    if entry.lease is not None:
        label = entry.lease.label
        members["lease"] = {
            "installation": label.installation,
            "secretArn": label.secret_arn,
            "token": label.token,
            "at": iso_utc(entry.lease.at),
        }
    if entry.notice is not None:
        notice = entry.notice
        members["notice"] = {"by": notice.by, "at": iso_utc(notice.at), "sent": notice.sent}
    return members


def _read(value: Confidential) -> Pool | str:
    """The pool, or why the value is none. Raises nothing, so that no frame shows what it holds."""
    members = json_object(value) or {}
    listed = members.get(_KEYS)
    if not isinstance(listed, list):
        return f'it is not a JSON object with a list "{_KEYS}"'
    keys: list[PoolKey] = []
    for number, item in enumerate(listed, start=1):
        entry = _entry(item)
        if isinstance(entry, str):
            return f"key {number} of {len(listed)}: {entry}"
        if any(entry.key.id == other.key.id for other in keys):
            return f"key {number} of {len(listed)}: {entry.key.id} is listed before"
        keys.append(entry)
    return Pool(tuple(keys), _rest(members, frozenset({_KEYS})))


def _entry(item: object) -> PoolKey | str:
    if not isinstance(item, dict):
        return "it is not a JSON object"
    try:
        key = ApiKey.from_text(
            item.get(API_KEY_ID), item.get(API_KEY), expires_at=item.get(EXPIRES_AT)
        )
    except InvalidCredentialError as error:
        return str(error)
    try:
        state = KeyState(item.get("state", KeyState.FREE.value))
    except ValueError:
        return f'"state" is none of {", ".join(state.value for state in KeyState)}'
    try:
        added_at, seen_at = (
            _time(item[name]) if item.get(name) is not None else None
            for name in ("addedAt", "seenAliveAt")
        )
        lease = _lease(item["lease"]) if item.get("lease") is not None else None
        notice = _notice(item["notice"]) if item.get("notice") is not None else None
    except (KeyError, TypeError, ValueError):
        return (
            '"addedAt", "lease", "notice" or "seenAliveAt" is not what docs/key-pool.md describes'
        )
    if (state is KeyState.LEASED and lease is None) or (state is KeyState.FREE and lease):
        return f'"state" is {state.value} and "lease" does not agree'
    declared = None if item.get("declared") is None else str(item["declared"])
    return PoolKey(key, state, added_at, lease, notice, declared, seen_at, _rest(item, _OURS))


def _lease(members: Mapping[str, Any]) -> Lease:
    names = (members["installation"], members["secretArn"], members["token"])
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError("a lease names three texts")
    return Lease(KeyLabel(*names), _time(members["at"]))


def _notice(members: Mapping[str, Any]) -> Notice:
    return Notice(str(members["by"]), _time(members["at"]), members["sent"] is True)


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time needs an offset")
    return time.astimezone(UTC)


def _rest(members: Mapping[str, Any], ours: frozenset[str]) -> Confidential:
    return Confidential(
        json.dumps({name: value for name, value in members.items() if name not in ours})
    )
