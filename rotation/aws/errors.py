"""What an error of an AWS call means: its code, and whether the same call may succeed later.

Every module that calls AWS asks here, so that all of them agree on what is worth repeating.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    ProxyConnectionError,
)
from botocore.exceptions import ConnectionError as NotConnectedError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from rotation.privacy.printable import outside_text

#: What a call to AWS raises. `ClientError`: the service answered with an error. The others: no
#: usable answer came. botocore translates only some of what urllib3 raises while a body is read,
#: and it raises ResponseParserError, which is no BotoCoreError, for XML that breaks off.
AWS_CALL_ERRORS: Final = (ClientError, BotoCoreError, ResponseParserError, HTTPError)
AwsCallError: TypeAlias = ClientError | BotoCoreError | ResponseParserError | HTTPError


class IncompleteAnswerError(BotoCoreError):
    """An answer with status 200 that lacks a member which it must have."""

    fmt = "The answer is not whole."


_NO_ANSWER: Final = (
    FlexibleChecksumError,
    HTTPClientError,
    HTTPError,
    IncompleteAnswerError,
    IncompleteReadError,
    NotConnectedError,
    ResponseParserError,
)
#: The longest code in the API references has 60 characters.
_LONGEST_CODE: Final = 100
_NOT_CONNECTED: Final = (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError)

# API_Invoke, "Errors": the function is being updated, or its snapshot is not ready.
_LAMBDA_NOT_READY: Final = frozenset({"ResourceConflictException", "SnapStartNotReadyException"})
# Too many requests, in the codes that do not say "throttl". SDKs and Tools Reference Guide, "Retry
# behavior"; botocore.retries.standard has the same list, and a test compares the two.
_TOO_MANY_REQUESTS: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
# A quota is used up, of labels, versions, tags or grants: the call fails until somebody frees a
# part of it (API_UpdateSecretVersionStage, API_PutSecretValue). botocore repeats it all the same.
_QUOTAS: Final = frozenset({"LimitExceeded", "LimitExceededException"})
_RETRYABLE_CODES: Final = frozenset(
    {
        *_LAMBDA_NOT_READY,
        *_TOO_MANY_REQUESTS,
        # "Common errors" of the API references. The service failed (HTTP 500, 503), or the request
        # took too long to arrive (400).
        "InternalFailure",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        # The service failed, as Secrets Manager (API_GetSecretValue), SNS and S3 (API_Publish,
        # ErrorResponses) and Lambda (API_Invoke) call it.
        "InternalServiceError",
        "InternalError",
        "ServiceException",
        # S3 ErrorResponses: another request changes the same object now (409), or the upload has
        # been aborted (404), and whoever begins again begins another upload.
        "ConditionalRequestConflict",
        "NoSuchUpload",
        "OperationAborted",
    }
)


def error_code(error: AwsCallError) -> str:
    """AWS's own code; without an answer the name of the exception. Safe to log and to show."""
    if isinstance(error, ClientError):
        return outside_text(error.response.get("Error", {}).get("Code", "Unknown"), _LONGEST_CODE)
    return type(error).__name__


def http_status(error: AwsCallError) -> int:
    """The HTTP status of the answer; 0 if there was none."""
    if isinstance(error, ClientError):
        return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return 0


def is_retryable(error: AwsCallError) -> bool:
    """Whether the same call may succeed later although nobody changes anything.

    It may if the service failed, if it was asked too often, or if no whole answer came. What
    botocore refused to send, such as a call without credentials, fails again, and so does a call
    that would exceed a quota.
    """
    if not isinstance(error, ClientError):
        return got_no_answer(error)
    status, code = http_status(error), error_code(error)
    return code not in _QUOTAS and (status >= 500 or status == 429 or is_retryable_code(code))


def is_retryable_code(code: str) -> bool:
    """As `is_retryable`, where nothing but AWS's code is known."""
    return code in _RETRYABLE_CODES or _throttled(code)


def got_no_answer(error: AwsCallError) -> bool:
    """Whether no whole answer came: AWS may or may not have done what it was asked."""
    return isinstance(error, _NO_ANSWER)


def was_not_run(error: AwsCallError) -> bool:
    """Whether Lambda cannot have run the function that it was asked to invoke, but may soon."""
    if not isinstance(error, ClientError):
        return isinstance(error, _NOT_CONNECTED)
    code = error_code(error)
    too_many = http_status(error) == 429 or code in _TOO_MANY_REQUESTS or _throttled(code)
    return too_many or code in _LAMBDA_NOT_READY


def _throttled(code: str) -> bool:
    # Each service has its own word: Throttling, ThrottlingException, Throttled and KMSThrottling
    # (SNS), KMS.ThrottlingException (S3), EC2ThrottledException (Lambda).
    return "throttl" in code.lower()
