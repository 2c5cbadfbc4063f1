"""Finds the secrets that are ours: those that name our rotation function, and may."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rotation.privacy.observability import logger
from rotation.secrets_manager.allowed import AllowedSecrets
from rotation.secrets_manager.calls import call_secrets_manager
from rotation.secrets_manager.labels import INCIDENT_TAG
from rotation.secrets_manager.snapshot import same_function

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import SecretListEntryTypeDef


@dataclass(frozen=True)
class ListedSecret:
    """A secret as ListSecrets shows it.

    Attributes:
        arn: its full ARN.
        has_incident: whether its tag says that an incident is open; a hint, and not the truth.
    """

    arn: str
    has_incident: bool


def secrets_rotated_by(
    client: SecretsManagerClient, function_arn: str, allowed: AllowedSecrets
) -> list[ListedSecret]:
    """The secrets that name the function and are allowed to. The log has a warning of any other.

    API_ListSecrets leaves out secrets that are scheduled for deletion, and may lag by minutes.
    So whoever works on a secret reads it again, and checks that it still names the function.

    Raises:
        SecretStoreError: AWS refused or failed.
    """
    found: list[ListedSecret] = []
    page: dict[str, Any] | None = {}
    while page is not None:
        more, page = call_secrets_manager(
            "ListSecrets", "the account", partial(_page, client, function_arn, page)
        )
        found += more
    for secret in found:
        if not allowed.allow(secret.arn):
            logger.warning("secret not allowed", extra={"secret": secret.arn})
    return [secret for secret in found if allowed.allow(secret.arn)]


def _page(
    client: SecretsManagerClient, function_arn: str, page: dict[str, Any]
) -> tuple[list[ListedSecret], dict[str, Any] | None]:
    """The secrets on one page that name the function, and the next page.

    Raises:
        KeyError: the answer lacks a member that it must have.
    """
    answer = client.list_secrets(MaxResults=100, **page)
    found = [
        ListedSecret(secret["ARN"], _has_incident(secret))
        for secret in answer["SecretList"]
        if same_function(secret.get("RotationLambdaARN"), function_arn)
    ]
    return found, {"NextToken": answer["NextToken"]} if "NextToken" in answer else None


def _has_incident(secret: SecretListEntryTypeDef) -> bool:
    return INCIDENT_TAG in {tag["Key"] for tag in secret.get("Tags", ())}
