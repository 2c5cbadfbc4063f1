"""Which secrets are ours: those that name our rotation function."""

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
    """The ARNs of the secrets that name the function, those with an open incident first.

    API_ListSecrets, 100 a page, without secrets that are scheduled for deletion. The list may lag
    behind by minutes: each secret is asked again whether it names the function.

    Raises:
        SecretStoreError: AWS refused or failed.
    """
    found: list[SecretListEntryTypeDef] = []
    page: dict[str, Any] | None = {}
    while page is not None:
        answer = _page(client, page)
        found += [
            one
            for one in answer["SecretList"]
            if same_function(one.get("RotationLambdaARN"), function_arn)
        ]
        page = {"NextToken": answer["NextToken"]} if "NextToken" in answer else None
    found.sort(key=lambda one: INCIDENT_TAG not in {tag["Key"] for tag in one.get("Tags", ())})
    return [one["ARN"] for one in found]


def _page(client: SecretsManagerClient, page: dict[str, Any]) -> ListSecretsResponseTypeDef:
    answer: ListSecretsResponseTypeDef = call_secrets_manager(
        "ListSecrets", "the account", lambda: client.list_secrets(MaxResults=100, **page)
    )
    return answer
