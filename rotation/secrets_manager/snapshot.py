"""The answers of DescribeSecret and ListSecretVersionIds as values. They hold no secret value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from rotation.errors import VersionStateError
from rotation.secrets_manager.former_labels import is_compromised, signs_of_a_journal

_RATE: Final = re.compile(r"rate\((\d+) (hour|day)s?\)")


@dataclass(frozen=True)
class Snapshot:
    """A secret as DescribeSecret described it at one moment.

    DescribeSecret is eventually consistent: a change of a moment ago may be missing.

    Attributes:
        arn: the secret's full ARN.
        deleted_at: when it is scheduled to be deleted, or None.
        rotation_enabled: whether its rotation is turned on.
        rotation_function: the ARN of the function that rotates it, or None.
        labels: the staging labels of each version that has one, by version id.
        rotation_interval: the time between two rotations, or None if the schedule does not tell.
        name: the secret's name.
        next_rotation: the date by which AWS plans to rotate next, or None.
        changed_at: when anything of the secret last changed, or None.
        replication: the status of each replica by region, such as ``InSync``.
        tags: the secret's tags.
        replicated_from: the region of its primary secret, if it is a replica; else None.
    """

    arn: str
    deleted_at: datetime | None
    rotation_enabled: bool
    rotation_function: str | None
    labels: Mapping[str, frozenset[str]]
    rotation_interval: timedelta | None
    name: str = ""
    next_rotation: datetime | None = None
    changed_at: datetime | None = None
    replication: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    replicated_from: str | None = None

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Snapshot:
        """Read an answer of DescribeSecret."""
        return cls(
            arn=answer["ARN"],
            deleted_at=answer.get("DeletedDate"),
            rotation_enabled=answer.get("RotationEnabled", False),
            rotation_function=answer.get("RotationLambdaARN"),
            labels={
                version: frozenset(labels)
                for version, labels in answer.get("VersionIdsToStages", {}).items()
            },
            rotation_interval=_interval(answer.get("RotationRules", {})),
            name=answer["Name"],
            next_rotation=answer.get("NextRotationDate"),
            changed_at=answer.get("LastChangedDate"),
            replication={
                one["Region"]: one.get("Status", "") for one in answer.get("ReplicationStatus", ())
            },
            tags={one["Key"]: one.get("Value", "") for one in answer.get("Tags", ())},
            replicated_from=_primary_region(answer),
        )

    def version_with(self, label: str) -> str | None:
        """The id of the version that bears ``label``, or None."""
        return next((version for version, has in self.labels.items() if label in has), None)

    def has(self, version: str, label: str) -> bool:
        """Whether ``version`` bears ``label``."""
        return label in self.labels.get(version, frozenset())

    def require_rotated_by(self, function: str) -> None:
        """Refuse a secret that another function rotates, or none.

        Raises:
            VersionStateError: the secret does not name ``function``, the ARN of a function.
        """
        if not same_function(self.rotation_function, function):
            raise VersionStateError(
                f"{self.arn} is not rotated by {function} but by "
                f"{self.rotation_function or 'none'}."
            )

    @property
    def signs_of_a_journal(self) -> tuple[str, ...]:
        """What on the secret says that a journal of it was kept, each in words."""
        bears = {label for labels in self.labels.values() for label in labels}
        return signs_of_a_journal(bears, self.tags)

    def formerly_compromised(self, version: str) -> bool:
        """Whether labels or tags by version 0.2 or older declare the key compromised.

        A reconciliation carries it over into the journal, and then takes the labels and tags off.
        """
        return is_compromised(version, self.labels.get(version, frozenset()), self.tags)


@dataclass(frozen=True)
class ListedVersion:
    """A version that has a value, as ListSecretVersionIds lists it.

    A version without labels is deprecated: AWS may delete it.
    """

    id: str
    labels: frozenset[str]
    created_at: datetime | None

    @classmethod
    def read(cls, one: Mapping[str, Any]) -> ListedVersion:
        """Read one entry of the list (API_SecretVersionsListEntry)."""
        labels = frozenset(one.get("VersionStages", ()))
        return cls(one["VersionId"], labels, one.get("CreatedDate"))


def _primary_region(answer: Mapping[str, Any]) -> str | None:
    """The region of a replica's primary secret. A primary secret names its own region, or none."""
    primary = answer.get("PrimaryRegion")
    return None if primary in {None, answer["ARN"].split(":")[3]} else str(primary)


def _interval(rules: Mapping[str, Any]) -> timedelta | None:
    """The time between two rotations, or None if the rules do not tell.

    API_RotationRulesType: after each successful rotation AWS derives AutomaticallyAfterDays from a
    schedule expression. Before the first rotation only a ``rate`` expression tells the time.
    """
    if days := rules.get("AutomaticallyAfterDays"):
        return timedelta(days=days)
    if rate := _RATE.fullmatch(rules.get("ScheduleExpression", "")):
        count = int(rate[1])
        return timedelta(hours=count) if rate[2] == "hour" else timedelta(days=count)
    return None


def same_function(one: str | None, other: str) -> bool:
    """Whether two ARNs name one Lambda function; a version or an alias at their end is ignored."""
    return one is not None and one.split(":")[:7] == other.split(":")[:7]
