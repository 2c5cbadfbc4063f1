"""The rotation function: Secrets Manager calls it once for each step of a rotation."""

from __future__ import annotations

from rotation.handlers.cold_start import loaded

# isort: split

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from rotation.aws.client_config import START_RECONCILIATION
from rotation.aws.errors import AWS_CALL_ERRORS, error_code
from rotation.errors import RotationError
from rotation.handlers.step_invocation import StepRequest, failed_step_event, run_step
from rotation.handlers.wiring.rotation import RotationWiring
from rotation.privacy.library_logs import protect_process
from rotation.privacy.observability import logger, metrics
from rotation.settings.rotation import RotationSettings

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

protect_process()
loaded()


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
    request = run_step(event, context, lambda request: _wiring().rotation(request), _note_failure)
    if request.step == "finishSecret":
        # The displaced key is marked now rather than within the hour.
        event = {"action": "reconcile", "secrets": [request.secret_arn]}
        _ask_reconcile_function(_wiring().reconcile_function, event)


def _note_failure(request: StepRequest, failure: RotationError) -> None:
    """Have the cause written in the journal, where whoever waits for the rotation finds it.

    Raises:
        Exception: the settings or the clients of this function cannot be had, which may be why the
            step failed.
    """
    event = failed_step_event(request.secret_arn, request.token, request.step, failure)
    _ask_reconcile_function(_wiring().reconcile_function, event)


def _ask_reconcile_function(function: str | None, event: dict[str, Any]) -> None:
    """Invoke the reconcile function and do not wait for it. Nothing depends on it."""
    if function is None:
        return
    try:
        _lambda().invoke(
            FunctionName=function, InvocationType="Event", Payload=json.dumps(event).encode()
        )
        return
    except AWS_CALL_ERRORS as error:
        reason = error_code(error)
    except Exception as error:  # noqa: BLE001 - the step is over, and its end must not change now
        reason = type(error).__name__
    logger.warning(
        "reconcile function was not asked",
        extra={"action": event["action"], "secret": event["secrets"][0], "reason": reason},
    )


@cache
def _lambda() -> LambdaClient:
    return boto3.client("lambda", config=START_RECONCILIATION)
