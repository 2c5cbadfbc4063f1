"""A multipart upload from its beginning to its end, or to nothing.

What was begun and is not completed costs storage that no listing of objects shows. So it is
aborted, whatever happens; what cannot be aborted is named in the error and in the log, and is left
to the bucket's lifecycle rule (AbortIncompleteMultipartUpload, UserGuide
mpu-abort-incomplete-mpu-lifecycle-config).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from rotation.aws.errors import AWS_CALL_ERRORS, AwsCallError, error_code, http_status, is_retryable
from rotation.errors import DestinationError, RotationError
from rotation.privacy.observability import logger
from rotation.sealing.request import ObjectLocation
from rotation.sealing.storage.s3_errors import unwritable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ABORTS: Final = 4
# S3 gives whole seconds in Initiated, and its clock need not be ours.
_CLOCKS_DIFFER_BY: Final = timedelta(seconds=5)


@dataclass(frozen=True)
class Storing:
    """How a document is stored.

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
class Upload:
    """One multipart upload, by its id."""

    s3: S3Client = field(repr=False)
    destination: ObjectLocation
    id: str
    sleep: Callable[[float], object] = field(repr=False)

    @classmethod
    def begin(
        cls,
        s3: S3Client,
        destination: ObjectLocation,
        how: Storing,
        clock: Callable[[], datetime],
        sleep: Callable[[float], object],
    ) -> Upload:
        """A new upload, and no other: what an attempt began whose answer was lost is aborted.

        Raises:
            DestinationError: S3 refuses it; retryable if the cause may pass.
        """
        begun = clock()
        try:
            upload_id, failed_before = _create(s3, destination, how)
        except AWS_CALL_ERRORS as error:
            problem = unwritable(destination, error)
            if is_retryable(error):
                _abort_others(cls(s3, destination, "", sleep), begun, problem)
            raise problem from error
        upload = cls(s3, destination, upload_id, sleep)
        if failed_before:
            _abort_others(upload, begun, None)
        return upload

    def abort(self, during: BaseException | None) -> None:
        """Drop what was uploaded; tried several times. Raises nothing.

        Nothing may be uploading any more: S3 might keep it (API_AbortMultipartUpload).

        Args:
            during: the error that is the reason; its message will say what could not be dropped.
        """
        failed: AwsCallError | None = None
        for attempt in range(_ABORTS):
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
        _left_behind(during, self.destination, f"the upload {self.id}", failed)


def _abort_others(ours: Upload, begun: datetime, during: DestinationError | None) -> None:
    # Nobody knows the id of an upload whose answer was lost. Another seal of the same destination
    # that began in the same moments may be hit: it fails, and can be asked for again.
    place = ours.destination
    try:
        pages = ours.s3.get_paginator("list_multipart_uploads").paginate(
            Bucket=place.bucket, Prefix=place.key
        )
        others = [
            found["UploadId"]
            for page in pages
            for found in page.get("Uploads", ())
            if found["Key"] == place.key
            and found["UploadId"] != ours.id
            and found["Initiated"] >= begun - _CLOCKS_DIFFER_BY
        ]
    except AWS_CALL_ERRORS as error:
        _left_behind(during, place, "an upload that may have begun", error)
        return
    for other in others:
        replace(ours, id=other).abort(during)


def _create(s3: S3Client, destination: ObjectLocation, how: Storing) -> tuple[str, int]:
    """The id of a new upload, and how many attempts failed before."""
    answer = s3.create_multipart_upload(
        Bucket=destination.bucket,
        Key=destination.key,
        # The CRC for which botocore needs no further library, and which can cover the whole.
        ChecksumAlgorithm="CRC32",
        ChecksumType="FULL_OBJECT",
        **how.parameters(),
    )
    return answer["UploadId"], answer["ResponseMetadata"]["RetryAttempts"]


def _left_behind(
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
