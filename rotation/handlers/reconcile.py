"""The reconcile function: hourly, after each promotion, and when somebody asks.

Events: ``{}`` or a scheduled event of EventBridge reconciles every secret that names our rotation
function; ``{"action": "reconcile" | "report", "secrets": [ARN or name, …]}`` those that are named
(without ``secrets``: all) and answers with the report, which ``docs/report.md`` describes.
``{"action": "rollback", "secrets": [ARN or name]}`` goes back to the previous key of one secret.
``{"action": "evidence", "secrets": [ARN or name]}`` brings the newest records of its incidents.
``{"action": "condemn-pool", "reason": …, "actor": …}`` declares the pool's free keys compromised.
``{"action": "revoke-first", "secrets": [ARN or name], "reason": …, "actor": …}`` revokes the keys
of one secret before they are replaced; only through the function's alias ``revoke-first``.
"""

from __future__ import annotations

from rotation.handlers.cold_start import loaded

# isort: split

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from rotation.handlers.reconcile_actions import run_action
from rotation.handlers.wiring.reconciliation import ReconcileWiring
from rotation.privacy.library_logs import protect_process
from rotation.privacy.observability import logger, metrics
from rotation.settings.rotation import ReconcileSettings

protect_process()
loaded()


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
    return run_action(event, context, lambda deadline: _wiring().parts(deadline))
