"""Each rule takes the events that it is for, as AWS documents them, and no others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from rotation.handlers.objection import objection_request
from rotation.sandbox.aws.functions import FunctionRunner
from rotation.sandbox.aws.processes import ProcessFunction
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.deployment import RECONCILE, ROTATE, SECRET, TIMEOUTS, Deployment
from rotation.sandbox.vendor import VendorFault
from tests.artifacts.events import matches, sent
from tests.artifacts.template import Template
from tests.paths import ROOT

ARN = "arn:aws:secretsmanager:eu-central-1:012345678912:secret:trusted-signatures-api-AbCdEf"
OTHER = "arn:aws:secretsmanager:eu-central-1:012345678912:secret:database-AbCdEf"
NAME = "trusted-signatures-api"
READER = "arn:aws:iam::012345678912:role/archive"
# The longest pattern that EventBridge takes (EventBridge quotas).
LONGEST_PATTERN = 2048


def rules(**parameters: str) -> dict[str, Any]:
    template = Template.read(
        **{"ExistingSecretArn": ARN, "UnattendedSealing": "events"} | parameters
    )
    created = template.created("AWS::Events::Rule")
    del created["ArrivalsRule"]
    return created


def taken(event: dict[str, Any], **parameters: str) -> set[str]:
    """The rules that take an event."""
    return {name for name, rule in rules(**parameters).items() if matches(rule, event)}


def service_event(name: str, secret: str = ARN, **detail: Any) -> dict[str, Any]:
    """An event of a rotation, as CloudTrail writes it: UserGuide, cloudtrail_log_entries."""
    return {
        "version": "0",
        "id": "d82e0a2d-f36e-11fd-37cb-cba423a71196",
        "detail-type": "AWS Service Event via CloudTrail",
        "source": "aws.secretsmanager",
        "account": "012345678912",
        "time": "2026-11-21T00:50:20Z",
        "region": "eu-central-1",
        "resources": [],
        "detail": {
            "eventVersion": "1.08",
            "userIdentity": {
                "accountId": "012345678912",
                "invokedBy": "secretsmanager.amazonaws.com",
            },
            "eventTime": "2026-11-21T00:50:20Z",
            "eventSource": "secretsmanager.amazonaws.com",
            "eventName": name,
            "awsRegion": "eu-central-1",
            "sourceIPAddress": "secretsmanager.amazonaws.com",
            "userAgent": "secretsmanager.amazonaws.com",
            "requestParameters": None,
            "responseElements": None,
            "additionalEventData": {"SecretId": secret},
            "requestID": f"Rotation-{secret}-9c980c9c",
            "eventID": "e3b69cfe-b70e-4c94-baa9-9decc3c150b9",
            "readOnly": False,
            "eventType": "AwsServiceEvent",
            "managementEvent": True,
            "eventCategory": "Management",
            **detail,
        },
    }


def label_event(label: str = "AWSCURRENT", secret: str = ARN) -> dict[str, Any]:
    """UserGuide, event-detail-secret-label-updated-secretsmanager."""
    return {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "Secret Label Updated",
        "source": "aws.secretsmanager",
        "account": "012345678912",
        "time": "2026-11-21T16:43:48Z",
        "region": "eu-central-1",
        "resources": [secret],
        "detail": {
            "name": secret.rsplit(":", maxsplit=1)[-1][:-7],
            "labelUpdated": label,
            "versionId": "a1b2c3d4-5678-90ab-cdef-EXAMPLE11111",
        },
    }


def of_role(arn: str) -> dict[str, Any]:
    """CloudTrail UserGuide, cloudtrail-event-reference-user-identity: a session of a role."""
    name = arn.rsplit("/", maxsplit=1)[-1]
    return {
        "type": "AssumedRole",
        "principalId": f"AROAIDPPEZS35WEXAMPLE:{name}",
        "arn": f"arn:aws:sts::012345678912:assumed-role/{name}/session",
        "accountId": "012345678912",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": "AROAIDPPEZS35WEXAMPLE",
                "arn": arn,
                "accountId": "012345678912",
                "userName": name,
            },
            "attributes": {"creationDate": "2026-11-21T00:00:00Z", "mfaAuthenticated": "false"},
        },
    }


def of_user(arn: str) -> dict[str, Any]:
    return {"type": "IAMUser", "arn": arn, "accountId": "012345678912", "userName": "alice"}


def reading(who: dict[str, Any], secret: str = ARN, **detail: Any) -> dict[str, Any]:
    """A call of GetSecretValue, as CloudTrail writes it."""
    event = service_event("GetSecretValue")
    event["detail-type"] = "AWS API Call via CloudTrail"
    event["detail"] |= {
        "userIdentity": who,
        "sourceIPAddress": "203.0.113.9",
        "requestParameters": {"secretId": secret},
        "readOnly": True,
        "eventType": "AwsApiCall",
        **detail,
    }
    del event["detail"]["additionalEventData"]
    return event


def denied(named: str, *, recorded: bool) -> dict[str, Any]:
    """A call that IAM denied; the request may not be recorded."""
    message = (
        "User: arn:aws:sts::012345678912:assumed-role/stranger/session is not authorized to "
        f"perform: secretsmanager:GetSecretValue on resource: {named}"
    )
    who = of_role("arn:aws:iam::012345678912:role/stranger")
    found = reading(who, named, errorCode="AccessDenied", errorMessage=message)
    if not recorded:
        found["detail"]["requestParameters"] = None
    return found


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("RotationFailed", "RotationTroubleRule"),
        ("TestRotationFailed", "RotationTroubleRule"),
        ("RotationAbandoned", "RotationTroubleRule"),
        ("RotationSucceeded", "RotationSucceededRule"),
    ],
)
def test_what_becomes_of_a_rotation_is_told(name: str, rule: str) -> None:
    """Of this secret alone; a rotation that has only begun tells nobody."""
    event = service_event(name, errorMessage='Error when executing lambda "rotate"')
    assert taken(event) == {rule}
    text = sent(rules()[rule], event)
    assert ARN in text
    assert "2026-11-21T00:50:20Z" in text
    if rule == "RotationTroubleRule":
        assert name in text
        assert 'Error when executing lambda "rotate"' in text
    assert taken(service_event(name, OTHER)) == set()
    assert taken(service_event("RotationStarted")) == set()


def test_an_event_without_a_reason_is_told_too() -> None:
    """RotationAbandoned has no message of an error."""
    text = sent(rules()["RotationTroubleRule"], service_event("RotationAbandoned"))
    assert "RotationAbandoned" in text
    assert "<" not in text


def test_a_move_of_the_current_label_is_told() -> None:
    """Not the labels that reconciliation sets, and not another secret's."""
    assert taken(label_event()) == {"CurrentKeyChangedRule"}
    text = sent(rules()["CurrentKeyChangedRule"], label_event())
    assert NAME in text
    assert "a1b2c3d4-5678-90ab-cdef-EXAMPLE11111" in text
    assert taken(label_event("rotation-keep-1")) == set()
    assert taken(label_event(secret=OTHER)) == set()


@pytest.mark.parametrize("named", [ARN, NAME])
@pytest.mark.parametrize("recorded", [True, False])
def test_a_denied_reading_is_told(named: str, recorded: bool) -> None:
    """By ARN or by name, whether CloudTrail has the request or only the error's message."""
    event = denied(named, recorded=recorded)
    assert taken(event, KnownReaderArns=READER) == {"DeniedAccessRule"}
    text = sent(rules()["DeniedAccessRule"], event)
    assert "assumed-role/stranger/session" in text
    assert "203.0.113.9" in text
    assert taken(denied(OTHER, recorded=recorded)) == set()
    failed = reading(of_role(READER), named, errorCode="ThrottlingException", errorMessage="Rate")
    assert taken(failed, KnownReaderArns=READER) == set()


def test_a_denied_batch_is_told() -> None:
    """The secrets of BatchGetSecretValue are in a list."""
    event = denied(ARN, recorded=True)
    event["detail"] |= {
        "eventName": "BatchGetSecretValue",
        "requestParameters": {"secretIdList": [OTHER, ARN]},
        "errorMessage": "denied",
    }
    assert taken(event) == {"DeniedAccessRule"}
    event["detail"]["requestParameters"] = {"secretIdList": [OTHER]}
    assert taken(event) == set()


STRANGERS = [
    of_role("arn:aws:iam::012345678912:role/stranger"),
    of_user("arn:aws:iam::012345678912:user/alice"),
    {"type": "Root", "arn": "arn:aws:iam::012345678912:root", "accountId": "012345678912"},
]


@pytest.mark.parametrize("who", STRANGERS, ids=lambda who: who["type"])
def test_a_reader_who_is_not_known_is_told(who: dict[str, Any]) -> None:
    """A role, a user or the root user; of another secret nothing is said."""
    for secret in (ARN, NAME):
        event = reading(who, secret)
        assert taken(event, KnownReaderArns=READER) == {"UnknownReaderRule"}
        assert who["arn"] in sent(rules(KnownReaderArns=READER)["UnknownReaderRule"], event)
    assert taken(reading(who, OTHER), KnownReaderArns=READER) == set()


def test_known_readers_are_not_told() -> None:
    """Those of the parameter, the stack's own roles; and nobody is, if nobody is known."""
    bob = "arn:aws:iam::012345678912:user/bob"
    known = f"{READER},{bob}"
    for who in (
        of_role(READER),
        of_user(bob),
        *(
            of_role(f"{role}.Arn")
            for role in ("RotationRole", "ReconcileRole", "SealBatchRole", "SealEventsRole")
        ),
    ):
        assert taken(reading(who), KnownReaderArns=known) == set()
    assert taken(reading(STRANGERS[0])) == set()
    # A session is known by its role, whatever it calls itself.
    disguised = deepcopy(STRANGERS[0]) | {"arn": READER}
    assert taken(reading(disguised), KnownReaderArns=known) == {"UnknownReaderRule"}


# In the sandbox whoever signs with an access key id of its own is a caller of its own.
CALLERS = {
    ROTATE: of_role("RotationRole.Arn"),
    RECONCILE: of_role("ReconcileRole.Arn"),
    "archive": of_role(READER),
    "stranger": of_role("arn:aws:iam::012345678912:role/stranger"),
}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment whose functions are callers of their own."""
    folder = tmp_path_factory.mktemp("sandbox")

    def function(name: str, handler: str, environment: Mapping[str, str]) -> FunctionRunner:
        base = name.partition(":")[0]
        return ProcessFunction(
            handler,
            environment={**environment, "AWS_ACCESS_KEY_ID": base},
            log_path=folder / f"{base}.log",
            timeout=TIMEOUTS[base],
            name=name,
        )

    limit = timedelta(seconds=0.5)
    with Deployment(
        folder, retries=RetryPolicy(()), make_runner=function, propagation_limit=limit
    ) as running:
        running.store_first_key()
        running.turn_on_rotation()
        yield running


class Trail:
    """The events that Secrets Manager and CloudTrail would write of what the sandbox was asked."""

    def __init__(self, sandbox: Deployment) -> None:
        self._sandbox = sandbox
        self._secrets = sandbox.cloud.client("secretsmanager")
        self.arn: str = self._secrets.describe_secret(SecretId=SECRET)["ARN"]
        self._labels = self._bearers()
        self._began = len(sandbox.cloud.calls)

    def rotate(self) -> tuple[str, dict[str, Any]]:
        """Rotate; the ClientRequestToken, and the event of the rotation's end."""
        token = self._secrets.rotate_secret(SecretId=SECRET)["VersionId"]
        outcome = self._sandbox.cloud.wait_for_rotation(SECRET, token, timedelta(minutes=5))
        if outcome.succeeded:
            return token, service_event("RotationSucceeded", self.arn)
        return token, service_event("RotationFailed", self.arn, errorMessage=outcome.error)

    def moves(self) -> list[dict[str, Any]]:
        """An event for each label that has come to another version."""
        moved = self._bearers().items() - self._labels.items()
        events = [label_event(label, self.arn) for label, _ in moved]
        for event, (_, version) in zip(events, moved, strict=True):
            event["detail"]["versionId"] = version
        return events

    def readings(self, callers: Collection[str]) -> list[dict[str, Any]]:
        """An event for each GetSecretValue of one of ``callers``."""
        return [
            reading(CALLERS[call.caller], call.secret_id or "")
            for call in self._sandbox.cloud.calls[self._began :]
            if call.operation == "GetSecretValue" and call.caller in callers
        ]

    def _bearers(self) -> dict[str, str]:
        versions = self._secrets.describe_secret(SecretId=SECRET)["VersionIdsToStages"]
        return {label: version for version, labels in versions.items() for label in labels}


def read_as(sandbox: Deployment, caller: str) -> None:
    """Read the secret as somebody."""
    names = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    url, region, key_id, key = (sandbox.cloud.environment(caller)[name] for name in names)
    boto3.client(
        "secretsmanager",
        region_name=region,
        endpoint_url=url,
        aws_access_key_id=key_id,
        aws_secret_access_key=key,
    ).get_secret_value(SecretId=SECRET)


def test_a_rotation_in_the_sandbox_is_told(sandbox: Deployment) -> None:
    """Its end and the move of AWSCURRENT; who reads the secret on the way is known."""
    trail = Trail(sandbox)
    parameters = {"ExistingSecretArn": trail.arn, "KnownReaderArns": READER}
    token, end = trail.rotate()
    read_as(sandbox, "archive")
    assert taken(end, **parameters) == {"RotationSucceededRule"}
    told = [event for event in trail.moves() if taken(event, **parameters)]
    assert [event["detail"]["labelUpdated"] for event in told] == ["AWSCURRENT"]
    assert token in sent(rules(**parameters)["CurrentKeyChangedRule"], told[0])
    assert len(trail.moves()) > len(told)
    readings = trail.readings(CALLERS)
    arns = {
        one["detail"]["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"] for one in readings
    }
    assert {"RotationRole.Arn", READER} <= arns
    assert [taken(one, **parameters) for one in readings] == [set()] * len(readings)


def test_a_rotation_that_fails_in_the_sandbox_is_told(sandbox: Deployment) -> None:
    """With what the function said; AWSCURRENT did not move."""
    trail = Trail(sandbox)
    sandbox.vendor.faults.next("sign", VendorFault.UNAVAILABLE, times=None)
    _, end = trail.rotate()
    sandbox.vendor.faults.clear()
    assert taken(end, ExistingSecretArn=trail.arn) == {"RotationTroubleRule"}
    assert "VendorUnavailableError" in sent(rules()["RotationTroubleRule"], end)
    assert [one for one in trail.moves() if taken(one, ExistingSecretArn=trail.arn)] == []


def test_a_stranger_in_the_sandbox_is_told(sandbox: Deployment) -> None:
    """Whether the secret was given to it, or denied."""
    trail = Trail(sandbox)
    parameters = {"ExistingSecretArn": trail.arn, "KnownReaderArns": READER}
    read_as(sandbox, "stranger")
    # The reconcile function may still read, to note the failure of a rotation before.
    [event] = trail.readings({"stranger"})
    assert taken(event, **parameters) == {"UnknownReaderRule"}
    sandbox.cloud.deny("stranger", "GetSecretValue")
    with pytest.raises(ClientError) as refused:
        read_as(sandbox, "stranger")
    error = refused.value.response["Error"]
    code = error["Code"].removesuffix("Exception")
    event["detail"] |= {"errorCode": code, "errorMessage": error["Message"]}
    assert taken(event, **parameters) == {"DeniedAccessRule"}


def test_every_rule_reaches_the_topic_or_the_queue() -> None:
    """The alarm topic hears it; what it does not take lies in a queue, which has an alarm."""
    topic = "arn:aws:sns:eu-central-1:012345678912:on-call"
    found = rules(KnownReaderArns=READER, AlarmTopicArn=topic)
    for rule in found.values():
        [target] = rule["Targets"]
        assert target["Arn"] == topic
        assert target["DeadLetterConfig"] == {"Arn": "UndeliveredQueue.Arn"}
        assert len(json.dumps(rule["EventPattern"])) <= LONGEST_PATTERN
    template = Template.read(KnownReaderArns=READER)
    [statement] = template.properties("UndeliveredQueuePolicy")["PolicyDocument"]["Statement"]
    senders = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert set(senders) == {f"{name}.Arn" for name in found}


def test_every_rule_is_on_the_page() -> None:
    """docs/watching.md names each rule, of events and of AWS Config, and no other."""
    page = (ROOT / "docs" / "watching.md").read_text()
    template = Template.read(ConfigRules="true")
    config = template.created("AWS::Config::ConfigRule")
    named = set(re.findall(r"`(\w+Rule)`", page))
    assert named == rules(KnownReaderArns=READER).keys() | config.keys()


def test_aws_config_checks_secrets_only_if_it_is_asked() -> None:
    """Five checks; none by default."""
    assert Template.read().created("AWS::Config::ConfigRule") == {}
    template = Template.read(ConfigRules="true")
    checks = template.created("AWS::Config::ConfigRule").values()
    assert {one["Source"]["SourceIdentifier"] for one in checks} == {
        "SECRETSMANAGER_ROTATION_ENABLED_CHECK",
        "SECRETSMANAGER_SCHEDULED_ROTATION_SUCCESS_CHECK",
        "SECRETSMANAGER_SECRET_PERIODIC_ROTATION",
        "SECRETSMANAGER_USING_CMK",
        "SECRETSMANAGER_SECRET_UNUSED",
    }
    # AWS Config refuses a scope of a rule whose trigger is periodic.
    periodic = {"SECRETSMANAGER_SECRET_PERIODIC_ROTATION", "SECRETSMANAGER_SECRET_UNUSED"}
    for check in checks:
        assert check["Source"]["Owner"] == "AWS"
        assert ("Scope" in check) == (check["Source"]["SourceIdentifier"] not in periodic)


def _shown(widget: dict[str, Any]) -> list[list[Any]]:
    metrics: list[list[Any]] = widget["properties"].get("metrics", [])
    return metrics


@pytest.mark.parametrize("sealing", ["none", "bulk", "events"])
def test_the_dashboard_shows_what_is_counted(sealing: str) -> None:
    """It is JSON, its widgets do not overlap, and each metric of ours exists."""
    template = Template.read(UnattendedSealing=sealing)
    widgets = json.loads(template.properties("Dashboard")["DashboardBody"])["widgets"]
    cells = [
        (x, y)
        for one in widgets
        for x in range(one["x"], one["x"] + one["width"])
        for y in range(one["y"], one["y"] + one["height"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    source = "".join(path.read_text() for path in Path(ROOT / "rotation").rglob("*.py"))
    counted: Callable[[str], Any] = re.compile(r'(?:totals\[|count\()\s*"(\w+)"').findall
    names = set(counted(source)) | {"Warnings.incident_open", "Warnings.death_unproven"}
    shown = [metric for one in widgets for metric in _shown(one)]
    assert {metric[1] for metric in shown if metric[0] == "TrustedSignatures"} <= names
    [alarms] = [one["properties"]["alarms"] for one in widgets if one["type"] == "alarm"]
    assert {name.removesuffix(".Arn") for name in alarms} <= template.created(
        "AWS::CloudWatch::Alarm"
    ).keys()


def objection(source: str = "trusted-signatures-consumer.billing", **more: Any) -> dict[str, Any]:
    """An event of a consumer, as docs/phases.md describes it."""
    return {
        "detail-type": "API Key Retirement Objection",
        "source": source,
        "account": "012345678912",
        "resources": [],
        "detail": {"secret": ARN, "keyId": "k"},
    } | more


def test_the_reconcile_function_hears_objections_where_phases_are_announced() -> None:
    """Of consumers alone, from the named bus; and EventBridge may invoke it for that rule alone."""
    template = Template.read(PhaseEventsBusName="keys")
    rule = template.properties("ObjectionsRule")
    assert rule["EventBusName"] == "keys"
    assert matches(rule, objection())
    assert not matches(rule, objection("trusted-signatures-rotation"))
    assert not matches(rule, objection(**{"detail-type": "API Key Phase"}))
    permission = template.properties("ObjectionsPermission")
    assert permission["Principal"] == "events.amazonaws.com"
    assert "ObjectionsRule" in str(permission["SourceArn"])
    assert objection_request(objection())["actor"] == (
        "trusted-signatures-consumer.billing@012345678912"
    )
    for name in ("ObjectionsRule", "ObjectionsPermission"):
        assert not Template.read().exists(name)
