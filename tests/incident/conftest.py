from __future__ import annotations

import pytest

from tests.incident.incident_fixture import IncidentFixture
from tests.reconciliation.reconciliation_fixture import ReconciliationFixture
from tests.rotation_fixture import RotationFixture


@pytest.fixture
def incident(rotation_fixture: RotationFixture) -> IncidentFixture:
    """A secret with a hand-made current key."""
    reconciliation = ReconciliationFixture(rotation_fixture)
    rotation_fixture.store()
    reconciliation.rotate()
    return IncidentFixture(reconciliation)
