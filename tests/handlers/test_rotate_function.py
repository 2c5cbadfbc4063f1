"""The rotation function in a process of its own, called by Secrets Manager or by an attacker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotation.sandbox.aws.processes import ProcessFunction
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.aws.traffic import AwsError
from rotation.sandbox.deployment import ROTATE, SECRET, Deployment
from rotation.sandbox.vendor import Outage, VendorFault

TOKEN = "11111111-2222-4333-8444-555555555555"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment with a key and a schedule; retries follow at once."""
    folder: Path = tmp_path_factory.mktemp("deployment")
    with Deployment(folder, retries=RetryPolicy((timedelta(0),) * 2)) as running:
        running.store_first_key()
        running.turn_on_rotation()
        yield running


def invoke(deployment: Deployment, event: dict[str, Any]) -> dict[str, Any]:
    answer = deployment.cloud.client("lambda").invoke(
        FunctionName=ROTATE, Payload=json.dumps(event).encode()
    )
    answered: dict[str, Any] = json.loads(answer["Payload"].read()) or {}
    return answered


def rotate(deployment: Deployment) -> Any:
    answer = deployment.cloud.client("secretsmanager").rotate_secret(SecretId=SECRET)
    return deployment.cloud.wait_for_rotation(SECRET, answer["VersionId"], timedelta(minutes=5))


def unstage(deployment: Deployment) -> None:
    client = deployment.cloud.client("secretsmanager")
    described = client.describe_secret(SecretId=SECRET)
    for version, labels in described["VersionIdsToStages"].items():
        if "AWSPENDING" in labels:
            client.update_secret_version_stage(
                SecretId=SECRET, VersionStage="AWSPENDING", RemoveFromVersionId=version
            )


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"Step": "deleteSecret"}, "InvalidEventError"),
        ({"Step": None}, "InvalidEventError"),
        ({"Step": ["createSecret"]}, "InvalidEventError"),
        ({"SecretId": "trusted-signatures-api"}, "InvalidEventError"),
        ({"SecretId": 7}, "InvalidEventError"),
        ({"ClientRequestToken": "short"}, "InvalidEventError"),
        ({"ClientRequestToken": None}, "InvalidEventError"),
        ({"ClientRequestToken": "t" * 65}, "InvalidEventError"),
        ({"ClientRequestToken": "\ud800" * 32}, "InvalidEventError"),
        ({"ClientRequestToken": ["t" * 32]}, "InvalidEventError"),
        ({"ClientRequestToken": "t" * 32 + "\n[ERROR] forged"}, "VersionStateError"),
        (
            {"SecretId": "arn:aws:secretsmanager:us-east-1:012345678912:secret:a\x1b[2J"},
            "InvalidEventError",
        ),
        ({}, "VersionStateError"),
        (
            {"SecretId": "arn:aws:secretsmanager:us-east-1:012345678912:secret:other-AbCdEf"},
            "SecretStoreError",
        ),
    ],
)
def test_an_event_that_is_not_secrets_manager_s_is_refused(
    deployment: Deployment, change: dict[str, Any], error: str
) -> None:
    """Whoever may invoke the function may send anything; only a staged token is acted on."""
    event = {"Step": "createSecret", "SecretId": deployment.secret_arn, "ClientRequestToken": TOKEN}
    before = deployment.cloud.client("secretsmanager").describe_secret(SecretId=SECRET)
    assert invoke(deployment, event | change)["errorType"] == error
    after = deployment.cloud.client("secretsmanager").describe_secret(SecretId=SECRET)
    assert after["VersionIdsToStages"] == before["VersionIdsToStages"]


def test_an_event_that_is_no_object_is_an_error_and_no_crash(deployment: Deployment) -> None:
    """Not even a list or a number brings the function down in an untyped way."""
    events: list[Any] = [[], 7, "text"]
    for event in events:
        answer = invoke(deployment, event)
        assert answer["errorType"] == "InvalidEventError"


@pytest.mark.parametrize(
    "token",
    [
        "a token with spaces, and more than that",
        "installation|arn:aws:secretsmanager:eu-west-1|x",
        "../../../../../etc/passwd?versionId=%00",
        "line\nbreak\r\n[ERROR] forged \x1b[2J\t\u2028.......",
        "\"quotes\" 'and' {braces} $(and) `more` \\ <tag>",
        "zażółć gęślą jaźń, 鍵のローテーション, 🔑🔑🔑🔑",
    ],
)
def test_a_token_of_any_characters_rotates(deployment: Deployment, token: str) -> None:
    """API_RotateSecret: 32 to 64 characters and no pattern. One key is made, and no stray."""
    client = deployment.cloud.client("secretsmanager")
    client.rotate_secret(SecretId=SECRET, ClientRequestToken=token)
    outcome = deployment.cloud.wait_for_rotation(SECRET, token, timedelta(minutes=5))
    assert outcome.succeeded, outcome.error
    assert client.get_secret_value(SecretId=SECRET)["VersionId"] == token
    label = f"sandbox|{deployment.secret_arn}|{token}"
    key_id = deployment.key_id("AWSCURRENT")
    assert [key.id for key in deployment.vendor.keys.all() if key.label == label] == [key_id]
    log = (deployment.logs / f"{ROTATE}.log").read_text()
    assert not any(line.startswith("[ERROR] forged") for line in log.splitlines())


def test_a_step_that_fails_is_logged_with_its_code(deployment: Deployment) -> None:
    """One line says which step failed and why, and a metric counts it."""
    deployment.vendor.faults.next("create", VendorFault.FORBIDDEN, times=None)
    outcome = rotate(deployment)
    deployment.vendor.faults.clear()
    unstage(deployment)
    assert not outcome.succeeded
    assert [run.attempt for run in outcome.steps] == [1, 2, 3]
    log = (deployment.logs / f"{ROTATE}.log").read_text()
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    failed = [line for line in lines if line.get("code") == "vendor_refused"]
    assert failed[-1]["step"] == "createSecret"
    assert any(line.get("RotationStepsFailed") == [1.0] for line in lines)


def test_a_failing_rotation_is_repeated_whole_and_ends_well(deployment: Deployment) -> None:
    """A vendor outage and a throttled put on the way: the third attempt promotes."""
    deployment.cloud.faults.before("PutSecretValue", AwsError("AccessDeniedException"))
    deployment.vendor.faults.next("sign", VendorFault.STRANGER)
    outcome = rotate(deployment)
    assert outcome.succeeded, outcome.error
    assert outcome.steps[-1].attempt == 3


def test_an_unreachable_vendor_leaves_the_current_key_alone(deployment: Deployment) -> None:
    """All attempts fail; AWSCURRENT is what it was, and AWSPENDING shows that it was tried."""
    before = deployment.key_id("AWSCURRENT")
    deployment.vendor.outage = Outage.REFUSED
    outcome = rotate(deployment)
    deployment.vendor.outage = None
    unstage(deployment)
    assert not outcome.succeeded
    assert "VendorUnavailableError" in str(outcome.error)
    assert deployment.key_id("AWSCURRENT") == before


def test_one_function_rotates_every_secret_that_names_it(deployment: Deployment) -> None:
    """A second secret needs no second function; its keys bear its own ARN."""
    client = deployment.cloud.client("secretsmanager")
    arn = client.create_secret(Name="another-team/trusted-signatures")["ARN"]
    function = client.describe_secret(SecretId=SECRET)["RotationLambdaARN"]
    answer = client.rotate_secret(
        SecretId=arn,
        RotationLambdaARN=function,
        RotationRules={"ScheduleExpression": "rate(60 days)"},
    )
    outcome = deployment.cloud.wait_for_rotation(arn, answer["VersionId"], timedelta(minutes=5))
    assert outcome.succeeded, outcome.error
    held = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
    key = deployment.vendor.keys.get(held["apiKeyId"])
    assert key is not None
    assert key.label == f"sandbox|{arn}|{answer['VersionId']}"


def test_a_wrong_setting_is_named_in_the_function_s_answer(deployment: Deployment) -> None:
    """A function without its settings fails with the variable's name, at its first event."""
    runner = ProcessFunction(
        "rotation.handlers.rotate.handler",
        environment=deployment.environment(),
        log_path=deployment.logs / "unset.log",
        timeout=timedelta(seconds=120),
    )
    event = {"Step": "createSecret", "SecretId": deployment.secret_arn, "ClientRequestToken": TOKEN}
    result = runner.invoke(json.dumps(event).encode())
    runner.close()
    assert result.error
    assert "INSTALLATION_ID is not set" in result.description()
