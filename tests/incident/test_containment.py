"""Waiting for an incident to be over, and saying so only when it is."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from rotation.core.steps import STEPS
from rotation.errors import KeyQuotaError
from rotation.incident.containment import Containment, WaitClock, contain
from rotation.incident.declaration import Declaration
from rotation.secrets_manager.labels import INCIDENT_TAG
from rotation.secrets_manager.snapshot import Snapshot
from rotation.secrets_manager.versions import SecretVersions
from tests.reconciliation.reconciliation_fixture import ReconciliationFixture
from tests.rotation_fixture import RotationFixture


class Lagging(SecretVersions):
    """A secret whose DescribeSecret shows for a while what was before the declaration."""

    looks: int = 0
    before: Snapshot | None = None

    def tag(self, values: Mapping[str, str]) -> None:
        if INCIDENT_TAG in values:
            self.before = self.snapshot()
        super().tag(values)

    def snapshot(self) -> Snapshot:
        if self.before is not None and self.looks > 0:
            self.looks -= 1
            return self.before
        return super().snapshot()


@dataclass
class Responder:
    """Somebody who forces a rotation; what they wait for happens while they wait."""

    rotation_fixture: RotationFixture
    reconciliation: ReconciliationFixture
    stale_reports: int = 0
    blind_for: float = 0.0
    waited: float = 0.0
    acts: list[str] = field(default_factory=list)

    def contain(self, secret: SecretVersions) -> Containment:
        return contain(
            secret,
            Declaration(self.rotation_fixture.now(), "key-compromise", "ada"),
            self._reconcile,
            log_act=self.acts.append,
            limit=timedelta(minutes=10),
            clocks=WaitClock(self.rotation_fixture.now, lambda: self.waited, self._wait),
        )

    def _wait(self, seconds: float) -> None:
        self.waited += seconds
        self.rotation_fixture.later(timedelta(seconds=seconds))
        pending = self.rotation_fixture.version("AWSPENDING")
        if pending is not None and pending != self.rotation_fixture.version("AWSCURRENT"):
            # A step that fails ends the process; Secrets Manager begins it again.
            with suppress(KeyQuotaError):
                for step in STEPS.values():
                    step(self.rotation_fixture.rotation(pending))

    def _reconcile(self, arn: str) -> Mapping[str, Any]:
        blind = self.waited < self.blind_for
        lagging = blind or self.stale_reports > 0
        self.stale_reports -= lagging
        # A run that sees nothing of the incident does nothing about it: a report is all it gives.
        [report] = self.reconciliation.run(arn, act=not lagging)["secrets"]
        if lagging:
            for version in report["versions"]:
                version["compromised"] = False
            if blind:
                report["incident"] = None
        return dict(report)


@pytest.fixture
def rotated(rotation_fixture: RotationFixture) -> RotationFixture:
    """A secret with a current and a previous key."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    for step in STEPS.values():
        step(rotation_fixture.rotation(token))
    return rotation_fixture


def keys(rotation_fixture: RotationFixture) -> set[str]:
    return {
        str(rotation_fixture.value(label)["apiKeyId"]) for label in ("AWSCURRENT", "AWSPREVIOUS")
    }


def test_a_look_that_is_older_than_the_declaration_is_not_its_end(rotated: RotationFixture) -> None:
    """DescribeSecret lags, for the reconcile function too: nothing is over before it began."""
    old = keys(rotated)
    responder = Responder(rotated, ReconciliationFixture(rotated), blind_for=2.0)
    secret = Lagging(rotated.client, rotated.arn)
    secret.looks = 2
    containment = responder.contain(secret)
    assert containment.contained
    assert set(containment.proven_dead) == old
    assert not any(responder.reconciliation.alive(key) for key in old)


def test_a_report_that_lacks_the_labels_of_an_open_incident_is_not_its_end(
    rotated: RotationFixture,
) -> None:
    """The incident's tag is there still, so whoever waits goes on waiting."""
    old = keys(rotated)
    responder = Responder(rotated, ReconciliationFixture(rotated), stale_reports=2)
    containment = responder.contain(SecretVersions(rotated.client, rotated.arn))
    assert containment.contained
    assert containment.evidence is not None
    assert not any(responder.reconciliation.alive(key) for key in old)


def test_an_incident_that_others_have_finished_is_over(rotated: RotationFixture) -> None:
    """Reconciliation closed it before the first look: after a moment that is believed."""

    class Finished(SecretVersions):
        def tag(self, values: Mapping[str, str]) -> None:
            """Declared, rotated, proven and untagged by others, all in this moment."""

    responder = Responder(rotated, ReconciliationFixture(rotated))
    containment = responder.contain(Finished(rotated.client, rotated.arn))
    assert containment.contained
    assert 10 <= responder.waited < 30


def test_a_quota_that_is_full_of_suspects_holds_nothing_up(rotated: RotationFixture) -> None:
    """Two keys and no more, both suspect: the previous one makes room before the hourly run."""
    old = keys(rotated)
    rotated.vendor.keys.quota = 2
    responder = Responder(rotated, ReconciliationFixture(rotated))
    containment = responder.contain(SecretVersions(rotated.client, rotated.arn))
    assert containment.contained
    assert set(containment.proven_dead) == old
    assert responder.waited < 120
