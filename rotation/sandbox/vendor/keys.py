"""The keys of the emulated vendor's account, as its portal keeps them.

Two kinds, which the vendor never mixes up: signing keys sign documents; admin keys create, list
and revoke signing keys. A key lives a year at most (Trusted Signatures' documentation). What the
vendor does not publish is assumed here and in ``docs/admin-api.yaml``: a quota of active signing
keys, labels, and a delay before a new key works and before a revoked one stops.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from random import Random
from threading import RLock
from typing import Final

LONGEST_LIFETIME: Final = timedelta(days=365)


class Role(Enum):
    """What a key is for."""

    SIGNING = "signing"
    ADMIN = "admin"


@dataclass(frozen=True)
class PortalKey:
    """One key, with its material.

    Attributes:
        id: a UUID in lower case.
        material: 32 random bytes as 64 hexadecimal digits.
        role: what it is for.
        label: what its creator wrote on it, or None.
        created_at: aware UTC, whole milliseconds.
        expires_at: aware UTC, whole milliseconds; not accepted from then on.
        revoked_at: aware UTC, or None.
    """

    id: str
    material: str = field(repr=False)
    role: Role
    label: str | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None

    def status(self, now: datetime) -> str:
        """``active``, ``revoked`` or ``expired``; revoked even if it has expired since."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at <= now else "active"


@dataclass(frozen=True)
class KeyPage:
    """Some keys, newest first, and the cursor that asks for the next ones (None: no more)."""

    keys: tuple[PortalKey, ...]
    cursor: str | None


class KeyQuotaReachedError(Exception):
    """The account has as many active signing keys as it may have."""


class KeyStore:
    """Every key of one account. Safe to use from several threads.

    Attributes:
        propagation_delay: how long a new key is not yet accepted, and a revoked one still is.
        half_known: how long after that only half of the vendor's nodes accept a new key. Each
            request reaches one of all nodes at random.
        quota: how many active signing keys the account may have.
    """

    def __init__(
        self, clock: Callable[[], datetime], *, propagation_delay: timedelta, quota: int
    ) -> None:
        self.propagation_delay = propagation_delay
        self.half_known = timedelta(0)
        self.quota = quota
        self._draw = Random(1)  # noqa: S311 - no secret
        self._clock = clock
        self._keys: dict[str, PortalKey] = {}
        self._lock = RLock()

    def create(
        self,
        *,
        label: str | None = None,
        expires_at: datetime | None = None,
        role: Role = Role.SIGNING,
    ) -> PortalKey:
        """A new key; without ``expires_at`` it lives as long as a key may.

        Raises:
            KeyQuotaReachedError: a signing key too many.
            ValueError: it would expire in the past or after more than 365 days.
        """
        with self._lock:
            now = _whole_milliseconds(self._clock())
            expires_at = _whole_milliseconds(expires_at or now + LONGEST_LIFETIME)
            if not now < expires_at <= now + LONGEST_LIFETIME:
                raise ValueError("A key expires in the future and within 365 days.")
            if role is Role.SIGNING and self._active(now) >= self.quota:
                raise KeyQuotaReachedError(f"The account has {self.quota} active keys already.")
            key = PortalKey(
                id=str(uuid.uuid4()),
                material=secrets.token_hex(32),
                role=role,
                label=label,
                created_at=now,
                expires_at=expires_at,
            )
            self._keys[key.id] = key
            return key

    def get(self, key_id: str) -> PortalKey | None:
        """The key of that id, whatever its state."""
        with self._lock:
            return self._keys.get(key_id)

    def all(self) -> tuple[PortalKey, ...]:
        """Every key of either role, in the order of their making."""
        with self._lock:
            return tuple(self._keys.values())

    def accepted(self, key_id: str) -> PortalKey | None:
        """The key of that id, if a request signed with it is accepted now."""
        with self._lock:
            key = self._keys.get(key_id)
            if key is None:
                return None
            now = self._clock()
            delay = self.propagation_delay
            known = key.created_at + delay <= now < key.expires_at
            dead = key.revoked_at is not None and key.revoked_at + delay <= now
            return key if known and not dead else None

    def accepted_by_a_node(self, key_id: str) -> PortalKey | None:
        """As `accepted`, by the node that a request happens to reach."""
        with self._lock:
            key = self.accepted(key_id)
            if key is None:
                return None
            known_at = key.created_at + self.propagation_delay
            if self._clock() < known_at + self.half_known and self._draw.random() < 0.5:
                return None
            return key

    def revoke(self, key_id: str) -> bool:
        """Revoke the key; False if there is none or it was revoked before."""
        with self._lock:
            key = self._keys.get(key_id)
            if key is None or key.revoked_at is not None:
                return False
            self._keys[key_id] = replace(key, revoked_at=self._clock())
            return True

    def page(self, prefix: str, cursor: str | None, size: int) -> KeyPage:
        """Up to ``size`` signing keys whose label begins with ``prefix``, newest first.

        An empty prefix asks for all, unlabelled ones too. A cursor stays good while keys are
        created: they appear before the first page.

        Raises:
            ValueError: the cursor is none that this method gave out.
        """
        with self._lock:
            keys = list(self._keys.values())
            start = len(keys) if cursor is None else _position(cursor, len(keys))
        found: list[PortalKey] = []
        for position in range(start - 1, -1, -1):
            key = keys[position]
            if key.role is not Role.SIGNING or not (key.label or "").startswith(prefix):
                continue
            if len(found) == size:
                return KeyPage(tuple(found), _cursor(position + 1))
            found.append(key)
        return KeyPage(tuple(found), None)

    def _active(self, now: datetime) -> int:
        keys = self._keys.values()
        return sum(key.role is Role.SIGNING and key.status(now) == "active" for key in keys)


def _whole_milliseconds(time: datetime) -> datetime:
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(b"before:%d" % position).decode()


def _position(cursor: str, most: int) -> int:
    try:
        word, _, number = base64.urlsafe_b64decode(cursor.encode()).decode().partition(":")
        position = int(number)
    except (ValueError, binascii.Error):
        position = -1
        word = ""
    if word != "before" or not 0 <= position <= most:
        raise ValueError("The cursor is not one of ours.")
    return position
