"""What the errors of AWS calls mean, whichever service they come from."""

from __future__ import annotations

import pytest
from botocore import exceptions
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from botocore.retries import standard
from urllib3.exceptions import SSLError

from rotation.aws.errors import (
    AwsCallError,
    error_code,
    got_no_answer,
    http_status,
    is_retryable,
    is_retryable_code,
    was_not_run,
)


def answered(status: int, code: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "AnyOperation",
    )


@pytest.mark.parametrize(
    "error",
    [
        answered(500, "InternalServiceError"),
        answered(503, "SlowDown"),
        answered(502, "Unknown"),
        answered(429, "Unknown"),
        answered(400, "ThrottlingException"),
        answered(400, "KMSThrottling"),
        answered(400, "KMS.ThrottlingException"),
        answered(400, "RequestTimeout"),
        answered(404, "NoSuchUpload"),
        answered(409, "OperationAborted"),
        answered(409, "ConditionalRequestConflict"),
        answered(409, "ResourceConflictException"),
    ],
    ids=lambda error: f"{http_status(error)} {error_code(error)}",
)
def test_a_service_that_fails_or_is_asked_too_often_may_be_asked_again(error: ClientError) -> None:
    """By the status where it tells, and by the code where it does not."""
    assert is_retryable(error)
    assert not got_no_answer(error)


@pytest.mark.parametrize(
    "error",
    [
        answered(400, "AccessDeniedException"),
        answered(403, "AccessDenied"),
        answered(404, "NoSuchKey"),
        answered(400, "ResourceNotFoundException"),
        answered(400, "DecryptionFailure"),
        answered(412, "PreconditionFailed"),
        answered(400, "NobodyKnowsThisException"),
        answered(400, "LimitExceededException"),
        ClientError({}, "AnyOperation"),
        exceptions.NoCredentialsError(),
        exceptions.NoRegionError(),
        exceptions.ParamValidationError(report="x"),
    ],
    ids=error_code,
)
def test_a_refusal_and_a_call_that_was_not_sent_fail_again(error: AwsCallError) -> None:
    """Somebody has to change something; an error that says nothing of itself is one of these."""
    assert not is_retryable(error)
    assert not got_no_answer(error)
    assert not was_not_run(error)


@pytest.mark.parametrize(
    ("error", "connected"),
    [
        (exceptions.ConnectTimeoutError(endpoint_url="https://x"), False),
        (exceptions.EndpointConnectionError(endpoint_url="https://x"), False),
        (exceptions.ProxyConnectionError(proxy_url="https://x"), False),
        (exceptions.ReadTimeoutError(endpoint_url="https://x"), True),
        (exceptions.ConnectionClosedError(endpoint_url="https://x"), True),
        (exceptions.ResponseStreamingError(error="x"), True),
        (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), True),
        (exceptions.FlexibleChecksumError(error_msg="x"), True),
        (ResponseParserError("half of an XML document"), True),
        (SSLError("the record layer"), True),
    ],
    ids=repr,
)
def test_half_an_answer_may_be_asked_for_again(error: AwsCallError, connected: bool) -> None:
    """Only where no connection was made is it certain that AWS did nothing."""
    assert got_no_answer(error)
    assert is_retryable(error)
    assert was_not_run(error) is not connected
    assert (error_code(error), http_status(error)) == (type(error).__name__, 0)


@pytest.mark.parametrize(
    ("error", "not_run"),
    [
        (answered(429, "TooManyRequestsException"), True),
        (answered(400, "ThrottlingException"), True),
        (answered(502, "EC2ThrottledException"), True),
        (answered(409, "ResourceConflictException"), True),
        (answered(409, "SnapStartNotReadyException"), True),
        (answered(500, "ServiceException"), False),
        (answered(503, "Unknown"), False),
    ],
    ids=repr,
)
def test_a_function_that_was_not_run_is_told_from_one_that_may_have_run(
    error: ClientError, not_run: bool
) -> None:
    """API_Invoke: a throttled invocation starts nothing; after an error of Lambda nobody knows."""
    assert was_not_run(error) is not_run


def test_we_repeat_whatever_botocore_repeats() -> None:
    """Botocore's newest list of codes is in ours but for a quota, which empties for nobody."""
    known = [
        *standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES,  # type: ignore[attr-defined]
        *standard.TransientRetryableChecker._TRANSIENT_ERROR_CODES,  # type: ignore[attr-defined]
    ]
    assert [code for code in known if not is_retryable_code(code)] == ["LimitExceededException"]
