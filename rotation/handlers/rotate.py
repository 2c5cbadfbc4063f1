"""The rotation function: Secrets Manager calls it once for each step of a rotation."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.data_classes import SecretsManagerEvent
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from rotation.aws.errors import AWS_CALL_ERRORS, error_code
from rotation.core.steps import STEPS
from rotation.credential import Confidential
from rotation.deadline import Deadline
from rotation.errors import InvalidEventError, RotationError
from rotation.handlers.wiring.rotation import RotationWiring
from rotation.privacy.library_logs import protect_process
from rotation.privacy.observability import count, counted_for, logger, metrics
from rotation.privacy.redaction import remember
from rotation.settings import RotationSettings

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

_ARN = re.compile(r"arn:aws[\w-]*:secretsmanager:[\w-]+:\d{12}:secret:\S+")
_TOKEN = re.compile(r"[A-Za-z0-9-]{32,64}")

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
    counted_for(context.function_name)
    count("RotationSteps")
    members = event if isinstance(event, dict) else {}
    rotation_token = _take_rotation_token(members)
    step = str(members.get("Step"))
    try:
        _run(SecretsManagerEvent(members), rotation_token, context)
        return
    except RotationError as error:
        failure = error
        logger.error("step failed", extra={"step": step, "code": error.code, "reason": str(error)})
    except Exception as error:  # noqa: BLE001 - whatever it is, it is scrubbed and named
        failure = RotationError(f"{step} failed unexpectedly ({type(error).__name__}).")
        logger.exception("step failed unexpectedly", extra={"step": step})
    count("RotationStepsFailed")
    raise failure


def _run(
    event: SecretsManagerEvent, rotation_token: Confidential | None, context: LambdaContext
) -> None:
    step = STEPS.get(str(event.get("Step")))
    if step is None:
        raise InvalidEventError(f"Step is not one of {', '.join(STEPS)}.")
    if not _ARN.fullmatch(str(event.get("SecretId"))):
        raise InvalidEventError("SecretId is not the ARN of a secret.")
    if not _TOKEN.fullmatch(str(event.get("ClientRequestToken"))):
        raise InvalidEventError("ClientRequestToken is not 32 to 64 letters, digits and hyphens.")
    step(
        _wiring().rotation(
            secret_arn=event.secret_id,
            token=event.client_request_token,
            rotation_token=rotation_token,
            function_arn=context.invoked_function_arn,
            deadline=Deadline.of(context),
        )
    )
    if step is STEPS["finishSecret"]:
        _ask_for_reconciliation(_wiring().reconcile_function, event.secret_id)


def _ask_for_reconciliation(function: str | None, secret_arn: str) -> None:
    """Have the displaced key marked now rather than within the hour; nothing depends on it."""
    if function is None:
        return
    payload = {"action": "reconcile", "secrets": [secret_arn]}
    try:
        _lambda().invoke(
            FunctionName=function, InvocationType="Event", Payload=json.dumps(payload).encode()
        )
    except AWS_CALL_ERRORS as error:
        logger.warning(
            "reconciliation was not asked for", secret=secret_arn, reason=error_code(error)
        )


@cache
def _lambda() -> LambdaClient:
    patience = Config(
        connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2}
    )
    return boto3.client("lambda", config=patience)


def _take_rotation_token(event: dict[str, Any]) -> Confidential | None:
    """Remove the token from the event, so that no frame, log or traceback can show it."""
    token = event.pop("RotationToken", None)
    if token is None:
        return None
    remember(str(token))
    return Confidential(str(token))
