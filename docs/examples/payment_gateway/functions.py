"""The payment gateway's two Lambda functions, put together from environment variables."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from payment_gateway.gateway import GATEWAY_KEY, GatewayApi, GatewayIssuer, GatewayProver
from rotation.aws.evidence_bucket import S3EvidenceStore
from rotation.aws.notifier import LogNotifier
from rotation.core.invocation import Rotation
from rotation.core.policy import ReconciliationPolicy, RotationPolicy
from rotation.core.ports import IssuerCondition
from rotation.credential import Confidential
from rotation.deadline import Deadline
from rotation.errors import ConfigurationError
from rotation.handlers.reconcile_actions import run_action
from rotation.handlers.step_invocation import StepRequest, run_step
from rotation.key_pool.incident import PoolIncident
from rotation.privacy.library_logs import protect_process
from rotation.privacy.observability import logger, metrics
from rotation.reconciliation.execution import ReconciliationServices
from rotation.reconciliation.proof_of_death import DeathProver
from rotation.reconciliation.rate_limiter import RateLimiter
from rotation.reconciliation.reconciler import Reconciler
from rotation.secrets_manager.discovery import secrets_rotated_by
from rotation.secrets_manager.versions import SecretVersions, read_credential

INSTALLATION = "payments"
#: The gateway's dashboard makes keys that live five years.
LONGEST_KEY_LIFE = timedelta(days=5 * 366)
GRACE = timedelta(hours=float(os.environ.get("GRACE_HOURS", "2")))
PROPAGATION = timedelta(seconds=float(os.environ.get("PROPAGATION_SECONDS", "60")))

protect_process()


class Gateway:
    """The parts of both functions; they live as long as the execution environment.

    It is a `rotation.handlers.reconcile_actions.ReconcileParts`.
    """

    def __init__(self) -> None:
        self.secrets = boto3.client("secretsmanager")
        self.evidence = S3EvidenceStore(boto3.client("s3"), os.environ["EVIDENCE_BUCKET"])
        self._api = GatewayApi(os.environ["GATEWAY_URL"])

    @property
    def policy(self) -> ReconciliationPolicy:
        """What the organisation decided about the end of a key."""
        function = os.environ.get("ROTATION_FUNCTION", "")
        return ReconciliationPolicy(INSTALLATION, function, GRACE, PROPAGATION, LONGEST_KEY_LIFE)

    def clock(self) -> datetime:
        """Our clock."""
        return datetime.now(UTC)

    def open_secret(self, name: str, rotation_token: Confidential | None = None) -> SecretVersions:
        """The secret ``name``, which holds a key of the gateway."""
        return SecretVersions(self.secrets, name, rotation_token, GATEWAY_KEY)

    def issuer(self, deadline: Deadline) -> GatewayIssuer:  # noqa: ARG002 - a call takes 10 s
        """Issues, lists and revokes keys with the admin's token, which is read at each call."""
        admin = os.environ["ADMIN_SECRET"]
        return GatewayIssuer(
            self._api, lambda: read_credential(self.secrets, admin, GATEWAY_KEY).key
        )

    def prover(self, deadline: Deadline) -> GatewayProver:  # noqa: ARG002 - a call takes 10 s
        """Asks the gateway whether it accepts a key."""
        return GatewayProver(self._api)

    def pool_incident(self) -> PoolIncident:
        """The gateway issues keys itself."""
        raise ConfigurationError("The payment gateway has no key pool.")

    def reconciler(self, deadline: Deadline) -> Reconciler:
        """One run over the secrets that name the rotation function."""
        prover = self.prover(deadline)
        services = ReconciliationServices(
            issuer=self.issuer(deadline),
            prover=prover,
            notifier=LogNotifier(),
            evidence=self.evidence,
            policy=self.policy,
            find_key=lambda _: None,
            rate_limiter=RateLimiter(),
            clock=self.clock,
        )
        return Reconciler(
            open_secret=self.open_secret,
            discover=lambda: secrets_rotated_by(self.secrets, self.policy.rotation_function),
            condition=IssuerCondition,
            services=services,
            death_prover=DeathProver(prover, PROPAGATION, deadline, self.clock, time.sleep),
            deadline=deadline,
        )


@cache
def _gateway() -> Gateway:
    return Gateway()


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def rotate(event: Any, context: LambdaContext) -> None:
    """Run one step; Secrets Manager calls this function."""
    run_step(event, context, _open_rotation)


def _open_rotation(request: StepRequest) -> Rotation:
    gateway = _gateway()
    return Rotation(
        secret=gateway.open_secret(request.secret_arn, request.rotation_token),
        token=request.token,
        function_arn=request.function_arn,
        issuer=gateway.issuer(request.deadline),
        prover=gateway.prover(request.deadline),
        policy=RotationPolicy(INSTALLATION, timedelta(days=180), GRACE, PROPAGATION),
        deadline=request.deadline,
    )


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def reconcile(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Retire displaced and leaked keys and prove them dead; an hourly schedule calls this."""
    return run_action(event, context, _gateway)
