"""What becomes of botocore's errors."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions
from botocore.exceptions import ClientError

from rotation.errors import SecretStoreError
from rotation.secrets_manager.calls import call_secrets_manager


def failing(error: Exception) -> SecretStoreError:
    def call() -> Any:
        raise error

    with pytest.raises(SecretStoreError) as failed:
        call_secrets_manager("GetSecretValue", "a-secret", call)
    return failed.value


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ConnectTimeoutError(endpoint_url="https://x"),
        exceptions.EndpointConnectionError(endpoint_url="https://x"),
        exceptions.ReadTimeoutError(endpoint_url="https://x"),
        exceptions.SSLError(endpoint_url="https://x", error=OSError("y")),
        exceptions.ProxyConnectionError(proxy_url="https://x"),
        exceptions.ConnectionClosedError(endpoint_url="https://x"),
    ],
)
def test_no_route_to_aws_is_said_to_be_that_and_may_pass(error: Exception) -> None:
    """A missing VPC endpoint or a lost connection: check the network; asking again may help."""
    failed = failing(error)
    assert failed.retryable
    assert "Check the network path" in str(failed)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (exceptions.NoCredentialsError(), "no AWS credentials"),
        (exceptions.NoRegionError(), "Set AWS_DEFAULT_REGION"),
        (exceptions.ParamValidationError(report="SecretString: x"), "botocore refused it"),
    ],
)
def test_what_was_never_sent_does_not_pass(error: Exception, advice: str) -> None:
    """Nothing but a change on our side helps; the parameter's value is not repeated."""
    failed = failing(error)
    assert not failed.retryable
    assert advice in str(failed)
    assert "SecretString" not in str(failed)


@pytest.mark.parametrize(
    ("code", "retryable", "advice"),
    [
        ("AccessDeniedException", False, "Allow secretsmanager:GetSecretValue"),
        ("ResourceNotFoundException", False, "name or ARN"),
        ("InvalidRequestException", False, "scheduled for deletion"),
        ("DecryptionFailure", False, "KMS key"),
        ("LimitExceededException", False, "A quota is used up"),
        ("ThrottlingException", True, ""),
        ("InternalServiceError", True, ""),
        ("SomethingNew", False, "SomethingNew"),
    ],
)
def test_each_refusal_names_what_to_do(code: str, retryable: bool, advice: str) -> None:
    """The operation, the secret, AWS's code and the next act."""
    failed = failing(ClientError({"Error": {"Code": code, "Message": "m"}}, "GetSecretValue"))
    assert failed.retryable is retryable
    assert (failed.operation, failed.aws_code) == ("GetSecretValue", code)
    assert "GetSecretValue on a-secret" in str(failed)
    assert advice in str(failed)
    assert failed.__cause__ is None
    assert failed.__context__ is None


def test_a_gateway_that_answers_for_secrets_manager_may_be_asked_again() -> None:
    """A 502 or 503 from something in between has no code of Secrets Manager's."""
    unknown = ClientError(
        {"Error": {"Code": "502"}, "ResponseMetadata": {"HTTPStatusCode": 502}},  # type: ignore[typeddict-item]
        "GetSecretValue",
    )
    assert failing(unknown).retryable
