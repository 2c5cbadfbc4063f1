"""What a report is made of, written by hand: a rotation, a leak, and texts by a stranger."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import rotation
from rotation.aws.journal_bucket import object_name
from rotation.cli.report.sources import EvidenceObject, ReportSources
from rotation.credential import iso_utc
from rotation.incident.closing import record, record_name, with_evidence
from rotation.journal.document import serialize
from rotation.journal.model import (
    BegunRotation,
    Closing,
    Death,
    Declaration,
    Incident,
    Journal,
    KeyLife,
    VersionRecord,
)

ARN = "arn:aws:secretsmanager:us-east-1:012345678912:secret:payments-AbCdEf"
BUCKET = "evidence"
BEGIN = datetime(2026, 3, 1, 0, 5, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
FIRST, SECOND, THIRD = (f"{number}{'0' * 7}-key" for number in (1, 2, 3))
#: Characters that end an attribute, a tag or a line, and what only a browser would run.
HOSTILE = "<script>document.title='x'</script>\"'><img src=http://stranger.invalid/>\n\x1b[31m"
NOW = BEGIN + 60 * DAY


def proof(at: datetime, control: str) -> dict[str, Any]:
    probes = [
        {
            "at": iso_utc(at - minutes * timedelta(minutes=1)),
            "vendorTime": iso_utc(at - minutes * timedelta(minutes=1)),
            "outcome": "rejected",
        }
        for minutes in (2, 1, 0)
    ]
    return {
        "by": "rejections between accepted calls of the control key",
        "controlKeyId": control,
        "verdict": "dead",
        "probes": probes,
    }


def issued(number: int) -> VersionRecord:
    at = BEGIN + (0, 30, 45)[number] * DAY
    return VersionRecord((FIRST, SECOND, THIRD)[number], True, at, at + 365 * DAY)


def journals() -> list[tuple[datetime, Journal]]:
    """Every state of the journal, with the time when it was stored."""
    at = BEGIN
    first = Journal(ARN, at, {"version-1": issued(0)}, {FIRST: KeyLife(at)})
    states = [(at, first)]

    def later(moment: datetime, **facts: Any) -> Journal:
        journal = replace(states[-1][1], **facts)
        states.append((moment, journal))
        return journal

    at = BEGIN + 30 * DAY
    displaced = KeyLife(BEGIN, at, at + 24 * HOUR)
    later(
        at,
        versions={**first.versions, "version-2": issued(1)},
        keys={FIRST: displaced, SECOND: KeyLife(at)},
    )
    at += 25 * HOUR
    asked = replace(displaced, asked_at=at)
    later(at, keys={FIRST: asked, SECOND: KeyLife(BEGIN + 30 * DAY)})
    dead = replace(asked, outcome="revoked", death=Death(at + HOUR, proof(at + HOUR, SECOND)))
    journal = later(at + HOUR, keys={FIRST: dead, SECOND: KeyLife(BEGIN + 30 * DAY)})
    at = BEGIN + 45 * DAY
    declared = Incident(
        "declaration-1",
        (Declaration("declaration-1", at, HOSTILE, "arn:aws:sts::012345678912:assumed-role/ops"),),
        {SECOND: ("version-2",)},
        frozenset({"version-1", "version-2"}),
    )
    later(at, incidents=(declared,))
    begun = replace(declared, rotations=(BegunRotation("version-3", at),))
    later(at + timedelta(minutes=1), incidents=(begun,))
    at += timedelta(minutes=3)
    asked = KeyLife(BEGIN + 30 * DAY, at, at + 24 * HOUR, at)
    later(
        at,
        versions={**journal.versions, "version-3": issued(2)},
        keys={FIRST: dead, SECOND: asked, THIRD: KeyLife(at)},
    )
    at += timedelta(minutes=2)
    killed = replace(asked, outcome="revoked", death=Death(at, proof(at, THIRD)))
    closed = replace(begun, closing=Closing(at, THIRD, "version-3"))
    third = states[-1][1].keys[THIRD]
    keys = {FIRST: dead, SECOND: killed, THIRD: third}
    journal = later(at, keys=keys, incidents=(closed,))
    place = f"s3://{BUCKET}/{record_name(ARN, closed)}"
    states.append((at, with_evidence(journal, closed.id, place)))
    return states


def stored(name: str, number: int, at: datetime, body: bytes) -> EvidenceObject:
    return EvidenceObject(
        name=name,
        version=f"s3-version-{number}",
        at=at,
        etag=f"etag-{number}",
        checksum=base64.b64encode(sha256(body).digest()).decode(),
        lock="COMPLIANCE",
        kept_until=at + 400 * DAY,
        body=body,
    )


def sources(
    states: Sequence[tuple[datetime, Journal]] | None = None, **facts: Any
) -> ReportSources:
    """The sources of a report at `NOW`; ``facts`` replaces members."""
    told = journals() if states is None else states
    at, last = told[-1]
    kept = [
        stored(
            record_name(ARN, one),
            90 + number,
            at,
            record(last, one, secret_name="payments", installation="here"),
        )
        for number, one in enumerate(last.incidents)
        if one.closing is not None
    ]
    made = ReportSources(
        made_at=NOW,
        made_by="arn:aws:sts::012345678912:assumed-role/auditor/grace",
        made_with=rotation.__version__,
        secret={
            "ARN": ARN,
            "Name": "payments",
            "RotationEnabled": True,
            "RotationLambdaARN": "arn:aws:lambda:us-east-1:012345678912:function:rotate",
            "RotationRules": {"AutomaticallyAfterDays": 30},
            "VersionIdsToStages": {"version-3": ["AWSCURRENT"]},
            "LastRotatedDate": BEGIN + 45 * DAY,
        },
        hold=None,
        policy=None,
        bucket=BUCKET,
        states=tuple(
            stored(object_name(ARN), number, moment, serialize(journal))
            for number, (moment, journal) in enumerate(told, start=1)
        ),
        records=tuple(kept),
    )
    return replace(made, **facts)
