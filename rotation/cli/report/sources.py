"""What a report is made of, as AWS gave it: everything else in a report follows from this."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from rotation.credential import iso_utc

SCHEMA: Final = "trusted-signatures-rotation/report-sources/1"

#: The members of DescribeSecret that a report shows; the others are the organisation's own.
DESCRIBED: Final = (
    *("ARN", "Name", "KmsKeyId", "RotationEnabled", "RotationLambdaARN", "RotationRules"),
    *("PrimaryRegion", "ReplicationStatus", "VersionIdsToStages"),
)
DATES: Final = ("CreatedDate", "LastRotatedDate", "NextRotationDate", "DeletedDate")


#: What a caller may not see (`ReportSources.not_seen`).
POLICY: Final = "the resource policy of the secret"
RECORDS: Final = "the records of incidents"


@dataclass(frozen=True)
class EvidenceObject:
    """One version of an object in the evidence bucket.

    Attributes:
        name: the name of the object.
        version: its VersionId.
        at: when S3 stored it, by S3's clock, aware UTC.
        etag: its ETag, without quotes.
        checksum: the SHA-256 of the body that S3 keeps, in base64; None: S3 gave none.
        lock: the mode of its Object Lock; None: it has none, or the caller may not see it.
        kept_until: until when that keeps it, aware UTC.
        body: the body.
    """

    name: str
    version: str
    at: datetime
    etag: str
    checksum: str | None
    lock: str | None
    kept_until: datetime | None
    body: bytes

    @property
    def digest(self) -> str:
        """The SHA-256 of the body that is here, in hexadecimal."""
        return sha256(self.body).hexdigest()

    @property
    def agrees(self) -> bool:
        """Whether the body that is here has the checksum that S3 keeps, if it keeps one."""
        return self.checksum in {None, base64.b64encode(sha256(self.body).digest()).decode()}


@dataclass(frozen=True)
class ReportSources:
    """What a report is made of.

    Attributes:
        made_at: when it was read, by the clock of the caller, aware UTC.
        made_by: the ARN of the caller, or ``unknown``.
        made_with: the version of this package.
        secret: the members `DESCRIBED` and `DATES` of DescribeSecret; dates are aware UTC.
        hold: the value of the tag that holds retirement; None: the secret has none.
        policy: the secret's resource policy, JSON text; None: it has none, or is not seen.
        bucket: the evidence bucket.
        states: every version of the secret's journal, oldest first.
        deletions: the delete markers on the journal: VersionId and time.
        records: every version of the records of incidents, by name, oldest first.
        not_seen: what the caller could not see, with AWS's code.
    """

    made_at: datetime
    made_by: str
    made_with: str
    secret: Mapping[str, Any]
    hold: str | None
    policy: str | None
    bucket: str
    states: tuple[EvidenceObject, ...]
    deletions: tuple[tuple[str, datetime], ...] = ()
    records: tuple[EvidenceObject, ...] = ()
    not_seen: Mapping[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """The full ARN of the secret."""
        return str(self.secret["ARN"])


def source_members(sources: ReportSources) -> dict[str, Any]:
    """The sources as JSON members, without the bodies; `read_sources` reads them."""
    return {
        "schema": SCHEMA,
        "madeAt": iso_utc(sources.made_at),
        "madeBy": sources.made_by,
        "madeWith": sources.made_with,
        "secret": {
            name: iso_utc(value) if isinstance(value, datetime) else value
            for name, value in sources.secret.items()
        },
        "hold": sources.hold,
        "policy": sources.policy,
        "bucket": sources.bucket,
        "states": [_stored_members(one) for one in sources.states],
        "deletions": [{"version": one, "at": iso_utc(at)} for one, at in sources.deletions],
        "records": [_stored_members(one) for one in sources.records],
        "notSeen": dict(sources.not_seen),
    }


def read_sources(
    members: Mapping[str, Any], states: list[bytes], records: list[bytes]
) -> ReportSources:
    """The sources in JSON members, with the bodies of states and records in their order.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: they are not what `source_members` makes.
    """
    if members["schema"] != SCHEMA:
        raise ValueError("schema")
    return ReportSources(
        made_at=datetime.fromisoformat(members["madeAt"]),
        made_by=members["madeBy"],
        made_with=members["madeWith"],
        secret={
            name: datetime.fromisoformat(value) if name in DATES else value
            for name, value in members["secret"].items()
        },
        hold=members["hold"],
        policy=members["policy"],
        bucket=members["bucket"],
        states=_all_stored(members["states"], states),
        deletions=tuple(
            (one["version"], datetime.fromisoformat(one["at"])) for one in members["deletions"]
        ),
        records=_all_stored(members["records"], records),
        not_seen=dict(members["notSeen"]),
    )


def _stored_members(one: EvidenceObject) -> dict[str, Any]:
    return {
        "name": one.name,
        "version": one.version,
        "at": iso_utc(one.at),
        "etag": one.etag,
        "checksum": one.checksum,
        "lock": one.lock,
        "keptUntil": None if one.kept_until is None else iso_utc(one.kept_until),
    }


def _all_stored(
    members: list[Mapping[str, Any]], bodies: list[bytes]
) -> tuple[EvidenceObject, ...]:
    return tuple(_stored(one, body) for one, body in zip(members, bodies, strict=True))


def _stored(members: Mapping[str, Any], body: bytes) -> EvidenceObject:
    until = members["keptUntil"]
    return EvidenceObject(
        name=members["name"],
        version=members["version"],
        at=datetime.fromisoformat(members["at"]),
        etag=members["etag"],
        checksum=members["checksum"],
        lock=members["lock"],
        kept_until=None if until is None else datetime.fromisoformat(until),
        body=body,
    )
