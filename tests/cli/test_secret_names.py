"""How a person names a secret, and which secrets a command cannot act on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import botocore.client
import pytest
from click.testing import CliRunner

from rotation.cli.commands import rotation
from rotation.sandbox.aws import REGION
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.deployment import SECRET, Deployment
from tests.cli.operator_terminal import OperatorTerminal

pytestmark = pytest.mark.slow

REPLICA_REGION = "eu-west-3"
ELSEWHERE = "somebody-elses-secret"


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorTerminal]:
    """A deployment whose secret was rotated twice, and has a replica."""
    folder: Path = tmp_path_factory.mktemp("deployment")
    with Deployment(
        folder, retries=RetryPolicy(()), propagation_limit=timedelta(seconds=0.5)
    ) as deployment:
        deployment.store_first_key()
        deployment.turn_on_rotation()
        client = deployment.cloud.client("secretsmanager")
        client.create_secret(Name=ELSEWHERE, SecretString=json.dumps({"password": "x"}))
        for _ in range(2):
            token = client.rotate_secret(SecretId=SECRET)["VersionId"]
            assert deployment.cloud.wait_for_rotation(SECRET, token).succeeded
            deployment.cloud.wait_for_events()
        client.replicate_secret_to_regions(
            SecretId=SECRET, AddReplicaRegions=[{"Region": REPLICA_REGION}]
        )
        yield OperatorTerminal(deployment)


def test_a_secret_is_the_same_by_its_name_its_arn_and_a_part_of_it(
    operator: OperatorTerminal,
) -> None:
    """After two rotations: its keys are its own, and their states are the same."""
    arn = operator.describe()["ARN"]
    by_name, by_arn, by_a_part = (
        operator.run_json("status", name)["secrets"] for name in (SECRET, arn, arn[:-7])
    )
    assert by_name == by_arn == by_a_part
    states = [version["state"] for version in by_name[0]["versions"]]
    assert "current" in states
    assert not any("of another secret" in warning["message"] for warning in by_name[0]["warnings"])
    assert len(operator.run_json("status", SECRET, arn)["secrets"]) == 1


def test_evidence_is_asked_for_by_any_name(operator: OperatorTerminal) -> None:
    """The answer names the full ARN."""
    arn = operator.describe()["ARN"]
    for name in (SECRET, arn, arn[:-7]):
        assert operator.run_json("evidence", name) == {
            "action": "evidence",
            "secret": arn,
            "records": [],
            "readers": [],
        }


def test_a_secret_that_does_not_exist_is_named(operator: OperatorTerminal) -> None:
    """In the message of each command, with what to check, and without a traceback."""
    for command in (["status"], ["evidence"], ["rotate"], ["hold", "--release"]):
        said = operator.run(*command, "no-such-secret", code=1)
        assert "no-such-secret" in said
        assert "Traceback" not in said


def test_a_secret_that_no_function_rotates_is_told_how_to_get_one(
    operator: OperatorTerminal,
) -> None:
    """`unstick` would not help there, and is not advised."""
    said = operator.run("rotate", ELSEWHERE, code=1)
    arn = operator.describe(ELSEWHERE)["ARN"]
    assert f"{arn} has no rotation function" in said
    assert f"--secret-id {arn} --region {REGION} --rotation-lambda-arn" in said
    assert "unstick" not in said
    assert "RotationEnabled" not in operator.describe(ELSEWHERE)


@pytest.mark.parametrize("command", [["rotate"], ["hold", "--release"]])
def test_a_replica_is_told_from_its_primary(operator: OperatorTerminal, command: list[str]) -> None:
    """The advice names the region of the primary, and the command for it."""
    replica = OperatorTerminal(operator.deployment, region=REPLICA_REGION)
    said = replica.run(*command, SECRET, code=1)
    assert f"its primary secret is in {REGION}" in said
    assert f"AWS_DEFAULT_REGION={REGION}, and {SECRET} as the secret" in said
    assert "unstick" not in said


@pytest.mark.parametrize("body", [b"", b'{"action": "report", "secr', b"null", b"{}", b"<html>"])
@pytest.mark.parametrize("command", [["status"], ["evidence"]])
def test_an_answer_that_was_cut_is_one_line_at_the_terminal(
    operator: OperatorTerminal, monkeypatch: pytest.MonkeyPatch, command: list[str], body: bytes
) -> None:
    """It says what was asked of which function, and that it may have been done."""
    call: Any = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    class Body:
        def read(self) -> bytes:
            return body

    def cut(client: Any, operation: str, parameters: Any) -> Any:
        answer = call(client, operation, parameters)
        return answer | {"Payload": Body()} if operation == "Invoke" else answer

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", cut)
    said = CliRunner().invoke(
        rotation, [*command, SECRET], env=operator.deployment.cloud.environment()
    )
    assert said.exit_code == 1
    assert isinstance(said.exception, SystemExit)
    assert "Could not ask the reconcile function trusted-signatures-reconcile" in said.output
    assert "it may have acted all the same" in said.output


def test_an_answer_that_lacks_a_member_is_no_traceback(
    operator: OperatorTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON of the right action, rewritten on the way: one line that says where."""
    call: Any = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    class Body:
        def read(self) -> bytes:
            return b'{"action": "report"}'

    def rewritten(client: Any, operation: str, parameters: Any) -> Any:
        answer = call(client, operation, parameters)
        return answer | {"Payload": Body()} if operation == "Invoke" else answer

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", rewritten)
    said = CliRunner().invoke(
        rotation, ["status", SECRET], env=operator.deployment.cloud.environment()
    )
    assert said.exit_code == 1
    assert isinstance(said.exception, SystemExit)
    assert "status failed unexpectedly: KeyError in cli/status.py, print_report" in said.output
