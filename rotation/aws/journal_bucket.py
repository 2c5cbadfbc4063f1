"""Keeps the journal in an S3 bucket: one object for each secret, changed by compare-and-swap.

S3's reads are strongly consistent, and a PUT with If-None-Match or If-Match is a true
compare-and-swap (S3 UserGuide, conditional-writes). The bucket has versioning and Object Lock, so
every former state stays; Object Lock requires a checksum with each PUT (API_PutObject).

The revision of a document is its ETag. Two states with equal bodies may have the same ETag: a
document that went from A to B and back to A still matches whoever read the first A. This is
harmless, because a document is replaced as a whole: the new one was made from A, and it replaces A.
If-Match takes an ETag alone, so a VersionId cannot stand in for it.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote
from uuid import uuid4

from rotation.aws.errors import (
    AWS_CALL_ERRORS,
    AwsCallError,
    error_code,
    http_status,
    is_retryable,
)
from rotation.errors import JournalConflictError, JournalError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

Member = TypeVar("Member")

FOLDER: Final = "journal/"
#: Names the write that stored a state, so that a writer knows its own.
_WRITE_ID: Final = "write-id"
#: An object's name has 1,024 bytes at most (S3 UserGuide, object-keys). An ARN can be longer once
#: it is encoded: a secret's name has up to 512 characters.
_LONGEST: Final = 900


class S3JournalStore:
    """A `rotation.journal.store.JournalStore` that is one bucket."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def read(self, secret_arn: str) -> tuple[bytes, str] | None:
        """As `rotation.journal.store.JournalStore.read`; one GetObject.

        S3 says that an object does not exist only to who may list the bucket; anybody else gets
        403, as for an object that must not be read (API_GetObject).
        """
        found = self._get(secret_arn)
        return None if found is None else found[:2]

    def write(self, secret_arn: str, body: bytes, replaces: str | None) -> str:
        """As `rotation.journal.store.JournalStore.write`; one PutObject.

        botocore repeats a PutObject whose answer was lost, and if the first one took effect, S3
        refuses the second. So a refusal is believed only after the state that is stored was seen.
        """
        write_id = uuid4().hex
        condition: dict[str, Any] = (
            {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": replaces}
        )
        try:
            answer = self._client.put_object(
                Bucket=self._bucket,
                Key=object_name(secret_arn),
                Body=body,
                ContentType="application/json",
                ChecksumAlgorithm="SHA256",
                Metadata={_WRITE_ID: write_id},
                **condition,
            )
        except AWS_CALL_ERRORS as error:
            if error_code(error) == "NoSuchKey":
                # UserGuide conditional-writes: If-Match, and no object, or a delete marker.
                raise self._gone(secret_arn) from error
            if not _is_conflict(error):
                raise self._failed("written", "s3:PutObject", secret_arn, error) from error
        else:
            return self._required(answer.get("ETag"), "ETag", secret_arn)
        found = self._get(secret_arn)
        if found is None and replaces is not None:
            raise self._gone(secret_arn)
        if found is not None and found[2] == write_id:
            return found[1]
        raise JournalConflictError(
            f"{self._place(secret_arn)} was changed by somebody else meanwhile: read it again."
        )

    def _get(self, secret_arn: str) -> tuple[bytes, str, str] | None:
        """The document, its revision and the id of the write that stored it."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=object_name(secret_arn))
            stream = self._required(answer.get("Body"), "Body", secret_arn)
            body = stream.read()
        except AWS_CALL_ERRORS as error:
            if _has_delete_marker(error):
                raise JournalError(
                    f"{self._place(secret_arn)} was deleted. Remove its delete marker: the former "
                    "states are still there.",
                    retryable=False,
                ) from error
            if http_status(error) == 404 and error_code(error) == "NoSuchKey":
                return None
            raise self._failed(
                "read", "s3:GetObject and s3:ListBucket", secret_arn, error
            ) from error
        revision = self._required(answer.get("ETag"), "ETag", secret_arn)
        return body, revision, answer.get("Metadata", {}).get(_WRITE_ID, "")

    def _required(self, member: Member | None, name: str, secret_arn: str) -> Member:
        if not member:
            raise JournalError(f"S3 answered for {self._place(secret_arn)} without {name}.")
        return member

    def _failed(self, done: str, rights: str, secret_arn: str, error: AwsCallError) -> JournalError:
        return JournalError(
            f"{self._place(secret_arn)} could not be {done}: {error_code(error)}. Check the "
            f"bucket, and {rights} in the function's role.",
            retryable=is_retryable(error),
        )

    def _gone(self, secret_arn: str) -> JournalError:
        return JournalError(
            f"{self._place(secret_arn)} is there no more. Was it deleted?", retryable=False
        )

    def _place(self, secret_arn: str) -> str:
        return f"The journal s3://{self._bucket}/{object_name(secret_arn)}"


def object_name(secret_arn: str) -> str:
    """The name of a secret's object: no secret's is a folder of another's, and no two are equal.

    Letters, digits and ``-_.:`` stand for themselves, everything else is percent-encoded as UTF-8.
    A name that would be too long for S3 is cut; a tilde and the SHA-256 of the ARN follow.
    """
    encoded = quote(secret_arn, safe=":").replace("~", "%7E")
    if len(encoded) > _LONGEST:
        encoded = f"{encoded[:_LONGEST]}~{sha256(secret_arn.encode()).hexdigest()}"
    return f"{FOLDER}{encoded}.json"


def _is_conflict(error: AwsCallError) -> bool:
    # API_PutObject. 412: the condition does not hold. 409: another write of it is under way.
    return http_status(error) in {409, 412}


def _has_delete_marker(error: AwsCallError) -> bool:
    # API_GetObject, x-amz-delete-marker: the current version is a delete marker.
    # An error of the connection has None for a response.
    answer = getattr(error, "response", None) or {}
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return http_status(error) == 404 and headers.get("x-amz-delete-marker") == "true"
