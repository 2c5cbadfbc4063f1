"""A pool of the test's own."""

from __future__ import annotations

import pytest

from tests.house import House
from tests.pool.stock import Stock


@pytest.fixture
def stock(house: House) -> Stock:
    """An empty pool secret beside the house's secret."""
    return Stock(house)
