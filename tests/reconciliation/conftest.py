"""A desk of the test's own."""

from __future__ import annotations

import pytest

from tests.house import House

from .desk import Desk


@pytest.fixture
def desk(house: House) -> Desk:
    """The reconciler over a secret of the test's own."""
    return Desk(house)
