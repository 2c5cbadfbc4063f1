"""A leak is rehearsed where people make and revoke the keys."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.deployment import POOL_SECRET, SECRET, Deployment
from tests.cli.operator_terminal import OperatorTerminal


@pytest.mark.slow
def test_a_person_ends_each_key_of_a_drill(tmp_path: Path) -> None:
    """The command says which key to revoke in the portal, and goes on when that is done."""
    with Deployment(
        tmp_path,
        retries=RetryPolicy(()),
        propagation_limit=timedelta(seconds=0.25),
        key_pool=True,
    ) as deployment:
        operator, keys = OperatorTerminal(deployment), deployment.vendor.keys
        deployment.stock_pool(*(keys.create() for _ in range(3)))
        deployment.turn_on_rotation()
        operator.run("rotate", SECRET)
        current = deployment.key_id("AWSCURRENT")
        [begun] = operator.run_json("drill", code=3)["drills"]
        assert not begun["contained"]
        [leaked] = operator.incidents(begun["secret"])[0]["suspects"]
        assert any(leaked in line for line in begun["left"])
        keys.revoke(leaked)
        [contained] = operator.run_json("drill", code=3)["drills"]
        assert contained["contained"]
        [last] = operator.live_keys() - {current}
        assert f"key {last} works until a person revokes it" in contained["left"][0]
        keys.revoke(last)
        [over] = operator.run_json("drill", "--clean-up")["drills"]
        assert over["left"] == []
        assert operator.live_keys() == {current}
        pool = deployment.cloud.client("secretsmanager").get_secret_value(SecretId=POOL_SECRET)
        assert last not in pool["SecretString"]
