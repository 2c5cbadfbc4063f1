"""Everything that is known of one secret's keys at one moment, without key material.

There are four sources: the vendor's list of keys, the secret's versions, their staging labels, and
the journal. The labels may be out of date (Secrets Manager's operations are eventually consistent),
so a key is spared if any of the sources says that it must be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from functools import cached_property
from typing import Final

from rotation.core.policy import (
    ASK_AGAIN_AT_FIRST,
    RECONCILIATION_INTERVAL,
    REMIND_AFTER,
    RUN_JITTER,
    STUCK_AGE,
)
from rotation.core.ports import KeyListing, Revocation, VendorKey
from rotation.credential import iso_utc
from rotation.journal.model import Journal, KeyLife
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING, AWSPREVIOUS, hold_until
from rotation.secrets_manager.snapshot import Snapshot

# API_ReplicationStatusType: InSync, Failed or InProgress.
_IN_SYNC: Final = "InSync"
_DAY: Final = timedelta(days=1)


class Reading(Enum):
    """Whether the key of a version is known."""

    READ = "read"
    EMPTY = "no value was found"
    UNREADABLE = "unreadable"
    NOT_READ = "not read"


@dataclass(frozen=True)
class ExaminedVersion:
    """One version of the secret and the key that it holds.

    Attributes:
        id: the version's id.
        labels: its staging labels; none: deprecated.
        created_at: when it was made, aware UTC, where known.
        reading: whether its value could be read, now or in an earlier run.
        problem: why its value could not be read; empty otherwise.
        key_id: the key that it holds, where it is known.
        issued_at: when that key was issued, where known.
        expires_at: when that key stops working, where known.
        was_current: whether it was ever seen to be current.
    """

    id: str
    labels: frozenset[str]
    created_at: datetime | None = None
    reading: Reading = Reading.NOT_READ
    problem: str = ""
    key_id: str | None = None
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    was_current: bool = False

    @property
    def current(self) -> bool:
        """Whether applications are given this version."""
        return AWSCURRENT in self.labels

    @property
    def leftover(self) -> bool:
        """Whether it bears AWSPENDING although it was current before: no rotation is under way."""
        was_current = self.was_current or AWSPREVIOUS in self.labels
        return AWSPENDING in self.labels and not self.current and was_current

    @property
    def pending(self) -> bool:
        """Whether a rotation has this version in flight."""
        return AWSPENDING in self.labels and not self.current and not self.leftover

    @property
    def displaced(self) -> bool:
        """Whether it is neither current nor in flight."""
        return not self.current and not self.pending


@dataclass(frozen=True)
class Situation:
    """Everything that a plan is made of.

    Attributes:
        snapshot: the secret as DescribeSecret shows it.
        versions: its versions, deprecated ones too, in the order of their making.
        listing: the vendor's keys of this secret; None: they could not be listed.
        now: our clock, aware UTC.
        journal: the journal of the secret.
        answers: whether the vendor accepts each key that it was asked about just now.
        in_use_elsewhere: the keys that other secrets use, or are about to use, as far as this run
            saw those secrets.
        suspect_elsewhere: the keys of this secret that were declared compromised with another one,
            each with that secret's ARN, as far as this run saw those secrets.
        whole: whether this run was to look at every secret, and not at named ones alone.
        all_seen: whether it could look at every secret.
    """

    snapshot: Snapshot
    versions: tuple[ExaminedVersion, ...]
    listing: KeyListing | None
    now: datetime
    journal: Journal
    answers: Mapping[str, bool | None] = field(default_factory=dict)
    in_use_elsewhere: frozenset[str] = frozenset()
    suspect_elsewhere: Mapping[str, str] = field(default_factory=dict)
    whole: bool = True
    all_seen: bool = True

    @cached_property
    def _listed(self) -> Mapping[str, VendorKey]:
        return {key.id: key for key in self.listing.keys} if self.listing else {}

    def listed(self, key_id: str | None) -> VendorKey | None:
        """The key as the vendor lists it. None: it is not listed, as a key that a person made."""
        return self._listed.get(key_id or "")

    @property
    def current(self) -> ExaminedVersion | None:
        """The version that applications are given."""
        return next((version for version in self.versions if version.current), None)

    @cached_property
    def holders(self) -> Mapping[str, tuple[ExaminedVersion, ...]]:
        """The versions that hold each key, by the key's id.

        A version that could not be read is taken to hold every listed key that was issued for it.
        """
        found: dict[str, tuple[ExaminedVersion, ...]] = {}
        for version in self.versions:
            if version.key_id is not None:
                found[version.key_id] = (*found.get(version.key_id, ()), version)
            elif version.reading is not Reading.READ:
                for key in self._listed.values():
                    if key.label.token == version.id:
                        found[key.id] = (*found.get(key.id, ()), version)
        return found

    @cached_property
    def in_use(self) -> frozenset[str]:
        """The ids of the keys that the current version holds, however many versions hold them."""
        return self._held_by(version for version in self.versions if version.current)

    @cached_property
    def in_flight(self) -> frozenset[str]:
        """The ids of the keys of a rotation under way, stored or not stored yet."""
        tokens = {version.id for version in self.versions if version.pending}
        issued = {key.id for key in self._listed.values() if key.label.token in tokens}
        return self._held_by(version for version in self.versions if version.pending) | issued

    @cached_property
    def suspects(self) -> frozenset[str]:
        """The ids of the keys that were declared compromised and are not proven dead.

        Of every incident: a suspect key that turns up after its incident was closed has to die too.
        """
        known = {key for incident in self.journal.incidents for key in incident.suspects}
        for key_id, versions in self.holders.items():
            if any(self.journal.suspect(key_id, version.id) for version in versions):
                known.add(key_id)
        for key in self._listed.values():
            if key.active and self.journal.suspect(key.id, key.label.token):
                known.add(key.id)
        return frozenset(key_id for key_id in known if not self.journal.dead(key_id))

    @cached_property
    def protected(self) -> frozenset[str]:
        """The ids of the keys that nobody may retire outside of an incident."""
        return self.in_use | self.in_flight | self.in_use_elsewhere

    def suspect(self, version: ExaminedVersion) -> bool:
        """Whether the version holds a suspect key, or existed when its secret's were declared."""
        return self.journal.suspect(version.key_id, version.id)

    def life(self, key_id: str) -> KeyLife:
        """The life of a key as the journal has it; of a key that it does not have, a new one."""
        return self.journal.keys.get(key_id) or KeyLife(self.now)

    @property
    def current_problem(self) -> str | None:
        """Why the current key does not sign, as far as that is known; None: it may sign."""
        current = self.current
        if current is None or current.key_id is None:
            return None
        expires, listed = current.expires_at, self.listed(current.key_id)
        if expires is not None and expires <= self.now:
            return f"expired at {iso_utc(expires)}"
        if listed is not None and not listed.active:
            return "is revoked or has expired, as the vendor's list says"
        if self.answers.get(current.key_id) is False:
            return "is not accepted by the vendor"
        return None

    @property
    def hold_until(self) -> datetime | None:
        """Until when a person paused ordinary retirement."""
        return hold_until(self.snapshot.tags)

    @property
    def out_of_sync(self) -> tuple[str, ...]:
        """The regions whose replica may not have the current version yet."""
        replicas = self.snapshot.replication.items()
        return tuple(sorted(region for region, status in replicas if status != _IN_SYNC))

    def issued_for_another_secret(self, key_id: str) -> bool:
        """Whether a rotation of another secret issued a key that a version here holds.

        Our rotations note in the value when they issued the key, and the vendor lists the keys that
        were issued for this secret. So a key with such a note that is not listed was issued for
        another secret. A promoted replica holds such keys, and its former primary may use them.
        """
        listing = self.listing
        if listing is None or not listing.whole or self.listed(key_id) is not None:
            return False
        times = [version.issued_at for version in self.holders.get(key_id, ())]
        # The journal knows it of a version that AWS has deleted, too.
        recorded = self.journal.versions.values()
        times += [one.issued_at for one in recorded if one.key_id == key_id]
        return any(time is not None for time in times)

    def stuck(self, version: ExaminedVersion) -> bool:
        """Whether ``version`` has been in flight for so long that nothing will finish it."""
        return version.pending and self._old(version)

    def _old(self, version: ExaminedVersion) -> bool:
        # A version without a value may be listed without its date. It is at least as old as the
        # last change of anything in the secret.
        since = version.created_at or self.snapshot.changed_at
        return since is not None and self.now - since > STUCK_AGE

    def _held_by(self, versions: Iterable[ExaminedVersion]) -> frozenset[str]:
        ids = {version.id for version in versions}
        return frozenset(
            key_id for key_id, held in self.holders.items() if any(one.id in ids for one in held)
        )


def time_to_ask(life: KeyLife, now: datetime) -> bool:
    """Whether to ask the vendor again about a key that was to be revoked.

    Asking about a living key buys a signature. While only a person can revoke the key, the pauses
    between two questions grow from an hour to a day. A key that the vendor has revoked is asked
    about in each run until it is proven dead.
    """
    if life.answered_at is None or not life.accepted or life.outcome == Revocation.REVOKED.value:
        return True
    pause = REMIND_AFTER
    if life.outcome == Revocation.MANUAL_ACTION_NEEDED.value and life.asked_at is not None:
        so_far = life.answered_at - life.asked_at
        pause = min(max(so_far, ASK_AGAIN_AT_FIRST), REMIND_AFTER)
    return now - life.answered_at >= pause - RUN_JITTER


def once_a_day(since: datetime, now: datetime) -> bool:
    """Whether a whole number of days since ``since`` has passed within the last hour."""
    elapsed = now - since
    return elapsed // _DAY > max(timedelta(0), elapsed - RECONCILIATION_INTERVAL) // _DAY
