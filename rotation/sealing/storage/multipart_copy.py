"""A large sealed document, put together in S3: the source copied there, the tail added.

No byte of the source passes through this process again. The copying may run while the vendor signs;
only `Transfer.complete` makes the document appear, and what is not completed is aborted.

What appears is what was hashed: the copies name the version and the entity tag that was read
(CopySourceIfMatch, API_UploadPartCopy), and S3 holds the size of the whole against ours before it
completes (MpuObjectSize, API_CompleteMultipartUpload). A checksum of our own over the whole would
cost more than hashing does (``docs/adr/0014``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from datetime import datetime
from itertools import pairwise
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from rotation.aws.errors import AWS_CALL_ERRORS, error_code, http_status
from rotation.sealing.documents import StoredDocument
from rotation.sealing.request import ObjectLocation
from rotation.sealing.storage.multipart_upload import Storing, Upload
from rotation.sealing.storage.ranges import RangedObject
from rotation.sealing.storage.s3_errors import changed, unreadable, unwritable

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import (
        CompletedPartTypeDef,
        CopyPartResultTypeDef,
        CopySourceTypeDef,
        UploadPartOutputTypeDef,
    )

# UserGuide qfacts: 10,000 parts of 5 MiB to 5 GiB, the last of any size; so never more than PART,
# but for documents that are larger than 2.4 TiB.
SMALLEST_PART: Final = 5 * 1024**2
MOST_PARTS: Final = 10_000
PART: Final = 256 * 1024**2
THREADS: Final = 4


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


class Transfer:
    """A document on its way: copied in the background, and there only when it is completed.

    A context manager: what was not completed when the block ends is aborted.
    """

    def __init__(self, upload: Upload, source: RangedObject, parts: list[range]) -> None:
        """Begin to copy; `Transfer.begin` begins the upload too."""
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
        how: Storing,
        clock: Callable[[], datetime],
        *,
        part: int = PART,
        sleep: Callable[[float], object] = time.sleep,
    ) -> Transfer:
        """Begin to copy ``source``, of 5 MiB or more; nothing appears at ``destination`` yet.

        Its client's own retries carry each call over throttling and lost answers. Copying takes
        `THREADS` of the client's connections, beside those that read ahead.

        Args:
            source: the pinned version to copy.
            destination: where the document will appear.
            how: its metadata, key and tags.
            clock: our clock, aware UTC.
            part: bytes to copy with one request.
            sleep: waits before an abort is tried again, seconds.

        Raises:
            DestinationError: the destination refuses it; retryable if the cause may pass.
        """
        parts = parts_of(source.size, part)
        upload = Upload.begin(source.s3, destination, how, clock, sleep)
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
        """Drop what was copied, if it was not completed. Raises nothing.

        Args:
            during: the error that is the reason, which names what could not be dropped.
        """
        if not self._over:
            self._over = True
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._upload.abort(during)

    def _complete(self, tail: bytes) -> StoredDocument:
        upload, place = self._upload, self._upload.destination
        size = self._source.size + len(tail)
        try:
            last = len(self._copies) + 1
            added = upload.s3.upload_part(
                Bucket=place.bucket,
                Key=place.key,
                UploadId=upload.id,
                PartNumber=last,
                Body=tail,
                ChecksumAlgorithm="CRC32",
            )
            done, _ = wait(self._copies, return_when=FIRST_EXCEPTION)
            for copy in done:
                copy.result()
            parts = [copy.result() for copy in self._copies]
            parts.append(_completed(last, added))
            answer = upload.s3.complete_multipart_upload(
                Bucket=place.bucket,
                Key=place.key,
                UploadId=upload.id,
                MultipartUpload={"Parts": parts},
                ChecksumType="FULL_OBJECT",
                MpuObjectSize=size,
            )
        except AWS_CALL_ERRORS as error:
            raise unwritable(place, error) from error
        return StoredDocument(answer["ETag"].strip('"'), answer.get("VersionId"), size)

    def _copy(self, number: int, part: range, *, whole: bool) -> CompletedPartTypeDef:
        upload, source = self._upload, self._source
        origin: CopySourceTypeDef = {"Bucket": source.location.bucket, "Key": source.location.key}
        if source.version_id is not None:
            origin["VersionId"] = source.version_id
        # A range can be taken of sources that are larger than 5 MB only (API_UploadPartCopy).
        of_it: dict[str, Any] = {} if whole else {"CopySourceRange": f"bytes={part[0]}-{part[-1]}"}
        try:
            answer = upload.s3.upload_part_copy(
                Bucket=upload.destination.bucket,
                Key=upload.destination.key,
                UploadId=upload.id,
                PartNumber=number,
                CopySource=origin,
                CopySourceIfMatch=f'"{source.etag}"',
                **of_it,
            )
        except AWS_CALL_ERRORS as error:
            if http_status(error) == 412:
                raise changed(source.location) from error
            if error_code(error) in {"NoSuchKey", "NoSuchVersion"}:
                raise unreadable(source.location, error) from error
            raise unwritable(upload.destination, error) from error
        return _completed(number, answer["CopyPartResult"])


def _completed(
    number: int, answer: CopyPartResultTypeDef | UploadPartOutputTypeDef
) -> CompletedPartTypeDef:
    part: CompletedPartTypeDef = {"PartNumber": number, "ETag": answer["ETag"]}
    if "ChecksumCRC32" in answer:
        part["ChecksumCRC32"] = answer["ChecksumCRC32"]
    return part
