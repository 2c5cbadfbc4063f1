"""Makes a call to Secrets Manager; its errors say what to do and never hold a secret's value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError

from rotation.aws.errors import (
    AWS_CALL_ERRORS,
    AwsCallError,
    error_code,
    got_no_answer,
    is_retryable,
)
from rotation.errors import SecretStoreError


def call_secrets_manager(operation: str, secret: str, call: Callable[[], Any]) -> Any:
    """Make one call to Secrets Manager and return its answer.

    An exception of botocore can repeat the value of a parameter, and its frames hold requests and
    answers. So it never leaves this function: the error that is raised instead has no cause.

    Args:
        operation: the API's operation, such as ``PutSecretValue``.
        secret: the secret's name or ARN, for the error message.
        call: makes the call.

    Raises:
        SecretStoreError: Secrets Manager refused the call, or gave no answer.
    """
    try:
        return call()
    except AWS_CALL_ERRORS as failure:
        error = SecretStoreError(
            f"{operation} on {secret} {_problem(operation, failure)}",
            operation=operation,
            aws_code=error_code(failure),
            retryable=is_retryable(failure),
        )
    raise error


def _problem(operation: str, failure: AwsCallError) -> str:
    code = error_code(failure)
    if isinstance(failure, ClientError):
        advice = {
            "AccessDeniedException": f"Allow secretsmanager:{operation} on it to the caller's "
            "role, and the use of its KMS key.",
            "ResourceNotFoundException": "Check the secret's name or ARN, the region, and whether "
            "the version has a value.",
            "InvalidRequestException": "Check whether it is scheduled for deletion, or a replica.",
            "DecryptionFailure": "Check the key policy of its KMS key.",
            "EncryptionFailure": "Check the key policy of its KMS key.",
        }.get(code, "")
        return f"failed: {code}. {advice}".rstrip()
    if got_no_answer(failure):
        problem = "got no answer from Secrets Manager. Check the network path and the endpoint."
    elif isinstance(failure, NoCredentialsError):
        problem = (
            "was not sent: there are no AWS credentials. Give the process a role or a profile."
        )
    elif isinstance(failure, NoRegionError):
        problem = "was not sent: no region is set. Set AWS_DEFAULT_REGION, or one in the profile."
    else:
        problem = "was not sent: botocore refused it."
    return f"{problem} ({code})"
