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
from rotation.key_pool.document import (
    KeyState,
    Notice,
    PoolDocument,
    PoolEntry,
    whole_milliseconds,
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
        asked: whether a person was asked, now or before, to revoke every one of them.
    """

    keys: tuple[str, ...]
    leased_to: tuple[str, ...]
    asked: bool


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

        Idempotent: until all condemned keys are dead, a second call spares the keys that were added
        after the first, and it asks again only if nobody was asked. Does NOT revoke a key, and does
        NOT touch the keys that secrets hold.

        Args:
            declared: when, why and by whom, in words.
            again: the pool leaked once more: condemn the keys that were added since, too.

        Raises:
            InvalidCredentialError: the pool secret's value is not a key pool.
            SecretStoreError: AWS refused or failed; asking again is safe.
        """
        notice = self._messages.new_notice()
        pool = self._pool.change(lambda found: _with_notice(found, notice, declared, again=again))
        asked = self._ask(pool, notice)
        keys = tuple(entry.key.id for entry in _condemned(pool))
        logger.warning("key pool condemned", pool=self.name, keys=len(keys), declared=declared)
        leases = (entry.lease for entry in pool.keys)
        arns = dict.fromkeys(lease.label.secret_arn for lease in leases if lease is not None)
        return CondemnResult(keys, tuple(arns), asked)

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
            self._ask(self._pool.change(lambda pool: _with_notice(pool, notice, None)), notice)

    def note_alive(self, key_ids: Sequence[str]) -> None:
        """Note that the vendor still accepted these keys just now. Idempotent."""
        now = whole_milliseconds(self._clock())

        def noted(pool: PoolDocument) -> tuple[PoolDocument | None, None]:
            changed = pool
            for entry in _condemned(pool):
                if entry.key.id in key_ids and entry.seen_alive_at != now:
                    changed = changed.with_entry(replace(entry, seen_alive_at=now))
            return (None if changed is pool else changed), None

        if key_ids:
            self._pool.change(noted)

    def forget(self, key_id: str) -> None:
        """Take out a condemned key that was proven dead. Idempotent. Does NOT revoke it."""

        def forgotten(pool: PoolDocument) -> tuple[PoolDocument | None, bool]:
            entry = pool.find(key_id)
            if entry is None or entry.state is not KeyState.COMPROMISED:
                return None, False
            return pool.without(key_id), True

        if self._pool.change(forgotten):
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


def _with_notice(
    pool: PoolDocument, notice: Notice, declared: str | None, *, again: bool = False
) -> tuple[PoolDocument | None, PoolDocument]:
    """Put ``notice`` on every condemned key that nobody was asked about.

    With ``declared``, the free keys are condemned first. While other keys are condemned and not yet
    dead, the keys that were added after those were condemned are spared, unless ``again``.
    """
    changed = pool
    opened = min((one.notice.at for one in _condemned(pool) if one.notice), default=None)
    for entry in pool.keys:
        free = entry.state is KeyState.FREE and declared is not None
        if free and opened is not None and not again:
            # A key that was added later replaces one that leaked.
            free = entry.added_at is None or entry.added_at <= opened
        if free or (entry.state is KeyState.COMPROMISED and nobody_asked(entry, notice)):
            told = entry.declared or declared
            condemned = replace(entry, state=KeyState.COMPROMISED, declared=told, notice=notice)
            changed = changed.with_entry(condemned)
    return (None if changed is pool else changed), changed


def _due(entry: PoolEntry, now: datetime) -> bool:
    declared_at = entry.notice.at if entry.notice else now
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
    return f"Revoke {len(entries)} leaked Trusted Signatures API keys", facts
