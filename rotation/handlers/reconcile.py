"""The reconcile function: hourly, after each promotion, and when somebody asks.

Events: ``{}`` or an EventBridge scheduled event reconciles every secret that names our rotation
function; ``{"action": "reconcile" | "report", "secrets": [ARN or name, …]}`` those that are named
(without ``secrets``: all). The answer is the report; ``docs/reconciliation.md`` describes it.
``{"action": "rollback", "secrets": [ARN or name]}`` goes back to the previous key of one secret.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, Final

from aws_lambda_powertools.utilities.typing import LambdaContext

from rotation.errors import InvalidEventError, RotationError
from rotation.handlers.reconcile_wiring import ReconcileWiring
from rotation.observability import count, logger, metrics
from rotation.settings import ReconcileSettings
from rotation.wire_logging import protect_process

# API_CreateSecret, Name; and the ARN that it becomes part of.
_SECRET: Final = re.compile(
    r"(?:arn:aws[\w-]*:secretsmanager:[\w-]+:\d{12}:secret:)?[A-Za-z0-9/_+=.@-]{1,520}"
)
RECONCILE: Final = "reconcile"
REPORT: Final = "report"
ROLLBACK: Final = "rollback"
_MOST_SECRETS: Final = 1000

protect_process()


@cache
def _wiring() -> ReconcileWiring:
    return ReconcileWiring(ReconcileSettings.from_environment())


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Reconcile or report, and answer with the report.

    A secret that fails is in the report, and does not fail the invocation.

    Raises:
        InvalidEventError: the event is not one of those above; nothing was done.
        RotationError: no secret could be looked at; nothing confidential in its message or causes.
    """
    count("Reconciliations")
    failure: RotationError
    try:
        request = parse(event)

        def time_left() -> timedelta:
            return timedelta(milliseconds=context.get_remaining_time_in_millis())

        if request.action == ROLLBACK and request.secrets:
            return {"action": ROLLBACK, **_wiring().roll_back(request.secrets[0], time_left)}
        return _wiring().reconciler(time_left).run(request.secrets, act=request.action == RECONCILE)
    except RotationError as error:
        failure = error
        logger.error("nothing reconciled", extra={"code": error.code, "reason": str(error)})
    except Exception as error:  # noqa: BLE001 - whatever it is, it is scrubbed and named
        failure = RotationError(f"Reconciliation failed unexpectedly ({type(error).__name__}).")
        logger.exception("nothing reconciled, unexpectedly")
    count("ReconciliationsFailed")
    raise failure


@dataclass(frozen=True)
class Request:
    """What an event asks for.

    Attributes:
        action: ``reconcile``, ``report`` or ``rollback``.
        secrets: names or ARNs; None: all.
    """

    action: str
    secrets: Sequence[str] | None = None


def parse(event: object) -> Request:
    """What an event asks for.

    Raises:
        InvalidEventError: the event is none of those that the module describes.
    """
    if not isinstance(event, dict):
        raise InvalidEventError("The event is not a JSON object.")
    if (event.get("source"), event.get("detail-type")) == ("aws.events", "Scheduled Event"):
        return Request(RECONCILE)
    if event and not {"action"} <= event.keys() <= {"action", "secrets"}:
        raise InvalidEventError('The event may have the members "action" and "secrets" alone.')
    action = event.get("action", RECONCILE)
    if action not in (RECONCILE, REPORT, ROLLBACK):
        raise InvalidEventError('"action" is neither "reconcile" nor "report" nor "rollback".')
    secrets = event.get("secrets")
    if secrets is not None and not _named(secrets):
        raise InvalidEventError(
            f'"secrets" is not a list of 1 to {_MOST_SECRETS} names or ARNs of secrets.'
        )
    if action == ROLLBACK and (secrets is None or len(secrets) != 1):
        raise InvalidEventError('"rollback" takes one secret.')
    return Request(action, secrets)


def _named(secrets: object) -> bool:
    return (
        isinstance(secrets, list)
        and 1 <= len(secrets) <= _MOST_SECRETS
        and all(isinstance(one, str) and _SECRET.fullmatch(one) for one in secrets)
    )
