"""The AWS account in which an operator's command works: its secrets and the reconcile function."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError, UnknownRegionError

from rotation.aws.answers import payload_of, reading_answer
from rotation.aws.client_config import OPERATOR, invoke_and_wait
from rotation.aws.errors import (
    AWS_CALL_ERRORS,
    AwsCallError,
    error_code,
    got_no_answer,
    was_not_run,
)
from rotation.cli.shared.options import RECONCILE_FUNCTION
from rotation.cli.shared.waiting import in_background
from rotation.errors import RotationError
from rotation.privacy.printable import outside_text
from rotation.privacy.redaction import scrub
from rotation.secrets_manager.versions import SecretVersions

#: The timeout of the reconcile function in ``template.yaml``.
_RECONCILE_TIMEOUT: Final = timedelta(minutes=15)


def refuse_unknown_region(region: str) -> None:
    """Refuse the name of a Region that none of AWS's partitions can have.

    botocore makes an address of any name, and a host that does not exist looks like a network that
    is down.

    Raises:
        click.UsageError: there is no such Region.
    """
    try:
        boto3.Session().get_partition_for_region(region)
    except UnknownRegionError:
        raise click.UsageError(
            f"{outside_text(region)} is no Region of AWS. Set AWS_DEFAULT_REGION, or region in the "
            "profile that AWS_PROFILE names."
        ) from None


class NotAskedError(RotationError):
    """The reconcile function could not be asked, or refused or failed; the message says which."""


class AwsAccount:
    """The account that the environment or the AWS profile names.

    Args:
        reconcile_function: the name or ARN of the deployed reconcile function.

    Attributes:
        reconcile_function: that name or ARN.
    """

    def __init__(self, reconcile_function: str = RECONCILE_FUNCTION) -> None:
        self.reconcile_function = reconcile_function
        self._arns: dict[str, str] = {}
        try:
            self.secrets = boto3.client("secretsmanager", config=OPERATOR)
            self._lambda = boto3.client("lambda", config=invoke_and_wait(_RECONCILE_TIMEOUT))
            self._sts = boto3.client("sts", config=OPERATOR)
        except BotoCoreError as error:
            raise click.ClickException(
                f"No AWS account to work in: {error} Set AWS_PROFILE, or AWS_DEFAULT_REGION."
            ) from error
        refuse_unknown_region(self.secrets.meta.region_name)

    def secret(self, name: str) -> SecretVersions:
        """The secret that a person names, opened by its full ARN."""
        return SecretVersions(self.secrets, self.arn(name))

    def arn(self, name: str) -> str:
        """The full ARN of the secret that a person names.

        A name, or an ARN without its last seven characters, may be another secret's later, and
        nothing of ours is kept under it. So it is resolved before anything else happens.

        Args:
            name: its name, its ARN, or a part of its ARN (UserGuide troubleshoot,
                ARN_secretnamehyphen).

        Raises:
            SecretStoreError: Secrets Manager refuses to describe it, or gave no answer.
        """
        if name not in self._arns:
            arn = SecretVersions(self.secrets, name).snapshot().arn
            self._arns |= {name: arn, arn: arn}
        return self._arns[name]

    def tagged(self, key: str, value: str) -> list[str]:
        """The full ARNs of all secrets that bear this tag, whoever rotates them.

        Whoever acts on one asks the reconcile function, which refuses a secret that its rotation
        function does not rotate, and leaves it untouched.
        """
        pages = self.secrets.get_paginator("list_secrets").paginate(
            Filters=[{"Key": "tag-key", "Values": [key]}, {"Key": "tag-value", "Values": [value]}]
        )
        try:
            with reading_answer():
                return [
                    secret["ARN"]
                    for page in pages
                    for secret in page["SecretList"]
                    if {"Key": key, "Value": value} in secret.get("Tags", [])
                ]
        except AWS_CALL_ERRORS as error:
            raise click.ClickException(
                f"Could not list the secrets with the tag {key}={value}: {error_code(error)}. "
                "Check the region, and secretsmanager:ListSecrets in the permissions of this role."
            ) from error

    def actor(self) -> str:
        """The ARN of whoever runs the command."""
        try:
            with reading_answer():
                return str(self._sts.get_caller_identity()["Arn"])
        except AWS_CALL_ERRORS:
            return "unknown"

    def ask(
        self,
        action: str,
        secrets: Sequence[str] | None = None,
        *,
        alias: str | None = None,
        **more: str | bool | dict[str, Any],
    ) -> dict[str, Any]:
        """Ask the reconcile function to act; returns its report.

        Args:
            action: one of the function's actions.
            secrets: names or ARNs; None: all. The function gets full ARNs, but for a secret that
                this caller cannot describe: for that one the function says what is wrong.
            alias: the function's alias to invoke, which has permissions of its own.
            more: further members of the event.

        Raises:
            click.ClickException: the function could not be invoked, or failed.
        """
        named = {} if secrets is None else {"secrets": self._full_arns(secrets)}
        payload = json.dumps({"action": action, **named, **more}).encode()
        qualified: Any = {} if alias is None else {"Qualifier": alias}
        function = (
            self.reconcile_function if alias is None else f"{self.reconcile_function}:{alias}"
        )
        try:
            with reading_answer():
                answer = in_background(
                    lambda: self._lambda.invoke(
                        FunctionName=self.reconcile_function, Payload=payload, **qualified
                    )
                )
                report = payload_of(answer)
                failed = answer.get("FunctionError")
                if not failed and report["action"] != action:
                    raise ValueError("action")
        except AWS_CALL_ERRORS as error:
            raise _not_asked(function, action, error) from error
        if failed:
            said = str(report.get("errorMessage", "no message"))
            raise click.ClickException(
                f"The reconcile function {function} refused or failed to {action}: "
                f"{outside_text(scrub(said), 1000)} Its log says "
                "more."
            )
        return report

    def ask_about(self, action: str, arn: str, **members: str | bool) -> dict[str, Any]:
        """Ask the reconcile function to act on one secret, as `rotation.incident` does.

        Whoever waits for an incident knows our errors, and may go on in spite of one.

        Raises:
            NotAskedError: the function could not be invoked, or failed.
        """
        try:
            return self.ask(action, [arn], alias=None, **members)
        except click.ClickException as error:
            raise NotAskedError(error.message) from error

    def _full_arns(self, names: Sequence[str]) -> list[str]:
        """The full ARN of each, once."""
        found: dict[str, None] = {}
        for name in names:
            try:
                found[self.arn(name)] = None
            except RotationError:
                found[name] = None
        return list(found)


def _not_asked(function: str, action: str, error: AwsCallError) -> click.ClickException:
    code = error_code(error)
    if isinstance(error, ClientError):
        advice = (
            "Check the name (--reconcile-function), the region, and lambda:InvokeFunction in the "
            "permissions of this role."
        )
    elif was_not_run(error):
        advice = (
            "Lambda is not reached, and nothing was done. Check the Region and the network path."
        )
    elif got_no_answer(error):
        advice = (
            "No whole answer came: it may have acted all the same. `rotation status SECRET` shows "
            "what is so; then run the command again."
        )
    else:
        advice = "Set AWS_DEFAULT_REGION and your credentials, as for the aws command line."
    return click.ClickException(
        f"Could not ask the reconcile function {function} to {action}: {code}. {advice}"
    )
