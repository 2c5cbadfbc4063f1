"""Decides which keys of one secret must die, and when. It does no IO.

Every run plans anew from what it finds and from the journal, so the next run finds again what this
one did not finish (it is level-triggered). Only reconciliation retires keys. Invariants of a plan:

1. Outside incidents it revokes no key that is current, in flight or in its grace, whatever version
   holds it; in an incident it revokes no key that is current.
2. Nothing is seen displaced and revoked in one run (a suspect key excepted): a key is due only if
   the journal had it displaced before this run.
3. If more than `MOST_REVOCATIONS` ordinary revocations of one secret are due, it revokes none of
   them: something is wrong, and a person has to look. Strays, and keys that the issuer was already
   asked to revoke, do not count; and all that are due are still asked about.
4. A key that does not bear our label is revoked only if a version of this secret held it, and,
   outside incidents, no rotation of another secret issued it and no other secret uses it.
5. Without a journal that was read and written in this run, no key dies.

`rotation.reconciliation.execution` carries a plan out. `rotation.reconciliation.key_warnings` says
what people should know of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from rotation.core.policy import (
    MOST_KEEP_LABELS,
    MOST_REVOCATIONS,
    PROMOTION_MAY_COME,
    ROOM_FOR_LABELS,
    STRAY_AGE,
    ReconciliationPolicy,
)
from rotation.core.ports import VendorKey
from rotation.journal.model import Journal
from rotation.reconciliation.situation import ExaminedVersion, Reading, Situation, time_to_ask
from rotation.secrets_manager.former_labels import FORMER_TAGS, former_labels
from rotation.secrets_manager.labels import INCIDENT_TAG, KEEP_PREFIX, keep_label


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
        keep: labels for versions that AWS must not delete: a proof needs their key.
        remove: labels that are out of date.
        untag: tags that are out of date.
        abandon: versions whose AWSPENDING blocks every later rotation.
        retire: the keys whose time has come.
        waiting: the keys whose time will come, and when.
        refused: ordinary retirements that are too many to be right.
        suspended: why no key is retired unless compromised, or None.
        unkept: the versions that AWS may delete, because there is no room for a label.
    """

    keep: tuple[Label, ...] = ()
    remove: tuple[Label, ...] = ()
    untag: tuple[str, ...] = ()
    abandon: tuple[str, ...] = ()
    retire: tuple[Retirement, ...] = ()
    waiting: tuple[Retirement, ...] = ()
    refused: tuple[Retirement, ...] = ()
    suspended: str | None = None
    unkept: tuple[str, ...] = ()

    @property
    def revocations(self) -> tuple[Retirement, ...]:
        """The retirements that revoke."""
        return tuple(one for one in self.retire if one.revoke)


@dataclass(frozen=True)
class RunOptions:
    """What the caller of a run asks for.

    Attributes:
        eager: whether to ask about every key that is due, however lately it was asked about.
        release: whether to retire the keys that are due, however many they are.
    """

    eager: bool = False
    release: bool = False


def plan(
    situation: Situation,
    policy: ReconciliationPolicy,
    before: Journal | None = None,
    options: RunOptions = RunOptions(),
) -> Plan:
    """Decide what to do about the keys of one secret. Does NOT do it.

    Args:
        situation: what was found; its journal has it written down.
        policy: what the organisation decided.
        before: the journal as it was before this run; by default that of ``situation``.
        options: what the caller asks for.
    """
    if situation.snapshot.deleted_at is not None:
        return Plan(suspended="the secret is scheduled for deletion")
    suspended = _suspension(situation)
    due, waiting = _ordinary(situation, policy, before or situation.journal)
    refused: tuple[Retirement, ...] = ()
    counted = [one for one in due if _counts(situation, one)]
    if len(counted) > MOST_REVOCATIONS and not options.release:
        refused = tuple(counted)
        # A person may have revoked them meanwhile: asking tells.
        due = [replace(one, revoke=False) if one in counted else one for one in due]
    compromised = list(_compromised(situation))
    retire = [
        one
        for one in (*compromised, *(() if suspended else due))
        if one.due <= situation.now and (options.eager or _is_time(situation, one))
    ]
    labels, unkept = _keep(situation)
    return Plan(
        keep=labels,
        remove=tuple(_removals(situation, unkept)),
        untag=tuple(_stale_tags(situation)),
        abandon=tuple(_abandoned(situation)),
        retire=tuple(retire),
        waiting=(*waiting, *(one for one in (*compromised, *due) if one not in retire)),
        refused=refused,
        suspended=suspended,
        unkept=unkept,
    )


def _is_time(situation: Situation, retirement: Retirement) -> bool:
    """Whether to retire a key in this run. Who was never asked to revoke it is asked now."""
    life = situation.life(retirement.key_id)
    never_asked = retirement.revoke and life.asked_at is None
    return never_asked or time_to_ask(life, situation.now)


def _suspension(situation: Situation) -> str | None:
    """Why ordinary retirement has to wait."""
    current = situation.current
    if situation.listing is None:
        return "the vendor's keys cannot be listed"
    if current is None or current.reading is Reading.EMPTY:
        return "there is no current key"
    unclear = [v for v in situation.versions if not v.displaced and v.reading is Reading.UNREADABLE]
    if unclear:
        return f"version {unclear[0].id} cannot be read: {unclear[0].problem}"
    if situation.out_of_sync:
        return "a replica is not in sync"
    until = situation.hold_until
    if until is not None and situation.now < until:
        return "a person put a hold on it"
    return None


def _keep(situation: Situation) -> tuple[tuple[Label, ...], tuple[str, ...]]:
    """Labels for the versions that need one, the newest first as far as there is room.

    AWS may delete a version that bears no label (UserGuide getting-started, "Version").
    """
    wanted = [
        version.id
        for version in reversed(situation.versions)
        if version.displaced and _ours_alone(version) and _needed_for_a_proof(situation, version)
    ]
    has = [version.id for version in situation.versions if keep_label(version.id) in version.labels]
    wanted = [version for version in wanted if version not in has]
    used = sum(len(version.labels) for version in situation.versions)
    room = max(0, min(MOST_KEEP_LABELS - len(has), ROOM_FOR_LABELS - used))
    return tuple(Label(one, keep_label(one)) for one in wanted[:room]), tuple(wanted[room:])


def _ours_alone(version: ExaminedVersion) -> bool:
    """Whether no label but ours keeps the version from being deleted."""
    former = former_labels(version.labels)
    return all(label in former or label.startswith(KEEP_PREFIX) for label in version.labels)


def _needed_for_a_proof(situation: Situation, version: ExaminedVersion) -> bool:
    key_id = version.key_id
    if key_id in situation.suspects:
        return True
    if key_id is None or situation.journal.dead(key_id) or key_id in situation.protected:
        return False
    return not situation.issued_for_another_secret(key_id)


def _removals(situation: Situation, unkept: tuple[str, ...]) -> Iterator[Label]:
    for version in situation.versions:
        former = () if version.id in unkept else former_labels(version.labels)
        for label in sorted(version.labels):
            stale = label.startswith(KEEP_PREFIX) and not (
                version.displaced and _needed_for_a_proof(situation, version)
            )
            if stale or label in former:
                yield Label(version.id, label)


def _stale_tags(situation: Situation) -> Iterator[str]:
    tags = situation.snapshot.tags
    yield from (name for name in FORMER_TAGS if name in tags)
    if INCIDENT_TAG in tags and situation.journal.open_incident is None:
        yield INCIDENT_TAG


def _abandoned(situation: Situation) -> Iterator[str]:
    for version in situation.versions:
        blocks = version.pending and (situation.suspect(version) or situation.stuck(version))
        if blocks or version.leftover:
            yield version.id


def _ordinary(
    situation: Situation, policy: ReconciliationPolicy, before: Journal
) -> tuple[list[Retirement], list[Retirement]]:
    """The retirements outside of incidents: those that are due, and those that wait."""
    retirements = [*_over_grace(situation), *_strays(situation, policy)]
    now = [
        one
        for one in retirements
        if one.due <= situation.now and _may_go_ahead(situation, before, one)
    ]
    return now, [one for one in retirements if one not in now]


def _may_go_ahead(situation: Situation, before: Journal, retirement: Retirement) -> bool:
    """Whether a retirement that is due may go ahead in this run."""
    key_id = retirement.key_id
    if situation.life(key_id).displaced_at is None:
        # A stray. No version ever held it, so no other secret can use it.
        return True
    earlier = before.keys.get(key_id)
    if earlier is None or earlier.displaced_at is None:
        # This run is the first that sees it displaced.
        return False
    # A person may have put the value into another secret, which only a run over all secrets sees.
    # One that cannot be looked at holds up the keys that a person made, and not the listed ones:
    # those were issued for this secret.
    if situation.listed(key_id) is None:
        return situation.all_seen
    return situation.whole


def _counts(situation: Situation, retirement: Retirement) -> bool:
    """Whether a retirement is one that the brake counts."""
    asked = situation.life(retirement.key_id).asked_at is not None
    return retirement.revoke and retirement.reason is Reason.GRACE_OVER and not asked


def _over_grace(situation: Situation) -> Iterator[Retirement]:
    """Every displaced key, whether a version still holds it or not, and every stray in progress."""
    for key_id, life in situation.journal.keys.items():
        due = life.retire_after or life.asked_at
        spared = key_id in situation.protected | situation.suspects
        if due is None or spared or life.death or situation.issued_for_another_secret(key_id):
            continue
        stored = key_id in situation.holders or situation.journal.holders(key_id)
        # Whoever was asked to revoke a stray goes on, although it was stored after all.
        has_grace = stored and life.displaced_at is not None
        reason = Reason.GRACE_OVER if has_grace else Reason.STRAY
        revoke = _may_be_alive(situation, key_id)
        yield Retirement(key_id, _version_ids(situation, key_id), reason, due, revoke=revoke)


def _version_ids(situation: Situation, key_id: str) -> tuple[str, ...]:
    return tuple(version.id for version in situation.holders.get(key_id, ()))


def _may_be_alive(situation: Situation, key_id: str) -> bool:
    listed = situation.listed(key_id)
    return listed is None or listed.active


def _strays(situation: Situation, policy: ReconciliationPolicy) -> Iterator[Retirement]:
    """Keys that bear our label, that no version ever held, and that no rotation is about to store.

    A version that could not be read is taken to hold the keys that were issued for it.
    """
    if situation.listing is None:
        return
    for key in _active_keys_with_our_label(situation, policy):
        held = key.id in situation.holders or situation.journal.holders(key.id)
        known = key.id in situation.journal.keys
        if not held and not known and key.id not in situation.protected | situation.suspects:
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


def _compromised(situation: Situation) -> Iterator[Retirement]:
    """Retire every suspect key that is not current at once, even during a hold.

    One that a rotation under way may still promote waits until another key is current. Revoked
    before that, it might become current and dead.
    """
    for key_id in sorted(situation.suspects - situation.in_use):
        life = situation.life(key_id)
        revoke = _may_be_alive(situation, key_id)
        due = life.displaced_at or situation.now
        if _may_be_promoted(situation, key_id):
            due += PROMOTION_MAY_COME
        versions = _version_ids(situation, key_id)
        yield Retirement(key_id, versions, Reason.COMPROMISED, due, revoke=revoke)


def _may_be_promoted(situation: Situation, key_id: str) -> bool:
    """Whether a finishSecret that began before the incident could make a suspect key current.

    It moves AWSCURRENT only from the version that it saw there, so not once a good key is current.
    """
    current = situation.current
    if current is not None and current.key_id not in {None, *situation.suspects}:
        return False
    return any(
        version.key_id == key_id
        and not (version.was_current or situation.journal.was_current(version.id))
        for version in situation.holders.get(key_id, ())
    )
