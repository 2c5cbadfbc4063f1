"""Planted keys of a pool appear in nothing that is said, whatever fails on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from rotation.core.ports import Revocation
from rotation.errors import RotationError
from rotation.key_pool.editing import adding
from rotation.privacy.library_logs import protect_process
from rotation.sandbox.aws.traffic import AwsError, Dropped
from tests.key_pool.stock import NAME, Stock
from tests.privacy.canary import Canary, debug_log, everything_said
from tests.vendor.conftest import as_api_key

YEAR = timedelta(days=364)
TOPIC = "arn:aws:sns:us-east-1:012345678912:people"


def failing_acts(stock: Stock) -> Iterator[tuple[str, Callable[[], object]]]:
    """Everything that can go wrong where the keys of a pool are at hand."""
    faults = stock.rotation_fixture.cloud.faults
    made = stock.fill([YEAR] * 3)
    another = as_api_key(stock.rotation_fixture.vendor.keys.create())
    acts: dict[str, Callable[[], object]] = {
        "add": lambda: stock.secret.change(adding(another, stock.rotation_fixture.now())),
        "lease": stock.lease,
        "revoke": lambda: stock.pool.revoke(made[0].id),
        "forget": lambda: stock.pool.forget(made[1].id),
    }
    for name, act in acts.items():
        for operation in ("GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"):
            for fault in (AwsError("AccessDeniedException"), Dropped()):
                faults.before(operation, fault, times=30)
                yield f"{name}: {operation}: {fault}", act
                faults.clear()
    yield "list", partial(_with_broken_value, stock, lambda: stock.pool.list_keys("fixture", "arn"))
    yield "lease", partial(_with_broken_value, stock, stock.lease)


def _with_broken_value(stock: Stock, act: Callable[[], object]) -> None:
    text = stock.rotation_fixture.client.get_secret_value(SecretId=NAME)["SecretString"]
    stock.put(text[:-2])
    del text
    act()


def test_no_error_of_a_pool_carries_a_key(stock: Stock) -> None:
    """Message, args, causes, contexts, locals of every frame: no piece of any key of the pool."""
    canary = Canary()
    failed = 0
    for what, act in failing_acts(stock):
        for key in stock.rotation_fixture.vendor.keys.all():
            canary.plant(key.material, f"key {key.id}")
        try:
            act()
        except RotationError as error:
            caught = error
        else:
            pytest.fail(f"{what} should have failed")
        assert (found := canary.find(everything_said(caught))) is None, f"{what}: {found}"
        failed += 1
    assert failed == 26


def test_a_loud_pool_says_no_key(stock: Stock, tmp_path: Path) -> None:
    """Adding, leasing, revoking and forgetting, with everything logged at DEBUG."""
    protect_process()
    canary = Canary()
    with debug_log() as text:
        client = boto3.client(
            "secretsmanager",
            endpoint_url=stock.rotation_fixture.cloud.url,
            region_name=stock.rotation_fixture.cloud.region,
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",
            config=Config(proxies={}),
        )
        secret = stock.over(client)
        for _ in range(3):
            key = as_api_key(stock.rotation_fixture.vendor.keys.create())
            secret.change(adding(key, stock.rotation_fixture.now()))
        stock.rotation_fixture.cloud.faults.after("UpdateSecretVersionStage", Dropped())
        leased = stock.issuer(secret).issue(stock.label(), YEAR)
        assert stock.issuer(secret).revoke(leased.id) is Revocation.MANUAL_ACTION_NEEDED
        stock.issuer(secret).forget(leased.id)
    for made in stock.rotation_fixture.vendor.keys.all():
        canary.plant(made.material, f"key {made.id}")
    (tmp_path / "debug.log").write_text(text.getvalue() + repr(stock.inbox.messages))
    assert "Response body" in text.getvalue()
    assert canary.findings(tmp_path) == []


def test_what_anybody_may_describe_holds_no_key(stock: Stock) -> None:
    """Labels and versions of the pool secret are ids alone."""
    canary = Canary()
    made = stock.fill([YEAR] * 3)
    stock.lease()
    stock.pool.revoke(made[0].id)
    for key in made:
        canary.plant(key.material, f"key {key.id}")
    client = stock.rotation_fixture.client
    seen = [
        client.describe_secret(SecretId=NAME),
        client.list_secret_version_ids(SecretId=NAME, IncludeDeprecated=True),
    ]
    assert canary.find(json.dumps(seen, default=str).encode()) is None
