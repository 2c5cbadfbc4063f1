"""The rotation function: Secrets Manager calls it once for each step of a rotation."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from rotation.aws.client_config import START_RECONCILIATION
from rotation.aws.errors import AWS_CALL_ERRORS, error_code
from rotation.handlers.step_invocation import run_step
from rotation.handlers.wiring.rotation import RotationWiring
from rotation.privacy.library_logs import protect_process
from rotation.privacy.observability import logger, metrics
from rotation.settings.rotation import RotationSettings

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

protect_process()


@cache
def _wiring() -> RotationWiring:
    return RotationWiring(RotationSettings.from_environment())


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def handler(event: Any, context: LambdaContext) -> None:
    """Run one step. Success is silence; a step that fails raises, and AWS repeats the rotation.

    Raises:
        RotationError: with its code in the log; nothing confidential in its message or causes.
    """
    request = run_step(event, context, lambda request: _wiring().rotation(request))
    if request.step == "finishSecret":
        _ask_for_reconciliation(_wiring().reconcile_function, request.secret_arn)


def _ask_for_reconciliation(function: str | None, secret_arn: str) -> None:
    """Have the displaced key marked now rather than within the hour; nothing depends on it."""
    if function is None:
        return
    payload = {"action": "reconcile", "secrets": [secret_arn]}
    try:
        _lambda().invoke(
            FunctionName=function, InvocationType="Event", Payload=json.dumps(payload).encode()
        )
        return
    except AWS_CALL_ERRORS as error:
        reason = error_code(error)
    except Exception as error:  # noqa: BLE001 - the key is promoted; the step must not fail now
        reason = type(error).__name__
    logger.warning("reconciliation was not asked for", secret=secret_arn, reason=reason)


@cache
def _lambda() -> LambdaClient:
    return boto3.client("lambda", config=START_RECONCILIATION)
