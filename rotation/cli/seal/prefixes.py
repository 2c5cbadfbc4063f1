"""Documents to seal in S3: an object, or the PDFs below a prefix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import boto3
import click

from rotation.aws.answers import listed, reading_answer
from rotation.aws.client_config import documents
from rotation.aws.errors import AWS_CALL_ERRORS, AwsCallError, error_code, http_status, is_retryable
from rotation.cli.seal.run import DestinationState, DocumentToSeal
from rotation.errors import DestinationError
from rotation.handlers.wiring.vendor import utc_now
from rotation.sealing.request import ObjectLocation
from rotation.sealing.storage.s3 import S3Documents

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SCHEME: Final = "s3://"


@dataclass(frozen=True)
class Address:
    """``s3://bucket/key``, or the beginning of keys."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """Raises click.UsageError: there is no bucket in it."""
        bucket, _, key = text.removeprefix(SCHEME).partition("/")
        if not bucket:
            raise click.UsageError(f"{text} names no bucket. An address is s3://bucket/prefix.")
        return cls(bucket, key)

    @property
    def folder(self) -> str:
        """The same as what keys begin with that lie below it."""
        return f"{self.key}/" if self.key and not self.key.endswith("/") else self.key

    def holds(self, bucket: str, key: str) -> bool:
        """Whether an object is this one, or lies below."""
        return bucket == self.bucket and (key == self.key or key.startswith(self.folder))


def s3_client(jobs: int) -> S3Client:
    """A client for so many documents at a time."""
    return boto3.client("s3", config=documents(jobs))


class S3Prefixes:
    """`rotation.cli.seal.run.SealLocations` in S3.

    Args:
        s3: a client.
        source: an object, or what keys begin with.
        destination: a key for an object; else what the sealed documents' keys begin with.

    Raises:
        click.UsageError: the one lies in the other.
    """

    def __init__(self, s3: S3Client, source: Address, destination: Address) -> None:
        self._s3 = s3
        self._source = source
        self._destination = destination
        if source.holds(destination.bucket, destination.folder):
            raise _within_source(f"{SCHEME}{destination.bucket}/{destination.key}")

    @property
    def buckets(self) -> tuple[str, str]:
        """As `SealLocations.buckets`."""
        return self._source.bucket, self._destination.bucket

    def port(self, *, overwrite: bool) -> S3Documents:  # noqa: ARG002 - S3 always does
        """As `SealLocations.port`."""
        return S3Documents(self._s3, utc_now)

    def documents(self) -> list[DocumentToSeal]:
        """As `SealLocations.documents`. If the source is an object, it is the only document."""
        found = self._found()
        if found:
            self._refuse_missing_bucket()
        return found

    def _found(self) -> list[DocumentToSeal]:
        source, into = self._source, self._destination
        try:
            with reading_answer():
                alone = listed(
                    self._s3.list_objects_v2(Bucket=source.bucket, Prefix=source.key, MaxKeys=1),
                    "Contents",
                )
            # Keys come in the order of their bytes (API_ListObjectsV2): its own name is the first.
            for found in alone:
                if found["Key"] == source.key and not source.key.endswith("/"):
                    name = source.key.rpartition("/")[2]
                    whole = into.key and not into.key.endswith("/")
                    key = into.key if whole else into.key + name
                    if (into.bucket, key) == (source.bucket, source.key):
                        raise click.UsageError(
                            f"{SCHEME}{into.bucket}/{key} is the source itself. Name another key."
                        )
                    return [self._document(source.key, key, found["Size"], found["ETag"])]
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=source.bucket, Prefix=source.folder
            )
            with reading_answer():
                found_below = [
                    self._document(
                        found["Key"],
                        into.folder + found["Key"].removeprefix(source.folder),
                        found["Size"],
                        found["ETag"],
                    )
                    for page in pages
                    for found in listed(page, "Contents")
                    if found["Key"].lower().endswith(".pdf")
                ]
        except AWS_CALL_ERRORS as error:
            raise click.ClickException(
                f"{SCHEME}{source.bucket}/{source.key} cannot be listed ({error_code(error)}). "
                "Check its name, your credentials, and the right s3:ListBucket."
            ) from error
        for document in found_below:
            if source.holds(document.destination.bucket, document.destination.key):
                raise _within_source(document.written_to)
        return found_below

    def state(self, document: DocumentToSeal) -> DestinationState:
        """As `SealLocations.state`: a seal's metadata name the entity tag of its source."""
        place = document.destination
        try:
            with reading_answer():
                answer = self._s3.head_object(Bucket=place.bucket, Key=place.key)
                answer["ETag"]
                metadata = answer["Metadata"]
        except AWS_CALL_ERRORS as error:
            if http_status(error) == 404:
                return DestinationState.NOTHING
            raise _unknown_state(place, error) from error
        sealed = "seal-key-id" in metadata and metadata.get("source-etag") == document.etag
        return DestinationState.ITS_SEAL if sealed else DestinationState.SOMETHING_ELSE

    def _refuse_missing_bucket(self) -> None:
        # A missing object and a missing bucket look alike from there on (API_HeadObject), and each
        # document would buy a signature before it is found out.
        bucket = self._destination.bucket
        try:
            self._s3.head_bucket(Bucket=bucket)
        except AWS_CALL_ERRORS as error:
            if http_status(error) == 404:
                raise click.ClickException(f"There is no bucket {bucket}.") from error

    def _document(self, key: str, destination: str, size: int, etag: str) -> DocumentToSeal:
        read_from = ObjectLocation(self._source.bucket, key)
        written_to = ObjectLocation(self._destination.bucket, destination)
        return DocumentToSeal(
            read_from, written_to, str(read_from), str(written_to), size, etag.strip('"')
        )


def _within_source(place: str) -> click.UsageError:
    return click.UsageError(
        f"{place} lies in the source: what is sealed would be taken for a source the next time. "
        "Name another prefix."
    )


def _unknown_state(place: ObjectLocation, error: AwsCallError) -> DestinationError:
    problem = DestinationError(
        f"Whether {place} is sealed already cannot be told ({error_code(error)}). "
        "Allow s3:GetObject on it and s3:ListBucket on its bucket."
    )
    problem.retryable = is_retryable(error)
    return problem
