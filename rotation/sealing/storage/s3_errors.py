"""Turns an error of S3 into ours: a source that is gone or was replaced, or a bad destination."""

from __future__ import annotations

from rotation.aws.errors import AwsCallError, error_code, got_no_answer, http_status, is_retryable
from rotation.errors import (
    DestinationError,
    SealingError,
    SourceChangedError,
    SourceNotFoundError,
    SourceUnavailableError,
)
from rotation.sealing.request import ObjectLocation


def unreadable(source: ObjectLocation, error: AwsCallError) -> SealingError:
    """Why ``source`` cannot be read, as one of our errors.

    412 answers If-Match: the object is not the one that was first seen (API_GetObject).
    """
    if http_status(error) == 412:
        return changed(source)
    if is_retryable(error):
        return SourceUnavailableError(
            f"{source} could not be read just now ({error_code(error)}). Ask again."
        )
    if error_code(error) == "InvalidObjectState":
        return SourceNotFoundError(
            f"{source} cannot be read: it is archived (InvalidObjectState). Restore it, then ask "
            "again."
        )
    # API_GetObject: without the right to list the bucket, a missing object is AccessDenied too.
    return SourceNotFoundError(
        f"{source} cannot be read ({error_code(error)}): it does not exist, or the credentials in "
        "use (the function's role, or yours) may not read it (s3:GetObject, s3:GetObjectVersion, "
        "its KMS key)."
    )


def changed(source: ObjectLocation) -> SourceChangedError:
    """The object that is read now is not the one that was begun with."""
    return SourceChangedError(
        f"{source} was replaced while it was being sealed. Ask again, or name a version."
    )


def unwritable(destination: ObjectLocation, error: AwsCallError) -> DestinationError:
    """Why ``destination`` cannot be written; retryable if the cause may pass."""
    if not got_no_answer(error):
        problem = DestinationError(
            f"{destination} could not be written ({error_code(error)}). Check that the bucket "
            "exists and that the credentials in use (the function's role, or yours) may write "
            "there, its KMS key included."
        )
    else:
        problem = DestinationError(
            f"{destination} could not be written ({error_code(error)}). No whole answer came: it "
            "may have been written all the same. Ask again."
        )
    problem.retryable = is_retryable(error)
    return problem
