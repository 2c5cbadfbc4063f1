"""Asks the sealing function in AWS Lambda, synchronously."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from rotation.aws.answers import payload_of, reading_answer
from rotation.aws.errors import (
    AWS_CALL_ERRORS,
    AwsCallError,
    error_code,
    got_no_answer,
    is_retryable,
    was_not_run,
)
from rotation.client.contract import event_of
from rotation.client.secret_source import ProcessLocal
from rotation.errors import (
    ConfigurationError,
    RotationError,
    SealingError,
    SealingUnavailableError,
)
from rotation.privacy.printable import outside_text, printable_lines
from rotation.privacy.redaction import scrub
from rotation.sealing.request import SealRequest

if TYPE_CHECKING:
    from mypy_boto3_lambda.client import LambdaClient

#: The sealing function's timeout in ``template.yaml``.
FUNCTION_TIMEOUT: Final = timedelta(seconds=300)

# botocore keeps ten connections by default; FastAPI, for one, seals in forty threads.
_CONNECTIONS: Final = 50

_log: Final = logging.getLogger("rotation.client")


class LambdaInvoker:
    """An `Invoker` over Lambda's Invoke with InvocationType RequestResponse.

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
        self._client = ProcessLocal(partial(_once_only, make_client or lambda_client))

    def invoke(self, request: SealRequest) -> Mapping[str, Any]:
        """The function's answer: sealed, or why not.

        Raises:
            SealingUnavailableError: it was not run, so nothing was sealed; it may be in a moment.
            SealingError: it could not be invoked, or crashed; retryable if that may pass.
            ConfigurationError: the client repeats invocations by itself.
        """
        error: SealingError
        try:
            answer = self._ask(request)
            if not isinstance(answer, SealingError):
                return answer
            error = answer
        except AWS_CALL_ERRORS as failure:
            error = self._translate(failure)
        except RotationError:
            raise
        except Exception as failure:  # noqa: BLE001 - such as a tracer's hook in the client
            _log.error(
                "invoking %s failed: %s", self._function, printable_lines(traceback.format_exc())
            )
            name = type(failure).__name__
            error = SealingError(f"Invoking {self._function} failed unexpectedly: {name}.")
        # The frames below hold the request, or what a crashed function said: raised without them.
        raise error

    def _ask(self, request: SealRequest) -> Mapping[str, Any] | SealingError:
        answer = self._client().invoke(
            FunctionName=self._function,
            InvocationType="RequestResponse",
            Payload=json.dumps(event_of(request)).encode(),
        )
        with reading_answer():
            payload = payload_of(answer)
        if crashed := answer.get("FunctionError"):
            kind = payload.get("errorType", crashed)
            shown = outside_text(scrub(str(kind)), 100)
            error = SealingError(
                f"The sealing function {self._function} failed: {shown}. Its log says why; a "
                "larger document may need more time or memory."
            )
            # The process is gone: Lambda begins another one (lambda-runtime-environment).
            error.retryable = kind == "Runtime.ExitError"
            return error
        return payload

    def _translate(self, failure: AwsCallError) -> SealingError:
        message = self._problem(failure)
        if was_not_run(failure):
            return SealingUnavailableError(message)
        error = SealingError(message)
        error.retryable = is_retryable(failure)
        return error

    def _problem(self, failure: AwsCallError) -> str:
        code = error_code(failure)
        if isinstance(failure, ClientError):
            advice = {
                "AccessDeniedException": " Allow lambda:InvokeFunction on it to the caller's role.",
                "ResourceNotFoundException": " Check its name, its alias and the region.",
            }.get(code, "")
            return f"Invoking {self._function} failed: {code}.{advice}"
        if not got_no_answer(failure):
            return (
                f"{self._function} was not invoked: {code}. Set AWS_DEFAULT_REGION, and give the "
                "process credentials: a role or a profile."
            )
        if was_not_run(failure):
            return (
                f"{self._function} was not invoked: Lambda is not reached ({code}). Check the "
                "network path; a VPC needs an endpoint for Lambda, or a NAT gateway."
            )
        return (
            f"Invoking {self._function} brought no answer: {code}. Check the network path and, for "
            "a timeout, that the client waits longer than the function may take."
        )


def lambda_client(function_timeout: timedelta = FUNCTION_TIMEOUT) -> LambdaClient:
    """A client that invokes once, and waits longer than the function may take."""
    import boto3

    from rotation.aws.client_config import invoke_and_wait

    config = invoke_and_wait(function_timeout, connections=_CONNECTIONS)
    return boto3.Session().client("lambda", config=config)


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
