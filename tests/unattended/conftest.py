"""The fixtures of unattended sealing, and the log of its functions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from rotation.privacy import observability
from rotation.unattended.idempotent_sealer import IdempotentSealer
from tests.unattended.fixtures import ArrivalQueue, arrival_queue, sealer_fixture

__all__ = ["arrival_queue", "sealer_fixture"]


@pytest.fixture
def sealing(arrival_queue: ArrivalQueue) -> IdempotentSealer:
    """What seals."""
    return arrival_queue.sealing


class Log(StringIO):
    """What this process logs as a function would, line by line."""

    def facts(self, message: str) -> list[dict[str, Any]]:
        """The lines with this message."""
        lines = [json.loads(line) for line in self.getvalue().splitlines()]
        return [line for line in lines if line["message"] == message]


@pytest.fixture
def log() -> Iterator[Log]:
    """The log of the functions' logger, from here on."""
    handler: Any = observability.logger.registered_handler
    log = Log()
    before = handler.setStream(log)
    yield log
    handler.setStream(before)
