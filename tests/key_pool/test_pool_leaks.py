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
from rotation.key_pool.document import add_key
from rotation.privacy.library_logs import protect_process
from rotation.sandbox.aws.traffic import AwsError, Dropped
from tests.key_pool.pool_fixture import NAME, PoolFixture
from tests.privacy.canary import Canary, debug_log, everything_said
from tests.vendor.conftest import as_api_key

YEAR = timedelta(days=364)
TOPIC = "arn:aws:sns:us-east-1:012345678912:people"


def failing_acts(key_pool: PoolFixture) -> Iterator[tuple[str, Callable[[], object]]]:
    """Everything that can go wrong where the keys of a pool are at hand."""
    faults = key_pool.rotation.cloud.faults
    made = key_pool.fill([YEAR] * 3)
    another = as_api_key(key_pool.rotation.vendor.keys.create())
    acts: dict[str, Callable[[], object]] = {
        "add": lambda: key_pool.secret.change(
            partial(add_key, key=another, now=key_pool.rotation.now())
        ),
        "lease": key_pool.lease,
        "revoke": lambda: key_pool.pool.revoke(made[0].id),
        "forget": lambda: key_pool.pool.forget(made[1].id),
    }
    for name, act in acts.items():
        for operation in ("GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"):
            for fault in (AwsError("AccessDeniedException"), Dropped()):
                faults.before(operation, fault, times=30)
                yield f"{name}: {operation}: {fault}", act
                faults.clear()
    yield (
        "list",
        partial(_with_broken_value, key_pool, lambda: key_pool.pool.list_keys("fixture", "arn")),
    )
    yield "lease", partial(_with_broken_value, key_pool, key_pool.lease)


def _with_broken_value(key_pool: PoolFixture, act: Callable[[], object]) -> None:
    text = key_pool.rotation.client.get_secret_value(SecretId=NAME)["SecretString"]
    key_pool.put(text[:-2])
    del text
    act()


def test_no_error_of_a_pool_carries_a_key(key_pool: PoolFixture) -> None:
    """Message, args, causes, contexts, locals of every frame: no piece of any key of the pool."""
    canary = Canary()
    failed = 0
    for what, act in failing_acts(key_pool):
        for key in key_pool.rotation.vendor.keys.all():
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


def test_a_loud_pool_says_no_key(key_pool: PoolFixture, tmp_path: Path) -> None:
    """Adding, leasing, revoking and forgetting, with everything logged at DEBUG."""
    protect_process()
    canary = Canary()
    with debug_log() as text:
        client = boto3.client(
            "secretsmanager",
            endpoint_url=key_pool.rotation.cloud.url,
            region_name=key_pool.rotation.cloud.region,
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",
            config=Config(proxies={}),
        )
        secret = key_pool.over(client)
        for _ in range(3):
            key = as_api_key(key_pool.rotation.vendor.keys.create())
            secret.change(partial(add_key, key=key, now=key_pool.rotation.now()))
        key_pool.rotation.cloud.faults.after("UpdateSecretVersionStage", Dropped())
        leased = key_pool.issuer(secret).issue(key_pool.label(), YEAR)
        assert key_pool.issuer(secret).revoke(leased.id) is Revocation.MANUAL_ACTION_NEEDED
        key_pool.issuer(secret).forget(leased.id)
    for made in key_pool.rotation.vendor.keys.all():
        canary.plant(made.material, f"key {made.id}")
    (tmp_path / "debug.log").write_text(text.getvalue() + repr(key_pool.inbox.messages))
    assert "Response body" in text.getvalue()
    assert canary.findings(tmp_path) == []


def test_what_anybody_may_describe_holds_no_key(key_pool: PoolFixture) -> None:
    """Labels and versions of the pool secret are ids alone."""
    canary = Canary()
    made = key_pool.fill([YEAR] * 3)
    key_pool.lease()
    key_pool.pool.revoke(made[0].id)
    for key in made:
        canary.plant(key.material, f"key {key.id}")
    client = key_pool.rotation.client
    seen = [
        client.describe_secret(SecretId=NAME),
        client.list_secret_version_ids(SecretId=NAME, IncludeDeprecated=True),
    ]
    assert canary.find(json.dumps(seen, default=str).encode()) is None
