"""A reconciliation of the test's own."""

from __future__ import annotations

import pytest

from tests.reconciliation.reconciliation_fixture import ReconciliationFixture
from tests.rotation_fixture import RotationFixture


@pytest.fixture
def reconciliation(rotation_fixture: RotationFixture) -> ReconciliationFixture:
    """The reconciler over a secret of the test's own."""
    return ReconciliationFixture(rotation_fixture)
