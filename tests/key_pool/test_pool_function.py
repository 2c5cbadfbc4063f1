"""The deployed rotation function with keys from a pool: the vendor as published, nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotation.sandbox.aws.rotations import RetryPolicy, RotationOutcome
from rotation.sandbox.aws.traffic import AwsError
from rotation.sandbox.deployment import POOL_SECRET, ROTATE, SECRET, Deployment
from rotation.sandbox.vendor import PortalKey
from rotation.secrets_manager.labels import AWSPENDING


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The rotation function in its process, with a pool; retries follow at once."""
    folder: Path = tmp_path_factory.mktemp("pool-deployment")
    with Deployment(folder, retries=RetryPolicy((timedelta(0),) * 2), key_pool=True) as running:
        running.store_first_key()
        running.turn_on_rotation()
        yield running


def rotate(deployment: Deployment) -> RotationOutcome:
    client = deployment.cloud.client("secretsmanager")
    answer = client.rotate_secret(SecretId=SECRET)
    outcome = deployment.cloud.wait_for_rotation(SECRET, answer["VersionId"], timedelta(minutes=5))
    if not outcome.succeeded:
        client.update_secret_version_stage(
            SecretId=SECRET, VersionStage=AWSPENDING, RemoveFromVersionId=answer["VersionId"]
        )
    return outcome


def pool_of(deployment: Deployment) -> dict[str, Any]:
    value = deployment.cloud.client("secretsmanager").get_secret_value(SecretId=POOL_SECRET)
    return {key["apiKeyId"]: key for key in json.loads(value["SecretString"])["keys"]}


def logged(deployment: Deployment) -> list[dict[str, Any]]:
    lines = (deployment.logs / f"{ROTATE}.log").read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def portal(deployment: Deployment, number: int) -> list[PortalKey]:
    return [deployment.vendor.keys.create() for _ in range(number)]


def test_whole_rotations_need_only_the_published_vendor(deployment: Deployment) -> None:
    """Two rotations in a row: two keys of the pool, no key call, no admin credential."""
    made = portal(deployment, 4)
    deployment.stock_pool(*made)
    for _ in range(2):
        outcome = rotate(deployment)
        assert outcome.succeeded, outcome.error
    held = pool_of(deployment)
    leased = {key for key, entry in held.items() if entry["state"] == "leased"}
    assert leased == {deployment.key_id("AWSCURRENT"), deployment.key_id("AWSPREVIOUS")}
    assert held.keys() == {key.id for key in made}
    assert {entry["lease"]["installation"] for entry in held.values() if entry["lease"]} == {
        "sandbox"
    }
    assert {request.operation for request in deployment.vendor.requests} == {"sign"}
    assert not [call for call in deployment.cloud.calls if "admin" in str(call.secret_id)]


def test_an_empty_pool_is_named_in_the_log(deployment: Deployment) -> None:
    """The code is key_pool_empty, and the current key goes on working."""
    deployment.stock_pool()
    before = deployment.key_id("AWSCURRENT")
    assert not rotate(deployment).succeeded
    failed = [line for line in logged(deployment) if line.get("code") == "key_pool_empty"]
    assert "rotation pool add" in failed[-1]["reason"]
    assert deployment.key_id("AWSCURRENT") == before


def test_a_pool_that_runs_low_is_logged_and_counted(deployment: Deployment) -> None:
    """Without a topic the request to a person is a warning in the log, with its facts."""
    deployment.stock_pool(*portal(deployment, 2))
    assert rotate(deployment).succeeded
    lines = logged(deployment)
    asked = [line for line in lines if line.get("message") == "a person is needed"]
    assert asked[-1]["level"] == "WARNING"
    assert asked[-1]["facts"]["free keys left"] == "1"
    assert any(line.get("PoolLow") == [1.0] for line in lines)
    assert any(line.get("PoolKeysLeft") == [1.0] for line in lines)


def test_a_pool_that_cannot_be_written_for_a_moment_is_no_matter(deployment: Deployment) -> None:
    """The rotation is repeated, and one key is leased for it."""
    deployment.stock_pool(*portal(deployment, 3))
    deployment.cloud.faults.before("PutSecretValue", AwsError("AccessDeniedException"))
    outcome = rotate(deployment)
    assert outcome.succeeded, outcome.error
    assert outcome.steps[-1].attempt == 2
    states = sorted(entry["state"] for entry in pool_of(deployment).values())
    assert states == ["free", "free", "leased"]
