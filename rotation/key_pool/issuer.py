"""KeyIssuer over a pool of keys: works with the vendor as it is published today.

Trusted Signatures has published no API to create or revoke keys. So a person makes keys in the
vendor's portal and adds them to a pool secret (``rotation pool add``); a rotation leases one; and
when a key has to die, a person is asked to revoke it in the portal. ``docs/key-pool.md`` describes
the secret's value and what people do when.

Invariants: a key is leased to one token at most, and never again; a lease is found again by its
label; a key leaves the pool only when it was proven dead (`KeyPoolIssuer.forget`) or when a person
takes it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from rotation.core.policy import POOL_RESERVE
from rotation.core.ports import KeyLabel, KeyListing, Notifier, Revocation, VendorKey
from rotation.credential import ApiKey, iso_utc, whole_milliseconds
from rotation.errors import KeyPoolEmptyError, KeyPoolError
from rotation.key_pool.document import (
    KeyState,
    Lease,
    Notice,
    PoolDocument,
    PoolEntry,
)
from rotation.key_pool.messages import PoolMessages, nobody_asked
from rotation.key_pool.pool_secret import PoolSecret
from rotation.privacy.observability import count, logger
from rotation.privacy.redaction import hide_value

_LAST: Final = datetime.max.replace(tzinfo=UTC)
#: The token in the lease of a key that the secret held before any rotation leased it.
HELD_ALREADY: Final = "held-before-any-lease"


@dataclass(frozen=True)
class _LeaseResult:
    """The leased entry, if there is one.

    Attributes:
        is_new: whether this call leased it, and not an earlier one for the same label.
        keys_left: how many free keys are left that live long enough.
        too_short: how many free keys do not live long enough.
    """

    entry: PoolEntry | None
    is_new: bool
    keys_left: int
    too_short: int


class KeyPoolIssuer:
    """The keys of one pool secret.

    Args:
        pool: the pool secret.
        needed: how long a key leased for a secret, named by its ARN, must live at least.
        notifier: asks a person to revoke a key, or to add some.
        clock: our clock, aware UTC. The vendor is not asked, so it stands for the vendor's too.
        current_key: the id of the key that a secret, named by its ARN, holds now; None: none that
            is known.
    """

    def __init__(
        self,
        pool: PoolSecret,
        needed: Callable[[str], timedelta],
        notifier: Notifier,
        clock: Callable[[], datetime],
        current_key: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._pool = pool
        self._needed = needed
        self._current_key = current_key
        self._messages = PoolMessages(pool, notifier, clock)
        self._clock = clock

    def issue(self, label: KeyLabel, lifetime: timedelta) -> ApiKey:  # noqa: ARG002
        """Lease a key to ``label``. Idempotent: the same label gets the same key.

        Takes the free key that expires last, of those that live as long as `needed` says: a pool is
        small, its keys are made together, and a long life is worth more than another key. Keys
        without a noted expiry come after all others. ``lifetime`` is not used: how long a key lives
        was decided in the portal. If a person added the secret's current key, the pool notes that
        the secret has it, and the lease is of another.

        Returns:
            the key; its ``issued_at`` is when it was leased.

        Raises:
            KeyPoolEmptyError: no free key lives long enough; a person must add one.
            InvalidCredentialError: the pool secret's value is not a key pool.
            SecretStoreError: AWS refused or failed.
        """
        least = self._needed(label.secret_arn)
        lease = Lease(label, whole_milliseconds(self._clock()))
        current = self._current_key(label.secret_arn)
        found = self._pool.change(lambda pool: _lease(pool, lease, least, current))
        if found.entry is None or found.entry.lease is None:
            raise KeyPoolEmptyError(_empty_pool_message(self._pool.name, found, least, label))
        if found.is_new:
            self._report_keys_left(found)
        # Parsing a large pool makes the redaction remember many keys, and it forgets the oldest.
        hide_value(found.entry.key.material.reveal())
        return replace(found.entry.key, issued_at=found.entry.lease.at)

    def list_keys(self, installation: str, secret_arn: str) -> KeyListing:
        """The keys leased to this secret; ``created_at`` is the time of the lease.

        A key is active until it expires: one that somebody was asked to revoke may still work, and
        stays in the list until it was proven dead and forgotten. The clock is ours. The list is not
        whole while an entry of the pool cannot be read.
        """
        now, pool = self._clock(), self._pool.read()
        keys = tuple(
            VendorKey(
                id=entry.key.id,
                label=entry.lease.label,
                created_at=entry.lease.at,
                expires_at=entry.key.expires_at,
                active=not entry.key.expired(now),
                revocation_asked=entry.notice is not None and entry.notice.sent,
            )
            for entry in pool.keys
            if entry.lease is not None
            and entry.lease.label.installation == installation
            and entry.lease.label.secret_arn == secret_arn
        )
        return KeyListing(keys, vendor_time=now, whole=not pool.unreadable)

    def revoke(self, key_id: str) -> Revocation:
        """Retire a key: it is never leased (again), and a person is asked to revoke it, once.

        The key goes on working until that person has acted, so the answer is never that it was
        revoked. If the message could not be sent, a later call sends it. A key that was leased to
        nobody is condemned, so that it stays in every report until it was proven dead.
        """
        notice = self._messages.new_notice()
        entry = self._pool.change(lambda pool: _retire(pool, key_id, notice))
        if entry is None:
            return Revocation.ALREADY_GONE
        if entry.notice == notice:
            self._messages.ask(notice, *_revocation_message(entry, self._pool.name))
        return Revocation.MANUAL_ACTION_NEEDED

    def find(self, key_id: str) -> ApiKey | None:
        """The key of that id, so that it can be proven dead when no version holds it any more."""
        entry = self._pool.read().find(key_id)
        return None if entry is None else entry.key

    def forget(self, key_id: str) -> None:
        """Take out a key that was proven dead. Idempotent.

        Does NOT revoke it: nothing here knows of a key any more that was forgotten while it works.
        """

        def forgotten(pool: PoolDocument) -> tuple[PoolDocument | None, bool]:
            return (pool.without(key_id), True) if pool.find(key_id) else (None, False)

        if self._pool.change(forgotten, can_wait=True):
            logger.info("dead key taken out of the pool", pool=self._pool.name, key_id=key_id)

    def _report_keys_left(self, found: _LeaseResult) -> None:
        count("PoolKeysLeased")
        count("PoolKeysLeft", found.keys_left)
        if found.keys_left >= POOL_RESERVE:
            return
        count("PoolLow")
        logger.warning("the key pool is nearly empty", pool=self._pool.name, left=found.keys_left)
        facts = {
            "what to do": "Make keys in the vendor's portal and add them with: rotation pool add",
            "pool": self._pool.name,
            "free keys left": str(found.keys_left),
        }
        self._messages.send("Add API keys to the pool", facts)


class LeaseOnlyIssuer:
    """The pool for the steps of a rotation: they lease keys and list them, and retire none.

    Invocations of one token share its lease. So the key that one invocation gives up may be the key
    that another has just stored, and a person would be asked to revoke a key that is about to
    become current. Reconciliation retires a key that no version names, once no step can be using
    it any more. A suspect key may never become current, so that one is retired at once, and the
    next lease gives another.

    Args:
        pool: the pool.
        is_suspect: whether the key of that id was declared compromised for the secret.
    """

    def __init__(
        self, pool: KeyPoolIssuer, is_suspect: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._pool = pool
        self._is_suspect = is_suspect

    def issue(self, label: KeyLabel, lifetime: timedelta) -> ApiKey:
        """As `KeyPoolIssuer.issue`."""
        return self._pool.issue(label, lifetime)

    def list_keys(self, installation: str, secret_arn: str) -> KeyListing:
        """As `KeyPoolIssuer.list_keys`."""
        return self._pool.list_keys(installation, secret_arn)

    def revoke(self, key_id: str) -> Revocation:
        """As `KeyPoolIssuer.revoke` for a suspect key; any other is left to reconciliation."""
        if self._is_suspect(key_id):
            return self._pool.revoke(key_id)
        logger.info("a leased key is left to reconciliation", key_id=key_id)
        return Revocation.MANUAL_ACTION_NEEDED

    def forget(self, key_id: str) -> None:
        """As `KeyPoolIssuer.forget`."""
        self._pool.forget(key_id)


def _lease(
    stored: PoolDocument, lease: Lease, least: timedelta, current: str | None
) -> tuple[PoolDocument | None, _LeaseResult]:
    pool = stored
    for entry in stored.leasable:
        if entry.key.id == current:
            before = Lease(replace(lease.label, token=HELD_ALREADY), lease.at)
            pool = pool.with_entry(replace(entry, state=KeyState.LEASED, lease=before))
    free = pool.leasable
    usable = [entry for entry in free if _expiry(entry) >= lease.at + least]
    too_short = len(free) - len(usable)
    for entry in pool.keys:
        held = entry.lease is not None and entry.lease.label == lease.label
        good = entry.state is KeyState.LEASED and entry.notice is None and entry.declared is None
        if held and good and not entry.key.expired(lease.at):
            return None, _LeaseResult(entry, entry.lease == lease, len(usable), too_short)
    if not usable:
        changed = None if pool is stored else pool
        return changed, _LeaseResult(None, is_new=False, keys_left=0, too_short=too_short)
    # max() gives the first of equals, which is the entry that was added first.
    chosen = max(usable, key=lambda entry: (entry.key.expires_at is not None, _expiry(entry)))
    leased = replace(chosen, state=KeyState.LEASED, lease=lease)
    return pool.with_entry(leased), _LeaseResult(
        leased, is_new=True, keys_left=len(usable) - 1, too_short=too_short
    )


def _expiry(entry: PoolEntry) -> datetime:
    return entry.key.expires_at or _LAST


def _retire(
    pool: PoolDocument, key_id: str, notice: Notice
) -> tuple[PoolDocument | None, PoolEntry | None]:
    entry = pool.find(key_id)
    if entry is None and pool.may_hold(key_id):
        raise KeyPoolError(
            f"Nobody can be asked to revoke key {key_id}: the pool has an entry that cannot be "
            f"read, which may be its own ({'; '.join(map(str, pool.unreadable))}). Mend the entry: "
            "see docs/key-pool.md."
        )
    if entry is None:
        return None, None
    to_die = entry.state in {KeyState.RETIRED, KeyState.COMPROMISED}
    if to_die and not nobody_asked(entry, notice):
        return None, entry
    if entry.state is KeyState.COMPROMISED or entry.lease is None:
        declared = entry.declared or f"{iso_utc(notice.at)} revocation asked for"
        declared_at = entry.declared_at or notice.at
        retired = replace(
            entry,
            state=KeyState.COMPROMISED,
            notice=notice,
            declared=declared,
            declared_at=declared_at,
        )
    else:
        retired = replace(entry, state=KeyState.RETIRED, notice=notice)
    return pool.with_entry(retired), retired


def _revocation_message(entry: PoolEntry, pool: str) -> tuple[str, Mapping[str, str]]:
    facts = {
        "what to do": "Revoke this API key in the vendor's portal. It works until you do.",
        "key id": entry.key.id,
        "pool": pool,
    }
    if entry.lease is not None:
        label = entry.lease.label
        facts |= {"secret": label.secret_arn, "installation": label.installation}
        facts |= {"leased at": iso_utc(entry.lease.at)}
    if entry.key.expires_at is not None:
        facts["expires at"] = iso_utc(entry.key.expires_at)
    return f"Revoke API key {entry.key.id}", facts


def _empty_pool_message(name: str, found: _LeaseResult, least: timedelta, label: KeyLabel) -> str:
    shorter = f"; {found.too_short} expire sooner" if found.too_short else ""
    return (
        f"The key pool {name} has no free key that lives {least / timedelta(days=1):.1f} days, as "
        f"{label.secret_arn} needs it{shorter}. Make one in the vendor's portal and add it with "
        "`rotation pool add`."
    )
