"""Finds the secrets that are ours: those that name our rotation function."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from rotation.secrets_manager.calls import call_secrets_manager
from rotation.secrets_manager.labels import INCIDENT_TAG
from rotation.secrets_manager.snapshot import same_function

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import SecretListEntryTypeDef


def secrets_rotated_by(client: SecretsManagerClient, function_arn: str) -> list[str]:
    """The ARNs of the secrets that name the function; those with an open incident come first.

    API_ListSecrets leaves out secrets that are scheduled for deletion, and may lag by minutes.
    So whoever works on a secret reads it again, and checks that it still names the function.

    Raises:
        SecretStoreError: AWS refused or failed.
    """
    found: list[tuple[bool, str]] = []
    page: dict[str, Any] | None = {}
    while page is not None:
        more, page = call_secrets_manager(
            "ListSecrets", "the account", partial(_page, client, function_arn, page)
        )
        found += more
    found.sort(key=lambda one: not one[0])
    return [arn for _, arn in found]


def _page(
    client: SecretsManagerClient, function_arn: str, page: dict[str, Any]
) -> tuple[list[tuple[bool, str]], dict[str, Any] | None]:
    """Of one page, whether each secret of ours has an open incident, with its ARN; the next page.

    Raises:
        KeyError: the answer lacks a member that it must have.
    """
    answer = client.list_secrets(MaxResults=100, **page)
    found = [
        (_has_incident(secret), secret["ARN"])
        for secret in answer["SecretList"]
        if same_function(secret.get("RotationLambdaARN"), function_arn)
    ]
    return found, {"NextToken": answer["NextToken"]} if "NextToken" in answer else None


def _has_incident(secret: SecretListEntryTypeDef) -> bool:
    return INCIDENT_TAG in {tag["Key"] for tag in secret.get("Tags", ())}
