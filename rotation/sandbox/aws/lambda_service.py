"""Lambda as moto serves it, with invocations that run a function and tell how it ended.

moto's simple Lambda answers every invocation with its own payload, whatever the invocation type,
and keeps the first of two event invoke configurations.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, Final

from flask import request
from moto.awslambda.exceptions import LambdaClientError, UnknownFunctionException
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.iam.models import iam_backends

from rotation.sandbox.aws.functions import Functions, InvocationResult, ThrottledError

_MOST_RETRIES: Final = 2
_MOST_AGE: Final = timedelta(hours=6)


#: Lambda developer guide, lambda-intro-execution-role: the service assumes the role.
_TRUST: Final = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)


def role_of(function: str) -> str:
    """The name of the role that the function ``function`` has."""
    return f"{function}-role"


class TooManyRequestsError(LambdaClientError):  # type: ignore[misc]
    """API_Invoke, TooManyRequestsException: the reserved concurrency is in use."""

    code = 429

    def __init__(self) -> None:
        super().__init__("TooManyRequestsException", "Rate Exceeded.")
        self.description = json.dumps(
            {
                "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
                "Type": "User",
                "message": self.message,
            }
        )


class FaithfulLambda(LambdaSimpleBackend):  # type: ignore[misc]
    """The functions of one account in one region."""

    # moto finds a backend's URLs by the name of the module that its class claims to be from.
    __module__ = "moto.awslambda_simple.models"

    def __init__(self, region_name: str, account_id: str, *, functions: Functions) -> None:
        super().__init__(region_name, account_id)
        self._functions = functions

    def reset(self) -> None:
        """Forget what moto knows of functions; their runners stay."""
        super().__init__(self.region_name, self.account_id)

    def register(self, name: str, timeout: timedelta, memory_mb: int) -> str:
        """Create a function without code, so that GetFunction finds it, and return its ARN."""
        roles = iam_backends[self.account_id][self.partition]
        role = roles.create_role(
            role_name=role_of(name),
            assume_role_policy_document=_TRUST,
            path="/",
            permissions_boundary=None,
            description="",
            tags=[],
            max_session_duration=None,
        )
        function = self.create_function(
            {
                "FunctionName": name,
                "Runtime": "python3.13",
                "Role": role.arn,
                "Handler": "handler",
                "Code": {"ZipFile": ""},
                "Timeout": int(timeout.total_seconds()),
                "MemorySize": memory_mb,
            }
        )
        return str(function.function_arn)

    def run(self, function_name: str, payload: bytes) -> InvocationResult:
        """Invoke a function for Secrets Manager, by name or ARN, and wait for its answer.

        One that is throttled is answered as a failure.
        """
        try:
            return self._functions.run(self.get_function(function_name).function_name, payload)
        except ThrottledError as error:
            return InvocationResult.failure("TooManyRequestsException", str(error))

    def put_function_concurrency(self, function_name: str, reserved_concurrency: str) -> str:
        """API_PutFunctionConcurrency: the function runs so often at once, and no more."""
        answer: str = super().put_function_concurrency(function_name, reserved_concurrency)
        function = self.get_function(function_name).function_name
        self._functions.reserve(function, int(reserved_concurrency))
        return answer

    def delete_function_concurrency(self, function_name: str) -> None:
        """API_DeleteFunctionConcurrency: nothing is reserved, and nothing limited."""
        super().delete_function_concurrency(function_name)
        self._functions.reserve(self.get_function(function_name).function_name, None)

    def invoke(
        self,
        function_name: str,
        qualifier: str | None,
        body: Any,
        headers: Any,
        response_headers: Any,
    ) -> bytes:
        """API_Invoke: RequestResponse waits and tells an error apart; Event queues; DryRun checks.

        Raises:
            UnknownFunctionException: no such function.
            TooManyRequestsError: what is reserved for it is in use. An event waits instead.
        """
        # moto looks for "qualifier"; the parameter is "Qualifier" (API_Invoke).
        name = self._named(function_name, qualifier or request.args.get("Qualifier"))
        payload = body.encode() if isinstance(body, str) else bytes(body)
        payload = payload or b"{}"
        kind = headers.get("X-Amz-Invocation-Type", "RequestResponse")
        if kind == "DryRun":
            return b""
        if kind == "Event":
            settings = self._event_settings(name)
            self._functions.deliver(
                name,
                payload,
                retries=settings.get("MaximumRetryAttempts", _MOST_RETRIES),
                age=timedelta(
                    seconds=settings.get("MaximumEventAgeInSeconds", _MOST_AGE.total_seconds())
                ),
            )
            return b""
        try:
            result = self._functions.run(name, payload)
        except ThrottledError as error:
            raise TooManyRequestsError from error
        response_headers["X-Amz-Executed-Version"] = "$LATEST"
        if result.error:
            response_headers["X-Amz-Function-Error"] = "Unhandled"
        return result.payload

    def _named(self, function_name: str, alias: str | None) -> str:
        """The name under which the function, or its alias, has a runner.

        Raises:
            UnknownFunctionException: no such function, or no such alias.
        """
        function = self.get_function(function_name)
        if alias in (None, "$LATEST"):
            return str(function.function_name)
        name = f"{function.function_name}:{alias}"
        if name not in self._functions.names():
            raise UnknownFunctionException(f"{function.function_arn}:{alias}")
        return name

    def put_function_event_invoke_config(
        self, function_name: str, config: dict[str, Any]
    ) -> dict[str, Any]:
        """API_PutFunctionEventInvokeConfig: an existing configuration is overwritten."""
        self.get_function(function_name).event_invoke_config.clear()
        answer: dict[str, Any] = super().put_function_event_invoke_config(function_name, config)
        return answer

    def _event_settings(self, name: str) -> dict[str, Any]:
        configurations = self.get_function(name).event_invoke_config
        return dict(configurations[0].config) if configurations else {}
