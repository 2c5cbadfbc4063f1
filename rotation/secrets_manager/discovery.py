"""Finds the secrets that are ours: those that name our rotation function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rotation.secrets_manager.calls import call_secrets_manager
from rotation.secrets_manager.labels import INCIDENT_TAG
from rotation.secrets_manager.snapshot import same_function

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import (
        ListSecretsResponseTypeDef,
        SecretListEntryTypeDef,
    )


def secrets_rotated_by(client: SecretsManagerClient, function_arn: str) -> list[str]:
    """The ARNs of the secrets that name the function; those with an open incident come first.

    API_ListSecrets leaves out secrets that are scheduled for deletion, and may lag by minutes.
    So whoever works on a secret reads it again, and checks that it still names the function.

    Raises:
        SecretStoreError: AWS refused or failed.
    """
    ours: list[SecretListEntryTypeDef] = []
    page: dict[str, Any] | None = {}
    while page is not None:
        answer = _page(client, page)
        ours += [
            secret
            for secret in answer["SecretList"]
            if same_function(secret.get("RotationLambdaARN"), function_arn)
        ]
        page = {"NextToken": answer["NextToken"]} if "NextToken" in answer else None
    ours.sort(key=lambda one: INCIDENT_TAG not in {tag["Key"] for tag in one.get("Tags", ())})
    return [secret["ARN"] for secret in ours]


def _page(client: SecretsManagerClient, page: dict[str, Any]) -> ListSecretsResponseTypeDef:
    answer: ListSecretsResponseTypeDef = call_secrets_manager(
        "ListSecrets", "the account", lambda: client.list_secrets(MaxResults=100, **page)
    )
    return answer
