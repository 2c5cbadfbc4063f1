"""Fixtures that many tests share: one certificate hierarchy, and an emulated vendor each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from rotation.sandbox.vendor import Pki, VendorEmulator


@pytest.fixture(scope="session")
def pki() -> Pki:
    """A root, an issuing CA, a signer and a timestamping unit; making them takes a moment."""
    return Pki.create(datetime.now(UTC))


@pytest.fixture
def emulator(pki: Pki) -> Iterator[VendorEmulator]:
    """A vendor of the test's own."""
    with VendorEmulator(pki, clock=lambda: datetime.now(UTC)) as running:
        yield running
