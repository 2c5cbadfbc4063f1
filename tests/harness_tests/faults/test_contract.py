"""The quick world's client answers as boto3 does over a socket: the same acts, the same answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.rotations import RetryPolicy
from tests.harness.faults.direct import DirectClient, DirectSecrets
from tests.harness.faults.world import FUNCTION, VirtualClock
from tests.rotation_fixture import FailsOnce

ONE = "11111111-1111-4111-8111-111111111111"
TWO = "22222222-2222-4222-8222-222222222222"

Act = Callable[[Any, str], Any]


@pytest.fixture(scope="module")
def cloud() -> Iterator[tuple[Cloud, VirtualClock]]:
    """AWS over sockets, with a clock in the test's hands."""
    clock = VirtualClock()
    with Cloud(retries=RetryPolicy(delays=()), clock=clock) as running:
        running.add_function("rotate", FailsOnce())
        yield running, clock


ACTS: dict[str, Act] = {
    "describe": lambda c, arn: c.describe_secret(SecretId=arn),
    "nothing is current": lambda c, arn: c.get_secret_value(
        SecretId=arn, VersionStage="AWSCURRENT"
    ),
    "put": lambda c, arn: c.put_secret_value(
        SecretId=arn, SecretString="a", ClientRequestToken=ONE, VersionStages=["AWSPENDING"]
    ),
    "put again": lambda c, arn: c.put_secret_value(
        SecretId=arn, SecretString="a", ClientRequestToken=ONE, VersionStages=["AWSPENDING"]
    ),
    "put another value": lambda c, arn: c.put_secret_value(
        SecretId=arn, SecretString="b", ClientRequestToken=ONE, VersionStages=["AWSPENDING"]
    ),
    "take the label off": lambda c, arn: c.update_secret_version_stage(
        SecretId=arn, VersionStage="AWSPENDING", RemoveFromVersionId=ONE
    ),
    "take it off again": lambda c, arn: c.update_secret_version_stage(
        SecretId=arn, VersionStage="AWSPENDING", RemoveFromVersionId=ONE
    ),
    "rotate": lambda c, arn: c.rotate_secret(
        SecretId=arn,
        ClientRequestToken=TWO,
        RotationLambdaARN=FUNCTION,
        RotationRules={"AutomaticallyAfterDays": 30},
    ),
    "rotate again": lambda c, arn: c.rotate_secret(SecretId=arn, ClientRequestToken=TWO),
    "rotate with another token": lambda c, arn: c.rotate_secret(
        SecretId=arn, ClientRequestToken="3" * 32
    ),
    "no value yet": lambda c, arn: c.get_secret_value(SecretId=arn, VersionId=TWO),
    "store it": lambda c, arn: c.put_secret_value(
        SecretId=arn, SecretString="b", ClientRequestToken=TWO, VersionStages=["AWSPENDING"]
    ),
    "swap from the wrong version": lambda c, arn: c.update_secret_version_stage(
        SecretId=arn, VersionStage="AWSCURRENT", RemoveFromVersionId=TWO, MoveToVersionId=TWO
    ),
    "swap": lambda c, arn: c.update_secret_version_stage(
        SecretId=arn, VersionStage="AWSCURRENT", RemoveFromVersionId=ONE, MoveToVersionId=TWO
    ),
    "read": lambda c, arn: c.get_secret_value(SecretId=arn, VersionId=ONE),
    "list": lambda c, arn: c.list_secret_version_ids(
        SecretId=arn, IncludeDeprecated=True, MaxResults=100
    ),
    "list all secrets": lambda c, arn: c.list_secrets(MaxResults=100),
    "tag": lambda c, arn: c.tag_resource(SecretId=arn, Tags=[{"Key": "k", "Value": "v"}]),
    "described with tags": lambda c, arn: c.describe_secret(SecretId=arn),
    "untag": lambda c, arn: c.untag_resource(SecretId=arn, TagKeys=["k"]),
    "cancel": lambda c, arn: c.cancel_rotate_secret(SecretId=arn),
    "unknown": lambda c, _: c.describe_secret(SecretId="no-such-secret"),
}


def test_the_direct_client_answers_as_boto3_does(cloud: tuple[Cloud, VirtualClock]) -> None:
    """Act after act, on both: the same answers, the same errors, the same times."""
    running, clock = cloud
    real = running.client("secretsmanager")
    direct = DirectClient(DirectSecrets(clock))
    arns = [client.create_secret(Name="contract")["ARN"] for client in (real, direct)]
    for name, act in ACTS.items():
        answers = [
            _answer(act, client, arn) for client, arn in zip((real, direct), arns, strict=True)
        ]
        assert answers[0] == answers[1], name
        if name == "rotate":
            running.wait_for_rotation(arns[0], TWO)


def _answer(act: Act, client: Any, arn: str) -> Any:
    try:
        answer = act(client, arn)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return _plain(answer)


def _plain(answer: Any) -> Any:
    """Without what differs by chance: the suffix of the ARN, and boto3's own metadata."""
    if isinstance(answer, dict):
        return {name: _plain(value) for name, value in answer.items() if name != "ResponseMetadata"}
    if isinstance(answer, list):
        return [_plain(value) for value in answer]
    return re.sub(r"(:secret:contract)-\w{6}", r"\1", answer) if isinstance(answer, str) else answer
