"""What the life of a key costs in signatures, which the vendor may bill: the page's figures."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.docs.test_docs import rows, section
from tests.incident.incident_fixture import IncidentFixture
from tests.paths import ROOT


def _rotation(incident: IncidentFixture) -> Callable[[], object]:
    return incident.reconciliation.rotate


def _retirement(incident: IncidentFixture) -> Callable[[], object]:
    incident.reconciliation.rotate()
    incident.reconciliation.reconcile()
    incident.reconciliation.pass_grace()
    return incident.reconciliation.reconcile


def _quiet_day(incident: IncidentFixture) -> Callable[[], object]:
    _retirement(incident)()

    def day() -> None:
        for _ in range(24):
            incident.reconciliation.rotation.later(timedelta(hours=1))
            incident.reconciliation.reconcile()

    return day


def _forced_rotation(incident: IncidentFixture) -> Callable[[], object]:
    return incident.force


@pytest.mark.parametrize(
    ("name", "prepared"),
    [
        ("a rotation", _rotation),
        ("the retirement of its old key", _retirement),
        ("a day on which nothing is due", _quiet_day),
        ("a forced rotation", _forced_rotation),
    ],
)
def test_the_page_says_how_many_signatures_are_bought(
    incident: IncidentFixture,
    name: str,
    prepared: Callable[[IncidentFixture], Callable[[], object]],
) -> None:
    """When nothing fails: each is counted where the vendor makes it."""
    act = prepared(incident)
    vendor = incident.reconciliation.rotation.vendor
    before = vendor.signatures.total()
    act()
    bought = vendor.signatures.total() - before
    page = section((ROOT / "docs" / "operating.md").read_text(), "What it costs in signatures")
    said = {row[0]: row[1] for row in rows(page)[1:]}
    assert said[name] == str(bought)
    assert len(said) == 4
