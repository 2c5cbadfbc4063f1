"""Retirement with nothing but the vendor as published: a person revokes, and the rest is proven."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rotation.core.steps import STEPS
from rotation.errors import SecretStoreError
from rotation.key_pool.issuer import KeyPool, StepsKeyPool
from rotation.secrets_manager.labels import COMPROMISED, RETIRE_AFTER
from tests.key_pool.stock import Stock
from tests.reconciliation.reconciliation_fixture import ReconciliationFixture, codes, outcomes

YEAR = timedelta(days=364)


@pytest.fixture
def stock(reconciliation: ReconciliationFixture) -> Stock:
    """A pool of four keys beside the fixture's secret, and the reconciliation's issuer."""
    stock = Stock(reconciliation.rotation)
    stock.fill([YEAR] * 4)
    reconciliation.issuer, reconciliation.find_key = stock.pool, stock.pool.find
    return stock


class CutOff:
    """A pool whose users are cut off once, just before or just after it has dropped a key."""

    def __init__(self, pool: KeyPool, *, after: bool) -> None:
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


def rotate(stock: Stock) -> str:
    """A whole rotation with a key of the pool; its id."""
    token = stock.rotation_fixture.stage()
    for step in STEPS.values():
        step(stock.rotation_fixture.rotation(token, issuer=StepsKeyPool(stock.pool)))
    return str(stock.rotation_fixture.value("AWSCURRENT")["apiKeyId"])


def test_a_pool_key_is_asked_for_until_a_person_revoked_it(
    reconciliation: ReconciliationFixture, stock: Stock
) -> None:
    """Somebody is told once; the key stays in the report, is asked ever less, and ends dead."""
    rotate(stock)
    displaced = rotate(stock)
    rotate(stock)
    for _ in range(3):
        reconciliation.reconcile()
        reconciliation.pass_grace()
    reports = []
    for _ in range(30):
        reports.append(reconciliation.reconcile())
        reconciliation.rotation.later(timedelta(hours=1))
    due = [{one["keyId"] for one in report["retirements"]} for report in reports]
    assert all(displaced in keys for keys in due)
    assert len([one for one in stock.inbox.about("Revoke") if one["key id"] == displaced]) == 1
    assert reconciliation.alive(displaced)
    # Each time that it is asked it signs once, and the control twice and once before.
    assert reconciliation.rotation.vendor.signatures[displaced] < 15

    reconciliation.rotation.vendor.keys.revoke(displaced)
    proven: list[str] = []
    for _ in range(25):
        proven += reconciliation.reconcile()["done"]["provenDead"]
        reconciliation.rotation.later(timedelta(hours=1))
    assert displaced in proven
    assert displaced not in stock.states()
    assert displaced not in {one["keyId"] for one in reconciliation.reconcile()["retirements"]}
    assert {request.operation for request in reconciliation.rotation.vendor.requests} == {"sign"}


def test_a_leaked_pool_key_is_put_to_a_person_and_proven_dead(
    reconciliation: ReconciliationFixture, stock: Stock
) -> None:
    """The incident stays open, loudly, until the portal has done its part; then the record."""
    leaked = rotate(stock)
    version = reconciliation.rotation.version("AWSCURRENT")
    assert version is not None
    reconciliation.declare(version)
    rotate(stock)
    report = reconciliation.reconcile()
    assert outcomes(report) == {leaked: "manual action needed"}
    assert codes(report) >= {"key_alive_after_incident", "manual_revocation_needed"}
    assert [one["key id"] for one in stock.inbox.about("Revoke")] == [leaked]
    assert reconciliation.evidence() == []
    reconciliation.rotation.vendor.keys.revoke(leaked)
    for _ in range(25):
        reconciliation.rotation.later(timedelta(hours=1))
        reconciliation.reconcile()
    [record] = reconciliation.evidence()
    assert [one["keyId"] for one in record["keys"]] == [leaked]
    assert leaked not in stock.states()


def test_a_leased_key_that_was_never_stored_is_proven_dead_too(
    reconciliation: ReconciliationFixture, stock: Stock
) -> None:
    """The pool has its material: a person revokes it, and the vendor's answer is the proof."""
    rotate(stock)
    lost = stock.lease().id
    reconciliation.rotation.later(timedelta(minutes=31))
    assert outcomes(reconciliation.reconcile()) == {lost: "manual action needed"}
    reconciliation.rotation.vendor.keys.revoke(lost)
    proven: list[str] = []
    for _ in range(3):
        reconciliation.rotation.later(timedelta(hours=1))
        proven += reconciliation.reconcile()["done"]["provenDead"]
    assert proven == [lost]
    assert lost not in stock.states()


@pytest.mark.parametrize("after", [False, True])
def test_cut_off_while_it_drops_a_dead_key_a_run_leaves_nothing_behind(
    reconciliation: ReconciliationFixture, stock: Stock, after: bool
) -> None:
    """The next runs drop the key, and no mark stays on a version whose key the pool forgot."""
    displaced = rotate(stock)
    rotate(stock)
    reconciliation.reconcile()
    reconciliation.pass_grace()
    reconciliation.reconcile()
    reconciliation.rotation.vendor.keys.revoke(displaced)
    reconciliation.issuer = CutOff(stock.pool, after=after)
    found: set[str] = set()
    for number in range(40):
        reconciliation.rotation.later(timedelta(hours=1))
        [report] = [
            one
            for one in reconciliation.run()["secrets"]
            if one["arn"] == reconciliation.rotation.arn
        ]
        found = codes(report) if number > 36 else set()
    assert displaced not in stock.states()
    marks = [
        label
        for has in reconciliation.rotation.labels().values()
        for label in has
        if RETIRE_AFTER in label
    ]
    assert marks == []
    assert "key_of_another_secret" not in found


def test_cut_off_before_the_record_an_incident_still_tells_of_every_key(
    reconciliation: ReconciliationFixture, stock: Stock
) -> None:
    """A leased key that was never stored stays in the pool until the record names it."""
    leaked = rotate(stock)
    current = str(reconciliation.rotation.version("AWSCURRENT"))
    pending = reconciliation.rotation.stage()
    leased = stock.lease(pending).id
    reconciliation.declare(current, pending)
    reconciliation.rotation.rotation(pending).secret.unstage_pending(pending)
    rotate(stock)
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
    assert not {leaked, leased} & stock.states().keys()
    labels = [label for has in reconciliation.rotation.labels().values() for label in has]
    assert not any(label.startswith(COMPROMISED) for label in labels)
