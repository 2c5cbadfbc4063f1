from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from rotation.sandbox.vendor import Pki, Role, VendorEmulator
from tests.sandbox.vendor.caller import Caller, Clock


@pytest.fixture(scope="session")
def pki() -> Pki:
    return Pki.create(datetime.now(UTC))


@pytest.fixture
def clock(pki: Pki) -> Clock:
    return Clock(pki.made_at.replace(microsecond=0))


@pytest.fixture
def emulator(pki: Pki, clock: Clock) -> Iterator[VendorEmulator]:
    with VendorEmulator(pki, clock=clock) as running:
        yield running


@pytest.fixture
def signer(emulator: VendorEmulator, clock: Clock) -> Caller:
    return Caller(emulator, emulator.keys.create(), clock)


@pytest.fixture
def admin(emulator: VendorEmulator, clock: Clock) -> Caller:
    return Caller(emulator, emulator.keys.create(role=Role.ADMIN), clock)
