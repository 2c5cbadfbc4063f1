"""One call to Secrets Manager, with errors that a person can use and that hold no value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
)
from botocore.exceptions import ConnectionError as NotConnectedError

from rotation.errors import RotationError, SecretStoreError

# API_RotateSecret, "Errors", and the SDK guide's list of throttling codes.
_PASSING: Final = frozenset(
    {
        "InternalServiceError",
        "InternalFailure",
        "ServiceUnavailable",
        "ThrottlingException",
        "Throttling",
        "RequestLimitExceeded",
        "RequestTimeout",
        "LimitExceededException",
    }
)


def store_call(operation: str, secret: str, call: Callable[[], Any]) -> Any:
    """Make one Secrets Manager call and translate its errors.

    botocore's exceptions can repeat a parameter's value, and their frames hold requests and
    responses; neither leaves this function, so the error that does has no cause.
    """
    error: RotationError
    try:
        return call()
    except ClientError as failure:
        error = _translate(operation, secret, failure)
    except BotoCoreError as failure:
        error = _not_answered(operation, secret, failure)
    raise error


def _translate(operation: str, secret: str, failure: ClientError) -> SecretStoreError:
    code = failure.response.get("Error", {}).get("Code", "Unknown")
    advice = {
        "AccessDeniedException": f"Allow secretsmanager:{operation} on it to the caller's role, "
        "and the use of its KMS key.",
        "ResourceNotFoundException": "Check the secret's name or ARN, the region, and whether the "
        "version has a value.",
        "InvalidRequestException": "Check whether it is scheduled for deletion, or a replica.",
        "DecryptionFailure": "Check the key policy of its KMS key.",
        "EncryptionFailure": "Check the key policy of its KMS key.",
    }.get(code, "")
    return SecretStoreError(
        f"{operation} on {secret} failed: {code}. {advice}".rstrip(),
        operation=operation,
        aws_code=code,
        retryable=code in _PASSING,
    )


def _not_answered(operation: str, secret: str, failure: BotoCoreError) -> SecretStoreError:
    name = type(failure).__name__
    passing = isinstance(failure, (HTTPClientError, NotConnectedError))
    if passing:
        problem = "got no answer from Secrets Manager. Check the network path and the endpoint."
    elif isinstance(failure, NoCredentialsError):
        problem = (
            "was not sent: there are no AWS credentials. Give the process a role or a profile."
        )
    elif isinstance(failure, NoRegionError):
        problem = "was not sent: no region is set. Set AWS_DEFAULT_REGION, or one in the profile."
    else:
        problem = "was not sent: botocore refused it."
    return SecretStoreError(
        f"{operation} on {secret} {problem} ({name})",
        operation=operation,
        aws_code=name,
        retryable=passing,
    )
