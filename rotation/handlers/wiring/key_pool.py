"""Builds the issuer over a key pool, from the settings."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from rotation.core.policy import least_life_when_issued
from rotation.core.ports import Notifier
from rotation.deadline import Deadline
from rotation.errors import RotationError
from rotation.handlers.wiring.vendor import utc_now
from rotation.key_pool.issuer import KeyPoolIssuer
from rotation.key_pool.pool_secret import PoolSecret
from rotation.secrets_manager.versions import SecretVersions, read_credential
from rotation.settings.rotation import RotationSettings

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


def pool_secret(
    settings: RotationSettings, secrets: SecretsManagerClient, deadline: Deadline
) -> PoolSecret:
    """The pool secret of the settings, for calls that end by ``deadline``."""
    return PoolSecret(secrets, settings.pool_secret, utc_now, deadline=deadline)


def key_pool(
    settings: RotationSettings,
    secrets: SecretsManagerClient,
    notifier: Notifier,
    pool: PoolSecret,
) -> KeyPoolIssuer:
    """The issuer over the pool of the settings."""

    def needed(secret_arn: str) -> timedelta:
        interval = SecretVersions(secrets, secret_arn).snapshot().rotation_interval
        return least_life_when_issued(interval, settings.grace)

    def current_key(secret_arn: str) -> str | None:
        try:
            return read_credential(secrets, secret_arn).key.id
        except RotationError as error:
            if error.retryable:
                raise
            # There is no value, or none that can be read: then it is nobody's key.
            return None

    return KeyPoolIssuer(pool, needed, notifier, utc_now, current_key)
