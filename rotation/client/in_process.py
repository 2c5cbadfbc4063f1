"""Seals in the application's own process instead of in the Lambda function.

It needs the ``sealing`` extra. An application that uses the Lambda function does not import it.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from typing import Any, Final

from rotation.client.contract import event_of
from rotation.errors import RotationError
from rotation.privacy.printable import printable_lines
from rotation.sealing.request import SealRequest
from rotation.sealing.sealer import Sealer, error_answer, make_error_answer

_log: Final = logging.getLogger("rotation.client")


class InProcessInvoker:
    """An `Invoker` over a `Sealer` in this process: the same checks, answers and codes."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def invoke(self, request: SealRequest) -> Mapping[str, Any]:
        """The answer that the sealing function would give. Raises nothing."""
        try:
            return self._sealer.seal(SealRequest.parse(event_of(request))).answer()
        except RotationError as error:
            return error_answer(error)
        except Exception:  # noqa: BLE001 - as in the function: a traceback would show the request
            _log.error("sealing failed unexpectedly: %s", printable_lines(traceback.format_exc()))
            return make_error_answer(
                "internal", "The sealer failed; the log says how.", retryable=False
            )
