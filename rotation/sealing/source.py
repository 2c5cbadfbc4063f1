"""Where documents come from and where sealed ones go: S3.

A document is read with one GetObject, whose answer names the version that was read, and written
with one PutObject, which is atomic: the destination holds all of the sealed document or nothing
(UserGuide Welcome, "Amazon S3 data consistency model").
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rotation.errors import DocumentTooLargeError
from rotation.sealing.refusals import S3_ERRORS, unreadable, unwritable
from rotation.sealing.request import ObjectLocation

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef


@dataclass(frozen=True)
class SourceDocument:
    """One version of a document, whole.

    Attributes:
        content: its bytes.
        etag: S3's entity tag, without quotes.
        version_id: the version that was read; None where the bucket keeps no versions.
        content_type: as it was stored.
        metadata: the user metadata it was stored with.
    """

    content: bytes = field(repr=False)
    etag: str
    version_id: str | None
    content_type: str
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class StoredDocument:
    """What S3 says of a sealed document that it has stored."""

    etag: str
    version_id: str | None


class Documents(Protocol):
    """Reads documents and stores sealed ones."""

    def fetch(self, source: ObjectLocation, *, most: int) -> SourceDocument:
        """The document, if it has at most ``most`` bytes; a larger one's body is not read.

        Raises:
            SourceNotFoundError: it does not exist, or the function may not read it.
            DocumentTooLargeError: it is larger.
            SourceUnavailableError: it could not be read just now; retryable.
        """

    def store(
        self, destination: ObjectLocation, content: bytes, *, metadata: Mapping[str, str]
    ) -> StoredDocument:
        """Store a PDF, all of it or nothing.

        Raises:
            DestinationError: it could not be stored; retryable if the cause may pass.
        """


class S3Documents:
    """`Documents` in S3."""

    def __init__(self, s3: S3Client) -> None:
        self._s3 = s3

    def fetch(self, source: ObjectLocation, *, most: int) -> SourceDocument:
        """As `Documents.fetch`."""
        try:
            answer = self._get(source)
            # The body's own context manager gives a stream that checks neither length nor checksum.
            with closing(answer["Body"]) as body:
                if answer["ContentLength"] > most:
                    raise DocumentTooLargeError(
                        f"{source} has {answer['ContentLength']} bytes; this function seals "
                        f"documents of at most {most}."
                    )
                content = body.read()
        except S3_ERRORS as error:
            raise unreadable(source, error) from error
        return SourceDocument(
            content=content,
            etag=answer["ETag"].strip('"'),
            version_id=answer.get("VersionId"),
            content_type=answer.get("ContentType", ""),
            metadata=answer.get("Metadata", {}),
        )

    def store(
        self, destination: ObjectLocation, content: bytes, *, metadata: Mapping[str, str]
    ) -> StoredDocument:
        """As `Documents.store`. S3 compares the content with its SHA-256 before it stores it."""
        try:
            answer = self._s3.put_object(
                Bucket=destination.bucket,
                Key=destination.key,
                Body=content,
                ContentType="application/pdf",
                Metadata=metadata,
                ChecksumAlgorithm="SHA256",
            )
        except S3_ERRORS as error:
            raise unwritable(destination, error) from error
        return StoredDocument(answer["ETag"].strip('"'), answer.get("VersionId"))

    def _get(self, source: ObjectLocation) -> GetObjectOutputTypeDef:
        if source.version_id is None:
            return self._s3.get_object(Bucket=source.bucket, Key=source.key)
        return self._s3.get_object(
            Bucket=source.bucket, Key=source.key, VersionId=source.version_id
        )
