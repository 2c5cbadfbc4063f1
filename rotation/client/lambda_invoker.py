"""Asks the sealing function in AWS Lambda, synchronously."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
)
from botocore.exceptions import ConnectionError as NotConnectedError

from rotation.client.contract import event_of
from rotation.client.secrets_manager import OnePerProcess
from rotation.errors import ConfigurationError, SealingError
from rotation.sealing.request import SealRequest

if TYPE_CHECKING:
    from mypy_boto3_lambda.client import LambdaClient

#: The sealing function's timeout in ``template.yaml``.
FUNCTION_TIMEOUT: Final = timedelta(seconds=300)

_MARGIN: Final = timedelta(seconds=10)
_CONNECT_SECONDS: Final = 3
# API_Invoke, "Errors": states that pass, though their HTTP status is that of the caller's mistakes.
_PASSING: Final = frozenset(
    {"ResourceConflictException", "SnapStartNotReadyException", "TooManyRequestsException"}
)


class LambdaInvoker:
    """`rotation.client.seal.Invoker` over Lambda's Invoke with InvocationType RequestResponse.

    The other types would put the key into Lambda's queue, and from there into a dead-letter queue
    or a destination. A client that repeats by itself is refused: after a read timeout the function
    is still sealing, and a repeated invocation buys another signature.

    Args:
        function: the function's name, ARN or alias.
        make_client: makes a Lambda client, once in each process; by default `lambda_client`, which
            fits the timeout of ``template.yaml``.
    """

    def __init__(
        self, function: str, make_client: Callable[[], LambdaClient] | None = None
    ) -> None:
        self._function = function
        self._client = OnePerProcess(partial(_once_only, make_client or lambda_client))

    def invoke(self, request: SealRequest) -> Mapping[str, Any]:
        """The function's answer: sealed, or why not.

        Raises:
            SealingError: it could not be invoked, or crashed; retryable if that may pass.
            ConfigurationError: the client repeats invocations by itself.
        """
        error: SealingError
        try:
            return self._ask(request)
        except ClientError as failure:
            error = self._refused(failure)
        except BotoCoreError as failure:
            error = self._unanswered(failure)
        # The exceptions of botocore lead through frames that hold the request: raised without them.
        raise error

    def _ask(self, request: SealRequest) -> Mapping[str, Any]:
        answer = self._client().invoke(
            FunctionName=self._function,
            InvocationType="RequestResponse",
            Payload=json.dumps(event_of(request)).encode(),
        )
        payload = _json_object(answer["Payload"].read())
        if crashed := answer.get("FunctionError"):
            kind = payload.get("errorType", crashed)
            error = SealingError(
                f"The sealing function {self._function} failed: {str(kind)[:100]}. Its log says "
                "why; a larger document may need more time or memory."
            )
            # The process is gone: Lambda begins another one (lambda-runtime-environment).
            error.retryable = kind == "Runtime.ExitError"
            raise error
        return payload

    def _refused(self, failure: ClientError) -> SealingError:
        told = failure.response
        code = told.get("Error", {}).get("Code", "Unknown")
        status = told.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        advice = {
            "AccessDeniedException": " Allow lambda:InvokeFunction on it to the caller's role.",
            "ResourceNotFoundException": " Check its name, its alias and the region.",
        }.get(code, "")
        error = SealingError(f"Invoking {self._function} failed: {code}.{advice}")
        error.retryable = code in _PASSING or status == 429 or status >= 500
        return error

    def _unanswered(self, failure: BotoCoreError) -> SealingError:
        name = type(failure).__name__
        error = SealingError(
            f"Invoking {self._function} brought no answer: {name}. Check the network path and, for "
            "a timeout, that the client waits longer than the function may take."
        )
        error.retryable = isinstance(failure, (HTTPClientError, NotConnectedError))
        return error


def lambda_client(function_timeout: timedelta = FUNCTION_TIMEOUT) -> LambdaClient:
    """A client that invokes once, and waits longer than the function may take."""
    import boto3
    from botocore.config import Config

    patience = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=(function_timeout + _MARGIN).total_seconds(),
        retries={"mode": "standard", "total_max_attempts": 1},
        tcp_keepalive=True,
    )
    return boto3.Session().client("lambda", config=patience)


def _once_only(make_client: Callable[[], LambdaClient]) -> LambdaClient:
    client = make_client()
    retries = getattr(client.meta.config, "retries", None) or {}
    if retries.get("total_max_attempts") != 1:
        raise ConfigurationError(
            "The Lambda client repeats invocations by itself, and each would be a seal of its own. "
            'Make it with Config(retries={"total_max_attempts": 1}) and a read_timeout longer than '
            "the function's timeout."
        )
    return client


def _json_object(payload: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
