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
from tests.reconciliation.desk import Desk, codes, outcomes

YEAR = timedelta(days=364)


@pytest.fixture
def stock(desk: Desk) -> Stock:
    """A pool of four keys beside the fixture's secret, and the desk's issuer."""
    stock = Stock(desk.rotation_fixture)
    stock.fill([YEAR] * 4)
    desk.issuer, desk.material = stock.pool, stock.pool.find
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


def test_a_pool_key_is_asked_for_until_a_person_revoked_it(desk: Desk, stock: Stock) -> None:
    """Somebody is told once; the key stays in the report, is asked ever less, and ends dead."""
    rotate(stock)
    displaced = rotate(stock)
    rotate(stock)
    for _ in range(3):
        desk.reconcile()
        desk.pass_grace()
    reports = []
    for _ in range(30):
        reports.append(desk.reconcile())
        desk.rotation_fixture.later(timedelta(hours=1))
    due = [{one["keyId"] for one in report["retirements"]} for report in reports]
    assert all(displaced in keys for keys in due)
    assert len([one for one in stock.inbox.about("Revoke") if one["key id"] == displaced]) == 1
    assert desk.alive(displaced)
    # Each time that it is asked it signs once, and the control twice and once before.
    assert desk.rotation_fixture.vendor.signatures[displaced] < 15

    desk.rotation_fixture.vendor.keys.revoke(displaced)
    proven: list[str] = []
    for _ in range(25):
        proven += desk.reconcile()["done"]["provenDead"]
        desk.rotation_fixture.later(timedelta(hours=1))
    assert displaced in proven
    assert displaced not in stock.states()
    assert displaced not in {one["keyId"] for one in desk.reconcile()["retirements"]}
    assert {request.operation for request in desk.rotation_fixture.vendor.requests} == {"sign"}


def test_a_leaked_pool_key_is_put_to_a_person_and_proven_dead(desk: Desk, stock: Stock) -> None:
    """The incident stays open, loudly, until the portal has done its part; then the record."""
    leaked = rotate(stock)
    version = desk.rotation_fixture.version("AWSCURRENT")
    assert version is not None
    desk.declare(version)
    rotate(stock)
    report = desk.reconcile()
    assert outcomes(report) == {leaked: "manual action needed"}
    assert codes(report) >= {"key_alive_after_incident", "manual_revocation_needed"}
    assert [one["key id"] for one in stock.inbox.about("Revoke")] == [leaked]
    assert desk.evidence() == []
    desk.rotation_fixture.vendor.keys.revoke(leaked)
    for _ in range(25):
        desk.rotation_fixture.later(timedelta(hours=1))
        desk.reconcile()
    [record] = desk.evidence()
    assert [one["keyId"] for one in record["keys"]] == [leaked]
    assert leaked not in stock.states()


def test_a_leased_key_that_was_never_stored_is_proven_dead_too(desk: Desk, stock: Stock) -> None:
    """The pool has its material: a person revokes it, and the vendor's answer is the proof."""
    rotate(stock)
    lost = stock.lease().id
    desk.rotation_fixture.later(timedelta(minutes=31))
    assert outcomes(desk.reconcile()) == {lost: "manual action needed"}
    desk.rotation_fixture.vendor.keys.revoke(lost)
    proven: list[str] = []
    for _ in range(3):
        desk.rotation_fixture.later(timedelta(hours=1))
        proven += desk.reconcile()["done"]["provenDead"]
    assert proven == [lost]
    assert lost not in stock.states()


@pytest.mark.parametrize("after", [False, True])
def test_cut_off_while_it_drops_a_dead_key_a_run_leaves_nothing_behind(
    desk: Desk, stock: Stock, after: bool
) -> None:
    """The next runs drop the key, and no mark stays on a version whose key the pool forgot."""
    displaced = rotate(stock)
    rotate(stock)
    desk.reconcile()
    desk.pass_grace()
    desk.reconcile()
    desk.rotation_fixture.vendor.keys.revoke(displaced)
    desk.issuer = CutOff(stock.pool, after=after)
    found: set[str] = set()
    for number in range(40):
        desk.rotation_fixture.later(timedelta(hours=1))
        [report] = [one for one in desk.run()["secrets"] if one["arn"] == desk.rotation_fixture.arn]
        found = codes(report) if number > 36 else set()
    assert displaced not in stock.states()
    marks = [
        label
        for has in desk.rotation_fixture.labels().values()
        for label in has
        if RETIRE_AFTER in label
    ]
    assert marks == []
    assert "key_of_another_secret" not in found


def test_cut_off_before_the_record_an_incident_still_tells_of_every_key(
    desk: Desk, stock: Stock
) -> None:
    """A leased key that was never stored stays in the pool until the record names it."""
    leaked = rotate(stock)
    current = str(desk.rotation_fixture.version("AWSCURRENT"))
    pending = desk.rotation_fixture.stage()
    leased = stock.lease(pending).id
    desk.declare(current, pending)
    desk.rotation_fixture.rotation(pending).secret.unstage_pending(pending)
    rotate(stock)
    for key in (leaked, leased):
        desk.rotation_fixture.vendor.keys.revoke(key)
    evidence, desk.evidence_bucket = desk.evidence_bucket, "no-such-bucket"
    desk.run()
    desk.evidence_bucket = evidence
    for _ in range(25):
        desk.rotation_fixture.later(timedelta(hours=1))
        desk.run()
    [record] = desk.evidence()
    assert {one["keyId"] for one in record["keys"]} == {leaked, leased}
    assert not {leaked, leased} & stock.states().keys()
    labels = [label for has in desk.rotation_fixture.labels().values() for label in has]
    assert not any(label.startswith(COMPROMISED) for label in labels)
