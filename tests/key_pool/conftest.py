"""A pool of the test's own."""

from __future__ import annotations

import pytest

from tests.key_pool.stock import Stock
from tests.rotation_fixture import RotationFixture


@pytest.fixture
def stock(rotation_fixture: RotationFixture) -> Stock:
    """An empty pool secret beside the fixture's secret."""
    return Stock(rotation_fixture)
