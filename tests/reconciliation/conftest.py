"""A desk of the test's own."""

from __future__ import annotations

import pytest

from tests.reconciliation.desk import Desk
from tests.rotation_fixture import RotationFixture


@pytest.fixture
def desk(rotation_fixture: RotationFixture) -> Desk:
    """The reconciler over a secret of the test's own."""
    return Desk(rotation_fixture)
