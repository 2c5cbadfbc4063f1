"""The AWS account in which an operator's command works: its secrets and the reconcile function."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from rotation.aws.client_config import OPERATOR, invoke_and_wait
from rotation.aws.errors import AWS_CALL_ERRORS, AwsCallError, error_code
from rotation.cli.shared.options import RECONCILE_FUNCTION
from rotation.secrets_manager.versions import SecretVersions

#: The timeout of the reconcile function in ``template.yaml``.
_RECONCILE_TIMEOUT: Final = timedelta(minutes=15)


class AwsAccount:
    """The account that the environment or the AWS profile names.

    Args:
        reconcile_function: the name or ARN of the deployed reconcile function.
    """

    def __init__(self, reconcile_function: str = RECONCILE_FUNCTION) -> None:
        self._function = reconcile_function
        try:
            self.secrets = boto3.client("secretsmanager", config=OPERATOR)
            self._lambda = boto3.client("lambda", config=invoke_and_wait(_RECONCILE_TIMEOUT))
            self._sts = boto3.client("sts", config=OPERATOR)
        except BotoCoreError as error:
            raise click.ClickException(
                f"No AWS account to work in: {error} Set AWS_PROFILE, or AWS_DEFAULT_REGION."
            ) from error

    def secret(self, name: str) -> SecretVersions:
        """The secret with that name or ARN."""
        arn = SecretVersions(self.secrets, name).snapshot().arn
        return SecretVersions(self.secrets, arn)

    def tagged(self, key: str, value: str) -> list[str]:
        """The ARNs of all secrets that bear this tag."""
        pages = self.secrets.get_paginator("list_secrets").paginate(
            Filters=[{"Key": "tag-key", "Values": [key]}, {"Key": "tag-value", "Values": [value]}]
        )
        try:
            return [
                secret["ARN"]
                for page in pages
                for secret in page["SecretList"]
                if {"Key": key, "Value": value} in secret.get("Tags", [])
            ]
        except AWS_CALL_ERRORS as error:
            raise _refused("list the secrets", error) from error

    def actor(self) -> str:
        """The ARN of whoever runs the command."""
        try:
            return str(self._sts.get_caller_identity()["Arn"])
        except AWS_CALL_ERRORS:
            return "unknown"

    def ask(
        self,
        action: str,
        secrets: Sequence[str] | None = None,
        *,
        alias: str | None = None,
        **more: str | bool,
    ) -> dict[str, Any]:
        """Ask the reconcile function to act; returns its report.

        Args:
            action: one of the function's actions.
            secrets: names or ARNs; None: all.
            alias: the function's alias to invoke, which has permissions of its own.
            more: further members of the event.

        Raises:
            click.ClickException: the function could not be invoked, or failed.
        """
        named = {} if secrets is None else {"secrets": list(secrets)}
        payload = json.dumps({"action": action, **named, **more}).encode()
        qualified: Any = {} if alias is None else {"Qualifier": alias}
        function = self._function if alias is None else f"{self._function}:{alias}"
        try:
            answer = self._lambda.invoke(FunctionName=self._function, Payload=payload, **qualified)
        except AWS_CALL_ERRORS as error:
            raise _refused(f"invoke the reconcile function {function}", error) from error
        report: dict[str, Any] = json.loads(answer["Payload"].read())
        if answer.get("FunctionError"):
            raise click.ClickException(
                f"The reconcile function {self._function} failed: "
                f"{report.get('errorMessage', 'no message')} Its log says more."
            )
        return report


def _refused(act: str, error: AwsCallError) -> click.ClickException:
    code = error_code(error) if isinstance(error, ClientError) else str(error)
    return click.ClickException(
        f"Could not {act}: {code}. Check the name (--reconcile-function), the region and the "
        "permissions of this role."
    )
