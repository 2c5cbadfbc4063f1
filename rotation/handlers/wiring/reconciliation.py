"""The parts of a reconciliation, put together from the settings."""

from __future__ import annotations

from dataclasses import replace

import boto3

from rotation.aws.client_config import EVENTS, JOURNAL, RECONCILIATION
from rotation.aws.evidence_bucket import S3EvidenceStore
from rotation.aws.journal_bucket import S3JournalStore
from rotation.core.policy import ReconciliationPolicy
from rotation.core.ports import EventBus, IssuerCondition, KeyIssuer
from rotation.credential import ApiKey
from rotation.deadline import RECONCILE_CALLS_RESERVE, Deadline
from rotation.handlers.reconcile_actions import ReconcileParts
from rotation.handlers.wiring.issuer import admin_key_reader, make_notifier
from rotation.handlers.wiring.key_pool import key_pool, pool_secret
from rotation.handlers.wiring.ledger import seal_ledger
from rotation.handlers.wiring.vendor import signer_policy, utc_now, vendor_http
from rotation.journal.keeper import JournalKeeper
from rotation.key_pool.document import PoolDocument
from rotation.key_pool.incident import PoolIncident
from rotation.reconciliation.execution import ReconciliationServices
from rotation.secrets_manager.allowed import AllowedSecrets
from rotation.settings.rotation import KEY_POOL, ReconcileSettings
from rotation.vendor.admin_api import AdminApi
from rotation.vendor.key_prover import TestSealProver
from rotation.vendor.signature_log import AdminSignatureLog
from rotation.vendor.signing_api import SigningApi


class ReconcileWiring:
    """Builds what the reconcile function needs, from its settings."""

    def __init__(self, settings: ReconcileSettings) -> None:
        self._settings = settings
        rotation = settings.rotation
        self._secrets = boto3.client("secretsmanager", config=RECONCILIATION)
        self._evidence = S3EvidenceStore(
            boto3.client("s3", config=RECONCILIATION), rotation.evidence_bucket
        )
        self._journals = JournalKeeper(
            S3JournalStore(boto3.client("s3", config=JOURNAL), rotation.evidence_bucket)
        )
        self._notifier = make_notifier(rotation)
        self._signing = vendor_http(rotation.vendor, rotation.vendor.url)
        self._admin = vendor_http(rotation.vendor, rotation.admin_url)
        self._signer_policy = signer_policy(rotation.vendor)
        self._ledger = seal_ledger(settings.ledger)
        self._events = _event_bus(settings)

    def parts(self, deadline: Deadline) -> ReconcileParts:
        """The parts of one invocation, which ends by ``deadline``."""
        if self._settings.rotation.key_issuer == KEY_POOL:
            return self._with_key_pool(deadline)
        rotation = self._settings.rotation
        admin_key = admin_key_reader(self._secrets, rotation.admin_secret)
        http = self._admin.until(deadline.before(RECONCILE_CALLS_RESERVE))
        issuer = AdminApi(http, rotation.admin_keys_path, admin_key, utc_now)
        signatures = AdminSignatureLog(http, rotation.admin_keys_path, admin_key)
        return ReconcileParts(
            self._secrets,
            replace(self._services(issuer, deadline), signatures=signatures),
            deadline,
            condition=lambda: _credential_condition(admin_key()),
        )

    def _with_key_pool(self, deadline: Deadline) -> ReconcileParts:
        rotation = self._settings.rotation
        secret = pool_secret(rotation, self._secrets, deadline.before(RECONCILE_CALLS_RESERVE))
        issuer = key_pool(rotation, self._secrets, self._notifier, secret)
        incident = PoolIncident(secret, self._notifier, utc_now)
        services = replace(
            self._services(issuer, deadline), find_key=issuer.find, condemned_keys=incident
        )
        return ReconcileParts(
            self._secrets,
            services,
            deadline,
            condition=lambda: _pool_condition(secret.read()),
            pool=incident,
        )

    def _services(self, issuer: KeyIssuer, deadline: Deadline) -> ReconciliationServices:
        rotation = self._settings.rotation
        http = self._signing.until(deadline.before(RECONCILE_CALLS_RESERVE))
        signing = SigningApi(http, rotation.vendor.sign_path)
        return ReconciliationServices(
            issuer=issuer,
            prover=TestSealProver(signing, self._signer_policy, utc_now),
            notifier=self._notifier,
            evidence=self._evidence,
            journals=self._journals,
            policy=ReconciliationPolicy(
                installation=rotation.installation,
                rotation_function=self._settings.rotation_function,
                grace=rotation.grace,
                propagation_limit=rotation.propagation_limit,
                rotated_secrets=AllowedSecrets(rotation.rotated_secrets),
                former_installations=rotation.former_installations,
                used_key_grace=self._settings.used_key_grace,
            ),
            clock=utc_now,
            ledger=self._ledger,
            events=self._events,
        )


def _event_bus(settings: ReconcileSettings) -> EventBus | None:
    """The bus for phases; None where none is named, which then costs no client either."""
    if settings.phase_events_bus is None:
        return None
    from rotation.aws.event_bus import EventBridgeBus

    return EventBridgeBus(boto3.client("events", config=EVENTS), settings.phase_events_bus)


def _credential_condition(key: ApiKey) -> IssuerCondition:
    return IssuerCondition(credential_id=key.id, credential_expires_at=key.expires_at)


def _pool_condition(pool: PoolDocument) -> IssuerCondition:
    return IssuerCondition(
        keys_left=len(pool.leasable), unreadable=tuple(map(str, pool.unreadable))
    )
