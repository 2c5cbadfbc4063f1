"""The value of a pool secret: keys that people made in the vendor's portal, and who has each.

::

    {"keys": [{"apiKeyId": "<uuid>", "apiKey": "<hex>", "state": "free",
               "addedAt": "<time>", "expiresAt": "<time>", "lease": null}, …]}

Times are ISO 8601 in UTC. A leased key names in ``lease`` the installation, the secretArn and the
token of the rotation it was given to, and when (``at``). A key that somebody was asked to revoke
names in ``notice`` when, and whether the message went out. One that was declared compromised says
in ``declared`` when, why and by whom, in ``declaredAt`` since when, and in ``seenAliveAt`` when the
vendor last accepted it. A pool whose keys leaked says in ``leaked`` since when (``at``). Any other
member, of the pool or of a key, belongs to the organisation and survives every change to the
letter, numbers too. Another vendor's pool has the members of its `KeyFormat` in the place of
``apiKeyId`` and ``apiKey``.

The document is ours: the vendor publishes none. Everything here is a value without IO; a change
gives a new `PoolDocument`. Nothing here shows key material in repr, log or error.

A `PoolEdit` is a change that `rotation.key_pool.pool_secret.PoolSecret.change` stores. It may be
made several times, so it has no side effects, and made a second time it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, TypeVar

from rotation.core.ports import KeyLabel
from rotation.credential import (
    EXPIRES_AT,
    TRUSTED_SIGNATURES,
    ApiKey,
    Confidential,
    KeyFormat,
    KeyMember,
    exact_json,
    exact_json_object,
    iso_utc,
    whole_milliseconds,
)
from rotation.errors import InvalidCredentialError, KeyPoolError

#: UserGuide reference_limits: the largest value of a secret, in bytes.
MOST_BYTES: Final = 65_536
#: What a lease and a notice add to an entry at most, for an ARN of ordinary length, in bytes.
_ROOM_FOR_A_LEASE: Final = 1024

_KEYS: Final = "keys"
_LEAKED: Final = "leaked"
_OUR_MEMBERS: Final = frozenset(
    {"state", "addedAt", "lease", "notice", "declared", "declaredAt", "seenAliveAt", EXPIRES_AT}
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


def _no_members() -> Confidential:
    return Confidential("{}")


@dataclass(frozen=True)
class PoolEntry:
    """One key of the pool.

    Attributes:
        added_at: when it was added, aware UTC, where known.
        lease: who has it; None for a key that nobody was given.
        declared: when, why and by whom it was declared compromised, in words.
        declared_at: when that was, aware UTC, where known.
        seen_alive_at: when the vendor last accepted it after that, aware UTC.
        other_members: its other members, as a JSON object.
    """

    key: ApiKey
    state: KeyState = KeyState.FREE
    added_at: datetime | None = None
    lease: Lease | None = None
    notice: Notice | None = None
    declared: str | None = None
    declared_at: datetime | None = None
    seen_alive_at: datetime | None = None
    other_members: Confidential = field(default_factory=_no_members)

    @property
    def unused(self) -> bool:
        """Whether nothing in the entry says that the key was given to anybody, or has to die."""
        spoken_of = (self.lease, self.notice, self.declared, self.declared_at)
        return self.state is KeyState.FREE and all(said is None for said in spoken_of)


@dataclass(frozen=True)
class UnreadableEntry:
    """An entry that says something else than this module knows. It stays as it is, to the letter.

    Attributes:
        place: which entry it is, for people.
        problem: why it cannot be read; repeats no value.
        key_id: the id of its key, where that can be read.
        material: the material of its key, where that can be read.
        text: the entry as the only member of a JSON object.
    """

    place: str
    problem: str
    key_id: str | None
    material: Confidential | None
    text: Confidential

    def may_be(self, key: ApiKey) -> bool:
        """Whether it is known to be about this key."""
        return self.key_id == key.id or self.material == key.material

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


@dataclass(frozen=True)
class PoolDocument:
    """The keys of a pool, in the order in which they were added.

    Attributes:
        unreadable: the entries that cannot be read. No key of theirs is leased or retired.
        leaked_at: when it was last declared that its keys leaked, aware UTC.
        other_members: the document's other members, as a JSON object.
    """

    keys: tuple[PoolEntry, ...] = ()
    unreadable: tuple[UnreadableEntry, ...] = ()
    leaked_at: datetime | None = None
    other_members: Confidential = field(default_factory=_no_members)

    @classmethod
    def parse(
        cls, value: Confidential, *, of: str, key_format: KeyFormat = TRUSTED_SIGNATURES
    ) -> PoolDocument:
        """Read a pool secret's value; ``of`` names the secret in the error.

        An entry that cannot be read, or that lists a key a second time, is set aside as
        `unreadable` and holds up no other: its own key alone could be given to two secrets.

        Raises:
            InvalidCredentialError: it is no pool; the message says why, and repeats no value.
        """
        pool = _parse(value, key_format)
        if isinstance(pool, str):
            raise InvalidCredentialError(f"The value of {of} is not a key pool: {pool}.")
        return pool

    def find(self, key_id: str) -> PoolEntry | None:
        """The entry of that key id."""
        return next((entry for entry in self.keys if entry.key.id == key_id), None)

    @property
    def leasable(self) -> tuple[PoolEntry, ...]:
        """The entries whose key may be given to a rotation.

        A key counts by its id and by its material: no entry that was leased, that was declared
        compromised or that somebody was asked to revoke has the same.
        """
        spoken_of = {entry.key.material for entry in self.keys if not entry.unused}
        spoken_of |= {one.material for one in self.unreadable if one.material is not None}
        unreadable_ids = {one.key_id for one in self.unreadable}
        return tuple(
            entry
            for entry in self.keys
            if entry.unused
            and entry.key.material not in spoken_of
            and entry.key.id not in unreadable_ids
        )

    def may_hold(self, key_id: str) -> bool:
        """Whether an entry that cannot be read may be about the key of that id."""
        return any(one.key_id in {None, key_id} for one in self.unreadable)

    def with_entry(self, entry: PoolEntry) -> PoolDocument:
        """The pool with ``entry`` in the place of the one of its id, or at the end."""
        if self.find(entry.key.id) is None:
            return replace(self, keys=(*self.keys, entry))
        return replace(
            self, keys=tuple(entry if held.key.id == entry.key.id else held for held in self.keys)
        )

    def without(self, key_id: str) -> PoolDocument:
        """The pool without the entry of that key id."""
        return replace(self, keys=tuple(held for held in self.keys if held.key.id != key_id))

    def serialize(self) -> Confidential:
        """The JSON text to store."""
        members = exact_json_object(self.other_members) or {}
        entries: list[Any] = [_entry_members(entry) for entry in self.keys]
        for one in self.unreadable:
            entries += (exact_json_object(one.text) or {}).values()
        members[_KEYS] = entries
        if self.leaked_at is not None:
            members[_LEAKED] = {"at": iso_utc(self.leaked_at)}
        return Confidential(exact_json(members))


EditResult = TypeVar("EditResult")
#: Gives the changed document (None: nothing has to change), and what the caller wants to know.
PoolEdit = Callable[[PoolDocument], tuple[PoolDocument | None, EditResult]]


def add_key(pool: PoolDocument, key: ApiKey, now: datetime) -> tuple[PoolDocument | None, bool]:
    """Add a free key; False where the pool has the same key already, and it is free.

    Raises:
        KeyPoolError: the key's id is known with other material, its material is known under
            another id, or the key was given away or has to die: it would be leased again. Or the
            keys of the pool would no longer fit into the secret once they are all leased.
    """
    if any(one.may_be(key) for one in pool.unreadable):
        raise KeyPoolError(
            f"Key {key.id} is in the pool already, in an entry that cannot be read. Mend that "
            "entry: `rotation pool list` shows it. Nothing was changed."
        )
    known = pool.find(key.id)
    twin = next((entry for entry in pool.keys if entry.key.material == key.material), None)
    if known is not None and known is twin:
        if known.added_at == whole_milliseconds(now):
            # This very change was made before its answer was lost.
            return None, True
        if known.unused:
            return None, False
        raise KeyPoolError(
            f"Key {key.id} is in the pool already, and is {known.state.value}. Nothing was changed."
        )
    if known is not None:
        raise KeyPoolError(
            f"Key {key.id} is in the pool with other material. If that was a mistake, take it "
            f"out with `rotation pool remove {key.id} --apply` and add it anew."
        )
    if twin is not None:
        raise KeyPoolError(
            f"The same key is in the pool as {twin.key.id}. Check which id belongs to it."
        )
    free = PoolEntry(replace(key, issued_at=None), added_at=whole_milliseconds(now))
    changed = pool.with_entry(free)
    _refuse_if_full(changed)
    return changed, True


def remove_key(pool: PoolDocument, key_id: str, now: datetime) -> tuple[PoolDocument | None, None]:
    """Take a key out of the pool. It is NOT revoked by that.

    Raises:
        KeyPoolError: as `removable_entry` says.
    """
    return pool.without(removable_entry(pool, key_id, now).key.id), None


def removable_entry(pool: PoolDocument, key_id: str, now: datetime) -> PoolEntry:
    """The entry of that key id, if a person may take it out.

    Raises:
        KeyPoolError: the key is not in the pool, or it is leased and has not expired: a secret may
            hold it, or get it at any moment.
    """
    entry = pool.find(key_id)
    if entry is None:
        raise KeyPoolError(f"Key {key_id} is not in the pool. `rotation pool list` shows what is.")
    if entry.state is KeyState.LEASED and entry.lease and not entry.key.expired(now):
        raise KeyPoolError(
            f"Key {key_id} is leased to {entry.lease.label.secret_arn}. It leaves the pool when it "
            "was replaced by a rotation, revoked in the vendor's portal, and proven dead."
        )
    return entry


def mark_sent(pool: PoolDocument, notice: Notice) -> tuple[PoolDocument | None, None]:
    """Note in every entry with ``notice`` that its message went out."""
    changed = pool
    for entry in pool.keys:
        if entry.notice == notice:
            changed = changed.with_entry(replace(entry, notice=replace(notice, sent=True)))
    return (None if changed is pool else changed), None


def _refuse_if_full(pool: PoolDocument) -> None:
    size = len(pool.serialize().reveal().encode())
    room = _ROOM_FOR_A_LEASE * sum(entry.state is KeyState.FREE for entry in pool.keys)
    if size + room > MOST_BYTES:
        raise KeyPoolError(
            f"The pool is full: its {len(pool.keys)} keys, once they are all leased, would not fit "
            f"into the {MOST_BYTES} bytes that Secrets Manager stores. Add the key when others are "
            "gone."
        )


def _entry_members(entry: PoolEntry) -> dict[str, Any]:
    members = exact_json_object(entry.other_members) or {}
    members[entry.key.key_format.id.name] = entry.key.id
    members[entry.key.key_format.material.name] = entry.key.material.reveal()
    times = {
        EXPIRES_AT: entry.key.expires_at,
        "addedAt": entry.added_at,
        "declaredAt": entry.declared_at,
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


def _parse(value: Confidential, key_format: KeyFormat) -> PoolDocument | str:
    """The pool, or why the value is none. Raises nothing, so that no frame shows the value."""
    members = exact_json_object(value) or {}
    listed = members.get(_KEYS)
    if not isinstance(listed, list):
        return f'it is not a JSON object with a list "{_KEYS}"'
    try:
        leaked_at = _time(members[_LEAKED]["at"]) if members.get(_LEAKED) is not None else None
    except (KeyError, TypeError, ValueError):
        return f'"{_LEAKED}" is not what docs/key-pool.md describes'
    keys: dict[str, PoolEntry] = {}
    unreadable: list[UnreadableEntry] = []
    for number, item in enumerate(listed, start=1):
        entry = _parse_entry(item, key_format)
        if isinstance(entry, PoolEntry) and entry.key.id in keys:
            entry = f"{entry.key.id} is listed before"
        if isinstance(entry, str):
            place = f"key {number} of {len(listed)}"
            unreadable.append(_set_aside(place, entry, item, key_format))
        else:
            keys[entry.key.id] = entry
    others = _other_members(members, frozenset({_KEYS, _LEAKED}))
    return PoolDocument(tuple(keys.values()), tuple(unreadable), leaked_at, others)


def _set_aside(place: str, problem: str, item: object, key_format: KeyFormat) -> UnreadableEntry:
    members = item if isinstance(item, dict) else {}
    material = _normalized(key_format.material, members)
    return UnreadableEntry(
        place,
        problem,
        _normalized(key_format.id, members),
        None if material is None else Confidential(material),
        Confidential(exact_json({"entry": item})),
    )


def _normalized(member: KeyMember, members: Mapping[str, Any]) -> str | None:
    """A member of a key as `ApiKey` has it; None: it is missing or malformed."""
    value = members.get(member.name)
    try:
        return member.normalize(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _parse_entry(item: object, key_format: KeyFormat) -> PoolEntry | str:
    if not isinstance(item, dict):
        return "it is not a JSON object"
    try:
        key = ApiKey.from_text(
            item.get(key_format.id.name),
            item.get(key_format.material.name),
            expires_at=item.get(EXPIRES_AT),
            key_format=key_format,
        )
    except InvalidCredentialError as error:
        return str(error)
    try:
        state = KeyState(item.get("state", KeyState.FREE.value))
    except ValueError:
        return f'"state" is none of {", ".join(state.value for state in KeyState)}'
    try:
        added_at, declared_at, seen_at = (
            _time(item[name]) if item.get(name) is not None else None
            for name in ("addedAt", "declaredAt", "seenAliveAt")
        )
        lease = _parse_lease(item["lease"]) if item.get("lease") is not None else None
        notice = _parse_notice(item["notice"]) if item.get("notice") is not None else None
    except (KeyError, TypeError, ValueError):
        return (
            '"addedAt", "declaredAt", "lease", "notice" or "seenAliveAt" is not what '
            "docs/key-pool.md describes"
        )
    if (state is KeyState.LEASED and lease is None) or (state is KeyState.FREE and lease):
        return f'"state" is {state.value} and "lease" does not agree'
    declared = None if item.get("declared") is None else str(item["declared"])
    others = _other_members(item, _OUR_MEMBERS | {*key_format.members})
    return PoolEntry(key, state, added_at, lease, notice, declared, declared_at, seen_at, others)


def _parse_lease(members: Mapping[str, Any]) -> Lease:
    names = (members["installation"], members["secretArn"], members["token"])
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError("a lease names three texts")
    return Lease(KeyLabel(*names), _time(members["at"]))


def _parse_notice(members: Mapping[str, Any]) -> Notice:
    return Notice(str(members["by"]), _time(members["at"]), members["sent"] is True)


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time needs an offset")
    return time.astimezone(UTC)


def _other_members(members: Mapping[str, Any], ours: frozenset[str]) -> Confidential:
    return Confidential(
        exact_json({name: value for name, value in members.items() if name not in ours})
    )
