"""A pool of the test's own."""

from __future__ import annotations

import pytest

from tests.key_pool.stock import Stock
from tests.rotation_fixture import House


@pytest.fixture
def stock(house: House) -> Stock:
    """An empty pool secret beside the house's secret."""
    return Stock(house)
