"""A fixture with a secret, an office beside it, and the way of a document from one to the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from rotation.privacy import observability
from rotation.unattended.seal_once import SealOnce
from tests.rotation_fixture import RotationFixture
from tests.sealing.conftest import Office
from tests.unattended.parts import Arrivals


@pytest.fixture
def office(rotation_fixture: RotationFixture) -> Iterator[Office]:
    """Two buckets with versions, a sealer, and a secret with a key that works."""
    rotation_fixture.store()
    office = Office(
        rotation_fixture.cloud.client("s3"), rotation_fixture.vendor, rotation_fixture.pki
    )
    yield office
    office.http.close()


@pytest.fixture
def arrivals(rotation_fixture: RotationFixture, office: Office) -> Arrivals:
    """What arrives in the incoming bucket is in the queue."""
    return Arrivals(rotation_fixture, office)


@pytest.fixture
def sealing(arrivals: Arrivals) -> SealOnce:
    """What seals."""
    return arrivals.sealing


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
