"""Forced rotations where keys come from a pool: people revoke, and a leaked pool is replaced."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.deployment import POOL_SECRET, SECRET, Deployment
from rotation.sandbox.vendor import PortalKey
from tests.cli.operator_terminal import OperatorTerminal

pytestmark = pytest.mark.slow


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[OperatorTerminal]:
    """A deployment with a pool of keys, and nothing of the vendor but what is published."""
    with Deployment(
        tmp_path, retries=RetryPolicy(()), propagation_limit=timedelta(seconds=0.5), key_pool=True
    ) as deployment:
        deployment.store_first_key()
        deployment.turn_on_rotation()
        yield OperatorTerminal(deployment)


def asked_people(deployment: Deployment) -> list[dict[str, Any]]:
    """What the functions told people; without a topic it is in their logs."""
    lines = [
        line
        for log in deployment.logs.glob("*.log")
        for line in log.read_text().splitlines()
        if '"a person is needed"' in line
    ]
    return [json.loads(line) for line in lines]


def test_a_forced_rotation_of_a_pool_key_asks_a_person(pool: OperatorTerminal) -> None:
    """It says what is left, asks once for each key, and closes when a person has revoked them."""
    deployment = pool.deployment
    deployment.stock_pool(*(deployment.vendor.keys.create() for _ in range(4)))
    by_hand = deployment.key_id("AWSCURRENT")
    pool.run("rotate", SECRET)
    leased = deployment.key_id("AWSCURRENT")
    answer = pool.run_json("force", SECRET, "--reason", "key-compromise", code=3)["secrets"][0]
    assert answer["contained"] is False
    replaced = deployment.key_id("AWSCURRENT")
    assert replaced not in {by_hand, leased}
    # The new key leaks too, before a person has revoked the old ones.
    assert "only with --again" in pool.run("force", SECRET, "--reason", "that-too", code=3)
    assert deployment.key_id("AWSCURRENT") == replaced
    second = pool.run_json("force", SECRET, "--reason", "that-too", "--again", code=3)["secrets"][0]
    assert second["reason"] == "that-too"
    leaked = {by_hand, leased, replaced}
    assert any("works until a person revokes it" in one for one in answer["left"])
    assert deployment.key_id("AWSCURRENT") not in leaked
    assert leaked <= pool.live_keys()
    asked = asked_people(deployment)
    assert {key for key in leaked if key in json.dumps(asked)} == leaked
    assert {request.operation for request in deployment.vendor.requests} == {"sign"}
    for key in leaked:
        deployment.vendor.keys.revoke(key)
    # Whoever names a secret has every key asked about at once; the hourly run pauses in between.
    report = deployment.reconcile("reconcile", SECRET)["secrets"][0]
    assert set(report["done"]["provenDead"]) == leaked
    assert pool.tags() == {}
    [record] = pool.records()
    assert {key["keyId"] for key in record["keys"]} == leaked
    reasons = [one["reason"] for one in record["incident"]["declarations"]]
    assert reasons == ["key-compromise", "that-too", "that-too"]


def test_a_leaked_pool_is_replaced_whole(pool: OperatorTerminal) -> None:
    """Its free keys are never leased; each secret gets a fresh key; people are asked for all."""
    deployment = pool.deployment
    made = [deployment.vendor.keys.create() for _ in range(3)]
    deployment.stock_pool(*made)
    by_hand = deployment.key_id("AWSCURRENT")
    pool.run("rotate", SECRET)
    leased = deployment.key_id("AWSCURRENT")
    free = {key.id for key in made} - {leased}
    process = pool.start("force", "--pool", "--reason", "pool-leaked", "--timeout", "60", "--json")
    assert process.stderr is not None
    waiting = next(line for line in process.stderr if "waiting for 1 fresh key" in line)
    assert "rotation pool add" in waiting
    assert pool.incidents()
    fresh = deployment.vendor.keys.create()
    pool.run("pool", "add", typed=as_json(fresh))
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 3
    answer = json.loads(said)
    assert set(answer["pool"]["condemned"]) == free
    assert answer["pool"]["leasedTo"] == [deployment.secret_arn]
    assert deployment.key_id("AWSCURRENT") == fresh.id
    for key in (*free, leased, by_hand):
        deployment.vendor.keys.revoke(key)
    deployment.reconcile("reconcile", SECRET)
    report = deployment.reconcile()
    assert {one["state"] for one in report["issuer"]["condemned"]} == {"proven dead"}
    assert len(pool.records("pools/")) == len(free)
    held = deployment.cloud.client("secretsmanager").get_secret_value(SecretId=POOL_SECRET)
    left = json.loads(held["SecretString"])["keys"]
    assert [entry["apiKeyId"] for entry in left] == [fresh.id]


def as_json(key: PortalKey) -> str:
    return json.dumps(
        {"apiKeyId": key.id, "apiKey": key.material, "expiresAt": key.expires_at.isoformat()}
    )
