"""The parts of a reconciliation, put together from the settings."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import boto3

from rotation.aws.client_config import RECONCILIATION
from rotation.aws.evidence_bucket import S3Evidence
from rotation.core.policy import ReconciliationPolicy
from rotation.core.ports import IssuerCondition, KeyIssuer, KeyProver
from rotation.credential import ApiKey, iso_utc
from rotation.deadline import RECONCILE_CALLS_RESERVE, Deadline
from rotation.errors import ConfigurationError, RotationError, VersionStateError
from rotation.handlers.wiring.key_pool import key_pool, notifier
from rotation.handlers.wiring.vendor import signer_policy, utc_now, vendor_http
from rotation.incident.declaration import Declaration
from rotation.incident.rollback import roll_back
from rotation.key_pool.document import KeyState
from rotation.key_pool.incident import PoolIncident
from rotation.key_pool.issuer import KeyPool
from rotation.key_pool.pool_secret import PoolSecret
from rotation.reconciliation.examination import Examiner
from rotation.reconciliation.execution import ReconciliationServices
from rotation.reconciliation.incident_record import incidents_of
from rotation.reconciliation.proof_of_death import DeathProver
from rotation.reconciliation.reconciler import RateLimiter, Reconciler
from rotation.reconciliation.revoke_first import revoke_first
from rotation.secrets_manager.discovery import secrets_rotated_by
from rotation.secrets_manager.snapshot import same_function
from rotation.secrets_manager.versions import SecretVersions, read_credential
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
        self._evidence = S3Evidence(
            boto3.client("s3", config=RECONCILIATION), settings.evidence_bucket
        )
        self._signing = vendor_http(vendor, vendor.url)
        self._admin = vendor_http(vendor, rotation.admin_url)
        self._signer_policy = signer_policy(vendor)

    def reconciler(self, deadline: Deadline) -> Reconciler:
        """One run, which ends by ``deadline``."""
        rotation = self._settings.rotation
        pooled = self._pooled
        admin_key = self._admin_key_reader()
        prover = self._prover(deadline)
        services = ReconciliationServices(
            issuer=self._issuer(admin_key, deadline),
            prover=prover,
            notifier=notifier(rotation),
            evidence=self._evidence,
            policy=self._policy,
            find_key=self._pool.find if pooled else lambda _: None,
            rate_limiter=RateLimiter(),
            clock=utc_now,
            condemned_keys=self._pool_incident if pooled else None,
        )
        return Reconciler(
            open_secret=lambda name: SecretVersions(self._secrets, name),
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

    def roll_back(self, name: str, deadline: Deadline) -> dict[str, Any]:
        """Go back to the previous key of one secret, which must name our rotation function.

        What was done is kept beside the evidence of incidents; that it could not be kept is in
        the answer, and undoes nothing.
        """
        snapshot = SecretVersions(self._secrets, name).snapshot()
        if not same_function(snapshot.rotation_function, self._settings.rotation_function):
            raise VersionStateError(f"{snapshot.arn} is not rotated by our rotation function.")
        secret = SecretVersions(self._secrets, snapshot.arn)
        done = roll_back(secret, self._prover(deadline), utc_now)
        facts = done.as_json()
        try:
            kept = self._evidence.keep(
                f"rollbacks/{snapshot.name}/{iso_utc(done.at)}.json", json.dumps(facts).encode()
            )
        except RotationError as error:
            return facts | {"evidence": None, "problem": str(error)}
        return facts | {"evidence": kept}

    def evidence(self, name: str) -> dict[str, Any]:
        """The newest records of the incidents of one secret, which must be ours."""
        snapshot = SecretVersions(self._secrets, name).snapshot()
        if not same_function(snapshot.rotation_function, self._settings.rotation_function):
            raise VersionStateError(f"{snapshot.arn} is not rotated by our rotation function.")
        kept = self._evidence.records(incidents_of(snapshot.name))
        return {
            "secret": snapshot.arn,
            "records": [{"where": where, "record": json.loads(what)} for where, what in kept],
        }

    def condemn_pool(self, declaration: Declaration, *, again: bool) -> dict[str, Any]:
        """Declare the pool's free keys compromised; which secrets hold others of its keys."""
        if not self._pooled:
            raise ConfigurationError("This deployment issues keys itself; it has no key pool.")
        done = self._pool_incident.condemn(declaration.tag(), again=again)
        return {
            "pool": self._pool_incident.name,
            "declared": declaration.tag(),
            "condemned": list(done.keys),
            "leasedTo": list(done.leased_to),
            "asked": done.asked,
        }

    def revoke_first(
        self,
        name: str,
        declaration: Declaration,
        deadline: Deadline,
        *,
        again: bool,
    ) -> dict[str, Any]:
        """Revoke the keys of one secret, which must name our rotation function, unreplaced."""
        issuer = self._issuer(self._admin_key_reader(), deadline)
        secret = SecretVersions(self._secrets, SecretVersions(self._secrets, name).snapshot().arn)
        examiner = Examiner(issuer, self._prover(deadline), self._policy, asks=False, clock=utc_now)
        return revoke_first(secret, declaration, examiner, issuer, again=again).as_json()

    @property
    def _pooled(self) -> bool:
        return self._settings.rotation.key_issuer == KEY_POOL

    @property
    def _policy(self) -> ReconciliationPolicy:
        rotation = self._settings.rotation
        return ReconciliationPolicy(
            installation=rotation.installation,
            rotation_function=self._settings.rotation_function,
            grace=rotation.grace,
            propagation_limit=rotation.propagation_limit,
        )

    def _prover(self, deadline: Deadline) -> KeyProver:
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

    def _admin_key_reader(self) -> Callable[[], ApiKey]:
        """Reads the admin credential once per event, and only if the event needs it."""
        found: list[ApiKey] = []

        def read() -> ApiKey:
            if not found:
                found.append(
                    read_credential(self._secrets, self._settings.rotation.admin_secret).key
                )
            return found[0]

        return read

    @cached_property
    def _pool(self) -> KeyPool:
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
