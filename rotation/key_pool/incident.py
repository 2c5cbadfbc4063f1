"""A pool that leaked: its free keys are condemned, a person is asked, and none is forgotten alive.

Whoever has read the pool secret has every key in it. The leased ones are the keys of secrets, and a
forced rotation of those secrets replaces them; the free ones belong to nobody, and are this
module's. A condemned key is never leased, stays in the pool until it was proven dead, and so stays
in every report until then.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from rotation.core.ports import CondemnedKey, Notifier
from rotation.errors import RotationError
from rotation.key_pool.document import KeyState, Notice, Pool, PoolKey, whole_milliseconds
from rotation.key_pool.issuer import ASKING
from rotation.key_pool.pool_secret import PoolSecret
from rotation.privacy.observability import count, logger

_DAY: Final = timedelta(days=1)
_BY_HAND: Final = "by hand"


@dataclass(frozen=True)
class Condemnation:
    """What came of condemning a pool.

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
        self._notifier = notifier
        self._clock = clock

    @property
    def name(self) -> str:
        """The pool secret's name."""
        return self._pool.name

    def condemn(self, declared: str, *, again: bool = False) -> Condemnation:
        """Declare every free key compromised, and ask a person to revoke them, in one message.

        Idempotent: a second call spares the keys that were added since, until all that were
        condemned are dead, and asks again only if nobody was asked. Does NOT revoke a key, and does
        NOT touch those that secrets hold.

        Args:
            declared: when, why and by whom, in words.
            again: the pool leaked once more: condemn the keys that were added since, too.

        Raises:
            InvalidCredentialError: the pool secret's value is not a key pool.
            SecretStoreError: AWS refused or failed; asking again is safe.
        """
        notice = self._notice()
        pool = self._pool.change(lambda found: _asking(found, notice, declared, again=again))
        asked = self._ask(pool, notice)
        keys = tuple(entry.key.id for entry in _condemned(pool))
        logger.warning("key pool condemned", pool=self.name, keys=len(keys), declared=declared)
        leases = (entry.lease for entry in pool.keys)
        arns = dict.fromkeys(lease.label.secret_arn for lease in leases if lease is not None)
        return Condemnation(keys, tuple(arns), asked)

    def condemned(self) -> Sequence[CondemnedKey]:
        """The condemned keys. On the day it was declared one is always due, then once a day."""
        now = self._clock()
        return tuple(
            CondemnedKey(entry.key, entry.declared or _BY_HAND, due=_due(entry, now))
            for entry in _condemned(self._pool.read())
        )

    def ask_people(self) -> None:
        """Ask a person to revoke the condemned keys that nobody was asked about yet."""
        notice = self._notice()
        if any(_unasked(entry, notice) for entry in _condemned(self._pool.read())):
            self._ask(self._pool.change(lambda pool: _asking(pool, notice, None)), notice)

    def seen_alive(self, key_ids: Sequence[str]) -> None:
        """Note that the vendor still accepted these keys just now. Idempotent."""
        now = whole_milliseconds(self._clock())

        def noted(pool: Pool) -> tuple[Pool | None, None]:
            changed = pool
            for entry in _condemned(pool):
                if entry.key.id in key_ids and entry.seen_alive_at != now:
                    changed = changed.holding(replace(entry, seen_alive_at=now))
            return (None if changed is pool else changed), None

        if key_ids:
            self._pool.change(noted)

    def forget(self, key_id: str) -> None:
        """Take out a condemned key that was proven dead. Idempotent. Does NOT revoke it."""

        def forgotten(pool: Pool) -> tuple[Pool | None, bool]:
            entry = pool.find(key_id)
            if entry is None or entry.state is not KeyState.COMPROMISED:
                return None, False
            return pool.without(key_id), True

        if self._pool.change(forgotten):
            logger.info("dead key taken out of the pool", pool=self.name, key_id=key_id)

    def _notice(self) -> Notice:
        return Notice(str(uuid.uuid4()), whole_milliseconds(self._clock()), sent=False)

    def _ask(self, pool: Pool, notice: Notice) -> bool:
        """Send one message about every key that this call has to ask about, and note it.

        Whether, after that, a person was asked about every condemned key.
        """
        ours = [entry for entry in _condemned(pool) if entry.notice == notice]
        if ours:
            try:
                self._notifier.notify(*_request(ours, self.name))
            except RotationError as error:
                count("NotificationsFailed")
                logger.error("nobody was notified", pool=self.name, reason=str(error))
                return False
            self._note_sent(notice)
        return all(
            entry in ours or (entry.notice is not None and entry.notice.sent)
            for entry in _condemned(pool)
        )

    def _note_sent(self, notice: Notice) -> None:
        def sent(pool: Pool) -> tuple[Pool | None, None]:
            changed = pool
            for entry in _condemned(pool):
                if entry.notice == notice:
                    changed = changed.holding(replace(entry, notice=replace(notice, sent=True)))
            return (None if changed is pool else changed), None

        try:
            self._pool.change(sent)
        except RotationError as error:
            logger.warning("a person will be asked again", pool=self.name, reason=error.code)


def _condemned(pool: Pool) -> list[PoolKey]:
    return [entry for entry in pool.keys if entry.state is KeyState.COMPROMISED]


def _asking(
    pool: Pool, notice: Notice, declared: str | None, *, again: bool = False
) -> tuple[Pool | None, Pool]:
    """Have ``notice`` ask about every condemned key that nobody was asked about.

    With ``declared``, the free keys are condemned first; while others are condemned and not yet
    dead, those that were added since are spared, unless ``again``.
    """
    changed = pool
    opened = min((one.notice.at for one in _condemned(pool) if one.notice), default=None)
    for entry in pool.keys:
        free = entry.state is KeyState.FREE and declared is not None
        if free and opened is not None and not again:
            # Added since, to replace those that leaked.
            free = entry.added_at is None or entry.added_at <= opened
        if free or (entry.state is KeyState.COMPROMISED and _unasked(entry, notice)):
            told = entry.declared or declared
            condemned = replace(entry, state=KeyState.COMPROMISED, declared=told, notice=notice)
            changed = changed.holding(condemned)
    return (None if changed is pool else changed), changed


def _unasked(entry: PoolKey, notice: Notice) -> bool:
    """Whether nobody was asked, and nobody else is just asking."""
    asked = entry.notice
    return asked is None or not (asked.sent or notice.at - asked.at < ASKING)


def _due(entry: PoolKey, now: datetime) -> bool:
    declared_at = entry.notice.at if entry.notice else now
    seen = entry.seen_alive_at
    return seen is None or now - declared_at < _DAY or now - seen >= _DAY


def _request(entries: Sequence[PoolKey], pool: str) -> tuple[str, Mapping[str, str]]:
    facts = {
        "what to do": "Revoke these API keys in the vendor's portal. They work until you do.",
        "why": entries[0].declared or _BY_HAND,
        "key ids": " ".join(entry.key.id for entry in entries),
        "pool": pool,
        "and then": "Make as many new keys, and add them with: rotation pool add",
    }
    return f"Revoke {len(entries)} leaked Trusted Signatures API keys", facts
