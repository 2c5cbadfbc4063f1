"""Documents in S3: small ones are read as a whole, large ones in ranges.

A document of up to `IN_MEMORY` bytes is read with one GetObject, whose answer names the version
that was read, and stored with one PutObject, which is atomic (UserGuide Welcome, "Amazon S3 data
consistency model"). A larger one is never held in memory: it is read in ranges (`remote_file`), and
S3 itself copies it to its destination (`multipart`). Either way the destination holds all of the
sealed document or nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from botocore.exceptions import ClientError, IncompleteReadError

from rotation.aws.answers import reading_answer
from rotation.aws.errors import AWS_CALL_ERRORS
from rotation.errors import DocumentTooLargeError
from rotation.sealing.documents import DocumentWriter, SourceDocument, StoredDocument
from rotation.sealing.pdf import PreparedPdf
from rotation.sealing.request import ObjectLocation
from rotation.sealing.storage.multipart import MultipartCopy, ObjectProperties
from rotation.sealing.storage.ranges import RangedObject
from rotation.sealing.storage.remote_file import RemoteDocument
from rotation.sealing.storage.s3_errors import unreadable, unwritable

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

#: The largest document that is held in memory: below it, one GET is faster than ranges, and it is
#: more than the smallest part that S3 copies.
IN_MEMORY: Final = 8 * 1024 * 1024

#: Before a refused document is stored again, on top of the client's own retries; at most, seconds.
_PAUSES: Final = (1.0, 2.0, 4.0)


@dataclass(frozen=True)
class DestinationPolicy:
    """Which properties a sealed document gets.

    Attributes:
        kms_key_id: the KMS key to encrypt it under; None: as its bucket is set.
        metadata: whether it gets the source's user metadata.
        tags: whether it gets the source's object tags.
    """

    kms_key_id: str | None = None
    metadata: bool = False
    tags: bool = False


class S3Documents:
    """`rotation.sealing.documents.DocumentStore` in S3.

    Args:
        s3: the client; its retries are ours.
        clock: our clock, aware UTC.
        policy: which properties sealed documents get.
        in_memory: the largest document that is held.
        sleep: waits before a range is read, a document is stored or an upload is aborted again,
            seconds.
    """

    def __init__(
        self,
        s3: S3Client,
        clock: Callable[[], datetime],
        policy: DestinationPolicy | None = None,
        *,
        in_memory: int = IN_MEMORY,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._s3 = s3
        self._clock = clock
        self._policy = policy or DestinationPolicy()
        self._in_memory = in_memory
        self._sleep = sleep

    def open(self, source: ObjectLocation, *, most: int) -> SourceDocument:
        """As `DocumentStore.open`: one GET, of which a large document's body is not read."""
        try:
            with reading_answer():
                answer = self._get(source)
                size, body = answer["ContentLength"], answer["Body"]
                etag, version_id = answer["ETag"].strip('"'), answer.get("VersionId")
            # The body's own context manager gives a stream that checks neither length nor checksum.
            with closing(body):
                if size > most:
                    raise DocumentTooLargeError(
                        f"{source} has {size} bytes; this function seals documents of at most "
                        f"{most}."
                    )
                held = _read_whole(body, size) if size <= self._in_memory else None
        except AWS_CALL_ERRORS as error:
            raise unreadable(source, error) from error
        return SourceDocument(
            content=RemoteDocument(
                RangedObject(self._s3, source, size, etag, version_id, self._sleep)
            )
            if held is None
            else BytesIO(held),
            location=source,
            size=size,
            etag=etag,
            version_id=version_id,
            metadata=answer.get("Metadata", {}),
        )

    def open_writer(
        self,
        source: SourceDocument,
        destination: ObjectLocation,
        metadata: Mapping[str, str],
        *,
        rewritten: bool,
    ) -> DocumentWriter:
        """As `DocumentStore.open_writer`; a large document's copying begins."""
        policy = self._policy
        properties = ObjectProperties(
            metadata={**source.metadata, **metadata} if policy.metadata else metadata,
            kms_key_id=policy.kms_key_id,
            tags=self._tags(source) if policy.tags else {},
        )
        if rewritten or not isinstance(source.content, RemoteDocument):
            return PutObjectWriter(self._s3, destination, properties, self._sleep)
        return MultipartCopyWriter(
            MultipartCopy.begin(
                source.content.source, destination, properties, self._clock, sleep=self._sleep
            )
        )

    def _tags(self, source: SourceDocument) -> dict[str, str]:
        place = RangedObject(self._s3, source.location, source.size, source.etag, source.version_id)
        return place.tags()

    def _get(self, source: ObjectLocation) -> GetObjectOutputTypeDef:
        if source.version_id is None:
            return self._s3.get_object(Bucket=source.bucket, Key=source.key)
        return self._s3.get_object(
            Bucket=source.bucket, Key=source.key, VersionId=source.version_id
        )


class PutObjectWriter:
    """`DocumentWriter` of a document that is held in memory, with one PutObject."""

    def __init__(
        self,
        s3: S3Client,
        destination: ObjectLocation,
        properties: ObjectProperties,
        sleep: Callable[[float], object],
    ) -> None:
        self._s3 = s3
        self._destination = destination
        self._properties = properties
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def complete(self, prepared: PreparedPdf, cms: bytes, proof: bytes = b"") -> StoredDocument:
        """As `DocumentWriter.complete`. S3 checks the SHA-256 before it stores the content.

        After a retryable refusal it tries again for a few seconds: the signature is paid for, and
        a caller who asks again buys another one. Where S3 gave no answer it does not try again,
        since the wait for the answer has used up much of the time.
        """
        content = prepared.embed(cms) + proof
        for longest in (*_PAUSES, None):
            try:
                return self._put(content)
            except AWS_CALL_ERRORS as error:
                problem = unwritable(self._destination, error)
                refused = problem.retryable and isinstance(error, ClientError)
                if longest is None or not refused:
                    raise problem from error
            # Full jitter: functions that failed together do not come back together.
            self._sleep(random.uniform(0, longest))  # noqa: S311
        raise AssertionError("the loop ends by returning or raising")

    def give_up(self) -> None:
        """As `DocumentWriter.give_up`: one PutObject has nothing to undo."""

    def _put(self, content: bytes) -> StoredDocument:
        place = self._destination
        with reading_answer():
            answer = self._s3.put_object(
                Bucket=place.bucket,
                Key=place.key,
                Body=content,
                ChecksumAlgorithm="SHA256",
                **self._properties.parameters(),
            )
            return StoredDocument(answer["ETag"].strip('"'), answer.get("VersionId"), len(content))


def _read_whole(body: StreamingBody, size: int) -> bytes:
    content: bytes = body.read()
    if len(content) != size:
        raise IncompleteReadError(actual_bytes=len(content), expected_bytes=size)
    return content


class MultipartCopyWriter:
    """`DocumentWriter` of a document that S3 copies; only the update is sent."""

    def __init__(self, copy: MultipartCopy) -> None:
        self._copy = copy

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._copy.abort(error)

    def complete(self, prepared: PreparedPdf, cms: bytes, proof: bytes = b"") -> StoredDocument:
        """As `DocumentWriter.complete`. S3 copies the version that was read, or nothing."""
        return self._copy.complete(prepared.update(cms) + proof)

    def give_up(self) -> None:
        """As `DocumentWriter.give_up`: aborts the upload."""
        self._copy.give_up()
