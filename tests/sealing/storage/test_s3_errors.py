"""What an error of S3 means for a document."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, IncompleteReadError, NoCredentialsError
from botocore.parsers import ResponseParserError

from rotation.aws.errors import AwsCallError, error_code
from rotation.errors import (
    SealingError,
    SourceChangedError,
    SourceNotFoundError,
    SourceUnavailableError,
)
from rotation.sealing.request import ObjectLocation
from rotation.sealing.storage.s3_errors import unreadable, unwritable

PLACE = ObjectLocation("bucket", "a.pdf")


def refusal(status: int, code: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "GetObject",
    )


@pytest.mark.parametrize(
    ("error", "lasting"),
    [
        (refusal(503, "SlowDown"), False),
        (refusal(404, "NoSuchUpload"), False),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), False),
        (ResponseParserError("half of an XML document"), False),
        (refusal(403, "AccessDenied"), True),
        (refusal(404, "NoSuchKey"), True),
        (NoCredentialsError(), True),
    ],
    ids=repr,
)
def test_an_error_says_what_failed_and_whether_to_ask_again(
    error: AwsCallError, lasting: bool
) -> None:
    """For the source and for the destination alike; AWS's code and the object are named."""
    source, destination = unreadable(PLACE, error), unwritable(PLACE, error)
    assert type(source) is (SourceNotFoundError if lasting else SourceUnavailableError)
    assert (source.retryable, destination.retryable) == (not lasting, not lasting)
    for problem in (source, destination):
        assert isinstance(problem, SealingError)
        assert error_code(error) in str(problem)
        assert str(PLACE) in str(problem)


def test_an_archived_source_has_to_be_restored() -> None:
    """It is there, and may be read, but not now: what has to be done is said."""
    told = str(unreadable(PLACE, refusal(403, "InvalidObjectState")))
    assert "Restore it" in told
    assert "does not exist" not in told


def test_a_failed_condition_is_a_source_that_changed() -> None:
    """412, whatever its code: HEAD has none."""
    assert type(unreadable(PLACE, refusal(412, "412"))) is SourceChangedError
