"""The sealing function: one request, one answer; ``docs/sealing.md`` describes both.

The event carries the API key. It is never logged, whatever the environment asks of Powertools, and
no exception leaves this module: its traceback would lead through frames that hold the event.
"""

from __future__ import annotations

from rotation.handlers.cold_start import loaded

# isort: split

from collections.abc import Callable
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from rotation.deadline import Deadline
from rotation.errors import RotationError
from rotation.handlers.wiring.sealing import SealerWiring
from rotation.privacy.library_logs import protect_process
from rotation.privacy.observability import count, logger, metrics, set_function_dimension
from rotation.sealing.request import SealRequest
from rotation.sealing.sealer import Sealer, error_answer, make_error_answer, recording_failure
from rotation.settings.sealing import SealingSettings

protect_process()
loaded()


@cache
def _wiring() -> SealerWiring:
    return SealerWiring(SealingSettings.from_environment())


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """Seal the document that the event names, and answer whether it is sealed, or why not."""
    set_function_dimension(context.function_name)
    deadline = Deadline.of(context)
    return answer(event, lambda: _wiring().sealer(deadline))


def answer(event: object, sealer: Callable[[], Sealer]) -> dict[str, Any]:
    """The answer to ``event``. ``sealer`` is called once the event has proven to be a request."""
    try:
        with recording_failure():
            request = SealRequest.parse(event)
            ready = sealer()
        return ready.seal(request).answer()
    except RotationError as error:
        return error_answer(error)
    except Exception:  # noqa: BLE001 - a crash would print the event's frames
        count("SealsFailed")
        logger.exception("sealing failed in a way that nobody foresaw")
        return make_error_answer(
            "internal", "The function failed; its log says how and where.", retryable=False
        )
