"""Keys that still seal when their grace ends: who hears of it, and when they die all the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from rotation.core.policy import LATE_USE
from rotation.credential import iso_utc
from rotation.errors import LedgerError
from rotation.reconciliation.late_use import LateUse, to_look_for
from tests.reconciliation.phase_bus import PhaseBus
from tests.reconciliation.reconciliation_fixture import GRACE, ReconciliationFixture, codes
from tests.reconciliation.situations import (
    CURRENT,
    DAY,
    HOUR,
    NOW,
    PREVIOUS,
    due,
    held,
    incident,
    planned,
    situation,
)


@dataclass
class Ledger:
    """A ledger of seals, as the reconciler sees it."""

    seals: list[tuple[str, str, datetime]] = field(default_factory=list)
    whole: bool = True
    asked: list[Mapping[str, datetime]] = field(default_factory=list)
    error: LedgerError | None = None

    def entries(
        self, key_ids: Collection[str], since: datetime | None
    ) -> tuple[Mapping[str, frozenset[bytes]], bool]:
        return {key: frozenset() for key in key_ids}, True

    def uses(
        self, since: Mapping[str, datetime]
    ) -> tuple[Mapping[str, Mapping[str, Sequence[datetime]]], bool]:
        self.asked.append(since)
        if self.error is not None:
            raise self.error
        found: dict[str, dict[str, list[datetime]]] = {}
        for key, user, at in self.seals:
            if key in since and at >= since[key]:
                found.setdefault(key, {}).setdefault(user, []).append(at)
        return found, self.whole


def looked_for(life: Any, **more: Any) -> dict[str, datetime]:
    found, made = planned(
        situation(held("old", PREVIOUS), held("new", CURRENT), lives={"k-old": life}, **more)
    )
    return {one.key_id: since for one, since in to_look_for(found, made)}


def test_a_use_is_looked_for_before_a_key_dies_and_not_earlier() -> None:
    """In the last run before the end of the grace, and in that which is to revoke the key."""
    assert looked_for(due(-2 * HOUR)) == {}
    assert looked_for(due(-HOUR / 2)) == {"k-old": NOW - LATE_USE}
    assert looked_for(due(HOUR / 2)) == {"k-old": NOW - HOUR / 2 - LATE_USE}


def test_no_use_is_looked_for_where_nothing_would_follow_from_it() -> None:
    """Of a suspect key, of one that was asked to be revoked, during a hold, without a grace."""
    assert looked_for(due(), incidents=(incident("k-old"),)) == {}
    assert looked_for(replace(due(), asked_at=NOW - HOUR / 2)) == {}
    assert looked_for(due(), tags={"rotation:hold-until": "2030-01-01"}) == {}
    assert looked_for(replace(due(timedelta(0)), displaced_at=NOW)) == {}


def test_a_grace_is_not_prolonged_past_the_expiry_of_the_key() -> None:
    """A key that has expired signs nothing."""
    use = LateUse("k-old", NOW, {"in": [NOW]}, whole=True)
    versions = [held("new", CURRENT), held("old", PREVIOUS, expires_at=NOW + HOUR / 2)]
    wish = use.prolongation(situation(*versions))
    assert wish is not None
    assert wish.until == NOW + HOUR / 2
    versions[1] = held("old", PREVIOUS, expires_at=NOW)
    assert use.prolongation(situation(*versions)) is None


@pytest.fixture
def ledger(reconciliation: ReconciliationFixture) -> Ledger:
    """The ledger that the fixture's reconciliations look at."""
    reconciliation.ledger = made = Ledger()
    return made


def near_its_end(reconciliation: ReconciliationFixture) -> str:
    """A displaced key, ten minutes before the end of its grace; its id."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.rotation.later(GRACE - timedelta(minutes=10))
    return old.id


def seal(reconciliation: ReconciliationFixture, ledger: Ledger, key: str, user: str) -> None:
    ledger.seals.append((key, user, reconciliation.rotation.now()))


def test_a_key_that_still_seals_is_reported_with_its_users_before_it_dies(
    reconciliation: ReconciliationFixture, ledger: Ledger
) -> None:
    """Without the setting it dies at its time; a run that retires nothing asks the ledger nothing.

    What it sealed before the last minutes is no concern.
    """
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    seal(reconciliation, ledger, old.id, "documents/early")
    reconciliation.reconcile()
    assert ledger.asked == []
    reconciliation.rotation.later(GRACE - timedelta(minutes=10))
    seal(reconciliation, ledger, old.id, "documents/incoming")
    report = reconciliation.reconcile()
    assert reconciliation.alive(old.id)
    [warning] = [one for one in report["warnings"] if one["code"] == "key_still_used"]
    assert f"Key {old.id}" in warning["message"]
    assert "1 from documents/incoming." in warning["message"]
    assert "early" not in warning["message"]

    reconciliation.rotation.later(timedelta(minutes=11))
    report = reconciliation.reconcile()
    assert "key_still_used" in codes(report)
    assert not reconciliation.alive(old.id)
    asked = len(ledger.asked)
    reconciliation.reconcile()
    assert len(ledger.asked) == asked == 2


def test_a_setting_prolongs_the_grace_of_a_key_that_seals_up_to_a_limit(
    reconciliation: ReconciliationFixture, ledger: Ledger
) -> None:
    """Run by run, and those who depend on it hear of each new end; then it dies."""
    bus = PhaseBus(reconciliation.rotation.cloud)
    reconciliation.events = bus.bus
    reconciliation.policy = replace(reconciliation.policy, used_key_grace=2 * HOUR)
    old = near_its_end(reconciliation)
    end = reconciliation.life(old).retire_after
    assert end is not None
    bus.heard()
    reconciliation.rotation.later(timedelta(minutes=11))
    for _ in range(2):
        seal(reconciliation, ledger, old, "documents/incoming")
        assert codes(reconciliation.reconcile()) >= {"key_still_used"}
        assert reconciliation.alive(old)
        [retiring] = bus.heard()["retiring"]
        assert retiring["retiresAfter"] == iso_utc(
            reconciliation.life(old).retire_after or reconciliation.rotation.now()
        )
        reconciliation.rotation.later(HOUR + timedelta(minutes=1))
    [noted] = reconciliation.life(old).prolongations
    assert (noted.by, noted.former_end) == ("the ledger of seals", end)
    assert noted.until == end + 2 * HOUR
    seal(reconciliation, ledger, old, "documents/incoming")
    reconciliation.reconcile()
    assert not reconciliation.alive(old)


def test_a_key_that_stopped_sealing_dies_at_its_time(
    reconciliation: ReconciliationFixture, ledger: Ledger
) -> None:
    """The setting alone holds nothing up, and neither does a ledger that cannot be read."""
    reconciliation.policy = replace(reconciliation.policy, used_key_grace=DAY)
    old = near_its_end(reconciliation)
    seal(reconciliation, ledger, old, "documents/incoming")
    ledger.error = LedgerError("s3://ledger could not be read (AccessDenied).")
    reconciliation.rotation.later(timedelta(minutes=30))
    report = reconciliation.reconcile()
    assert "key_use_unknown" in codes(report)
    assert report["failures"] == []
    assert not reconciliation.alive(old)


def test_a_suspect_key_dies_whoever_uses_it(
    reconciliation: ReconciliationFixture, ledger: Ledger
) -> None:
    """And the ledger is not even asked."""
    reconciliation.policy = replace(reconciliation.policy, used_key_grace=DAY)
    old = near_its_end(reconciliation)
    seal(reconciliation, ledger, old, "documents/incoming")
    reconciliation.declare()
    ledger.asked.clear()
    reconciliation.reconcile()
    assert not reconciliation.alive(old)
    assert ledger.asked == []
