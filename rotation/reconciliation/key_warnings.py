"""Warnings about keys, for people to read, each with a stable code. This module does no IO."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from rotation.core.policy import (
    EXPIRY_NOTICE,
    MOST_REVOCATIONS,
    OVERDUE_AFTER,
    POOL_RESERVE,
    ROTATION_DAY,
)
from rotation.core.ports import IssuerCondition
from rotation.credential import iso_utc
from rotation.reconciliation.plan import Plan
from rotation.reconciliation.situation import Reading, Situation


class WarningCode(Enum):
    """The code of a warning. Values are stable."""

    KEY_EXPIRING = "key_expiring"
    CURRENT_KEY_DEAD = "current_key_dead"
    ADMIN_CREDENTIAL_EXPIRING = "admin_credential_expiring"
    ADMIN_CREDENTIAL_DEAD = "admin_credential_dead"
    ISSUER_UNREADABLE = "issuer_unreadable"
    VENDOR_UNAVAILABLE = "vendor_unavailable"
    ROTATION_OVERDUE = "rotation_overdue"
    PENDING_STUCK = "pending_stuck"
    POOL_LOW = "pool_low"
    INCIDENT_OPEN = "incident_open"
    COMPROMISED_KEY_CURRENT = "compromised_key_current"
    KEY_ALIVE_AFTER_INCIDENT = "key_alive_after_incident"
    KEY_ALIVE = "key_alive"
    KEY_OF_ANOTHER_SECRET = "key_of_another_secret"  # noqa: S105 - a code
    DEATH_UNPROVEN = "death_unproven"
    MANUAL_REVOCATION_NEEDED = "manual_revocation_needed"
    TOO_MANY_RETIREMENTS = "too_many_retirements"
    REPLICA_OUT_OF_SYNC = "replica_out_of_sync"
    HOLD_ACTIVE = "hold_active"
    VALUE_UNREADABLE = "value_unreadable"
    LABELS_EXHAUSTED = "labels_exhausted"
    NOT_REACHED = "not_reached"
    JOURNAL_UNUSABLE = "journal_unusable"
    NO_SECRETS = "no_secrets"
    EVENTS_WAITING = "events_waiting"
    RETIREMENT_PUT_OFF = "retirement_put_off"
    KEY_STILL_USED = "key_still_used"
    KEY_USE_UNKNOWN = "key_use_unknown"


#: Somebody must look at these today.
URGENT: Final = frozenset(
    {
        WarningCode.CURRENT_KEY_DEAD,
        WarningCode.ADMIN_CREDENTIAL_DEAD,
        WarningCode.COMPROMISED_KEY_CURRENT,
        WarningCode.KEY_ALIVE_AFTER_INCIDENT,
        WarningCode.ROTATION_OVERDUE,
        WarningCode.TOO_MANY_RETIREMENTS,
        WarningCode.JOURNAL_UNUSABLE,
        WarningCode.NO_SECRETS,
    }
)


@dataclass(frozen=True)
class KeyWarning:
    """One warning: its code, and a sentence that says what is wrong and what to do."""

    code: WarningCode
    message: str


def secret_warnings(situation: Situation, plan: Plan) -> tuple[KeyWarning, ...]:
    """The warnings that follow from what was found, before anything is done."""
    if situation.snapshot.deleted_at is not None:
        return tuple(_incident(situation))
    return (
        *_current(situation),
        *_schedule(situation),
        *_retirement(situation, plan),
        *_put_off(situation),
    )


def issuer_warnings(condition: IssuerCondition, now: datetime) -> Iterator[KeyWarning]:
    """The warnings about the issuer itself, which all secrets share."""
    expires = condition.credential_expires_at
    if expires is not None and expires <= now:
        yield KeyWarning(
            WarningCode.ADMIN_CREDENTIAL_DEAD,
            f"The admin credential expired at {iso_utc(expires)}. Store a new one.",
        )
    elif expires is not None and expires - now < EXPIRY_NOTICE:
        yield KeyWarning(
            WarningCode.ADMIN_CREDENTIAL_EXPIRING,
            f"The admin credential expires at {iso_utc(expires)}. Store a new one before.",
        )
    if condition.keys_left is not None and condition.keys_left < POOL_RESERVE:
        yield KeyWarning(
            WarningCode.POOL_LOW,
            f"The pool has {condition.keys_left} free keys; keep {POOL_RESERVE} at least. "
            "Add keys with `rotation pool add`.",
        )
    for one in condition.unreadable:
        yield KeyWarning(
            WarningCode.ISSUER_UNREADABLE,
            f"An entry of the pool cannot be read, and is set aside ({one}). The others are used. "
            "Mend the entry, or take it out of the value and revoke its key: docs/key-pool.md.",
        )


def _current(situation: Situation) -> Iterator[KeyWarning]:
    for version in situation.versions:
        if version.reading is Reading.UNREADABLE:
            yield KeyWarning(
                WarningCode.VALUE_UNREADABLE,
                f"Version {version.id} cannot be read, and its key is not known: "
                f"{version.problem} The other keys are not held up by it.",
            )
    current = situation.current
    if current is None or current.key_id is None:
        return
    now, expires = situation.now, current.expires_at
    problem = situation.current_problem
    if problem is None:
        if expires is not None and expires - now < EXPIRY_NOTICE:
            yield KeyWarning(
                WarningCode.KEY_EXPIRING,
                f"The current key {current.key_id} expires at {iso_utc(expires)}. Rotate.",
            )
        return
    yield KeyWarning(
        WarningCode.CURRENT_KEY_DEAD, f"The current key {current.key_id} {problem}. Rotate now."
    )


def _schedule(situation: Situation) -> Iterator[KeyWarning]:
    snapshot, now = situation.snapshot, situation.now
    for version in situation.versions:
        if situation.stuck(version):
            yield KeyWarning(
                WarningCode.PENDING_STUCK,
                f"AWSPENDING was on version {version.id} for more than a day; no rotation could "
                f"begin. The last failed step is in the report: `rotation status {snapshot.arn}`.",
            )
    made = situation.current.created_at if situation.current else None
    interval = snapshot.rotation_interval
    missed = snapshot.next_rotation is not None and now > snapshot.next_rotation + OVERDUE_AFTER
    if made is not None and interval is not None:
        missed = missed or now > made + interval + ROTATION_DAY + OVERDUE_AFTER
    if snapshot.rotation_enabled and missed:
        yield KeyWarning(
            WarningCode.ROTATION_OVERDUE,
            "The current key is older than the schedule allows: rotation fails or does not start. "
            f"The last failed step is in the report: `rotation status {snapshot.arn}`.",
        )


def _incident(situation: Situation) -> Iterator[KeyWarning]:
    incident = situation.journal.open_incident
    if incident is None:
        return
    alive = sorted(situation.journal.suspects_alive(incident))
    message = (
        f"{len(alive)} keys were declared compromised and are not yet proven dead: "
        f"{', '.join(alive)}."
        if alive
        else "Every key that was declared compromised is dead; the incident is not closed yet."
    )
    if situation.snapshot.deleted_at is not None:
        message += (
            " The secret is scheduled for deletion, so nothing is done about them: restore it, or "
            "revoke them in the vendor's portal."
        )
    yield KeyWarning(WarningCode.INCIDENT_OPEN, message)


def _retirement(situation: Situation, plan: Plan) -> Iterator[KeyWarning]:
    yield from _incident(situation)
    current = situation.current
    if current is not None and situation.suspect(current):
        yield KeyWarning(
            WarningCode.COMPROMISED_KEY_CURRENT,
            f"Version {current.id} holds a key that was declared compromised, and is current: the "
            "key is not revoked before another one is promoted. Rotate now.",
        )
    for key_id, arn in sorted(situation.suspect_elsewhere.items()):
        if key_id in situation.in_use and not situation.journal.suspect(key_id):
            yield KeyWarning(
                WarningCode.COMPROMISED_KEY_CURRENT,
                f"The current key {key_id} was declared compromised with {arn}, which holds it "
                "too, and dies with that incident. Replace it here as well: `rotation force "
                f"{situation.snapshot.arn} --reason key-compromise`.",
            )
    for key_id, versions in situation.holders.items():
        displaced = [version.id for version in versions if version.displaced and version.labels]
        dead = situation.journal.dead(key_id)
        if displaced and not dead and situation.issued_for_another_secret(key_id):
            yield KeyWarning(
                WarningCode.KEY_OF_ANOTHER_SECRET,
                f"Key {key_id} of version {displaced[0]} was issued for another secret, as in a "
                "replica that was promoted. It is not retired here but where it was issued.",
            )
    if plan.refused:
        yield KeyWarning(
            WarningCode.TOO_MANY_RETIREMENTS,
            f"{len(plan.refused)} keys are due to be revoked at once, more than "
            f"{MOST_REVOCATIONS}: none was. If that is right, have them revoked with "
            f"`rotation release {situation.snapshot.arn} --apply`.",
        )
    if situation.out_of_sync:
        yield KeyWarning(
            WarningCode.REPLICA_OUT_OF_SYNC,
            f"The replica in {', '.join(situation.out_of_sync)} may still hand out an older key; "
            "no key is retired until it is in sync. See DescribeSecret, ReplicationStatus.",
        )
    until = situation.hold_until
    if until is not None and situation.now < until:
        yield KeyWarning(
            WarningCode.HOLD_ACTIVE,
            f"Retirement is on hold until {until.isoformat(timespec='seconds')}.",
        )
    if plan.unkept:
        yield KeyWarning(
            WarningCode.LABELS_EXHAUSTED,
            f"There is no room for a label on versions {', '.join(plan.unkept)}. AWS may delete "
            "them, and then only the vendor's list can prove that their keys are dead.",
        )


def _put_off(situation: Situation) -> Iterator[KeyWarning]:
    """Who put off the retirement of a key, as long as that holds."""
    for key_id, life in sorted(situation.journal.keys.items()):
        if life.death is not None or key_id in situation.suspects:
            continue
        for one in life.prolongations:
            if situation.now < one.until:
                yield KeyWarning(
                    WarningCode.RETIREMENT_PUT_OFF,
                    f"{one.by} put off the retirement of key {key_id} from "
                    f"{iso_utc(one.former_end)} to {iso_utc(one.until)}: {one.reason}",
                )
