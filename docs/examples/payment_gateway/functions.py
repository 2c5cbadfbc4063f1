"""The payment gateway's two Lambda functions, put together from environment variables."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from payment_gateway.gateway import GATEWAY_KEY, GatewayApi, GatewayIssuer, GatewayProver
from rotation.aws.evidence_bucket import S3EvidenceStore
from rotation.aws.journal_bucket import S3JournalStore
from rotation.aws.notifier import LogNotifier
from rotation.core.invocation import Rotation
from rotation.core.policy import ReconciliationPolicy, RotationPolicy
from rotation.deadline import Deadline
from rotation.handlers.reconcile_actions import ReconcileParts, run_action
from rotation.handlers.step_invocation import StepRequest, run_step
from rotation.journal.keeper import JournalKeeper
from rotation.privacy.library_logs import protect_process
from rotation.privacy.observability import logger, metrics
from rotation.reconciliation.execution import ReconciliationServices
from rotation.secrets_manager.allowed import AllowedSecrets
from rotation.secrets_manager.versions import SecretVersions, read_credential

INSTALLATION = "payments"
KEY_LIFE = timedelta(days=180)
#: The gateway's dashboard makes keys that live five years.
LONGEST_KEY_LIFE = timedelta(days=5 * 366)
GRACE = timedelta(hours=float(os.environ.get("GRACE_HOURS", "2")))
#: Whatever secret may name the rotation function, these alone get keys of the gateway.
SECRETS = AllowedSecrets(("arn:aws:secretsmanager:*:secret:prod/payment/gateway-key-??????",))
PROPAGATION = timedelta(seconds=float(os.environ.get("PROPAGATION_SECONDS", "60")))

protect_process()


class Gateway:
    """What both functions need; it lives as long as the execution environment."""

    def __init__(self) -> None:
        self.secrets = boto3.client("secretsmanager")
        s3, bucket = boto3.client("s3"), os.environ["EVIDENCE_BUCKET"]
        self.evidence = S3EvidenceStore(s3, bucket)
        self.journals = JournalKeeper(S3JournalStore(s3, bucket))
        api = GatewayApi(os.environ["GATEWAY_URL"])
        admin = os.environ["ADMIN_SECRET"]
        self.prover = GatewayProver(api)
        self.issuer = GatewayIssuer(
            api, lambda: read_credential(self.secrets, admin, GATEWAY_KEY).key
        )

    def rotation(self, request: StepRequest) -> Rotation:
        """The parts of one step."""
        return Rotation(
            secret=SecretVersions(
                self.secrets, request.secret_arn, request.rotation_token, GATEWAY_KEY
            ),
            token=request.token,
            function_arn=request.function_arn,
            journal=self.journals,
            issuer=self.issuer,
            prover=self.prover,
            policy=RotationPolicy(INSTALLATION, KEY_LIFE, GRACE, PROPAGATION, SECRETS),
            deadline=request.deadline,
        )

    def reconciliation(self, deadline: Deadline) -> ReconcileParts:
        """The parts of one call of the reconcile function."""
        function = os.environ["ROTATION_FUNCTION"]
        services = ReconciliationServices(
            issuer=self.issuer,
            prover=self.prover,
            notifier=LogNotifier(),
            evidence=self.evidence,
            journals=self.journals,
            policy=ReconciliationPolicy(
                INSTALLATION, function, GRACE, PROPAGATION, SECRETS, LONGEST_KEY_LIFE
            ),
            clock=lambda: datetime.now(UTC),
        )
        return ReconcileParts(self.secrets, services, deadline, key_format=GATEWAY_KEY)


@cache
def _gateway() -> Gateway:
    return Gateway()


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def rotate(event: Any, context: LambdaContext) -> None:
    """Run one step; Secrets Manager calls this function."""
    run_step(event, context, lambda request: _gateway().rotation(request))


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def reconcile(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Retire displaced and leaked keys and prove them dead; an hourly schedule calls this."""
    return run_action(event, context, lambda deadline: _gateway().reconciliation(deadline))
