"""Makes a call to Secrets Manager; its errors say what to do and never hold a secret's value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError

from rotation.aws.errors import (
    AWS_CALL_ERRORS,
    AwsCallError,
    error_code,
    got_no_answer,
    is_retryable,
)
from rotation.credential import Confidential
from rotation.errors import SecretStoreError

#: The code of an answer with status 200 that lacks what the API promises.
INCOMPLETE_ANSWER: Final = "IncompleteAnswer"

# The member by which an answer shows that it is Secrets Manager's ("Response Syntax" of each
# operation). Whoever needs more reads it within the call.
_REQUIRED: Final[Mapping[str, str]] = {
    "CreateSecret": "ARN",
    "DescribeSecret": "ARN",
    "ListSecretVersionIds": "Versions",
    "ListSecrets": "SecretList",
    "PutSecretValue": "VersionId",
    "RotateSecret": "VersionId",
    "UpdateSecretVersionStage": "ARN",
}
# What reading an answer raises that has another form than the API promises: our code, and also
# botocore's where the body is JSON of another kind.
_UNREADABLE: Final = (AttributeError, LookupError, TypeError, ValueError)


def call_secrets_manager(operation: str, secret: str, call: Callable[[], Any]) -> Any:
    """Make one call to Secrets Manager and return its answer.

    An exception of botocore can repeat the value of a parameter, and its frames hold requests and
    answers. So it never leaves this function: the error that is raised instead has no cause.

    Something between this process and AWS can cut or rewrite an answer and leave its status 200.
    botocore then returns an answer without the members. Nothing is concluded from what is missing:
    the call may have had its effect or not, and may be made again.

    Args:
        operation: the API's operation, such as ``PutSecretValue``.
        secret: the secret's name or ARN, for the error message.
        call: makes the call, and reads from the answer what it must hold.

    Raises:
        SecretStoreError: Secrets Manager refused the call, or gave no answer, or not a whole one.
    """
    try:
        answer = call()
    except AWS_CALL_ERRORS as failure:
        error = SecretStoreError(
            f"{operation} on {secret} {_problem(operation, failure)}",
            operation=operation,
            aws_code=error_code(failure),
            retryable=is_retryable(failure),
        )
    except _UNREADABLE:
        error = incomplete_answer(operation, secret)
    else:
        required = _REQUIRED.get(operation)
        if required is None or not isinstance(answer, Mapping) or required in answer:
            return answer
        error = incomplete_answer(operation, secret)
    raise error


def incomplete_answer(operation: str, secret: str) -> SecretStoreError:
    """The error for an answer that lacks a member which it must have."""
    return SecretStoreError(
        f"{operation} on {secret} got an answer that is not whole. Try again. If it happens again, "
        "check what stands between this process and Secrets Manager, such as a proxy.",
        operation=operation,
        aws_code=INCOMPLETE_ANSWER,
        retryable=True,
    )


def value_of(answer: Mapping[str, Any]) -> Confidential | None:
    """The SecretString of an answer of GetSecretValue; None if the value is binary.

    Raises:
        KeyError: the answer holds neither (API_GetSecretValue: it holds one of them).
    """
    if "SecretBinary" in answer and "SecretString" not in answer:
        return None
    return Confidential(answer["SecretString"])


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
            "LimitExceededException": "A quota is used up: 20 staging labels, 50 tags, or about "
            "100 versions, of which none of the last 24 hours is removed (UserGuide "
            "reference_limits).",
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
