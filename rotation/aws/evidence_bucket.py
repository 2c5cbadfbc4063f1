"""Keeps the evidence of incidents in an S3 bucket with Object Lock.

A record is never replaced: each PUT has If-None-Match, and S3 answers 412 if the object exists and
409 if it is being written at the same time (S3 UserGuide conditional-writes). Object Lock requires
a checksum with each PUT (UserGuide object-lock).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rotation.aws.answers import listed, reading_answer
from rotation.aws.errors import AWS_CALL_ERRORS, error_code, http_status
from rotation.errors import EvidenceError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

#: How many records are read back at most: the newest.
MOST_RECORDS: Final = 10


class S3EvidenceStore:
    """An `rotation.core.ports.EvidenceStore` that is one bucket."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def keep(self, name: str, record: bytes) -> str:
        """As `rotation.core.ports.EvidenceStore.keep`; returns an ``s3://`` URI."""
        place = f"s3://{self._bucket}/{name}"
        try:
            with reading_answer():
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=name,
                    Body=record,
                    ContentType="application/json",
                    ChecksumAlgorithm="SHA256",
                    IfNoneMatch="*",
                )["ETag"]
        except AWS_CALL_ERRORS as error:
            if http_status(error) != 412:
                raise EvidenceError(
                    f"{place} could not be written: {error_code(error)}. Check the bucket, and "
                    "s3:PutObject on it in the function's role."
                ) from error
        return place

    def records(self, folder: str) -> Sequence[tuple[str, bytes]]:
        """As `rotation.core.ports.EvidenceStore.records`; the newest ten at most."""
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=folder
            )
            with reading_answer():
                found = [one for page in pages for one in listed(page, "Contents")]
                newest = sorted(found, key=lambda one: one["LastModified"], reverse=True)
                return [
                    (
                        f"s3://{self._bucket}/{one['Key']}",
                        self._client.get_object(Bucket=self._bucket, Key=one["Key"])["Body"].read(),
                    )
                    for one in newest[:MOST_RECORDS]
                ]
        except AWS_CALL_ERRORS as error:
            raise EvidenceError(
                f"The records in s3://{self._bucket}/{folder} could not be read: "
                f"{error_code(error)}. Check s3:ListBucket and s3:GetObject in the function's "
                "role."
            ) from error
