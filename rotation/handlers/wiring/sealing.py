"""Builds a sealer from a function's settings."""

from __future__ import annotations

import boto3

from rotation.aws.client_config import documents
from rotation.deadline import GIVE_UP_RESERVE, SEAL_CALLS_RESERVE, Deadline
from rotation.handlers.wiring.ledger import seal_ledger
from rotation.handlers.wiring.levels import seal_raiser
from rotation.handlers.wiring.vendor import signer_policy, utc_now, vendor_http
from rotation.sealing.pdf import Limits
from rotation.sealing.profile import ProfileChoice, SealProfile
from rotation.sealing.sealer import Sealer
from rotation.sealing.signer_name import SignerName
from rotation.sealing.storage.s3 import DestinationPolicy, S3Documents
from rotation.sealing.turns import Turns
from rotation.settings.sealing import SealingSettings
from rotation.vendor.cms import verify_cms
from rotation.vendor.signing_api import SigningApi


class SealerWiring:
    """Everything that a sealer over S3 needs, from the settings.

    Args:
        settings: the function's.
        at_once: how many documents are sealed at the same time.
    """

    def __init__(self, settings: SealingSettings, at_once: int = 1) -> None:
        self._settings = settings
        self._at_once = at_once
        self._http = vendor_http(settings.vendor, settings.vendor.url)
        self._profile = ProfileChoice(SealProfile(settings.profile))
        self._signer_policy = signer_policy(settings.vendor)
        self._documents = S3Documents(
            boto3.client("s3", config=documents(at_once)),
            utc_now,
            DestinationPolicy(
                kms_key_id=settings.destination_kms_key,
                metadata=settings.copy_metadata,
                tags=settings.copy_tags,
            ),
        )
        self._ledger = seal_ledger(settings.ledger)
        self._signer_name = SignerName(settings.vendor.organization)

    def sealer(self, deadline: Deadline) -> Sealer:
        """A sealer for one invocation, which ends by ``deadline``."""
        settings = self._settings
        calls_end = deadline.before(SEAL_CALLS_RESERVE)
        http = self._http.until(calls_end)
        limits = Limits(
            objects=settings.max_pdf_objects,
            decoded_bytes=settings.max_pdf_decoded_bytes,
            nesting=settings.max_pdf_nesting,
            time=settings.max_pdf_time,
        )
        return Sealer(
            self._documents,
            SigningApi(http, settings.vendor.sign_path).sign,
            lambda cms, digest, at: verify_cms(cms, digest, self._signer_policy, at),
            utc_now,
            sources=settings.sources,
            destinations=settings.destinations,
            max_document_bytes=settings.max_document_bytes,
            profile=self._profile,
            limits=limits,
            raise_seal=seal_raiser(
                settings.levels, settings.vendor.trust_anchors, limits, calls_end
            ),
            ends=deadline.before(GIVE_UP_RESERVE),
            turns=Turns(calls_end.before(limits.time)) if self._at_once > 1 else None,
            ledger=self._ledger,
            signer_name=self._signer_name,
        )
