"""Retirement with nothing but the vendor as published: a person revokes, and the rest is proven."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rotation.core.steps import STEPS
from rotation.errors import SecretStoreError
from rotation.key_pool.issuer import KeyPoolIssuer, LeaseOnlyIssuer
from tests.key_pool.pool_fixture import PoolFixture
from tests.reconciliation.reconciliation_fixture import ReconciliationFixture, codes, outcomes

YEAR = timedelta(days=364)


@pytest.fixture
def key_pool(reconciliation: ReconciliationFixture) -> PoolFixture:
    """A pool of four keys beside the fixture's secret, and the reconciliation's issuer."""
    key_pool = PoolFixture(reconciliation.rotation)
    key_pool.fill([YEAR] * 4)
    reconciliation.issuer, reconciliation.find_key = key_pool.pool, key_pool.pool.find
    return key_pool


class CutOff:
    """A pool whose users are cut off once, just before or just after it has dropped a key."""

    def __init__(self, pool: KeyPoolIssuer, *, after: bool) -> None:
        self._pool = pool
        self._after = after
        self._cut = False

    def forget(self, key_id: str) -> None:
        if self._after:
            self._pool.forget(key_id)
        if not self._cut:
            self._cut = True
            raise SecretStoreError(
                "cut off", operation="GetSecretValue", aws_code="InternalFailure"
            )
        self._pool.forget(key_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)


def rotate(key_pool: PoolFixture) -> str:
    """A whole rotation with a key of the pool; its id."""
    token = key_pool.rotation.stage()
    for step in STEPS.values():
        step(key_pool.rotation.rotation(token, issuer=LeaseOnlyIssuer(key_pool.pool)))
    return str(key_pool.rotation.value("AWSCURRENT")["apiKeyId"])


def test_a_pool_key_is_asked_for_until_a_person_revoked_it(
    reconciliation: ReconciliationFixture, key_pool: PoolFixture
) -> None:
    """Somebody is told once; the key stays in the report, is asked ever less, and ends dead."""
    rotate(key_pool)
    displaced = rotate(key_pool)
    rotate(key_pool)
    for _ in range(3):
        reconciliation.reconcile()
        reconciliation.pass_grace()
    reports = []
    for _ in range(30):
        reports.append(reconciliation.reconcile())
        reconciliation.rotation.later(timedelta(hours=1))
    due = [{one["keyId"] for one in report["retirements"]} for report in reports]
    assert all(displaced in keys for keys in due)
    assert len([one for one in key_pool.inbox.about("Revoke") if one["key id"] == displaced]) == 1
    assert reconciliation.alive(displaced)
    # Each time that it is asked it signs once, and the control twice and once before.
    assert reconciliation.rotation.vendor.signatures[displaced] < 15

    reconciliation.rotation.vendor.keys.revoke(displaced)
    proven: list[str] = []
    for _ in range(25):
        proven += reconciliation.reconcile()["done"]["provenDead"]
        reconciliation.rotation.later(timedelta(hours=1))
    assert displaced in proven
    assert displaced not in key_pool.states()
    assert displaced not in {one["keyId"] for one in reconciliation.reconcile()["retirements"]}
    assert {request.operation for request in reconciliation.rotation.vendor.requests} == {"sign"}


def test_a_leaked_pool_key_is_put_to_a_person_and_proven_dead(
    reconciliation: ReconciliationFixture, key_pool: PoolFixture
) -> None:
    """The incident stays open, loudly, until the portal has done its part; then the record."""
    leaked = rotate(key_pool)
    reconciliation.declare()
    rotate(key_pool)
    report = reconciliation.reconcile()
    assert outcomes(report) == {leaked: "manual action needed"}
    assert codes(report) >= {"key_alive_after_incident", "manual_revocation_needed"}
    assert [one["key id"] for one in key_pool.inbox.about("Revoke")] == [leaked]
    assert reconciliation.evidence() == []
    reconciliation.rotation.vendor.keys.revoke(leaked)
    for _ in range(25):
        reconciliation.rotation.later(timedelta(hours=1))
        reconciliation.reconcile()
    [record] = reconciliation.evidence()
    assert [one["keyId"] for one in record["keys"]] == [leaked]
    assert leaked not in key_pool.states()


def test_a_leased_key_that_was_never_stored_is_proven_dead_too(
    reconciliation: ReconciliationFixture, key_pool: PoolFixture
) -> None:
    """The pool has its material: a person revokes it, and the vendor's answer is the proof."""
    rotate(key_pool)
    lost = key_pool.lease().id
    reconciliation.rotation.later(timedelta(minutes=31))
    assert outcomes(reconciliation.reconcile()) == {lost: "manual action needed"}
    reconciliation.rotation.vendor.keys.revoke(lost)
    proven: list[str] = []
    for _ in range(3):
        reconciliation.rotation.later(timedelta(hours=1))
        proven += reconciliation.reconcile()["done"]["provenDead"]
    assert proven == [lost]
    assert lost not in key_pool.states()


@pytest.mark.parametrize("after", [False, True])
def test_cut_off_while_it_drops_a_dead_key_a_run_leaves_nothing_behind(
    reconciliation: ReconciliationFixture, key_pool: PoolFixture, after: bool
) -> None:
    """The next runs drop the key, and the journal has its death, which was written before."""
    displaced = rotate(key_pool)
    rotate(key_pool)
    reconciliation.reconcile()
    reconciliation.pass_grace()
    reconciliation.reconcile()
    reconciliation.rotation.vendor.keys.revoke(displaced)
    reconciliation.issuer = CutOff(key_pool.pool, after=after)
    found: set[str] = set()
    for number in range(40):
        reconciliation.rotation.later(timedelta(hours=1))
        [report] = [
            one
            for one in reconciliation.run()["secrets"]
            if one["arn"] == reconciliation.rotation.arn
        ]
        found = codes(report) if number > 36 else set()
    assert displaced not in key_pool.states()
    assert reconciliation.life(displaced).death is not None
    assert "key_of_another_secret" not in found


def test_cut_off_before_the_record_an_incident_still_tells_of_every_key(
    reconciliation: ReconciliationFixture, key_pool: PoolFixture
) -> None:
    """A leased key that was never stored stays in the pool until the record names it."""
    leaked = rotate(key_pool)
    pending = reconciliation.rotation.stage()
    leased = key_pool.lease(pending).id
    reconciliation.declare()
    reconciliation.rotation.rotation(pending).secret.unstage_pending(pending)
    rotate(key_pool)
    for key in (leaked, leased):
        reconciliation.rotation.vendor.keys.revoke(key)
    evidence, reconciliation.evidence_bucket = reconciliation.evidence_bucket, "no-such-bucket"
    reconciliation.run()
    reconciliation.evidence_bucket = evidence
    for _ in range(25):
        reconciliation.rotation.later(timedelta(hours=1))
        reconciliation.run()
    [record] = reconciliation.evidence()
    assert {one["keyId"] for one in record["keys"]} == {leaked, leased}
    assert not {leaked, leased} & key_pool.states().keys()
