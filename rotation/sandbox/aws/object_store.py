"""S3, made faithful where evidence and the journal depend on it.

moto checks If-None-Match and If-Match, but lets other requests in between the check and the write.
It does not say when an object is hidden by a delete marker, lets anybody shorten a retention or
suspend the versioning of a bucket with Object Lock, and takes the time from the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from threading import Lock, RLock
from typing import Any, Final

from moto.s3.exceptions import AccessDeniedByLock, MethodNotAllowed
from moto.s3.models import FakeDeleteMarker, FakeKey, S3Backend
from moto.s3.responses import S3Response

_NULL_OWNER: Final = {"account_id": "", "region_name": ""}


class ConditionalConflict(Exception):  # noqa: N818 - it becomes an answer of S3's
    """Another conditional write of the same object is under way."""


class ObjectWrites:
    """Which conditional writes are under way. ``lock`` lets one request in at a time."""

    def __init__(self) -> None:
        self.lock = RLock()
        self._mutex = Lock()
        self._under_way: set[tuple[str, str]] = set()

    @contextmanager
    def under_way(self, bucket: str, key: str) -> Iterator[None]:
        """While it is open, S3 answers 409 to conditional writes of this object (API_PutObject).

        Raises:
            ConditionalConflict: it is open already.
        """
        with self._mutex:
            if (bucket, key) in self._under_way:
                raise ConditionalConflict
            self._under_way.add((bucket, key))
        try:
            yield
        finally:
            with self._mutex:
                self._under_way.discard((bucket, key))


class FaithfulS3(S3Backend):  # type: ignore[misc]
    """The buckets of one account."""

    # moto finds a backend's URLs by the name of the module that its class claims to be from.
    __module__ = "moto.s3.models"

    def __init__(
        self, region_name: str, account_id: str, *, writes: ObjectWrites | None = None
    ) -> None:
        super().__init__(region_name, account_id)
        self.writes = writes or ObjectWrites()

    def reset(self) -> None:
        """Forget every bucket. moto's reset runs ``__init__`` again, without our argument."""
        writes = self.writes
        super().reset()
        self.writes = writes

    def delete_object(
        self,
        bucket_name: str,
        key_name: str,
        version_id: str | None = None,
        bypass: Any = False,
    ) -> tuple[bool, dict[str, Any]]:
        """UserGuide DeleteMarker: without a version id, a marker is made, object or no object."""
        bucket = self.get_bucket(bucket_name)
        if bucket.is_versioned and version_id is None and key_name not in bucket.keys:
            absent = FakeKey(name=key_name, value=b"", **_NULL_OWNER)
            marker = FakeDeleteMarker(key=absent)
            bucket.keys[key_name] = marker
            return True, {"version-id": marker.version_id, "delete-marker": "true"}
        answer: tuple[bool, dict[str, Any]] = super().delete_object(
            bucket_name, key_name, version_id=version_id, bypass=str(bypass).lower() == "true"
        )
        return answer

    def delete_marker(self, bucket_name: str, key_name: str, version_id: str | None) -> Any:
        """The delete marker with this version id; without one, the one that hides the object."""
        found = self.get_object(bucket_name, key_name, version_id, return_delete_marker=True)
        return found if isinstance(found, FakeDeleteMarker) else None


class FaithfulS3Response(S3Response):  # type: ignore[misc]
    """The wire side: one request at a time, and the answers that moto does not give."""

    def bucket_response(self, request: Any, full_url: str, headers: Any) -> Any:
        """One at a time: a listing must not see half of a write.

        UserGuide object-lock: where objects are locked, versioning cannot be suspended.
        """
        self.setup_class(request)
        with self.backend.writes.lock:
            bucket = self.backend.buckets.get(self.bucket_name)
            suspends = "versioning" in self.querystring and b"Suspended" in self.raw_body
            if request.method == "PUT" and suspends and bucket and bucket.object_lock_enabled:
                return xml_error(
                    409,
                    "InvalidBucketState",
                    "An Object Lock configuration is present on this bucket, so the versioning "
                    "state cannot be changed.",
                )
            return super().bucket_response(request, full_url, headers)

    def key_response(self, request: Any, full_url: str, headers: Any) -> Any:
        """UserGuide conditional-writes: check and write are one; 409 while another is under way."""
        self.setup_class(request)
        writes, key = self.backend.writes, self.parse_key_name()
        conditional = request.method in ("PUT", "POST") and (
            "If-Match" in request.headers or "If-None-Match" in request.headers
        )
        try:
            with (
                writes.under_way(self.bucket_name, key) if conditional else nullcontext(),
                writes.lock,
            ):
                answer = super().key_response(request, full_url, headers)
                return self._marked(request.method, key, answer)
        except ConditionalConflict:
            return xml_error(
                409,
                "ConditionalRequestConflict",
                "The conditional request cannot succeed due to a conflicting operation against "
                "this resource.",
            )

    def _marked(self, method: str, key: str, answer: Any) -> Any:
        """API_GetObject: a 404 because of a delete marker says so in a header."""
        status, headers, body = answer
        if method == "GET" and status == 404:
            marker = self.backend.delete_marker(self.bucket_name, key, None)
            if marker is not None:
                headers["x-amz-delete-marker"] = "true"
                headers["x-amz-version-id"] = marker.version_id
        return status, headers, body

    def get_object(self) -> Any:
        """API_GetObject: a delete marker has no content, which is 405 to who names its version."""
        version_id = self._get_param("versionId")
        key = self.parse_key_name()
        if version_id and self.backend.delete_marker(self.bucket_name, key, version_id):
            raise MethodNotAllowed(method="GET", resource_type="DeleteMarker")
        return super().get_object()

    def put_object_retention(self) -> Any:
        """UserGuide object-lock-overview: a retention can be made longer; shorter only by a bypass.

        That is so in GOVERNANCE mode; in COMPLIANCE mode it is never made shorter.
        """
        version_id = self._get_param("versionId")
        held = self.backend.get_object(self.bucket_name, self.parse_key_name(), version_id)
        bypass = self.headers.get("x-amz-bypass-governance-retention", "").lower() == "true"
        if held is not None and held.is_locked(governance_bypass=bypass):
            mode, until = self._mode_until_from_body()
            longer = until is not None and _time(until) >= _time(held.lock_until)
            if not longer or mode not in {held.lock_mode, "COMPLIANCE"}:
                raise AccessDeniedByLock
        return super().put_object_retention()


def moto_time(clock: Callable[[], datetime]) -> Callable[[], datetime]:
    """The clock as moto wants it: UTC without saying so."""
    return lambda: clock().astimezone(UTC).replace(tzinfo=None)


def xml_error(status: int, code: str, message: str) -> tuple[int, dict[str, str], str]:
    """An error answer of S3's (API ErrorResponses)."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )
    return status, {"content-type": "application/xml"}, body


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
