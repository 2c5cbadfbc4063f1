"""A pool that leaked: its free keys are condemned, and a person is asked to revoke them.

Whoever has read the pool secret has every key in it. The leased keys are those of secrets, and a
forced rotation of the secrets replaces them. The free keys are condemned here: declared
compromised, without a secret that holds them. A condemned key is never leased. It stays in the
pool, and so in every report, until it was proven dead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from rotation.core.ports import CondemnedKey, Notifier
from rotation.credential import whole_milliseconds
from rotation.key_pool.document import (
    KeyState,
    Notice,
    PoolDocument,
    PoolEntry,
)
from rotation.key_pool.messages import PoolMessages, nobody_asked
from rotation.key_pool.pool_secret import PoolSecret
from rotation.privacy.observability import logger

_DAY: Final = timedelta(days=1)
_BY_HAND: Final = "by hand"


@dataclass(frozen=True)
class CondemnResult:
    """Which keys of a pool are condemned.

    Attributes:
        keys: every key that is condemned and not proven dead, those of an earlier call too.
        leased_to: the ARNs of the secrets whose keys are in the pool: they have leaked with it.
        spared: the free keys that were added after the leak was declared, and are not condemned.
        asked: whether a person was asked, now or before, to revoke every one of them.
        unreadable: the entries that cannot be read. Their keys leaked as well, and nobody was asked
            to revoke them.
    """

    keys: tuple[str, ...]
    leased_to: tuple[str, ...]
    asked: bool
    spared: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


class PoolIncident:
    """The condemned keys of one pool secret.

    Args:
        pool: the pool secret.
        notifier: asks a person to revoke keys.
        clock: our clock, aware UTC.
    """

    def __init__(self, pool: PoolSecret, notifier: Notifier, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._messages = PoolMessages(pool, notifier, clock)
        self._clock = clock

    @property
    def name(self) -> str:
        """The pool secret's name."""
        return self._pool.name

    def condemn(self, declared: str, *, again: bool = False) -> CondemnResult:
        """Declare every free key compromised, and ask a person to revoke them, in one message.

        Idempotent: for a day, and until every key that was in the pool then has left it, a second
        call spares the keys that were added after the first, and it asks again only if nobody was
        asked. Does NOT revoke a key, and does NOT touch the keys that secrets hold.

        Args:
            declared: when, why and by whom, in words.
            again: the pool leaked once more: condemn the keys that were added since, too.

        Raises:
            InvalidCredentialError: the pool secret's value is not a key pool.
            SecretStoreError: AWS refused or failed; asking again is safe.
        """
        notice = self._messages.new_notice()

        def condemned(found: PoolDocument) -> tuple[PoolDocument | None, PoolDocument]:
            leaked = _condemn_free(found, notice.at, declared, again=again)
            return _with_notice(leaked, notice, before=found)

        pool = self._pool.change(condemned)
        asked = self._ask(pool, notice)
        keys = tuple(entry.key.id for entry in _condemned(pool))
        logger.warning("key pool condemned", pool=self.name, keys=len(keys), declared=declared)
        leases = (entry.lease for entry in pool.keys)
        arns = dict.fromkeys(lease.label.secret_arn for lease in leases if lease is not None)
        return CondemnResult(
            keys,
            tuple(arns),
            asked,
            tuple(one.key.id for one in pool.leasable),
            tuple(map(str, pool.unreadable)),
        )

    def condemned(self) -> Sequence[CondemnedKey]:
        """The condemned keys. A key is due at every call on its first day, then once a day."""
        now = self._clock()
        return tuple(
            CondemnedKey(entry.key, entry.declared or _BY_HAND, due=_due(entry, now))
            for entry in _condemned(self._pool.read())
        )

    def ask_for_revocation(self) -> None:
        """Ask a person to revoke the condemned keys that nobody was asked about yet."""
        notice = self._messages.new_notice()
        if any(nobody_asked(entry, notice) for entry in _condemned(self._pool.read())):
            self._ask(self._pool.change(lambda pool: _with_notice(pool, notice)), notice)

    def note_alive(self, key_ids: Sequence[str]) -> None:
        """Note that the vendor still accepted these keys, once a day; all of them in one write."""
        now = whole_milliseconds(self._clock())

        def noted(pool: PoolDocument) -> tuple[PoolDocument | None, None]:
            changed = pool
            for entry in _condemned(pool):
                seen = entry.seen_alive_at
                if entry.key.id in key_ids and (seen is None or now - seen >= _DAY):
                    changed = changed.with_entry(replace(entry, seen_alive_at=now))
            return (None if changed is pool else changed), None

        if key_ids:
            self._pool.change(noted, can_wait=True)

    def forget(self, key_id: str) -> None:
        """Take out a condemned key that was proven dead. Idempotent. Does NOT revoke it."""

        def forgotten(pool: PoolDocument) -> tuple[PoolDocument | None, bool]:
            entry = pool.find(key_id)
            if entry is None or entry.state is not KeyState.COMPROMISED:
                return None, False
            return pool.without(key_id), True

        if self._pool.change(forgotten, can_wait=True):
            logger.info("dead key taken out of the pool", pool=self.name, key_id=key_id)

    def _ask(self, pool: PoolDocument, notice: Notice) -> bool:
        """Send one message about all entries with ``notice``, and note that it was sent.

        Returns:
            whether a person was asked, now or before, about every condemned key.
        """
        ours = [entry for entry in _condemned(pool) if entry.notice == notice]
        if ours and not self._messages.ask(notice, *_revocation_message(ours, self.name)):
            return False
        return all(
            entry in ours or (entry.notice is not None and entry.notice.sent)
            for entry in _condemned(pool)
        )


def _condemned(pool: PoolDocument) -> list[PoolEntry]:
    return [entry for entry in pool.keys if entry.state is KeyState.COMPROMISED]


def _condemn_free(pool: PoolDocument, now: datetime, declared: str, *, again: bool) -> PoolDocument:
    """Declare the free keys compromised that were in the pool when it leaked."""
    leaked_at = None if again else _open_leak(pool, now)
    changed = pool if leaked_at is not None else replace(pool, leaked_at=now)
    for entry in pool.keys:
        # A key that was added later replaces one that leaked.
        was_there = leaked_at is None or entry.added_at is None or entry.added_at <= leaked_at
        if entry.state is KeyState.FREE and was_there:
            condemned = replace(
                entry,
                state=KeyState.COMPROMISED,
                declared=entry.declared or declared,
                declared_at=entry.declared_at or now,
            )
            changed = changed.with_entry(condemned)
    return changed


def _open_leak(pool: PoolDocument, now: datetime) -> datetime | None:
    """When the pool leaked, for a day and as long as a key is in it that was there then."""
    leaked_at = pool.leaked_at
    if leaked_at is None:
        # As an earlier version of this software has written it.
        times = (one.declared_at or (one.notice.at if one.notice else None) for one in pool.keys)
        condemned = zip(pool.keys, times, strict=True)
        leaked_at = min(
            (at for one, at in condemned if at and one.state is KeyState.COMPROMISED), default=None
        )
    if leaked_at is None:
        return None
    there = (
        one.state is not KeyState.FREE and (one.added_at is None or one.added_at <= leaked_at)
        for one in pool.keys
    )
    return leaked_at if any(there) or now - leaked_at < _DAY else None


def _with_notice(
    pool: PoolDocument, notice: Notice, before: PoolDocument | None = None
) -> tuple[PoolDocument | None, PoolDocument]:
    """Put ``notice`` on every condemned key that nobody was asked about.

    Args:
        pool: the pool.
        notice: what to put on them.
        before: the pool as it is stored, where ``pool`` has been changed already.
    """
    changed = pool
    for entry in _condemned(pool):
        if nobody_asked(entry, notice):
            changed = changed.with_entry(replace(entry, notice=notice))
    return (None if changed is (before or pool) else changed), changed


def _due(entry: PoolEntry, now: datetime) -> bool:
    declared_at = entry.declared_at or (entry.notice.at if entry.notice else now)
    seen = entry.seen_alive_at
    return seen is None or now - declared_at < _DAY or now - seen >= _DAY


def _revocation_message(entries: Sequence[PoolEntry], pool: str) -> tuple[str, Mapping[str, str]]:
    facts = {
        "what to do": "Revoke these API keys in the vendor's portal. They work until you do.",
        "why": entries[0].declared or _BY_HAND,
        "key ids": " ".join(entry.key.id for entry in entries),
        "pool": pool,
        "and then": "Make as many new keys, and add them with: rotation pool add",
    }
    return f"Revoke {len(entries)} leaked API keys", facts
