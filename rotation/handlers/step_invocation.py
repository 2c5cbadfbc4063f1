"""One call of a rotation function, whatever the vendor: the event is checked, a failure is told.

`rotation.handlers.rotate` is the function for Trusted Signatures. The function for another vendor
is as short, and docs/examples/payment-gateway.md has one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from rotation.core.invocation import Rotation
from rotation.core.steps import STEPS
from rotation.credential import Confidential
from rotation.deadline import Deadline
from rotation.errors import InvalidEventError, RotationError
from rotation.journal.model import LONGEST_FAILURE_MESSAGE
from rotation.privacy.observability import count, logger, set_function_dimension
from rotation.privacy.printable import outside_text
from rotation.privacy.redaction import hide_value, scrub

# API_CreateSecret: a name has ASCII letters, digits and /_+=.@-; AWS's own secrets have an "!" too.
_ARN = re.compile(r"arn:aws[\w-]*:secretsmanager:[\w-]+:\d{12}:secret:[\w/+=.@!-]+", re.ASCII)
# The name in it has 512 characters at most (API_CreateSecret), and what AWS adds less than 128.
_LONGEST_ARN = 640
# API_RotateSecret names the least and the greatest length of a ClientRequestToken, and no pattern.
_TOKEN_LENGTHS = range(32, 65)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# As much of an unknown step as a log shows.
_LONGEST_STEP = 40


@dataclass(frozen=True)
class StepRequest:
    """What Secrets Manager asks a rotation function for.

    Attributes:
        step: one of `rotation.core.steps.STEPS`.
        secret_arn: the secret.
        token: the ClientRequestToken, which is the id of the version being made.
        rotation_token: the RotationToken, where the event brings one.
        function_arn: the function that was invoked.
        deadline: when the invocation ends.
    """

    step: str
    secret_arn: str
    token: str
    rotation_token: Confidential | None
    function_arn: str
    deadline: Deadline


def run_step(
    event: Any,
    context: LambdaContext,
    open_rotation: Callable[[StepRequest], Rotation],
    on_failure: Callable[[StepRequest, RotationError], None] = lambda _, __: None,
) -> StepRequest:
    """Run the step that ``event`` names, on the rotation that ``open_rotation`` gives; count it.

    Args:
        event: the event.
        context: the Lambda context.
        open_rotation: the rotation of a request.
        on_failure: called when a step fails whose event was in order. What it raises is logged: it
            does not take the place of the step's error.

    Raises:
        RotationError: with its code in the log; nothing confidential in its message or causes.
    """
    set_function_dimension(context.function_name)
    count("RotationSteps")
    members = event if isinstance(event, dict) else {}
    rotation_token = _take_rotation_token(members)
    step = outside_text(_text(members, "Step"), _LONGEST_STEP)
    request: StepRequest | None = None
    try:
        request = _read(members, rotation_token, context)
        STEPS[request.step](open_rotation(request))
        return request
    except RotationError as error:
        failure = error
        logger.error("step failed", extra={"step": step, "code": error.code, "reason": str(error)})
    except Exception as error:  # noqa: BLE001 - whatever it is, it is scrubbed and named
        failure = RotationError(f"{step} failed unexpectedly ({type(error).__name__}).")
        logger.exception("step failed unexpectedly", extra={"step": step})
    count("RotationStepsFailed")
    if request is not None:
        _note(on_failure, request, failure)
    raise failure


def failed_step_event(
    secret_arn: str, token: str, step: str, failure: RotationError
) -> dict[str, Any]:
    """What the reconcile function is asked for, so that the journal says why a step failed."""
    return {
        "action": "note-failure",
        "secrets": [secret_arn],
        "token": token,
        "step": step,
        "code": failure.code,
        "message": outside_text(scrub(str(failure)), LONGEST_FAILURE_MESSAGE),
        "retryable": failure.retryable,
    }


def _note(
    on_failure: Callable[[StepRequest, RotationError], None],
    request: StepRequest,
    failure: RotationError,
) -> None:
    try:
        on_failure(request, failure)
    except Exception as error:  # noqa: BLE001 - the step's own error is the one to raise
        logger.warning(
            "the failure of the step was not noted",
            extra={
                "step": request.step,
                "secret": request.secret_arn,
                "reason": type(error).__name__,
            },
        )


def _read(
    members: dict[str, Any], rotation_token: Confidential | None, context: LambdaContext
) -> StepRequest:
    step, arn, token = (_text(members, n) for n in ("Step", "SecretId", "ClientRequestToken"))
    if step not in STEPS:
        raise InvalidEventError(f"Step is not one of {', '.join(STEPS)}.")
    if len(arn) > _LONGEST_ARN or not _ARN.fullmatch(arn):
        raise InvalidEventError("SecretId is not the ARN of a secret.")
    if len(token) not in _TOKEN_LENGTHS:
        raise InvalidEventError("ClientRequestToken is not a text of 32 to 64 characters.")
    function_arn, deadline = context.invoked_function_arn, Deadline.of(context)
    return StepRequest(step, arn, token, rotation_token, function_arn, deadline)


def _text(members: dict[str, Any], name: str) -> str:
    """The text of a member; empty if it is none, or none that UTF-8 can carry."""
    value = members.get(name)
    return value if isinstance(value, str) and _LONE_SURROGATE.search(value) is None else ""


def _take_rotation_token(event: dict[str, Any]) -> Confidential | None:
    """Remove the token from the event, so that no frame, log or traceback can show it."""
    token = event.pop("RotationToken", None)
    if token is None:
        return None
    hide_value(str(token))
    return Confidential(str(token))
