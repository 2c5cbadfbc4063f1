"""What an auditor reads: every state that a journal ever had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rotation.aws.journal_bucket import object_name

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def version_ids(s3: S3Client, bucket: str, secret_arn: str) -> list[str]:
    """The versions of a secret's journal, oldest first. Delete markers are none.

    S3 lists the versions of an object newest first (UserGuide, list-obj-version-enabled-bucket).
    """
    name = object_name(secret_arn)
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=name)
    newest_first = [
        one["VersionId"] for page in pages for one in page.get("Versions", ()) if one["Key"] == name
    ]
    return newest_first[::-1]


def former_states(s3: S3Client, bucket: str, secret_arn: str) -> list[bytes]:
    """Every body that a secret's journal ever had, oldest first; the last is the current one."""
    return [
        s3.get_object(Bucket=bucket, Key=object_name(secret_arn), VersionId=version)["Body"].read()
        for version in version_ids(s3, bucket, secret_arn)
    ]
