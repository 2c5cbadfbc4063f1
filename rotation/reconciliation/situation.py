"""Everything that is known of one secret's keys at one moment, without key material.

There are three lists: the vendor's keys, the secret's versions, and the staging labels on them,
which are reconciliation's only memory. Any of them may be out of date (Secrets Manager's operations
are eventually consistent), so a key is spared if any of the lists says that it must be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cached_property
from typing import Final

from rotation.core.policy import ASK_AGAIN, RECONCILIATION_INTERVAL, STUCK_AGE
from rotation.core.ports import KeyListing, VendorKey
from rotation.secrets_manager.labels import (
    AWSCURRENT,
    AWSPENDING,
    HOLD_TAG,
    INCIDENT_TAG,
    is_compromised,
    is_proven_dead,
    retire_after,
)
from rotation.secrets_manager.snapshot import Snapshot

# API_ReplicationStatusType: InSync, Failed or InProgress.
_IN_SYNC: Final = "InSync"
_DAY: Final = timedelta(days=1)


class Reading(Enum):
    """Whether the value of a version could be read."""

    READ = "read"
    EMPTY = "empty"
    UNREADABLE = "unreadable"
    NOT_READ = "not read"


@dataclass(frozen=True)
class ExaminedVersion:
    """One version of the secret and the key that it holds.

    Attributes:
        id: the version's id.
        labels: its staging labels; none: deprecated.
        created_at: when it was made, aware UTC, where known.
        reading: whether its value could be read.
        key_id: the key that it holds, where it was read.
        issued_at: when that key was issued, where known.
        expires_at: when that key stops working, where known.
        answers: whether the vendor accepts that key, where it was asked just now.
        declared: whether the tags of an incident name the version as suspect.
    """

    id: str
    labels: frozenset[str]
    created_at: datetime | None = None
    reading: Reading = Reading.NOT_READ
    key_id: str | None = None
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    answers: bool | None = None
    declared: bool = False

    @property
    def current(self) -> bool:
        """Whether applications are given this version."""
        return AWSCURRENT in self.labels

    @property
    def pending(self) -> bool:
        """Whether a rotation has this version in flight."""
        return AWSPENDING in self.labels and not self.current

    @property
    def displaced(self) -> bool:
        """Whether it is neither current nor in flight."""
        return not self.current and not self.pending

    @property
    def compromised(self) -> bool:
        """Whether its key counts as compromised."""
        return is_compromised(self.labels, declared=self.declared)

    @property
    def dead(self) -> bool:
        """Whether its key was proven dead."""
        return is_proven_dead(self.labels)

    @property
    def retire_after(self) -> datetime | None:
        """When its key's grace is over, where it was marked."""
        return retire_after(self.labels)


@dataclass(frozen=True)
class Situation:
    """Everything that a plan is made of.

    Attributes:
        snapshot: the secret as DescribeSecret shows it.
        versions: its versions, deprecated ones too, in the order of their making.
        listing: the vendor's keys of this secret; None: they could not be listed.
        now: our clock, aware UTC.
        in_use_elsewhere: the keys that other secrets use, or are about to use, as far as this run
            saw those secrets.
        all_seen: whether this run saw every secret.
    """

    snapshot: Snapshot
    versions: tuple[ExaminedVersion, ...]
    listing: KeyListing | None
    now: datetime
    in_use_elsewhere: frozenset[str] = frozenset()
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
    def in_use(self) -> frozenset[str]:
        """The ids of the keys that a current version holds, however many versions hold them."""
        return _keys(version for version in self.versions if version.current)

    @cached_property
    def in_flight(self) -> frozenset[str]:
        """The ids of the keys of a rotation under way, stored or not stored yet."""
        tokens = {version.id for version in self.versions if version.pending}
        issued = {key.id for key in self._listed.values() if key.label.token in tokens}
        return _keys(version for version in self.versions if version.pending) | issued

    @cached_property
    def compromised_keys(self) -> frozenset[str]:
        """The ids of the keys of compromised versions, stored or issued for them."""
        tokens = {version.id for version in self.versions if version.compromised}
        issued = {key.id for key in self._listed.values() if key.label.token in tokens}
        return _keys(version for version in self.versions if version.compromised) | issued

    @cached_property
    def protected(self) -> frozenset[str]:
        """The ids of the keys that nobody may retire outside of an incident."""
        return self.in_use | self.in_flight | self.in_use_elsewhere

    @property
    def hold_until(self) -> datetime | None:
        """Until when a person paused ordinary retirement. A hold that is not a time never ends."""
        text = self.snapshot.tags.get(HOLD_TAG)
        return None if text is None else _time(text) or datetime.max.replace(tzinfo=UTC)

    @property
    def declared_at(self) -> datetime | None:
        """When keys were declared compromised, if the secret's tag says it."""
        return _time(self.snapshot.tags.get(INCIDENT_TAG, ""))

    @property
    def stale_incident(self) -> bool:
        """Whether the tags of an incident were left behind: no version is compromised any more.

        A declaration writes its tags first, so it is given a day.
        """
        open_still = any(version.compromised for version in self.versions)
        if open_still or INCIDENT_TAG not in self.snapshot.tags:
            return False
        return self.declared_at is None or self.now - self.declared_at > STUCK_AGE

    @property
    def out_of_sync(self) -> tuple[str, ...]:
        """The regions whose replica may not have the current version yet."""
        replicas = self.snapshot.replication.items()
        return tuple(sorted(region for region, status in replicas if status != _IN_SYNC))

    def issued_for_another_secret(self, version: ExaminedVersion) -> bool:
        """Whether a rotation of another secret issued the key that ``version`` holds.

        Our rotations note in the value when they issued the key, and the vendor lists the keys that
        were issued for this secret. So a key with such a note that is not listed was issued for
        another secret. A promoted replica holds such keys, and its former primary may use them.
        """
        if self.listing is None or version.key_id is None or version.issued_at is None:
            return False
        return self.listed(version.key_id) is None

    def stuck(self, version: ExaminedVersion) -> bool:
        """Whether ``version`` has been in flight for so long that nothing will finish it."""
        return version.pending and self._old(version)

    def never_got_a_value(self, version: ExaminedVersion) -> bool:
        """Whether ``version`` has no value, and is so old that no step will store one."""
        empty = version.reading is Reading.EMPTY and version.displaced
        return empty and self._old(version)

    def _old(self, version: ExaminedVersion) -> bool:
        # A version without a value may be listed without its date. It is at least as old as the
        # last change of anything in the secret.
        since = version.created_at or self.snapshot.changed_at
        return since is not None and self.now - since > STUCK_AGE


def _time(text: str) -> datetime | None:
    """The time at the beginning of ``text``, in UTC where it names no offset."""
    try:
        time = datetime.fromisoformat(text.split(maxsplit=1)[0])
    except (ValueError, IndexError):
        return None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _keys(versions: Iterable[ExaminedVersion]) -> frozenset[str]:
    return frozenset(version.key_id for version in versions if version.key_id is not None)


def time_to_ask(since: datetime, now: datetime) -> bool:
    """Whether to ask in this run about a key that may be alive.

    Asking about a living key buys a signature, and nothing remembers when it was asked last. So the
    time decides: in the first run after ``since``, then in the first run after 1, 2, 4 and 8 hours,
    and then once a day.
    """
    elapsed = now - since
    before = elapsed - RECONCILIATION_INTERVAL
    if before < timedelta(0):
        return True
    return any(before < hours <= elapsed for hours in ASK_AGAIN) or once_a_day(since, now)


def once_a_day(since: datetime, now: datetime) -> bool:
    """Whether a whole number of days since ``since`` has passed within the last hour."""
    elapsed = now - since
    return elapsed // _DAY > max(timedelta(0), elapsed - RECONCILIATION_INTERVAL) // _DAY
