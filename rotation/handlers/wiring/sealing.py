"""A sealer, put together of its parts by a function's settings."""

from __future__ import annotations

from typing import Final

import boto3
from botocore.config import Config

from rotation.handlers.wiring.vendor import signer_policy, utc_now
from rotation.sealing.pdf import Limits
from rotation.sealing.sealer import Sealer
from rotation.sealing.storage.s3 import CarryOver, S3Documents
from rotation.settings import SealingSettings
from rotation.vendor.cms import verify_cms
from rotation.vendor.http import VendorHttp
from rotation.vendor.signing_api import SigningApi

# CompleteMultipartUpload may take minutes; S3 sends spaces meanwhile (API_CompleteMultipartUpload).
# Reading ahead and copying have four threads each.
_PATIENCE: Final = Config(
    connect_timeout=3,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=10,
)


def make_sealer(settings: SealingSettings, http: VendorHttp) -> Sealer:
    """A sealer that reads from and writes to S3, and signs over ``http``."""
    policy = signer_policy(settings.vendor)
    carry_over = CarryOver(
        kms_key_id=settings.destination_kms_key,
        metadata=settings.copy_metadata,
        tags=settings.copy_tags,
    )
    return Sealer(
        S3Documents(boto3.client("s3", config=_PATIENCE), utc_now, carry_over),
        SigningApi(http, settings.vendor.sign_path).sign,
        lambda cms, digest, at: verify_cms(cms, digest, policy, at),
        utc_now,
        sources=settings.sources,
        destinations=settings.destinations,
        max_document_bytes=settings.max_document_bytes,
        limits=Limits(
            objects=settings.max_pdf_objects,
            decoded_bytes=settings.max_pdf_decoded_bytes,
            nesting=settings.max_pdf_nesting,
            time=settings.max_pdf_time,
        ),
    )
