"""CloudTrail's event history in the sandbox: what was asked of it, by whom, and when it shows."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from rotation.sandbox.aws.cloud import Cloud
from tests.sandbox.aws.rotating import ROTATE, Clock, InProcess

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

ROLE = "arn:aws:iam::012345678912:role/readers"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
)


def as_caller(cloud: Cloud, service: str, keys: dict[str, str]) -> Any:
    """A client that signs with these keys."""
    make: Any = boto3.client
    return make(
        service,
        region_name=cloud.region,
        endpoint_url=cloud.url,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        config=Config(proxies={}),
    )


def lookup(cloud: Cloud, **wanted: Any) -> dict[str, Any]:
    client: Any = cloud.client
    found: dict[str, Any] = client("cloudtrail").lookup_events(**wanted)
    return found


def named(name: str) -> list[dict[str, str]]:
    return [{"AttributeKey": "EventName", "AttributeValue": name}]


def whole(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(one["CloudTrailEvent"]) for one in found["Events"]]


def test_an_event_appears_minutes_after_its_call(
    cloud: Cloud, secrets: SecretsManagerClient, clock: Clock
) -> None:
    """UserGuide: about five minutes. An event never holds the value that was read or written."""
    secrets.create_secret(Name="s", SecretString="the value")
    secrets.get_secret_value(SecretId="s", VersionStage="AWSCURRENT")
    assert lookup(cloud, LookupAttributes=named("GetSecretValue"))["Events"] == []
    clock.now += timedelta(minutes=5)
    found = lookup(cloud, LookupAttributes=named("GetSecretValue"))
    [event] = whole(found)
    assert event["requestParameters"] == {"secretId": "s", "versionStage": "AWSCURRENT"}
    assert event["responseElements"] is None
    assert event["userIdentity"]["type"] == "Root"
    [listed] = found["Events"]
    assert (listed["EventSource"], listed["ReadOnly"]) == ("secretsmanager.amazonaws.com", "true")
    assert "the value" not in str(cloud.event_history._events)


def test_users_and_sessions_of_roles_are_told_apart(
    cloud: Cloud, secrets: SecretsManagerClient
) -> None:
    """A session names its role as the issuer, and AssumeRole names the session's access key."""
    cloud.event_history.latency = timedelta(0)
    secrets.create_secret(Name="s", SecretString="x")
    client: Any = cloud.client
    iam = client("iam")
    iam.create_user(UserName="alice")
    iam.create_role(RoleName="readers", AssumeRolePolicyDocument=TRUST)
    keys = iam.create_access_key(UserName="alice")["AccessKey"]
    as_caller(cloud, "secretsmanager", keys).get_secret_value(SecretId="s")
    session = as_caller(cloud, "sts", keys).assume_role(RoleArn=ROLE, RoleSessionName="night")
    as_caller(cloud, "secretsmanager", session["Credentials"]).get_secret_value(SecretId="s")
    by_role, by_user = (
        one["userIdentity"]
        for one in whole(lookup(cloud, LookupAttributes=named("GetSecretValue")))
    )
    assert (by_user["type"], by_user["userName"]) == ("IAMUser", "alice")
    assert by_role["arn"] == "arn:aws:sts::012345678912:assumed-role/readers/night"
    assert by_role["sessionContext"]["sessionIssuer"]["arn"] == ROLE
    [assumed] = whole(lookup(cloud, LookupAttributes=named("AssumeRole")))
    assert assumed["userIdentity"]["userName"] == "alice"
    given = assumed["responseElements"]["credentials"]["accessKeyId"]
    assert given == by_role["accessKeyId"] == session["Credentials"]["AccessKeyId"]


def test_a_batch_leaves_an_entry_for_each_secret(
    cloud: Cloud, secrets: SecretsManagerClient
) -> None:
    """API_BatchGetSecretValue: GetSecretValue entries, those of refused secrets with the error."""
    cloud.event_history.latency = timedelta(0)
    arns = [secrets.create_secret(Name=name, SecretString="x")["ARN"] for name in ("a", "b")]
    secrets.batch_get_secret_value(SecretIdList=["a", "b", "none"])
    events = whole(lookup(cloud, LookupAttributes=named("GetSecretValue")))
    read = {one["requestParameters"]["secretId"] for one in events if one.get("errorCode") is None}
    assert read == {*arns}
    [refused] = [one for one in events if one.get("errorCode") is not None]
    assert refused["requestParameters"]["secretId"] == "none"


def test_rotations_leave_events_of_the_service(
    cloud: Cloud, secrets: SecretsManagerClient, rotator: InProcess
) -> None:
    """UserGuide cloudtrail_log_entries: RotationStarted and RotationSucceeded, by AWS itself."""
    cloud.event_history.latency = timedelta(0)
    arn = secrets.create_secret(Name="s", SecretString="x")["ARN"]
    token = secrets.rotate_secret(SecretId="s", RotationLambdaARN=ROTATE)["VersionId"]
    assert cloud.wait_for_rotation("s", token).succeeded
    assert rotator.events
    for name in ("RotationStarted", "RotationSucceeded"):
        [event] = whole(lookup(cloud, LookupAttributes=named(name)))
        assert event["userIdentity"]["type"] == "AWSService"
        assert event["additionalEventData"]["SecretId"] == arn


def test_pages_have_fifty_events_and_requests_are_two_a_second(
    cloud: Cloud, secrets: SecretsManagerClient, clock: Clock
) -> None:
    """API_LookupEvents: newest first, of the last 90 days; a third request is throttled."""
    cloud.event_history.latency = timedelta(0)
    secrets.create_secret(Name="s", SecretString="x")
    clock.now += timedelta(days=80)
    for _ in range(60):
        secrets.describe_secret(SecretId="s")
    first = lookup(cloud, LookupAttributes=named("DescribeSecret"))
    assert len(first["Events"]) == 50
    second = lookup(cloud, LookupAttributes=named("DescribeSecret"), NextToken=first["NextToken"])
    assert (len(second["Events"]), "NextToken" in second) == (10, False)
    still = cloud.event_history.seconds()
    cloud.event_history.seconds = lambda: still + 60
    client: Any = cloud.client
    trail = client("cloudtrail")
    trail.lookup_events()
    trail.lookup_events()
    cloud.event_history.seconds = lambda: still
    with pytest.raises(ClientError, match="ThrottlingException"):
        trail.lookup_events()
    cloud.event_history.seconds = lambda: still + 120
    clock.now += timedelta(days=20)
    assert lookup(cloud, LookupAttributes=named("CreateSecret"))["Events"] == []
