"""The function of an S3 Batch Operations job: seals the documents of a manifest; ``docs/bulk.md``.

S3 User Guide batch-ops-invoke-lambda: S3 invokes it once for each object, repeats what failed
temporarily, and puts the result's text into the job's completion report.
"""

from __future__ import annotations

from rotation.handlers.cold_start import loaded

# isort: split

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, Literal, TypeAlias

from aws_lambda_powertools.utilities.data_classes import (
    S3BatchOperationEvent,
    S3BatchOperationResponse,
)
from aws_lambda_powertools.utilities.typing import LambdaContext

from rotation.deadline import Deadline
from rotation.errors import InvalidEventError, InvalidRequestError, RotationError
from rotation.handlers.wiring.seal_options import VARIABLES
from rotation.handlers.wiring.unattended import UnattendedWiring
from rotation.privacy.library_logs import protect_process
from rotation.privacy.observability import count, logger, metrics, set_function_dimension
from rotation.sealing.request import ObjectLocation, SealOptions, error_message
from rotation.settings.unattended import UnattendedSettings
from rotation.unattended.idempotent_sealer import IdempotentSealer, SealResult

ResultCode: TypeAlias = Literal["Succeeded", "TemporaryFailure", "PermanentFailure"]

_LONGEST_RESULT: Final = 1024
_TEXTS: Final = frozenset({"reason", "location", "contact", "fieldName"})
_SWITCHES: Final = frozenset({"timestamp", "repair"})
# The values that mean what a request means that does not have the option.
_UNSET: Final = {"level": "", "certify": "none", "lock": ""}
#: The user arguments that a job may have.
ARGUMENTS: Final = frozenset({*_TEXTS, *_SWITCHES, *_UNSET})
# What sets each option, by its path in a request.
_NAMES: Final = VARIABLES | {
    f"options.{name}": f"{VARIABLES[f'options.{name}']}, or the job's user argument {name}"
    for name in ARGUMENTS
}

protect_process()
loaded()


@cache
def _wiring() -> UnattendedWiring:
    return UnattendedWiring(UnattendedSettings.from_environment())


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Seal the document that the task names, and return the task's result.

    Raises:
        InvalidEventError: the event is not one of S3 Batch Operations.
    """
    set_function_dimension(context.function_name)
    count("BulkTasks")
    deadline = Deadline.of(context)
    return answer(event, lambda: _wiring().sealing(deadline))


def answer(event: dict[str, Any], sealing: Callable[[], IdempotentSealer]) -> dict[str, Any]:
    """The answer to an invocation of schema 1.0 or 2.0.

    Schema 1.0 gives the bucket's ARN, schema 2.0 its name and the job's user arguments
    (API_control_LambdaInvokeOperation). Keys are encoded as in the manifest. S3 would repeat a task
    that the answer leaves out.
    """
    try:
        invocation = S3BatchOperationEvent(event)
        task, arguments = invocation.task, invocation.job.user_arguments
        source = ObjectLocation(task.s3_bucket, task.s3_key, task.s3_version_id or None)
        ids = {"task": task.task_id, "source": str(source)}
        response = S3BatchOperationResponse(
            invocation.invocation_schema_version, invocation.invocation_id, "TemporaryFailure"
        )
    except (AttributeError, KeyError, StopIteration, TypeError) as error:
        raise InvalidEventError("The event is no task of S3 Batch Operations.") from error

    def seal() -> SealResult:
        ready = sealing()
        return ready.seal(source, job_options(ready.options, arguments))

    code, text = _result(seal, ids)
    short = " ".join(text.split())[:_LONGEST_RESULT]
    response.add_result(task.build_task_batch_response(code, short))
    return response.asdict()


def _result(seal: Callable[[], SealResult], ids: Mapping[str, str]) -> tuple[ResultCode, str]:
    try:
        outcome = seal()
    except RotationError as error:
        count("BulkTasksFailed")
        message = error_message(error, _NAMES)
        logger.warning(
            "task failed",
            extra={
                **ids,
                "code": error.code,
                "reason": message,
                "retryable": error.retryable,
            },
        )
        code: ResultCode = "TemporaryFailure" if error.retryable else "PermanentFailure"
        return code, f"{error.code}: {message}"
    except Exception:  # noqa: BLE001 - the job goes on, and its report says so
        count("BulkTasksFailed")
        logger.exception("task failed unexpectedly", extra=ids)
        return "PermanentFailure", "internal: the function failed; its log says how and where."
    if outcome.destination is None:
        return "Succeeded", f"nothing to seal: {ids['source']} marks a folder"
    done = "already sealed" if outcome.sealed_before else "sealed"
    return "Succeeded", f"{done}: {outcome.destination}"


def job_options(options: SealOptions, arguments: Mapping[str, str]) -> SealOptions:
    """``options``, changed by the job's user arguments.

    Raises:
        InvalidRequestError: an argument is unknown, or not what it must be.
    """
    if not arguments.keys() <= ARGUMENTS:
        raise InvalidRequestError(
            field=None,
            problem=f"The job's user arguments may be {', '.join(sorted(ARGUMENTS))}. Create it "
            "anew without any other.",
        )
    members = options.members() | {name: arguments[name] for name in _TEXTS & arguments.keys()}
    for name in sorted(_SWITCHES & arguments.keys()):
        if arguments[name] not in {"true", "false"}:
            raise InvalidRequestError(field=f"options.{name}", problem="must be true or false.")
        members[name] = arguments[name] == "true"
    for name in sorted(_UNSET.keys() & arguments.keys()):
        if arguments[name] == _UNSET[name]:
            members.pop(name, None)
        else:
            members[name] = arguments[name]
    if "lock" in arguments and "lock" in members:
        members["lock"] = arguments["lock"].split(",")
    return SealOptions.parse(members)
