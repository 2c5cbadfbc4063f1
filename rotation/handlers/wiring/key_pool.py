"""Builds what an issuer of keys needs, from the settings: credential, pool, messages to people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

import boto3

from rotation.aws.client_config import MESSAGES
from rotation.aws.notifier import LogNotifier, SnsNotifier
from rotation.core.policy import least_life_when_issued
from rotation.core.ports import Notifier
from rotation.credential import ApiKey
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


def admin_key_reader(secrets: SecretsManagerClient, secret: str) -> Callable[[], ApiKey]:
    """Reads the admin credential when it is first needed; to be made anew for each event."""
    return cache(lambda: read_credential(secrets, secret).key)


def make_notifier(settings: RotationSettings) -> Notifier:
    """The topic of the settings, or the log where they name none."""
    if settings.notification_topic is None:
        return LogNotifier()
    return SnsNotifier(boto3.client("sns", config=MESSAGES), settings.notification_topic)
