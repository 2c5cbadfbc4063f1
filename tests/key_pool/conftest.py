"""A pool of the test's own."""

from __future__ import annotations

import pytest

from tests.key_pool.pool_fixture import PoolFixture
from tests.rotation_fixture import RotationFixture


@pytest.fixture
def key_pool(rotation_fixture: RotationFixture) -> PoolFixture:
    """An empty pool secret beside the fixture's secret."""
    return PoolFixture(rotation_fixture)
