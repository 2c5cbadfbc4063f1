"""What S3's refusals mean."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    IncompleteReadError,
)
from urllib3.exceptions import SSLError

from rotation.errors import (
    SealingError,
    SourceChangedError,
    SourceNotFoundError,
    SourceUnavailableError,
)
from rotation.sealing.request import ObjectLocation
from rotation.sealing.storage.s3_errors import S3Error, cause, passes, unreadable, unwritable

PLACE = ObjectLocation("bucket", "a.pdf")


def refusal(status: int, code: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "GetObject",
    )


@pytest.mark.parametrize(
    ("error", "named", "lasting"),
    [
        (refusal(500, "InternalError"), "InternalError", False),
        (refusal(503, "SlowDown"), "SlowDown", False),
        (refusal(429, "TooManyRequests"), "TooManyRequests", False),
        (refusal(400, "ThrottlingException"), "ThrottlingException", False),
        (refusal(400, "KMS.ThrottlingException"), "KMS.ThrottlingException", False),
        (refusal(400, "RequestTimeout"), "RequestTimeout", False),
        (refusal(409, "OperationAborted"), "OperationAborted", False),
        (refusal(404, "NoSuchUpload"), "NoSuchUpload", False),
        (EndpointConnectionError(endpoint_url="x"), "EndpointConnectionError", False),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), "IncompleteReadError", False),
        (SSLError("the record layer"), "SSLError", False),
        (refusal(403, "AccessDenied"), "AccessDenied", True),
        (refusal(404, "NoSuchKey"), "NoSuchKey", True),
        (refusal(400, "EntityTooSmall"), "EntityTooSmall", True),
    ],
)
def test_what_passes_is_told_from_what_lasts(error: S3Error, named: str, lasting: bool) -> None:
    """For the source and for the destination alike; the cause is named."""
    assert cause(error) == named
    assert passes(error) is not lasting
    source, destination = unreadable(PLACE, error), unwritable(PLACE, error)
    assert type(source) is (SourceNotFoundError if lasting else SourceUnavailableError)
    assert (source.retryable, destination.retryable) == (not lasting, not lasting)
    for problem in (source, destination):
        assert isinstance(problem, SealingError)
        assert named in str(problem)
        assert str(PLACE) in str(problem)


def test_an_archived_source_has_to_be_restored() -> None:
    """It is there, and may be read, but not now: what has to be done is said."""
    told = str(unreadable(PLACE, refusal(403, "InvalidObjectState")))
    assert "Restore it" in told
    assert "does not exist" not in told


def test_a_failed_condition_is_a_source_that_changed() -> None:
    """412, whatever its code: HEAD has none."""
    assert type(unreadable(PLACE, refusal(412, "412"))) is SourceChangedError


def test_an_answer_without_particulars_lasts() -> None:
    """An error that says nothing of itself is not repeated for ever."""
    empty = ClientError({}, "GetObject")
    assert cause(empty) == "unknown"
    assert not passes(empty)
