"""The parts that seal documents by the function's own key, put together by its settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config

from rotation.client.credential_cache import CredentialCache
from rotation.client.in_process import InProcessInvoker
from rotation.client.sealing_client import SealingClient
from rotation.errors import ConfigurationError, SealingError
from rotation.handlers.wiring.seal_options import seal_options
from rotation.handlers.wiring.sealing import make_sealer
from rotation.handlers.wiring.vendor import vendor_http
from rotation.sealing.request import ObjectLocation, SealOptions
from rotation.sealing.storage.s3_errors import S3_ERRORS, status
from rotation.settings import EventSealingSettings
from rotation.unattended.seal_once import Outcome, SealOnce
from rotation.vendor.http import VendorHttp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: What the vendor leaves of the function's time: enough to store the document and to answer.
_RESERVE: Final = timedelta(seconds=30)
#: With less time left no document is begun, and none is tried again.
LEAST: Final = timedelta(seconds=60)
#: An outage is outlasted by the queue, or by S3's own attempts, which cost less than waiting here.
_PATIENCE: Final = timedelta(0)


@dataclass(frozen=True)
class Unattended:
    """Seals one document after another, in what the function has left of its time.

    Attributes:
        once: seals each version once.
        vendor: the session that has to end in time.
        options: how documents are sealed unless something else is asked for.
    """

    once: SealOnce
    vendor: VendorHttp
    options: SealOptions

    def seal(
        self, source: ObjectLocation, time_left: timedelta, options: SealOptions | None = None
    ) -> Outcome:
        """Have ``source`` sealed, unless it is.

        Raises:
            SealingError: it was not begun, because little time is left; retryable.
            RotationError: as `SealOnce.seal`.
        """
        if time_left < LEAST:
            problem = SealingError(
                f"{source} was not begun: the function has {time_left.total_seconds():.0f} s left, "
                f"and a document needs {LEAST.total_seconds():.0f}. It will be tried again."
            )
            problem.retryable = True
            raise problem
        self.vendor.end_within(time_left - _RESERVE)
        return self.once.seal(source, options or self.options, within=time_left - LEAST)


@cache
def unattended() -> Unattended:
    """The parts, by the environment's settings; they live as long as the execution environment.

    Raises:
        ConfigurationError: a setting is missing or wrong.
    """
    settings = EventSealingSettings.from_environment()
    vendor = vendor_http(settings.sealing.vendor, settings.sealing.vendor.url)
    client = SealingClient(
        InProcessInvoker(make_sealer(settings.sealing, vendor)),
        CredentialCache(),
        settings.credential_secret,
        patience=_PATIENCE,
    )
    patience = Config(
        connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3}
    )
    place, s3 = settings.destination, boto3.client("s3", config=patience)
    _refuse_missing_bucket(s3, place.bucket)
    return Unattended(
        SealOnce(s3, client, place.bucket, place.prefix),
        vendor,
        seal_options(settings.options),
    )


def _refuse_missing_bucket(s3: S3Client, bucket: str) -> None:
    """Each document would buy a signature before it is found out: a HEAD tells no difference.

    Only what is certain counts: a right that is missing, or S3 that is busy, is told later.
    """
    try:
        s3.head_bucket(Bucket=bucket)
    except S3_ERRORS as error:
        if status(error) == 404:
            raise ConfigurationError(
                f"DESTINATION_LOCATIONS names the bucket {bucket}, which does not exist."
            ) from error
