"""Decides which keys of one secret must die, and when. It does no IO.

Every run plans anew from what it finds, so the next run finds again what this one did not finish
(it is level-triggered). Only reconciliation retires keys. Invariants of a plan:

1. Outside incidents it revokes no key that is current, in flight or in its grace, whatever version
   holds it; in an incident it revokes no key that is current.
2. Nothing is marked and revoked in one plan (a compromised key excepted): labels are eventually
   consistent, and a mark that was read in a later run was there for everybody to see.
3. If more than `MOST_REVOCATIONS` ordinary revocations of one secret are due, it revokes none of
   them: something is wrong, and a person has to look.
4. A key that does not bear our label is revoked only if a version of this secret holds it, and,
   outside incidents, no rotation of another secret issued it and no other secret uses it.

`rotation.reconciliation.execution` carries a plan out. `rotation.reconciliation.key_warnings` says
what people should know of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from rotation.core.policy import (
    MOST_RETIREMENT_LABELS,
    MOST_REVOCATIONS,
    STRAY_AGE,
    ReconciliationPolicy,
)
from rotation.core.ports import VendorKey
from rotation.reconciliation.situation import (
    ExaminedVersion,
    Reading,
    Situation,
    time_to_ask,
)
from rotation.secrets_manager.labels import (
    AWSPREVIOUS,
    COMPROMISED_PREFIX,
    DEAD_PREFIX,
    RETIRE_AFTER_PREFIX,
    retirement_label,
)


class Reason(Enum):
    """Why a key is retired."""

    GRACE_OVER = "grace_over"
    STRAY = "stray"
    COMPROMISED = "compromised"


@dataclass(frozen=True)
class Retirement:
    """A key that is to die.

    Attributes:
        key_id: the key.
        versions: the versions that hold it; none for a key whose material was never stored.
        reason: why.
        due: when it may be revoked, aware UTC.
        revoke: whether to have it revoked, or only to prove that it is dead.
    """

    key_id: str
    versions: tuple[str, ...]
    reason: Reason
    due: datetime
    revoke: bool = True


@dataclass(frozen=True)
class Label:
    """A staging label, and the version that is to get or to lose it."""

    version: str
    label: str


@dataclass(frozen=True)
class Plan:
    """What one run does to one secret.

    Attributes:
        mark: retirement marks for versions that are seen displaced for the first time.
        remove: labels that are out of date.
        untag: whether to remove the tags of an incident, which were left behind.
        abandon: versions whose AWSPENDING blocks every later rotation.
        retire: the keys whose time has come.
        waiting: the keys whose time will come, and when.
        refused: ordinary retirements that are too many to be right.
        suspended: why no key is retired unless compromised, or None.
        unmarked: how many versions have to wait for a mark, because there is no room for labels.
    """

    mark: tuple[Label, ...] = ()
    remove: tuple[Label, ...] = ()
    untag: bool = False
    abandon: tuple[str, ...] = ()
    retire: tuple[Retirement, ...] = ()
    waiting: tuple[Retirement, ...] = ()
    refused: tuple[Retirement, ...] = ()
    suspended: str | None = None
    unmarked: int = 0

    @property
    def revocations(self) -> tuple[Retirement, ...]:
        """The retirements that revoke."""
        return tuple(one for one in self.retire if one.revoke)


def plan(situation: Situation, policy: ReconciliationPolicy) -> Plan:
    """Decide what to do about the keys of one secret. Does NOT do it."""
    if situation.snapshot.deleted_at is not None:
        return Plan(suspended="the secret is scheduled for deletion")
    suspended = _suspension(situation)
    marks, unmarked = _marks(situation, policy)
    due, waiting = _ordinary(situation, policy)
    refused: tuple[Retirement, ...] = ()
    if sum(one.revoke for one in due) > MOST_REVOCATIONS:
        refused = tuple(one for one in due if one.revoke)
        # A person may have revoked them meanwhile. The list tells it of the listed keys; the vendor
        # has to be asked about the others.
        due = [
            replace(one, revoke=False)
            for one in due
            if not one.revoke
            or (situation.listed(one.key_id) is None and time_to_ask(one.due, situation.now))
        ]
    at_once = list(_compromised(situation, policy))
    worth = [one for one in at_once if _is_time_to_ask(situation, one)]
    return Plan(
        mark=marks,
        remove=tuple(_removals(situation)),
        untag=situation.stale_incident,
        abandon=tuple(_abandoned(situation)),
        retire=(*worth, *(() if suspended else due)),
        waiting=(
            *(one for one in at_once if one not in worth),
            *waiting,
            *(due if suspended else ()),
        ),
        refused=refused,
        suspended=suspended,
        unmarked=unmarked,
    )


def _suspension(situation: Situation) -> str | None:
    """Why ordinary retirement has to wait."""
    current = situation.current
    if situation.listing is None:
        return "the vendor's keys cannot be listed"
    if current is None or current.reading is Reading.EMPTY:
        return "there is no current key"
    unclear = [v for v in situation.versions if not v.displaced and v.reading is Reading.UNREADABLE]
    if unclear:
        return f"the value of version {unclear[0].id} is not an API key"
    if situation.out_of_sync:
        return "a replica is not in sync"
    until = situation.hold_until
    if until is not None and situation.now < until:
        return "a person put a hold on it"
    return None


def _marks(situation: Situation, policy: ReconciliationPolicy) -> tuple[tuple[Label, ...], int]:
    """Marks for displaced versions whose key may be alive, the newest first as far as they fit."""
    after = situation.now + policy.grace
    wanted = [
        Label(version.id, retirement_label(version.id, after))
        for version in reversed(situation.versions)
        if _retirable(situation, version) and version.retire_after is None
    ]
    marked = sum(version.retire_after is not None for version in situation.versions)
    room = max(0, MOST_RETIREMENT_LABELS - marked)
    return tuple(wanted[:room]), len(wanted[room:])


def _retirable(situation: Situation, version: ExaminedVersion) -> bool:
    """Whether ``version`` holds a key that nobody should use for long, and that may be alive."""
    if not version.displaced or version.dead or version.key_id is None:
        return False
    if (
        version.key_id in situation.protected | situation.compromised_keys
        or situation.issued_for_another_secret(version)
    ):
        return False
    if version.labels:
        return True
    # A deprecated version needs no mark if the vendor lists its key as dead, or rejects it.
    listed = situation.listed(version.key_id)
    return version.answers is True if listed is None else listed.active


def _removals(situation: Situation) -> Iterator[Label]:
    for version in situation.versions:
        stale = not version.displaced or version.key_id in situation.protected
        if version.dead or (stale and not version.compromised):
            yield from (
                Label(version.id, mark) for mark in sorted(_labels_of(version, RETIRE_AFTER_PREFIX))
            )
        if (
            version.dead
            and version.displaced
            and version.labels == _labels_of(version, DEAD_PREFIX)
        ):
            yield from (Label(version.id, dead) for dead in sorted(version.labels))
        labelled = bool(_labels_of(version, COMPROMISED_PREFIX))
        if labelled and version.displaced and AWSPREVIOUS in version.labels:
            # So that no rollback revives it. The label of the incident keeps the version from
            # being deleted; as long as there is none, AWSPREVIOUS has to.
            yield Label(version.id, AWSPREVIOUS)
        if version.compromised and situation.never_got_a_value(version):
            yield from (
                Label(version.id, one) for one in sorted(_labels_of(version, COMPROMISED_PREFIX))
            )


def _labels_of(version: ExaminedVersion, prefix: str) -> frozenset[str]:
    return frozenset(label for label in version.labels if label.startswith(prefix))


def _abandoned(situation: Situation) -> Iterator[str]:
    for version in situation.versions:
        if version.pending and (version.compromised or situation.stuck(version)):
            yield version.id


def _ordinary(
    situation: Situation, policy: ReconciliationPolicy
) -> tuple[list[Retirement], list[Retirement]]:
    """The retirements outside of incidents: those that are due, and those that wait."""
    retirements = [*_over_grace(situation), *_strays(situation, policy)]
    now = [one for one in retirements if one.due <= situation.now and _may_go_ahead(situation, one)]
    return now, [one for one in retirements if one not in now]


def _may_go_ahead(situation: Situation, retirement: Retirement) -> bool:
    """Whether a retirement that is due may go ahead in this run."""
    listed = situation.listed(retirement.key_id)
    if listed is None and not situation.all_seen:
        # A person made this key, and may have put it into a secret that this run did not see.
        return False
    return _is_time_to_ask(situation, retirement)


def _is_time_to_ask(situation: Situation, retirement: Retirement) -> bool:
    """Whether to ask about the key in this run: not every time, while a person is to revoke it."""
    listed = situation.listed(retirement.key_id)
    asked = listed is not None and listed.revocation_asked
    return not asked or time_to_ask(retirement.due, situation.now)


def _over_grace(situation: Situation) -> Iterator[Retirement]:
    holders: dict[str, list[ExaminedVersion]] = {}
    for version in situation.versions:
        if version.key_id is not None and not version.dead:
            holders.setdefault(version.key_id, []).append(version)
    for key_id, versions in holders.items():
        if not all(_retirable(situation, version) for version in versions):
            continue
        # A version without a mark is seen displaced for the first time and has its grace ahead.
        times = [version.retire_after for version in versions]
        marked = [time for time in times if time is not None]
        if len(marked) == len(times):
            ids = tuple(version.id for version in versions)
            revoke = _may_be_alive(situation, key_id)
            yield Retirement(key_id, ids, Reason.GRACE_OVER, max(marked), revoke=revoke)


def _may_be_alive(situation: Situation, key_id: str) -> bool:
    listed = situation.listed(key_id)
    return listed is None or listed.active


def _strays(situation: Situation, policy: ReconciliationPolicy) -> Iterator[Retirement]:
    """Keys that bear our label, that no version names, and that no rotation is about to store."""
    unseen = any(v.reading is Reading.NOT_READ and not v.dead for v in situation.versions)
    if situation.listing is None or unseen:
        return
    named = {version.key_id for version in situation.versions}
    unclear = any(version.reading is Reading.UNREADABLE for version in situation.versions)
    for key in _active_keys_with_our_label(situation, policy):
        spared = key.id in named | situation.protected or unclear
        if not spared and not _of_compromised(situation, key):
            # By the vendor's clock throughout: the age that it has there is counted back from now.
            age = situation.listing.vendor_time - key.created_at
            yield Retirement(key.id, (), Reason.STRAY, situation.now - age + STRAY_AGE)


def _active_keys_with_our_label(
    situation: Situation, policy: ReconciliationPolicy
) -> Iterator[VendorKey]:
    """The active keys with our label, even if the list was of more than was asked for."""
    for key in situation.listing.keys if situation.listing else ():
        label = key.label
        ours = label.installation in policy.installations
        if key.active and ours and label.secret_arn == situation.snapshot.arn:
            yield key


def _of_compromised(situation: Situation, key: VendorKey) -> bool:
    return any(v.compromised for v in situation.versions if v.id == key.label.token)


def _compromised(situation: Situation, policy: ReconciliationPolicy) -> Iterator[Retirement]:
    """Retire every compromised key that is not current at once, even during a hold."""
    holders: dict[str, list[str]] = {}
    for version in situation.versions:
        if version.compromised and version.key_id is not None:
            holders.setdefault(version.key_id, []).append(version.id)
    for key in _active_keys_with_our_label(situation, policy):
        if _of_compromised(situation, key):
            holders.setdefault(key.id, [])
    for key_id, versions in holders.items():
        if key_id not in situation.in_use:
            due = situation.declared_at or situation.now
            revoke = _may_be_alive(situation, key_id)
            yield Retirement(key_id, tuple(versions), Reason.COMPROMISED, due, revoke=revoke)
