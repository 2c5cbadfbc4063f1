"""Builds what the functions that issue keys need: the admin credential, and messages to people."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import boto3

from rotation.aws.client_config import MESSAGES
from rotation.aws.notifier import LogNotifier, SnsNotifier
from rotation.core.ports import Notifier
from rotation.credential import ApiKey
from rotation.secrets_manager.versions import read_credential
from rotation.settings.rotation import RotationSettings

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


def admin_key_reader(secrets: SecretsManagerClient, secret: str) -> Callable[[], ApiKey]:
    """Reads the admin credential when it is first needed; to be made anew for each event."""
    return cache(lambda: read_credential(secrets, secret).key)


def make_notifier(settings: RotationSettings) -> Notifier:
    """The topic of the settings, or the log where they name none."""
    if settings.notification_topic is None:
        return LogNotifier()
    return SnsNotifier(boto3.client("sns", config=MESSAGES), settings.notification_topic)
