"""The parts of a reconciliation, put together from the settings."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property

import boto3

from rotation.aws.client_config import RECONCILIATION
from rotation.aws.evidence_bucket import S3EvidenceStore
from rotation.core.policy import ReconciliationPolicy
from rotation.core.ports import IssuerCondition, KeyIssuer, KeyProver
from rotation.credential import ApiKey
from rotation.deadline import RECONCILE_CALLS_RESERVE, Deadline
from rotation.errors import ConfigurationError
from rotation.handlers.wiring.key_pool import admin_key_reader, key_pool, notifier
from rotation.handlers.wiring.vendor import signer_policy, utc_now, vendor_http
from rotation.key_pool.document import KeyState
from rotation.key_pool.incident import PoolIncident
from rotation.key_pool.issuer import KeyPoolIssuer
from rotation.key_pool.pool_secret import PoolSecret
from rotation.reconciliation.execution import ReconciliationServices
from rotation.reconciliation.proof_of_death import DeathProver
from rotation.reconciliation.rate_limiter import RateLimiter
from rotation.reconciliation.reconciler import Reconciler
from rotation.secrets_manager.discovery import secrets_rotated_by
from rotation.secrets_manager.versions import SecretVersions
from rotation.settings import KEY_POOL, ReconcileSettings
from rotation.vendor.admin_api import AdminApi
from rotation.vendor.key_prover import TestSealProver
from rotation.vendor.signing_api import SigningApi


class ReconcileWiring:
    """Everything that the reconcile function needs, from its settings."""

    def __init__(self, settings: ReconcileSettings) -> None:
        self._settings = settings
        rotation = settings.rotation
        vendor = rotation.vendor
        self._secrets = boto3.client("secretsmanager", config=RECONCILIATION)
        self.evidence = S3EvidenceStore(
            boto3.client("s3", config=RECONCILIATION), settings.evidence_bucket
        )
        self._signing = vendor_http(vendor, vendor.url)
        self._admin = vendor_http(vendor, rotation.admin_url)
        self._signer_policy = signer_policy(vendor)

    def reconciler(self, deadline: Deadline) -> Reconciler:
        """One run, which ends by ``deadline``."""
        rotation = self._settings.rotation
        pooled = self._pooled
        admin_key = admin_key_reader(self._secrets, rotation.admin_secret)
        prover = self.prover(deadline)
        services = ReconciliationServices(
            issuer=self._issuer(admin_key, deadline),
            prover=prover,
            notifier=notifier(rotation),
            evidence=self.evidence,
            policy=self.policy,
            find_key=self._pool.find if pooled else lambda _: None,
            rate_limiter=RateLimiter(),
            clock=utc_now,
            condemned_keys=self._pool_incident if pooled else None,
        )
        return Reconciler(
            open_secret=self.open_secret,
            discover=self._discover,
            condition=self._pool_condition if pooled else lambda: _condition(admin_key()),
            services=services,
            death_prover=DeathProver(
                prover=prover,
                limit=rotation.propagation_limit,
                deadline=deadline,
                clock=utc_now,
                sleep=time.sleep,
            ),
            deadline=deadline,
        )

    def clock(self) -> datetime:
        """Our clock, aware UTC."""
        return utc_now()

    def open_secret(self, name: str) -> SecretVersions:
        """The versions of a secret, by its ARN or name."""
        return SecretVersions(self._secrets, name)

    def issuer(self, deadline: Deadline) -> KeyIssuer:
        """Lists and revokes keys in one invocation."""
        admin_key = admin_key_reader(self._secrets, self._settings.rotation.admin_secret)
        return self._issuer(admin_key, deadline)

    def pool_incident(self) -> PoolIncident:
        """The leaked keys of the pool.

        Raises:
            ConfigurationError: this deployment has no pool.
        """
        if not self._pooled:
            raise ConfigurationError("This deployment issues keys itself; it has no key pool.")
        return self._pool_incident

    @property
    def policy(self) -> ReconciliationPolicy:
        """The organisation's decisions, from the settings."""
        rotation = self._settings.rotation
        return ReconciliationPolicy(
            installation=rotation.installation,
            rotation_function=self._settings.rotation_function,
            grace=rotation.grace,
            propagation_limit=rotation.propagation_limit,
        )

    @property
    def _pooled(self) -> bool:
        return self._settings.rotation.key_issuer == KEY_POOL

    def prover(self, deadline: Deadline) -> KeyProver:
        """Asks the vendor for test seals, in one invocation."""
        http = self._signing.until(deadline.before(RECONCILE_CALLS_RESERVE))
        signing = SigningApi(http, self._settings.rotation.vendor.sign_path)
        return TestSealProver(signing, self._signer_policy, utc_now)

    def _issuer(self, admin_key: Callable[[], ApiKey], deadline: Deadline) -> KeyIssuer:
        if self._pooled:
            return self._pool
        http = self._admin.until(deadline.before(RECONCILE_CALLS_RESERVE))
        return AdminApi(http, self._settings.rotation.admin_keys_path, admin_key, utc_now)

    def _discover(self) -> Sequence[str]:
        return secrets_rotated_by(self._secrets, self._settings.rotation_function)

    @cached_property
    def _pool(self) -> KeyPoolIssuer:
        return key_pool(self._settings.rotation, self._secrets)

    @cached_property
    def _pool_incident(self) -> PoolIncident:
        return PoolIncident(self._pool_secret, notifier(self._settings.rotation), utc_now)

    @cached_property
    def _pool_secret(self) -> PoolSecret:
        return PoolSecret(self._secrets, self._settings.rotation.pool_secret, utc_now)

    def _pool_condition(self) -> IssuerCondition:
        pool = self._pool_secret.read()
        free = [entry for entry in pool.keys if entry.state is KeyState.FREE]
        return IssuerCondition(keys_left=len(free))


def _condition(key: ApiKey) -> IssuerCondition:
    return IssuerCondition(credential_id=key.id, credential_expires_at=key.expires_at)
