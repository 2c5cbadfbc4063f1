"""Situations for the pure plan, written as briefly as a case table needs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rotation.core.policy import ReconciliationPolicy
from rotation.core.ports import KeyLabel, KeyListing, VendorKey
from rotation.reconciliation.situation import ExaminedVersion, Reading, Situation
from rotation.secrets_manager.labels import (
    AWSCURRENT,
    AWSPENDING,
    AWSPREVIOUS,
    COMPROMISED_PREFIX,
    DEAD_PREFIX,
    retirement_label,
)
from rotation.secrets_manager.snapshot import Snapshot

ARN = "arn:aws:secretsmanager:us-east-1:012345678912:secret:trusted-signatures-api-AbCdEf"
FUNCTION = "arn:aws:lambda:us-east-1:012345678912:function:rotate"
NOW = datetime(2026, 11, 21, 23, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)
POLICY = ReconciliationPolicy("fixture", FUNCTION, timedelta(hours=2), timedelta(seconds=60))

CURRENT = AWSCURRENT
PENDING = AWSPENDING
PREVIOUS = AWSPREVIOUS


def due(version: str, since: timedelta = HOUR) -> str:
    """The mark of a version whose grace was over ``since`` ago."""
    return retirement_label(version, NOW - since)


def compromised(version: str) -> str:
    return COMPROMISED_PREFIX + version


def dead(version: str) -> str:
    return DEAD_PREFIX + version


def held(version: str, *labels: str, key: str | None = None, **facts: Any) -> ExaminedVersion:
    """A version that was read and holds the key ``k-<version>``, made two hours ago."""
    reading = facts.pop("reading", Reading.READ)
    return ExaminedVersion(
        id=version,
        labels=frozenset(labels),
        created_at=facts.pop("created_at", NOW - 2 * HOUR),
        reading=reading,
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


def situation(
    *versions: ExaminedVersion,
    keys: tuple[VendorKey, ...] | None = (),
    tags: Mapping[str, str] | None = None,
    replication: Mapping[str, str] | None = None,
    deleted: bool = False,
    elsewhere: frozenset[str] | None = frozenset(),
    **facts: Any,
) -> Situation:
    """These versions in one secret, and these keys at the vendor; None: it could not be asked."""
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
    listing = None if keys is None else KeyListing(keys, NOW)
    return Situation(
        snapshot, versions, listing, NOW, elsewhere or frozenset(), all_seen=elsewhere is not None
    )
