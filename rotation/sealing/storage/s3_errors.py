"""What S3's refusals mean for a document: gone, changed, or to be asked for again.

Pure: one place decides which failures pass, so that reading, copying and storing agree on it.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from rotation.errors import (
    DestinationError,
    SealingError,
    SourceChangedError,
    SourceNotFoundError,
    SourceUnavailableError,
)
from rotation.sealing.request import ObjectLocation

#: What a call to S3 raises: its refusal, or no answer that can be used. botocore translates only
#: some of what urllib3 raises over a body that breaks off.
S3_ERRORS: Final = (ClientError, BotoCoreError, HTTPError)
S3Error: TypeAlias = ClientError | BotoCoreError | HTTPError

# Error codes that pass with time although their status is a 4xx (API ErrorResponses). Whoever asks
# again begins another upload.
_PASSING: Final = frozenset(
    {"RequestTimeout", "OperationAborted", "ConditionalRequestConflict", "NoSuchUpload"}
)
# What the key service answers S3 when it is asked too often; it is not always made a 503.
_THROTTLED: Final = "Throttl"


def cause(error: S3Error) -> str:
    """S3's own error code, or what kept S3's answer from us."""
    if isinstance(error, ClientError):
        return error.response.get("Error", {}).get("Code", "unknown")
    return type(error).__name__


def status(error: S3Error) -> int:
    """The HTTP status; 0 where there was no answer."""
    if isinstance(error, ClientError):
        return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return 0


def passes(error: S3Error) -> bool:
    """Whether the same call may succeed later. No answer, or half of one, always may."""
    if not isinstance(error, ClientError):
        return True
    # An error inside a 200 has no status of its own that says so (API_CompleteMultipartUpload).
    told = cause(error)
    return status(error) >= 500 or status(error) == 429 or told in _PASSING or _THROTTLED in told


def unreadable(source: ObjectLocation, error: S3Error) -> SealingError:
    """Why ``source`` cannot be read, as one of our errors.

    412 answers If-Match: the object is not the one that was first seen (API_GetObject).
    """
    if status(error) == 412:
        return changed(source)
    if passes(error):
        return SourceUnavailableError(
            f"{source} could not be read just now ({cause(error)}). Ask again."
        )
    if cause(error) == "InvalidObjectState":
        return SourceNotFoundError(
            f"{source} cannot be read: it is archived (InvalidObjectState). Restore it, then ask "
            "again."
        )
    # API_GetObject: without the right to list the bucket, a missing object is AccessDenied too.
    return SourceNotFoundError(
        f"{source} cannot be read ({cause(error)}): it does not exist, or the credentials in use "
        "(the function's role, or yours) may not read it (s3:GetObject, s3:GetObjectVersion, its "
        "KMS key)."
    )


def changed(source: ObjectLocation) -> SourceChangedError:
    """The object that is read now is not the one that was begun with."""
    return SourceChangedError(
        f"{source} was replaced while it was being sealed. Ask again, or name a version."
    )


def unwritable(destination: ObjectLocation, error: S3Error) -> DestinationError:
    """Why ``destination`` cannot be written; retryable if the cause may pass."""
    if isinstance(error, ClientError):
        problem = DestinationError(
            f"{destination} could not be written ({cause(error)}). Check that the bucket exists "
            "and that the credentials in use (the function's role, or yours) may write there, its "
            "KMS key included."
        )
    else:
        problem = DestinationError(
            f"{destination} could not be written ({cause(error)}). Nothing else is known of it: "
            "ask again."
        )
    problem.retryable = passes(error)
    return problem
