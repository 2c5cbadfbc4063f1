"""Situations for the pure plan, written as briefly as a case table needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rotation.core.policy import ReconciliationPolicy
from rotation.core.ports import KeyLabel, KeyListing, Revocation, VendorKey
from rotation.journal.model import (
    Closing,
    Death,
    Declaration,
    Incident,
    Journal,
    KeyLife,
    VersionRecord,
)
from rotation.reconciliation.observation import carry_over, observe
from rotation.reconciliation.plan import Plan, RunOptions, plan
from rotation.reconciliation.situation import ExaminedVersion, Reading, Situation
from rotation.secrets_manager.allowed import ANY_SECRET
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING, AWSPREVIOUS
from rotation.secrets_manager.snapshot import Snapshot

ARN = "arn:aws:secretsmanager:us-east-1:012345678912:secret:trusted-signatures-api-AbCdEf"
FUNCTION = "arn:aws:lambda:us-east-1:012345678912:function:rotate"
NOW = datetime(2026, 11, 21, 23, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
POLICY = ReconciliationPolicy(
    "fixture", FUNCTION, timedelta(hours=2), timedelta(seconds=60), ANY_SECRET
)

CURRENT = AWSCURRENT
PENDING = AWSPENDING
PREVIOUS = AWSPREVIOUS

FIRST_SEEN = NOW - 30 * DAY
IN_USE = KeyLife(FIRST_SEEN)


def due(since: timedelta = HOUR) -> KeyLife:
    """A key whose grace was over ``since`` ago."""
    return replace(IN_USE, displaced_at=NOW - since - POLICY.grace, retire_after=NOW - since)


def asked(
    outcome: Revocation, *, answered: timedelta, accepted: bool, ago: timedelta = DAY
) -> KeyLife:
    """A key that the issuer was asked to revoke ``ago``, and the vendor's newest answer."""
    return replace(
        due(ago),
        asked_at=NOW - ago,
        outcome=outcome.value,
        answered_at=NOW - answered,
        accepted=accepted,
    )


def dead(since: timedelta = HOUR) -> KeyLife:
    """A key that was proven dead ``since`` ago."""
    return replace(due(since), death=Death(NOW - since, {"by": "a proof"}))


def incident(
    *suspects: str,
    versions: tuple[str, ...] = (),
    since: timedelta = HOUR,
    closed: bool = False,
    **facts: Any,
) -> Incident:
    """An incident that was declared ``since`` ago."""
    declared = Declaration("declared", NOW - since, "key-compromise", "ada")
    closing = Closing(NOW - since / 2, "k-new", "new") if closed else None
    return Incident(
        "declared",
        (declared,),
        dict.fromkeys(suspects, ()),
        frozenset(versions),
        closing=closing,
        **facts,
    )


def held(version: str, *labels: str, key: str | None = None, **facts: Any) -> ExaminedVersion:
    """A version that was read and holds the key ``k-<version>``, made two hours ago."""
    reading = facts.pop("reading", Reading.READ)
    return ExaminedVersion(
        id=version,
        labels=frozenset(labels),
        created_at=facts.pop("created_at", NOW - 2 * HOUR),
        reading=reading,
        problem="it is not an API key" if reading is Reading.UNREADABLE else "",
        key_id=(key or f"k-{version}") if reading is Reading.READ else None,
        **facts,
    )


def listed(
    key: str,
    token: str,
    *,
    age: timedelta = timedelta(days=2),
    active: bool = True,
    installation: str = "fixture",
    arn: str = ARN,
    revocation_asked: bool = False,
) -> VendorKey:
    """A key as the vendor lists it."""
    label = KeyLabel(installation, arn, token)
    return VendorKey(key, label, NOW - age, None, active, revocation_asked)


def journal_of(
    versions: tuple[ExaminedVersion, ...],
    lives: Mapping[str, KeyLife],
    incidents: tuple[Incident, ...] = (),
    *,
    begun: bool = True,
) -> Journal:
    """The journal of a secret whose versions an earlier run has seen as they are."""
    known = [version for version in versions if version.key_id is not None and begun]
    return Journal(
        ARN,
        FIRST_SEEN if begun else None,
        {
            one.id: VersionRecord(one.key_id, one.was_current, one.issued_at, one.expires_at)
            for one in known
        },
        {one.key_id or "": IN_USE for one in known if one.key_id in lives or not one.displaced}
        | dict(lives),
        incidents,
    )


def situation(
    *versions: ExaminedVersion,
    keys: tuple[VendorKey, ...] | None = (),
    tags: Mapping[str, str] | None = None,
    replication: Mapping[str, str] | None = None,
    deleted: bool = False,
    elsewhere: frozenset[str] | None = frozenset(),
    lives: Mapping[str, KeyLife] | None = None,
    incidents: tuple[Incident, ...] = (),
    begun: bool = True,
    journal: Journal | None = None,
    **facts: Any,
) -> Situation:
    """These versions in one secret, and these keys at the vendor; None: it could not be asked.

    The journal has the lives that are given; a displaced key that is not named is new to it.
    """
    snapshot = Snapshot(
        arn=ARN,
        deleted_at=NOW if deleted else None,
        rotation_enabled=facts.pop("rotation_enabled", True),
        rotation_function=FUNCTION,
        labels={version.id: version.labels for version in versions if version.labels},
        rotation_interval=timedelta(days=30),
        name="trusted-signatures-api",
        tags=tags or {},
        replication=replication or {},
        **facts,
    )
    return Situation(
        snapshot,
        versions,
        None if keys is None else KeyListing(keys, NOW),
        NOW,
        journal or journal_of(versions, lives or {}, incidents, begun=begun),
        in_use_elsewhere=elsewhere or frozenset(),
        all_seen=elsewhere is not None,
    )


def planned(
    found: Situation,
    policy: ReconciliationPolicy = POLICY,
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
) -> tuple[Situation, Plan]:
    """One run without IO: the situation with what was found written down, and the plan of it."""
    seen = replace(found, journal=observe(found.journal, found, policy))
    return seen, plan(seen, policy, carry_over(found.journal, found), options)
