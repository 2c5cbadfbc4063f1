"""The Cloud itself: its clients, its calls and faults, its start and stop, and the stock CLI."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.processes import ProcessFunction
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.aws.traffic import AwsError, Dropped
from tests.sandbox.aws.rotating import NEW, OLD, ROTATE, InProcess, bearer, refused, stages

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient as Client

AwsCli = Callable[..., Any]
LIMIT = timedelta(minutes=5)


@pytest.fixture
def aws(cloud: Cloud) -> AwsCli:
    """The stock ``aws secretsmanager`` command line, with the Cloud's environment and a PATH."""

    def run(*arguments: str) -> Any:
        done = subprocess.run(
            [Path(sys.executable).with_name("aws"), "secretsmanager", *arguments],
            env=cloud.environment() | {"PATH": os.defpath, "HTTP_PROXY": "http://127.0.0.1:9"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def add_toy(cloud: Cloud, folder: Path, **environment: str) -> None:
    """Register the toy rotation function, in a process of its own, as ``rotate``."""
    runner = ProcessFunction(
        "tests.sandbox.aws.toy_functions.rotation",
        environment={**cloud.environment(), **environment},
        log_path=folder / "rotate.log",
        timeout=LIMIT,
        name="rotate",
    )
    cloud.add_function("rotate", runner)


class TestStockCommandLine:
    def test_rotation(self, cloud: Cloud, aws: AwsCli, tmp_path: Path) -> None:
        """The aws command line rotates a secret through a function in a process of its own."""
        add_toy(cloud, tmp_path)
        aws("create-secret", "--name", "s", "--secret-string", "old")
        rotated = aws(
            *("rotate-secret", "--secret-id", "s", "--rotation-lambda-arn", ROTATE),
            *("--rotation-rules", "AutomaticallyAfterDays=30"),
        )
        outcome = cloud.wait_for_rotation("s", rotated["VersionId"], LIMIT)
        assert outcome.succeeded, (outcome, (tmp_path / "rotate.log").read_text())
        described = aws("describe-secret", "--secret-id", "s")
        labels = {
            label: version
            for version, labels in described["VersionIdsToStages"].items()
            for label in labels
        }
        assert set(labels) == {"AWSCURRENT", "AWSPREVIOUS"}
        assert labels["AWSCURRENT"] == rotated["VersionId"]
        assert "LastRotatedDate" in described
        listed = aws("list-secret-version-ids", "--secret-id", "s")["Versions"]
        assert {v["VersionId"] for v in listed} == set(labels.values())

    def test_answer_of_rotate_secret_proves_nothing(
        self, cloud: Cloud, secrets: "Client", aws: AwsCli, tmp_path: Path
    ) -> None:
        """API_RotateSecret: it succeeds while the first step has yet to do its work."""
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        add_toy(cloud, tmp_path, TOY_GATE=str(gate))
        secrets.create_secret(Name="s", SecretString="old", ClientRequestToken=OLD)
        token = aws("rotate-secret", "--secret-id", "s", "--rotation-lambda-arn", ROTATE)[
            "VersionId"
        ]
        assert stages(secrets) == {OLD: ["AWSCURRENT"], token: ["AWSPENDING"]}
        with gate.open("wb"):
            pass
        assert cloud.wait_for_rotation("s", token, LIMIT).succeeded
        assert stages(secrets) == {OLD: ["AWSPREVIOUS"], token: ["AWSCURRENT"]}

    def test_failed_call_is_retried_by_the_service(
        self, cloud: Cloud, secrets: "Client", tmp_path: Path
    ) -> None:
        """User Guide rotate-secrets_lambda: a step that fails repeats the process, same token."""
        add_toy(cloud, tmp_path)
        secrets.create_secret(Name="s", SecretString="old", ClientRequestToken=OLD)
        cloud.faults.before("UpdateSecretVersionStage", AwsError("AccessDeniedException"))
        secrets.rotate_secret(SecretId="s", ClientRequestToken=NEW, RotationLambdaARN=ROTATE)
        outcome = cloud.wait_for_rotation("s", NEW, LIMIT)
        assert outcome.succeeded
        assert [run.step for run in outcome.steps if run.error] == ["finishSecret"]
        assert {run.token for run in outcome.steps} == {NEW}
        assert len(outcome.steps) == 8
        assert "AccessDeniedException" in (tmp_path / "rotate.log").read_text()


class TestCallsAndFaults:
    def test_calls(self, cloud: Cloud, secrets: "Client") -> None:
        """Each request is recorded with operation and secret, and never with a value."""
        secrets.create_secret(Name="s", SecretString="confidential")
        secrets.get_secret_value(SecretId="s")
        cloud.client("lambda").list_functions()
        assert [(c.index, c.operation, c.secret_id) for c in cloud.calls] == [
            (0, "CreateSecret", "s"),
            (1, "GetSecretValue", "s"),
            (2, "GET /2015-03-31/functions", None),
        ]
        assert "confidential" not in repr(cloud.calls)
        cloud.reset()
        with refused("ResourceNotFoundException"):
            secrets.describe_secret(SecretId="s")
        assert [(c.index, c.operation) for c in cloud.calls] == [(3, "DescribeSecret")]

    def test_calls_of_a_rotation(self, cloud: Cloud, secrets: "Client", rotator: InProcess) -> None:
        """The calls that a rotation function makes carry the ARN that its event brought."""
        arn = secrets.create_secret(Name="s", SecretString="old")["ARN"]
        token = secrets.rotate_secret(SecretId="s", RotationLambdaARN=ROTATE)["VersionId"]
        assert cloud.wait_for_rotation("s", token, LIMIT).succeeded
        assert [(c.operation, c.rotation_token) for c in cloud.calls if c.secret_id == arn] == [
            ("PutSecretValue", True),
            ("DescribeSecret", False),
            ("UpdateSecretVersionStage", False),
        ]

    def test_refused_before_it_takes_effect(self, cloud: Cloud, secrets: "Client") -> None:
        """A fault before: the error, and nothing happened; each fault is used once."""
        secrets.create_secret(Name="s", SecretString="old", ClientRequestToken=OLD)
        cloud.faults.before("PutSecretValue", AwsError("AccessDeniedException"), times=2)
        for _ in range(2):
            with refused("AccessDeniedException"):
                secrets.put_secret_value(SecretId="s", SecretString="new")
        assert stages(secrets) == {OLD: ["AWSCURRENT"]}
        secrets.put_secret_value(SecretId="s", SecretString="new", ClientRequestToken=NEW)
        assert bearer(secrets, "AWSCURRENT") == NEW

    def test_refused_after_it_took_effect(self, cloud: Cloud, secrets: "Client") -> None:
        """A fault after: the caller sees an error, and yet it happened."""
        secrets.create_secret(Name="s", SecretString="old", ClientRequestToken=OLD)
        cloud.faults.after("PutSecretValue", AwsError("InternalServiceError", status=400))
        with refused("InternalServiceError"):
            secrets.put_secret_value(SecretId="s", SecretString="new", ClientRequestToken=NEW)
        assert bearer(secrets, "AWSCURRENT") == NEW

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_dropped_connection_is_survived_by_boto(
        self, cloud: Cloud, secrets: "Client", when: str
    ) -> None:
        """A dropped connection makes boto3 repeat the call with its own token, which is safe."""
        secrets.create_secret(Name="s", SecretString="old", ClientRequestToken=OLD)
        getattr(cloud.faults, when)("PutSecretValue", Dropped())
        secrets.put_secret_value(SecretId="s", SecretString="new")
        assert [c.operation for c in cloud.calls].count("PutSecretValue") == 2
        assert len(stages(secrets)) == 2
        assert stages(secrets)[OLD] == ["AWSPREVIOUS"]

    def test_throttling_is_survived_by_boto(self, cloud: Cloud, secrets: "Client") -> None:
        """A throttled call is repeated by boto3 itself."""
        secrets.create_secret(Name="s", SecretString="old", ClientRequestToken=OLD)
        cloud.faults.before("GetSecretValue", AwsError("ThrottlingException"))
        assert secrets.get_secret_value(SecretId="s")["SecretString"] == "old"

    def test_planned_faults_can_be_dropped(self, cloud: Cloud, secrets: "Client") -> None:
        """Cleared faults do not happen."""
        cloud.faults.before("CreateSecret", AwsError("AccessDeniedException"))
        cloud.faults.clear()
        assert secrets.create_secret(Name="s")["Name"] == "s"


class TestHost:
    @pytest.mark.slow
    def test_host_settings_are_ignored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Profiles, regions, endpoints, proxies and moto's settings of the host change nothing."""
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("MOTO_ACCOUNT_ID", "999999999999")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        with Cloud() as cloud:
            created = cloud.client("secretsmanager").create_secret(Name="s")
        assert created["ARN"].startswith("arn:aws:secretsmanager:us-east-1:012345678912:secret:s-")
        assert os.environ["MOTO_ACCOUNT_ID"] == "999999999999"

    def test_environment_serves_boto(self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
        """An ordinary boto3 client finds the Cloud by the environment alone."""
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        for name, value in cloud.environment().items():
            monkeypatch.setenv(name, value)
        created = boto3.Session().client("secretsmanager").create_secret(Name="s")
        assert created["ARN"].startswith("arn:aws:secretsmanager:us-east-1:012345678912:secret:s-")

    def test_objects(self, cloud: Cloud) -> None:
        """S3 is there too, for the same account, and starts empty after a reset."""
        client = cloud.client("s3")
        client.create_bucket(Bucket="documents")
        client.put_object(Bucket="documents", Key="a", Body=b"pdf")
        assert client.get_object(Bucket="documents", Key="a")["Body"].read() == b"pdf"
        cloud.reset()
        assert client.list_buckets()["Buckets"] == []


class TestLife:
    @pytest.mark.slow
    def test_one_at_a_time_and_one_after_the_other(self) -> None:
        """A second Cloud is refused while one runs, and starts empty after it was stopped."""
        with Cloud() as first:
            first.client("secretsmanager").create_secret(Name="s")
            with pytest.raises(RuntimeError), Cloud():
                pass
            assert len(first.client("secretsmanager").list_secrets()["SecretList"]) == 1
        with Cloud() as second:
            assert second.client("secretsmanager").list_secrets()["SecretList"] == []

    def test_stopped(self, rotator: InProcess, cloud: Cloud) -> None:
        """After the stop nothing listens, and the functions are closed."""
        with pytest.raises(RuntimeError):
            _ = Cloud().url
        cloud.__exit__(None, None, None)
        with pytest.raises(EndpointConnectionError):
            cloud.client("secretsmanager").list_secrets()
        assert rotator.closed

    @pytest.mark.slow
    def test_stop_ends_a_rotation(self) -> None:
        """A stop ends a rotation that waits for its next attempt, without waiting for it."""
        long = RetryPolicy((timedelta(hours=1),))
        with Cloud(retries=long) as patient:
            failing = InProcess(lambda event: 1 / 0)
            patient.add_function("rotate", failing)
            client = patient.client("secretsmanager")
            client.create_secret(Name="s", SecretString="old")
            client.rotate_secret(SecretId="s", ClientRequestToken=NEW, RotationLambdaARN=ROTATE)
        assert len(failing.events) <= 1

    def test_functions_outlive_a_reset(
        self, cloud: Cloud, secrets: "Client", rotator: InProcess
    ) -> None:
        """A reset keeps functions and their ARNs, and their processes warm."""
        cloud.reset()
        secrets.create_secret(Name="s", SecretString="old")
        token = secrets.rotate_secret(SecretId="s", RotationLambdaARN=ROTATE)["VersionId"]
        assert cloud.wait_for_rotation("s", token, LIMIT).succeeded
        assert not rotator.closed


def test_what_is_denied_to_one_caller_is_allowed_to_others(cloud: Cloud) -> None:
    """An explicit deny is for one identity and some operations (IAM policy evaluation)."""
    cloud.client("secretsmanager").create_secret(Name="s", SecretString="value")
    cloud.deny("AKIADENIED", "GetSecretValue")
    denied = boto3.client(
        "secretsmanager",
        endpoint_url=cloud.url,
        region_name=cloud.region,
        aws_access_key_id="AKIADENIED",
        aws_secret_access_key="-",
    )
    with pytest.raises(ClientError) as caught:
        denied.get_secret_value(SecretId="s")
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
    assert denied.describe_secret(SecretId="s")["Name"] == "s"
    assert cloud.client("secretsmanager").get_secret_value(SecretId="s")["SecretString"] == "value"
    assert [call.caller for call in cloud.calls if call.operation == "DescribeSecret"] == [
        "AKIADENIED"
    ]
