"""Reads one version of an S3 object in ranges.

Every GET names the entity tag that was seen first (If-Match, API_GetObject), and the version where
the bucket keeps versions. So all ranges are of the same content, or reading ends with an error: a
mixture of two documents is never sealed.

Memory: `RangedObject.stream` holds ``ahead + 1`` chunks of ``chunk`` bytes, 16 MiB by default, and
256 KiB for its thread. Nothing else here is kept.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import IncompleteReadError

from rotation.aws.answers import reading_answer
from rotation.aws.errors import (
    AWS_CALL_ERRORS,
    AwsCallError,
    IncompleteAnswerError,
    is_retryable,
)
from rotation.sealing.request import ObjectLocation
from rotation.sealing.storage.s3_errors import changed, unreadable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK: Final = 4 * 1024 * 1024
AHEAD: Final = 3
#: Bytes of one GET when a document is read straight through: a request costs milliseconds.
SPAN: Final = 64 * 1024 * 1024

# What a body is read in: urllib3 makes a copy of each piece.
_PIECE: Final = 256 * 1024
# Attempts for one chunk, each of which goes on from where the last one broke.
_ATTEMPTS: Final = 5
_LONGEST_PAUSE: Final = 2.0  # seconds


@dataclass(frozen=True)
class RangedObject:
    """One version of a document in S3, of which any range can be read.

    Attributes:
        location: where it lies, as it was asked for.
        size: its bytes.
        etag: S3's entity tag, without quotes.
        version_id: the version that is read; None where the bucket keeps no versions.
    """

    s3: S3Client = field(repr=False)
    location: ObjectLocation
    size: int
    etag: str
    version_id: str | None = None
    sleep: Callable[[float], object] = field(default=time.sleep, repr=False)

    @classmethod
    def find(cls, s3: S3Client, location: ObjectLocation) -> RangedObject:
        """The object as it is now, by one HEAD. A caller that has the answer to a GET needs none.

        Raises:
            SourceNotFoundError: it does not exist, or the function may not read it.
            SourceUnavailableError: S3 could not say just now; retryable.
        """
        version: dict[str, Any] = (
            {} if location.version_id is None else {"VersionId": location.version_id}
        )
        try:
            with reading_answer():
                answer = s3.head_object(Bucket=location.bucket, Key=location.key, **version)
                return cls(
                    s3,
                    location,
                    size=answer["ContentLength"],
                    etag=answer["ETag"].strip('"'),
                    version_id=answer.get("VersionId"),
                )
        except AWS_CALL_ERRORS as error:
            raise unreadable(location, error) from error

    def tags(self) -> dict[str, str]:
        """The object's tags; the call needs s3:GetObjectTagging or s3:GetObjectVersionTagging.

        Raises:
            SealingError: as `read`, without SourceChangedError.
        """
        place = self.location
        try:
            with reading_answer():
                answer = self.s3.get_object_tagging(
                    Bucket=place.bucket, Key=place.key, **self._version()
                )
                return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}
        except AWS_CALL_ERRORS as error:
            raise unreadable(place, error) from error

    def read(self, start: int, length: int) -> bytes:
        """``length`` bytes from ``start`` on; fewer where the object ends before.

        Raises:
            SourceChangedError: the object was replaced since it was first seen.
            SourceNotFoundError: it was removed, or may no longer be read.
            SourceUnavailableError: S3 failed too many times in a row; retryable.
        """
        buffer = bytearray(max(0, min(length, self.size - start)))
        with closing(_RangeReader(self, start, start + len(buffer), len(buffer))) as reading:
            reading.fill(memoryview(buffer))
        return bytes(buffer)

    def stream(
        self, start: int, end: int, *, chunk: int = CHUNK, ahead: int = AHEAD, span: int = SPAN
    ) -> Generator[memoryview]:
        """The bytes from ``start`` up to ``end``, in order, while a thread fetches the next.

        Each view is valid until the next one is asked for, since its memory is used again. A
        caller that does not read to the end closes the generator, which ends its thread
        (`contextlib.closing`).

        Args:
            start: the first byte, from 0.
            end: one past the last byte; at most the object's size.
            chunk: bytes of each view but the last.
            ahead: how many chunks are fetched while one is being used.
            span: bytes of each GET but the last.

        Raises:
            SealingError: as `read`, when the chunk that failed would have been next.
        """
        reading = _RangeReader(self, start, end, span)
        fetching: deque[tuple[memoryview, Future[None]]] = deque()
        sizes = iter([min(chunk, end - begin) for begin in range(start, end, chunk)])
        thread = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")

        def fetch(buffer: memoryview) -> None:
            size = next(sizes, 0)
            if size:
                view = buffer[:size]
                fetching.append((view, thread.submit(reading.fill, view)))

        try:
            for _ in range(ahead):
                fetch(memoryview(bytearray(min(chunk, end - start))))
            spare = memoryview(bytearray(min(chunk, end - start)))
            while fetching:
                view, fetched = fetching.popleft()
                fetched.result()
                fetch(spare)
                yield view
                spare = memoryview(view.obj)
        finally:
            reading.stop()
            thread.shutdown(wait=True, cancel_futures=True)
            reading.close()

    def get(self, first: int, last: int) -> Any:
        """The body of one GET, of the bytes from ``first`` to ``last``, both included.

        Raises:
            SourceChangedError: what is there is something else.
            AWS_CALL_ERRORS: as boto3 raises them.
        """
        with reading_answer():
            answer = self.s3.get_object(
                Bucket=self.location.bucket,
                Key=self.location.key,
                Range=f"bytes={first}-{last}",
                IfMatch=f'"{self.etag}"',
                **self._version(),
            )
            body = answer["Body"]
        if answer.get("ContentRange") != f"bytes {first}-{last}/{self.size}":
            body.close()
            if "ContentRange" not in answer:
                raise IncompleteAnswerError
            raise changed(self.location)
        return body

    def _version(self) -> dict[str, Any]:
        return {} if self.version_id is None else {"VersionId": self.version_id}


class _RangeReader:
    """Reads a range in order, and continues where a body breaks off. For one thread at a time."""

    def __init__(self, source: RangedObject, start: int, end: int, span: int) -> None:
        self._source = source
        self._position = start
        self._end = end
        self._span = span
        self._stopped = Event()
        self._body: Any = None
        self._left = 0

    def fill(self, view: memoryview) -> None:
        """Fill all of ``view``, unless it is stopped.

        Raises:
            SealingError: as `RangedObject.read`.
        """
        done = 0
        failed: AwsCallError | None = None
        for attempt in range(_ATTEMPTS):
            if attempt:
                # Full jitter: functions that failed together do not come back together.
                pause = random.uniform(0, min(_LONGEST_PAUSE, 0.1 * 2**attempt))  # noqa: S311
                self._source.sleep(pause)
            try:
                while done < len(view) and not self._stopped.is_set():
                    done += self._some(view[done : done + _PIECE])
            except AWS_CALL_ERRORS as error:
                self.close()
                if not is_retryable(error):
                    raise unreadable(self._source.location, error) from error
                failed = error
            else:
                return
        assert failed is not None
        raise unreadable(self._source.location, failed) from failed

    def stop(self) -> None:
        """Make `fill` end soon; called from another thread."""
        self._stopped.set()

    def close(self) -> None:
        """Close the connection; reading further opens another."""
        if self._body is not None:
            self._body.close()
        self._body = None

    def _some(self, view: memoryview) -> int:
        """Read at least one of the next bytes into ``view``; how many they are."""
        if self._body is None:
            self._left = min(self._span, self._end - self._position)
            self._body = self._source.get(self._position, self._position + self._left - 1)
        read: int = self._body.readinto(view[: self._left])
        if read == 0:
            raise IncompleteReadError(actual_bytes=0, expected_bytes=self._left)
        self._position += read
        self._left -= read
        if self._left == 0:
            self.close()
        return read
