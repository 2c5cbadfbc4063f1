"""The parts of a rotation, put together from the settings."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property

import boto3

from rotation.aws.client_config import JOURNAL, SECRET_WRITES
from rotation.aws.journal_bucket import S3JournalStore
from rotation.core.invocation import Rotation
from rotation.core.policy import LONGEST_KEY_LIFE, RotationPolicy
from rotation.core.ports import KeyIssuer, Notifier
from rotation.deadline import STEP_CALLS_RESERVE, Deadline
from rotation.handlers.step_invocation import StepRequest
from rotation.handlers.wiring.issuer import admin_key_reader, make_notifier
from rotation.handlers.wiring.vendor import signer_policy, utc_now, vendor_http
from rotation.journal.keeper import JournalKeeper
from rotation.journal.model import Journal
from rotation.secrets_manager.allowed import AllowedSecrets
from rotation.secrets_manager.versions import SecretVersions
from rotation.settings.rotation import KEY_POOL, RotationSettings
from rotation.vendor.admin_api import AdminApi
from rotation.vendor.key_prover import TestSealProver
from rotation.vendor.signing_api import SigningApi


class RotationWiring:
    """Everything that the rotation function needs, from its settings."""

    def __init__(self, settings: RotationSettings) -> None:
        self._settings = settings
        self.reconcile_function = settings.reconcile_function
        vendor = settings.vendor
        self._secrets = boto3.client("secretsmanager", config=SECRET_WRITES)
        self._journals = _JournalsWhenRead(settings.evidence_bucket)
        self._signing = vendor_http(vendor, vendor.url)
        self._admin = vendor_http(vendor, settings.admin_url)
        self._signer_policy = signer_policy(vendor)

    def rotation(self, request: StepRequest) -> Rotation:
        """One invocation of one step."""
        settings = self._settings
        calls_end = request.deadline.before(STEP_CALLS_RESERVE)
        signing = SigningApi(self._signing.until(calls_end), settings.vendor.sign_path)
        return Rotation(
            secret=SecretVersions(self._secrets, request.secret_arn, request.rotation_token),
            token=request.token,
            function_arn=request.function_arn,
            journal=self._journals,
            issuer=self._issuer(request.secret_arn, calls_end),
            prover=TestSealProver(signing, self._signer_policy, utc_now),
            policy=RotationPolicy(
                installation=settings.installation,
                key_lifetime=_key_lifetime(settings),
                grace=settings.grace,
                propagation_limit=settings.propagation_limit,
                rotated_secrets=AllowedSecrets(settings.rotated_secrets),
                former_installations=settings.former_installations,
            ),
            deadline=request.deadline,
            # The clock by which the issuer says when a key was issued.
            clock=utc_now,
        )

    def _issuer(self, secret_arn: str, calls_end: Deadline) -> KeyIssuer:
        settings = self._settings
        if settings.key_issuer == KEY_POOL:
            # Whoever has no pool does not wait for its modules at each cold start.
            from rotation.handlers.wiring.key_pool import key_pool, pool_secret
            from rotation.key_pool.issuer import LeaseOnlyIssuer

            pool = pool_secret(settings, self._secrets, calls_end)
            return LeaseOnlyIssuer(
                key_pool(settings, self._secrets, self._notifier, pool),
                is_suspect=lambda key_id: self._journals.read(secret_arn).suspect(key_id),
            )
        http = self._admin.until(calls_end)
        admin_key = admin_key_reader(self._secrets, settings.admin_secret)
        return AdminApi(http, settings.admin_keys_path, admin_key, utc_now)

    @cached_property
    def _notifier(self) -> Notifier:
        """Made when a pool first needs it: a rotation without one has no use for SNS."""
        return make_notifier(self._settings)


def _key_lifetime(settings: RotationSettings) -> timedelta:
    """With a pool, keys live as long as people gave them; the pool looks at each."""
    return LONGEST_KEY_LIFE if settings.key_issuer == KEY_POOL else settings.key_lifetime


class _JournalsWhenRead:
    """A `JournalReader` whose S3 client is made when a journal is first read.

    testSecret reads none, and making an S3 client is a tenth of its first answer.
    """

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket

    def read(self, secret_arn: str) -> Journal:
        """As `JournalReader.read`."""
        return self._keeper.read(secret_arn)

    @cached_property
    def _keeper(self) -> JournalKeeper:
        return JournalKeeper(S3JournalStore(boto3.client("s3", config=JOURNAL), self._bucket))
