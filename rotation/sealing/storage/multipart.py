"""Stores a large sealed document by a multipart upload: S3 copies the source, and we add the tail.

No byte of the source passes through this process again. The copying may run while the vendor signs;
only `MultipartCopy.complete` makes the document appear.

What appears is what was hashed: the copies name the version and the entity tag that was read
(CopySourceIfMatch, API_UploadPartCopy), and S3 compares the size of the whole with ours before it
completes the upload (MpuObjectSize, API_CompleteMultipartUpload). A checksum of our own over the
whole would cost more than hashing does (``docs/adr/0014``).

An upload that is not completed costs storage that no listing of objects shows. So it is aborted,
whatever happens. If that fails, the error and the log name the upload, and the bucket's lifecycle
rule removes it (AbortIncompleteMultipartUpload, UserGuide
mpu-abort-incomplete-mpu-lifecycle-config).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlencode

from rotation.aws.answers import listed, reading_answer
from rotation.aws.errors import AWS_CALL_ERRORS, AwsCallError, error_code, http_status, is_retryable
from rotation.errors import DestinationError, RotationError
from rotation.privacy.observability import logger
from rotation.sealing.documents import StoredDocument
from rotation.sealing.request import ObjectLocation
from rotation.sealing.storage.ranges import RangedObject
from rotation.sealing.storage.s3_errors import changed, unreadable, unwritable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import (
        CompletedPartTypeDef,
        CopyPartResultTypeDef,
        CopySourceTypeDef,
        UploadPartOutputTypeDef,
    )

# UserGuide qfacts: 10,000 parts of 5 MiB to 5 GiB, the last of any size. PART is exceeded only by
# documents that are larger than 2.4 TiB.
SMALLEST_PART: Final = 5 * 1024**2
MOST_PARTS: Final = 10_000
PART: Final = 256 * 1024**2
THREADS: Final = 4

_ABORT_ATTEMPTS: Final = 4
# S3 gives whole seconds in Initiated, and its clock may differ from ours.
_S3_CLOCK_TOLERANCE: Final = timedelta(seconds=5)


def parts_of(size: int, part: int = PART) -> list[range]:
    """The ranges to copy ``size`` bytes in: of nearly one size, and near to ``part``.

    Shared out evenly, since a remainder of less than 5 MiB could not be copied by itself. One place
    of the 10,000 is left for the tail.

    Raises:
        ValueError: fewer bytes than the smallest part has.
    """
    if size < SMALLEST_PART:
        raise ValueError(f"{size} bytes are too few to be copied: {SMALLEST_PART} at least")
    count = min(-(-size // part), size // SMALLEST_PART, MOST_PARTS - 1)
    borders = [size * number // count for number in range(count + 1)]
    return [range(*between) for between in pairwise(borders)]


@dataclass(frozen=True)
class ObjectProperties:
    """The properties that a document is stored with.

    Attributes:
        metadata: user metadata.
        kms_key_id: the KMS key to encrypt it under; None: as the bucket is set.
        tags: object tags; `RangedObject.tags` reads the source's, which S3 does not copy.
    """

    metadata: Mapping[str, str]
    kms_key_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def parameters(self) -> dict[str, Any]:
        """The same, as parameters of PutObject or CreateMultipartUpload; with the content type."""
        named: dict[str, Any] = {"ContentType": "application/pdf", "Metadata": self.metadata}
        if self.kms_key_id is not None:
            named |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key_id}
        if self.tags:
            named["Tagging"] = urlencode(self.tags)
        return named


@dataclass(frozen=True)
class MultipartUpload:
    """A multipart upload that is under way, by its id."""

    s3: S3Client = field(repr=False)
    destination: ObjectLocation
    id: str
    sleep: Callable[[float], object] = field(repr=False)

    @classmethod
    def begin(
        cls,
        s3: S3Client,
        destination: ObjectLocation,
        properties: ObjectProperties,
        clock: Callable[[], datetime],
        sleep: Callable[[float], object],
    ) -> MultipartUpload:
        """Begin one upload. An upload whose answer was lost on a first attempt is aborted.

        Raises:
            DestinationError: S3 refuses it; retryable if the cause may pass.
        """
        started_at = clock()
        try:
            upload_id, failed_before = _create(s3, destination, properties)
        except AWS_CALL_ERRORS as error:
            problem = unwritable(destination, error)
            if is_retryable(error):
                _abort_others(cls(s3, destination, "", sleep), started_at, problem)
            raise problem from error
        upload = cls(s3, destination, upload_id, sleep)
        if failed_before:
            _abort_others(upload, started_at, None)
        return upload

    def abort(self, during: BaseException | None) -> None:
        """Abort the upload, in several attempts if necessary. Raises nothing.

        No part may be on its way any more: S3 might keep it (API_AbortMultipartUpload).

        Args:
            during: the error that is the reason; its message will name an upload that remains.
        """
        failed: AwsCallError | None = None
        for attempt in range(_ABORT_ATTEMPTS):
            if attempt:
                self.sleep(0.1 * 2**attempt)
            try:
                self.s3.abort_multipart_upload(
                    Bucket=self.destination.bucket, Key=self.destination.key, UploadId=self.id
                )
            except AWS_CALL_ERRORS as error:
                if http_status(error) == 404:
                    return
                failed = error
                if not is_retryable(error):
                    break
            else:
                return
        assert failed is not None
        _report_leftover(during, self.destination, f"the upload {self.id}", failed)


class MultipartCopy:
    """Copies a document in the background; the copy appears only when it is completed.

    A context manager: at the end of the block it aborts an upload that was not completed.
    """

    def __init__(self, upload: MultipartUpload, source: RangedObject, parts: list[range]) -> None:
        """Begin to copy; `MultipartCopy.begin` begins the upload too."""
        self._upload = upload
        self._source = source
        self._over = False
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="copy")
        self._copies = [
            self._pool.submit(self._copy, number, part, whole=len(parts) == 1)
            for number, part in enumerate(parts, start=1)
        ]

    @classmethod
    def begin(
        cls,
        source: RangedObject,
        destination: ObjectLocation,
        properties: ObjectProperties,
        clock: Callable[[], datetime],
        *,
        part: int = PART,
        sleep: Callable[[float], object] = time.sleep,
    ) -> MultipartCopy:
        """Begin to copy ``source``, of 5 MiB or more; nothing appears at ``destination`` yet.

        Its client's own retries carry each call over throttling and lost answers. Copying takes
        `THREADS` of the client's connections, beside those that read ahead.

        Args:
            source: the pinned version to copy.
            destination: where the document will appear.
            properties: its metadata, key and tags.
            clock: our clock, aware UTC.
            part: bytes to copy with one request.
            sleep: waits before an abort is tried again, seconds.

        Raises:
            DestinationError: the destination refuses it; retryable if the cause may pass.
        """
        parts = parts_of(source.size, part)
        upload = MultipartUpload.begin(source.s3, destination, properties, clock, sleep)
        try:
            return cls(upload, source, parts)
        except BaseException as error:
            upload.abort(error)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.abort(error)

    def complete(self, tail: bytes) -> StoredDocument:
        """Add ``tail`` and have the document appear, whole; aborts whatever fails.

        Args:
            tail: what follows the source, one byte at least.

        Raises:
            SourceChangedError: the source was replaced; its copy is another document.
            SourceNotFoundError: it was removed.
            DestinationError: it could not be stored; retryable if the cause may pass.
        """
        try:
            stored = self._complete(tail)
        except BaseException as error:
            self.abort(error)
            raise
        self._over = True
        self._pool.shutdown()
        return stored

    def abort(self, during: BaseException | None = None) -> None:
        """Abort the upload, if it was not completed. Raises nothing.

        Args:
            during: as in `MultipartUpload.abort`.
        """
        if not self._over:
            self._over = True
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._upload.abort(during)

    def give_up(self) -> None:
        """Abort the upload at once, while another thread may wait for its parts. Raises nothing.

        S3 may keep a part that was on its way (API_AbortMultipartUpload), until the bucket's
        lifecycle rule removes it.
        """
        self._over = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._upload.abort(None)

    def _complete(self, tail: bytes) -> StoredDocument:
        upload, place = self._upload, self._upload.destination
        size = self._source.size + len(tail)
        try:
            last = len(self._copies) + 1
            with reading_answer():
                added = _completed(
                    last,
                    upload.s3.upload_part(
                        Bucket=place.bucket,
                        Key=place.key,
                        UploadId=upload.id,
                        PartNumber=last,
                        Body=tail,
                        ChecksumAlgorithm="CRC32",
                    ),
                )
            done, _ = wait(self._copies, return_when=FIRST_EXCEPTION)
            for copy in done:
                copy.result()
            parts = [copy.result() for copy in self._copies]
            parts.append(added)
            with reading_answer():
                answer = upload.s3.complete_multipart_upload(
                    Bucket=place.bucket,
                    Key=place.key,
                    UploadId=upload.id,
                    MultipartUpload={"Parts": parts},
                    ChecksumType="FULL_OBJECT",
                    MpuObjectSize=size,
                )
                return StoredDocument(answer["ETag"].strip('"'), answer.get("VersionId"), size)
        except AWS_CALL_ERRORS as error:
            raise unwritable(place, error) from error

    def _copy(self, number: int, part: range, *, whole: bool) -> CompletedPartTypeDef:
        upload, source = self._upload, self._source
        origin: CopySourceTypeDef = {"Bucket": source.location.bucket, "Key": source.location.key}
        if source.version_id is not None:
            origin["VersionId"] = source.version_id
        # A range can be taken of sources that are larger than 5 MB only (API_UploadPartCopy).
        of_it: dict[str, Any] = {} if whole else {"CopySourceRange": f"bytes={part[0]}-{part[-1]}"}
        try:
            with reading_answer():
                answer = upload.s3.upload_part_copy(
                    Bucket=upload.destination.bucket,
                    Key=upload.destination.key,
                    UploadId=upload.id,
                    PartNumber=number,
                    CopySource=origin,
                    CopySourceIfMatch=f'"{source.etag}"',
                    **of_it,
                )
                return _completed(number, answer["CopyPartResult"])
        except AWS_CALL_ERRORS as error:
            if http_status(error) == 412:
                raise changed(source.location) from error
            if error_code(error) in {"NoSuchKey", "NoSuchVersion"}:
                raise unreadable(source.location, error) from error
            raise unwritable(upload.destination, error) from error


def _completed(
    number: int, answer: CopyPartResultTypeDef | UploadPartOutputTypeDef
) -> CompletedPartTypeDef:
    part: CompletedPartTypeDef = {"PartNumber": number, "ETag": answer["ETag"]}
    if "ChecksumCRC32" in answer:
        part["ChecksumCRC32"] = answer["ChecksumCRC32"]
    return part


def _abort_others(
    ours: MultipartUpload, started_at: datetime, during: DestinationError | None
) -> None:
    # Nobody knows the id of an upload whose answer was lost. Another seal of the same destination
    # that began in the same moments may be hit: it fails, and can be asked for again.
    place = ours.destination
    try:
        pages = ours.s3.get_paginator("list_multipart_uploads").paginate(
            Bucket=place.bucket, Prefix=place.key
        )
        with reading_answer():
            others = [
                found["UploadId"]
                for page in pages
                for found in listed(page, "Uploads")
                if found["Key"] == place.key
                and found["UploadId"] != ours.id
                and found["Initiated"] >= started_at - _S3_CLOCK_TOLERANCE
            ]
    except AWS_CALL_ERRORS as error:
        _report_leftover(during, place, "an upload that may have begun", error)
        return
    for other in others:
        replace(ours, id=other).abort(during)


def _create(
    s3: S3Client, destination: ObjectLocation, properties: ObjectProperties
) -> tuple[str, int]:
    """The id of a new upload, and how many attempts failed before."""
    with reading_answer():
        answer = s3.create_multipart_upload(
            Bucket=destination.bucket,
            Key=destination.key,
            # The CRC for which botocore needs no further library, and which can cover the whole.
            ChecksumAlgorithm="CRC32",
            ChecksumType="FULL_OBJECT",
            **properties.parameters(),
        )
        return answer["UploadId"], answer["ResponseMetadata"]["RetryAttempts"]


def _report_leftover(
    during: BaseException | None, destination: ObjectLocation, what: str, error: AwsCallError
) -> None:
    logger.warning(
        "multipart upload left behind",
        extra={"destination": str(destination), "what": what, "reason": error_code(error)},
    )
    if isinstance(during, RotationError):
        message = (
            f"{during} At {destination} {what} could not be aborted ({error_code(error)}): its "
            "parts are stored until the bucket's lifecycle rule removes them."
        )
        during.args = (message,)
