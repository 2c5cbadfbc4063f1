"""Builds what seals documents with the function's own key, from its settings."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import boto3

from rotation.aws.client_config import OBJECT_METADATA
from rotation.aws.errors import AWS_CALL_ERRORS, http_status
from rotation.client.credential_cache import CredentialCache
from rotation.client.in_process import InProcessInvoker
from rotation.client.sealing_client import SealingClient
from rotation.deadline import Deadline
from rotation.errors import ConfigurationError
from rotation.handlers.wiring.seal_options import seal_options
from rotation.handlers.wiring.sealing import SealerWiring
from rotation.settings.unattended import UnattendedSettings
from rotation.unattended.idempotent_sealer import IdempotentSealer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: An outage is outlasted by the queue, or by S3's own attempts, which cost less than waiting here.
_PATIENCE: Final = timedelta(0)


class UnattendedWiring:
    """Everything that the functions for events and for bulk need, from their settings.

    Args:
        settings: the function's.
        at_once: how many documents are sealed at the same time.

    Raises:
        ConfigurationError: a setting is wrong, or the destination's bucket does not exist.
    """

    def __init__(self, settings: UnattendedSettings, at_once: int = 1) -> None:
        self._settings = settings
        self._sealers = SealerWiring(settings.sealing, at_once)
        self._credentials = CredentialCache()
        self._s3 = boto3.client("s3", config=OBJECT_METADATA)
        _refuse_missing_bucket(self._s3, settings.destination.bucket)
        self._options = seal_options(settings.options)

    def sealing(self, deadline: Deadline) -> IdempotentSealer:
        """What seals documents in one invocation, which ends by ``deadline``."""
        client = SealingClient(
            InProcessInvoker(self._sealers.sealer(deadline)),
            self._credentials,
            self._settings.credential_secret,
            patience=_PATIENCE,
        )
        place = self._settings.destination
        return IdempotentSealer(
            self._s3, client, place.bucket, place.prefix, self._options, deadline
        )


def _refuse_missing_bucket(s3: S3Client, bucket: str) -> None:
    """Each document would buy a signature before it is found out: a HEAD tells no difference.

    Only what is certain counts: a right that is missing, or S3 that is busy, is told later.
    """
    try:
        s3.head_bucket(Bucket=bucket)
    except AWS_CALL_ERRORS as error:
        if http_status(error) == 404:
            raise ConfigurationError(
                f"DESTINATION_LOCATIONS names the bucket {bucket}, which does not exist."
            ) from error
