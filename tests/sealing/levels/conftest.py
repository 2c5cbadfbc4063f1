"""A sealer that raises its documents by real services: OCSP, CRLs and a TSA over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from rotation.egress import DIRECT
from rotation.handlers.wiring.levels import seal_raiser
from rotation.sandbox.vendor import Pki, ValidationServices, VendorEmulator
from rotation.sealing.pdf import Limits
from rotation.settings.levels import LevelSettings
from tests.sealing.conftest import SealerFixture, now

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def services(pki: Pki) -> Iterator[ValidationServices]:
    """Services of the test's own; the keys are the session's."""
    with ValidationServices(pki, clock=now) as running:
        yield running


@dataclass
class LevelFixture(SealerFixture):
    """A sealer whose vendor's certificates name the services."""

    services: ValidationServices | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.services is not None
        self.settings = LevelSettings(
            hosts=frozenset({self.services.host}),
            tsa_url=self.services.tsa_url,
            egress=DIRECT,
            time=timedelta(seconds=60),
            fail=False,
        )
        self.use()

    def use(self, **changes: object) -> None:
        """Change the settings of the levels."""
        self.settings = replace(self.settings, **changes)  # type: ignore[arg-type]
        self.raise_seal = seal_raiser(self.settings, self.pki.root_pem, Limits())


@pytest.fixture
def level_fixture(s3: S3Client, services: ValidationServices) -> Iterator[LevelFixture]:
    """Everything that a seal of a higher level needs."""
    with VendorEmulator(services.pki, clock=now) as emulator:
        fixture = LevelFixture(s3, emulator, services.pki, services=services)
        yield fixture
        fixture.http.close()
