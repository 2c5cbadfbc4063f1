"""The deployed function on a pool, saying everything it can, and a message to a person."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from rotation.sandbox.aws.functions import FunctionRunner
from rotation.sandbox.aws.processes import ProcessFunction
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.aws.traffic import AwsError
from rotation.sandbox.deployment import ROTATE, SECRET, Deployment
from rotation.sandbox.vendor import VendorFault
from tests.privacy.canary import Canary, debug_log

TOPIC = "arn:aws:sns:us-east-1:012345678912:people"


def client(deployment: Deployment, service: Any) -> Any:
    return boto3.client(
        service,
        endpoint_url=deployment.cloud.url,
        region_name=deployment.cloud.region,
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
        config=Config(proxies={}),
    )


@pytest.mark.slow
def test_a_loud_rotation_with_a_pool_says_no_key(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Failures on the way, a pool that runs low, a message over SNS: no piece of a key anywhere."""
    canary = Canary()

    def make_runner(name: str, real: str, environment: Mapping[str, str]) -> FunctionRunner:
        return ProcessFunction(
            "tests.privacy.loud.handler",
            environment={
                **environment,
                "LOUD_MODULE": real.removesuffix(".handler"),
                "NOTIFICATION_TOPIC": TOPIC,
            },
            log_path=tmp_path / "logs" / f"{name}.log",
            timeout=timedelta(minutes=5),
            name=name,
        )

    with (
        debug_log() as invoking_side,
        Deployment(
            tmp_path,
            retries=RetryPolicy((timedelta(0),) * 4),
            make_runner=make_runner,
            key_pool=True,
        ) as deployment,
    ):
        sns, sqs = client(deployment, "sns"), client(deployment, "sqs")
        assert sns.create_topic(Name="people")["TopicArn"] == TOPIC
        queue = sqs.create_queue(QueueName="inbox")["QueueUrl"]
        sns.subscribe(
            TopicArn=TOPIC, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:012345678912:inbox"
        )
        deployment.store_first_key()
        deployment.stock_pool(*(deployment.vendor.keys.create() for _ in range(2)))
        deployment.turn_on_rotation()
        deployment.cloud.faults.before("PutSecretValue", AwsError("AccessDeniedException"))
        deployment.vendor.faults.next("sign", VendorFault.STRANGER)
        started = deployment.cloud.client("secretsmanager").rotate_secret(SecretId=SECRET)
        outcome = deployment.cloud.wait_for_rotation(SECRET, started["VersionId"])
        assert outcome.succeeded, outcome.error
        assert outcome.steps[-1].attempt == 3
        told = [json.loads(m["Body"]) for m in sqs.receive_message(QueueUrl=queue)["Messages"]]
        for key in deployment.vendor.keys.all():
            canary.plant(key.material, f"key {key.id}")
    [message] = told
    assert message["Subject"] == "Add API keys to the pool"
    assert "free keys left: 1" in message["Message"]
    (tmp_path / "message.json").write_text(json.dumps(told))
    (tmp_path / "invoking-side.log").write_text(invoking_side.getvalue())
    (tmp_path / "terminal.log").write_text("".join(capfd.readouterr()))
    assert "Response body" in (tmp_path / "logs" / f"{ROTATE}.log").read_text()
    assert canary.findings(tmp_path) == []
