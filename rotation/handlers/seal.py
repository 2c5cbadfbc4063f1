"""The sealing function: one request, one answer; ``docs/sealing.md`` describes both.

The event carries the API key. It is never logged, whatever the environment asks of Powertools, and
no exception leaves this module: its traceback would lead through frames that hold the event.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cache, partial
from typing import Any, Final

from aws_lambda_powertools.utilities.typing import LambdaContext

from rotation.errors import RotationError
from rotation.handlers.wiring.sealing import make_sealer
from rotation.handlers.wiring.vendor import vendor_http
from rotation.privacy.library_logs import protect_process
from rotation.privacy.observability import count, counted_for, logger, metrics
from rotation.sealing.request import SealRequest
from rotation.sealing.sealer import Sealer, failure, failure_recorded, refusal
from rotation.settings import SealingSettings
from rotation.vendor.http import VendorHttp

#: What the vendor leaves of the function's time: enough to store the document and to answer.
_RESERVE: Final = timedelta(seconds=30)

protect_process()


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """Seal the document that the event names, and say what came of it."""
    counted_for(context.function_name)
    time_left = timedelta(milliseconds=context.get_remaining_time_in_millis())
    return answer(event, partial(_sealer, time_left))


def answer(event: object, sealer: Callable[[], Sealer]) -> dict[str, Any]:
    """The answer for ``event``: sealed, or why not."""
    try:
        with failure_recorded():
            request = SealRequest.parse(event)
            wired = sealer()
        return wired.seal(request).answer()
    except RotationError as error:
        return refusal(error)
    except Exception:  # noqa: BLE001 - a crash would print the event's frames
        count("SealsFailed")
        logger.exception("sealing failed in a way that nobody foresaw")
        return failure(
            "internal", "The function failed; its log says how and where.", retryable=False
        )


def _sealer(time_left: timedelta) -> Sealer:
    sealer, vendor = _wired()
    vendor.end_within(time_left - _RESERVE)
    return sealer


@cache
def _wired() -> tuple[Sealer, VendorHttp]:
    settings = SealingSettings.from_environment()
    http = vendor_http(settings.vendor, settings.vendor.url)
    return make_sealer(settings, http), http
