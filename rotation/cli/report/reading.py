"""Reads what a report is made of from Secrets Manager and from the evidence bucket.

Nothing is changed, no value of the secret is read, and the reconcile function is not asked: an
auditor reads with rights of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import boto3
import click

import rotation
from rotation.aws.answers import listed, reading_answer
from rotation.aws.client_config import OPERATOR
from rotation.aws.errors import AWS_CALL_ERRORS, error_code
from rotation.aws.journal_bucket import object_name
from rotation.cli.report.sources import (
    DATES,
    DESCRIBED,
    POLICY,
    RECORDS,
    EvidenceObject,
    ReportSources,
)
from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.waiting import in_parallel
from rotation.credential import whole_milliseconds
from rotation.incident.closing import record_folder
from rotation.privacy.printable import outside_text
from rotation.secrets_manager.calls import call_secrets_manager
from rotation.secrets_manager.labels import HOLD_TAG

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

#: How many states are read at the same time; a client of botocore has as many connections.
_AT_ONCE: Final = 8


def read_from_aws(account: AwsAccount, secret: str, bucket: str, now: datetime) -> ReportSources:
    """Everything that a report of one secret is made of.

    What the caller may not see is named in `ReportSources.not_seen`, but for the secret's
    description and its journal, without which there is no report.

    Args:
        account: the account of the caller.
        secret: the name or ARN of the secret.
        bucket: the evidence bucket.
        now: the clock of the caller, aware UTC.

    Raises:
        SecretStoreError: the secret could not be described.
        click.ClickException: the journal could not be read, or has no state there.
    """
    arn = account.arn(secret)
    answer = call_secrets_manager(
        "DescribeSecret", arn, lambda: account.secrets.describe_secret(SecretId=arn)
    )
    not_seen: dict[str, str] = {}
    policy = None
    with _noted(not_seen, POLICY):
        policy = account.secrets.get_resource_policy(SecretId=arn).get("ResourcePolicy")
    bucket_reader = _BucketReader(boto3.client("s3", config=OPERATOR), bucket)
    states, deletions = bucket_reader.journal(arn)
    records: tuple[EvidenceObject, ...] = ()
    with _noted(not_seen, RECORDS):
        records, _ = bucket_reader.versions(record_folder(arn))
    tags = {one["Key"]: one.get("Value", "") for one in answer.get("Tags", ())}
    return ReportSources(
        made_at=whole_milliseconds(now),
        made_by=account.actor(),
        made_with=rotation.__version__,
        secret={
            name: _kept(answer[name])
            for name in (*DESCRIBED, *DATES)
            if answer.get(name) not in (None, "")
        },
        hold=tags.get(HOLD_TAG),
        policy=policy,
        bucket=bucket,
        states=states,
        deletions=deletions,
        records=records,
        not_seen=not_seen,
    )


def _kept(value: Any) -> Any:
    return whole_milliseconds(value) if isinstance(value, datetime) else value


@contextmanager
def _noted(not_seen: dict[str, str], what: str) -> Iterator[None]:
    """Note AWS's code if the block cannot read ``what``; nothing is concluded from that."""
    try:
        with reading_answer():
            yield
    except AWS_CALL_ERRORS as error:
        not_seen[what] = error_code(error)


class _BucketReader:
    """Reads versions of objects in the evidence bucket."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def journal(
        self, arn: str
    ) -> tuple[tuple[EvidenceObject, ...], tuple[tuple[str, datetime], ...]]:
        """Every state of a secret's journal, oldest first, and the delete markers on it.

        Raises:
            click.ClickException: it could not be read, or there is none.
        """
        name = object_name(arn)
        try:
            with reading_answer():
                states, deletions = self.versions(name, exactly=True)
        except AWS_CALL_ERRORS as error:
            raise click.ClickException(
                f"The journal s3://{self._bucket}/{outside_text(name)} could not be read: "
                f"{error_code(error)}. Check the bucket, the Region, and s3:ListBucketVersions, "
                "s3:GetObjectVersion and s3:GetObjectRetention in the permissions of this role."
            ) from error
        if not states:
            raise click.ClickException(
                f"No state of the journal of {arn} is in s3://{self._bucket}. Nothing follows from "
                "that: check the bucket (output EvidenceBucketName of the stack) and the Region."
            )
        return states, deletions

    def versions(
        self, prefix: str, *, exactly: bool = False
    ) -> tuple[tuple[EvidenceObject, ...], tuple[tuple[str, datetime], ...]]:
        """Every version below a prefix, each object's oldest first, and the delete markers.

        S3 lists the versions of an object newest first (UserGuide,
        list-obj-version-enabled-bucket).
        """
        pages = list(
            self._client.get_paginator("list_object_versions").paginate(
                Bucket=self._bucket, Prefix=prefix
            )
        )
        wanted = [
            one
            for page in pages
            for one in listed(page, "Versions")
            if not exactly or one["Key"] == prefix
        ]
        markers = [
            (str(one["VersionId"]), whole_milliseconds(one["LastModified"]))
            for page in pages
            for one in page.get("DeleteMarkers", ())
            if not exactly or one["Key"] == prefix
        ]
        wanted.reverse()
        oldest_first = sorted(wanted, key=lambda one: str(one["Key"]))
        return (
            tuple(in_parallel(self._read, oldest_first, _AT_ONCE)),
            tuple(reversed(markers)),
        )

    def _read(self, one: dict[str, Any]) -> EvidenceObject:
        """One version. Its Object Lock is shown to who may see it (API_HeadObject)."""
        with reading_answer():
            answer: Mapping[str, Any] = self._client.get_object(
                Bucket=self._bucket,
                Key=one["Key"],
                VersionId=one["VersionId"],
                ChecksumMode="ENABLED",
            )
            until = answer.get("ObjectLockRetainUntilDate")
            return EvidenceObject(
                name=one["Key"],
                version=one["VersionId"],
                at=whole_milliseconds(one["LastModified"]),
                etag=one["ETag"].strip('"'),
                checksum=answer.get("ChecksumSHA256"),
                lock=answer.get("ObjectLockMode"),
                kept_until=None if until is None else whole_milliseconds(until),
                body=answer["Body"].read(),
            )
