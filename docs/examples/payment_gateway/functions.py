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
from rotation.handlers.reconcile_actions import parse
from rotation.handlers.step_invocation import StepRequest, run_step
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
    """What both functions need; lives as long as the execution environment."""

    def __init__(self) -> None:
        self.secrets = boto3.client("secretsmanager")
        self.evidence = S3EvidenceStore(boto3.client("s3"), os.environ["EVIDENCE_BUCKET"])
        api = GatewayApi(os.environ["GATEWAY_URL"])
        self.prover = GatewayProver(api)
        self.issuer = GatewayIssuer(
            api,
            lambda: read_credential(self.secrets, os.environ["ADMIN_SECRET"], GATEWAY_KEY).key,
        )

    def secret(self, name: str, rotation_token: Confidential | None = None) -> SecretVersions:
        """The secret ``name``, which holds a key of the gateway."""
        return SecretVersions(self.secrets, name, rotation_token, GATEWAY_KEY)


@cache
def _gateway() -> Gateway:
    return Gateway()


def _now() -> datetime:
    return datetime.now(UTC)


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def rotate(event: Any, context: LambdaContext) -> None:
    """Run one step; Secrets Manager calls this function."""
    run_step(event, context, _open_rotation)


def _open_rotation(request: StepRequest) -> Rotation:
    gateway = _gateway()
    return Rotation(
        secret=gateway.secret(request.secret_arn, request.rotation_token),
        token=request.token,
        function_arn=request.function_arn,
        issuer=gateway.issuer,
        prover=gateway.prover,
        policy=RotationPolicy(INSTALLATION, timedelta(days=180), GRACE, PROPAGATION),
        deadline=request.deadline,
    )


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def reconcile(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Retire displaced and leaked keys and prove them dead; an hourly schedule calls this."""
    request, deadline, gateway = parse(event), Deadline.of(context), _gateway()
    function = os.environ["ROTATION_FUNCTION"]
    reconciler = Reconciler(
        open_secret=gateway.secret,
        discover=lambda: secrets_rotated_by(gateway.secrets, function),
        condition=IssuerCondition,
        services=ReconciliationServices(
            issuer=gateway.issuer,
            prover=gateway.prover,
            notifier=LogNotifier(),
            evidence=gateway.evidence,
            policy=ReconciliationPolicy(
                INSTALLATION, function, GRACE, PROPAGATION, LONGEST_KEY_LIFE
            ),
            find_key=lambda _: None,
            rate_limiter=RateLimiter(),
            clock=_now,
        ),
        death_prover=DeathProver(gateway.prover, PROPAGATION, deadline, _now, time.sleep),
        deadline=deadline,
    )
    return reconciler.run(request.secrets, act=request.action == "reconcile")
