"""Every alarm on our own metrics hears what the functions print, and has a cause.

Those on metrics of AWS are in `test_service_alarms`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rotation.cli.cost.model import CALLS_OF_A_RUN, CALLS_OF_A_SECRET, METRICS_OF_A_RUN
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.aws.traffic import AwsError
from rotation.sandbox.deployment import (
    ADMIN_SECRET,
    RECONCILE,
    SEAL,
    SECRET,
    Deployment,
)
from rotation.sandbox.vendor import Role, VendorFault
from tests.artifacts.alarms import fires, printed
from tests.artifacts.template import Template
from tests.paths import ROOT

EVERYTHING = {"UnattendedSealing": "events"}
TOPIC = "arn:aws:sns:eu-central-1:012345678912:on-call"
OWN_TOPIC = "arn:aws:sns:eu-central-1:012345678912:signatures-AlarmTopic"
NAMES = {"ReconcileFunction": RECONCILE, "SealingFunction": SEAL}
LOGS = {"ReconcileFunction": RECONCILE, "SealingFunction": SEAL}


def alarms(**parameters: str) -> dict[str, Any]:
    return Template.read(**EVERYTHING, **parameters).created("AWS::CloudWatch::Alarm")


def alarm(name: str) -> Any:
    return (alarms() | alarms(KeyIssuer="admin-api"))[name]


@contextmanager
def deployed(folder: Path, *, keys_in_pool: int | None = None) -> Iterator[Deployment]:
    """A deployment with a key and a schedule; with a pool, if it says how many keys are in it."""
    with Deployment(
        folder,
        retries=RetryPolicy(()),
        key_pool=keys_in_pool is not None,
        propagation_limit=timedelta(seconds=0.5),
    ) as running:
        if keys_in_pool is not None:
            running.stock_pool(*(running.vendor.keys.create() for _ in range(keys_in_pool)))
        running.store_first_key()
        running.turn_on_rotation()
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One deployment for all tests that leave it as they found it, but for the current key."""
    with deployed(tmp_path_factory.mktemp("deployment")) as running:
        yield running


@pytest.fixture
def deployment(shared: Deployment) -> Deployment:
    """The shared deployment, with a good current key."""
    shared.store_first_key()
    return shared


def counted(deployment: Deployment, name: str) -> list[float]:
    """What the functions have printed for an alarm until now."""
    [function] = [one["Value"] for one in alarm(name)["Dimensions"] if one["Name"] == "function"]
    log = deployment.logs / f"{LOGS[function]}.log"
    return printed(log.read_text() if log.exists() else "", alarm(name), NAMES)


def newly_counted(deployment: Deployment, name: str, **event: Any) -> list[float]:
    """What one invocation of the reconcile function prints for an alarm."""
    before = len(counted(deployment, name))
    deployment.cloud.client("lambda").invoke(
        FunctionName=RECONCILE, Payload=json.dumps(event).encode()
    )
    return counted(deployment, name)[before:]


@pytest.mark.parametrize("issuer", ["admin-api", "key-pool"])
@pytest.mark.parametrize(("topic", "heard"), [("", OWN_TOPIC), (TOPIC, TOPIC)])
def test_every_alarm_is_heard(issuer: str, topic: str, heard: str) -> None:
    """By the topic that is given, or by the stack's own: none depends on an optional one."""
    for properties in alarms(KeyIssuer=issuer, AlarmTopicArn=topic).values():
        assert properties["AlarmActions"] == [heard]
        assert properties["AlarmDescription"]


def test_the_alarms_are_those_of_the_page() -> None:
    """docs/watching.md says of each what it means and what to do, and names no other."""
    page = (ROOT / "docs" / "watching.md").read_text()
    named = set(re.findall(r"`(\w+Alarm)`", page))
    named -= Template.read().parameters.keys()
    assert named == alarms().keys() | alarms(KeyIssuer="admin-api").keys()


def test_a_reconcile_function_that_stops_raises_an_alarm(deployment: Deployment) -> None:
    """One run is enough to be quiet; two hours without any, and missing data breaches."""
    heartbeat = alarm("ReconciliationMissingAlarm")
    ran = newly_counted(deployment, "ReconciliationMissingAlarm")
    assert ran == [1.0]
    assert not fires(heartbeat, [[], ran])
    # A run that begins late leaves one hour empty.
    assert not fires(heartbeat, [ran, []])
    assert fires(heartbeat, [ran, [], []])
    assert fires(heartbeat, [[], []])


@pytest.mark.parametrize(
    "event",
    [
        {"action": "report"},
        {"action": "reconcile", "secrets": [SECRET]},
        {"action": "no such thing"},
    ],
)
def test_only_a_run_over_all_secrets_is_a_heartbeat(
    deployment: Deployment, event: dict[str, Any]
) -> None:
    """Neither whoever looks at a report, nor a rotation's own request, hides a dead schedule."""
    assert newly_counted(deployment, "ReconciliationMissingAlarm", **event) == []


def test_a_run_that_fails_is_no_heartbeat(deployment: Deployment) -> None:
    """No secret could be found: the function raised, and counted a failure."""
    deployment.cloud.faults.before("ListSecrets", AwsError("AccessDeniedException"), times=20)
    failed = len(counted(deployment, "ReconciliationsFailedAlarm"))
    assert newly_counted(deployment, "ReconciliationMissingAlarm") == []
    deployment.cloud.faults.clear()
    values = counted(deployment, "ReconciliationsFailedAlarm")[failed:]
    watching = alarm("ReconciliationsFailedAlarm")
    assert fires(watching, [values] * 3)
    assert not fires(watching, [values, values, [0.0]])


def store(deployment: Deployment, **members: str) -> None:
    """Store a key of the portal with members of its own beside it."""
    key = deployment.vendor.keys.create()
    value = {"apiKey": key.material, "apiKeyId": key.id, **members}
    deployment.cloud.client("secretsmanager").put_secret_value(
        SecretId=SECRET, SecretString=json.dumps(value)
    )


def in_days(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def test_an_hour_on_which_nothing_is_due_costs_what_is_calculated(deployment: Deployment) -> None:
    """Calls of Secrets Manager and metrics of our own, as `rotation cost` has them."""
    store(deployment, expiresAt=in_days(100))
    newly_counted(deployment, "ReconciliationMissingAlarm")
    began = len(deployment.cloud.calls)
    newly_counted(deployment, "ReconciliationMissingAlarm")
    calls = [one.operation for one in deployment.cloud.calls[began:] if " " not in one.operation]
    calls = [one for one in calls if one != "Invoke"]
    assert len(calls) == CALLS_OF_A_RUN + CALLS_OF_A_SECRET, calls
    log = (deployment.logs / f"{RECONCILE}.log").read_text().splitlines()
    [*_, told] = [json.loads(line) for line in log if '"_aws"' in line]
    [directive] = told["_aws"]["CloudWatchMetrics"]
    assert len(directive["Metrics"]) == METRICS_OF_A_RUN, directive["Metrics"]


@pytest.mark.parametrize(("days", "raised"), [(5, True), (100, False)])
def test_a_key_that_expires_soon_raises_an_alarm(
    deployment: Deployment, days: int, raised: bool
) -> None:
    """Within thirty days; the dashboard shows how many days are left."""
    store(deployment, expiresAt=in_days(days))
    values = newly_counted(deployment, "KeyExpiringAlarm")
    assert fires(alarm("KeyExpiringAlarm"), [values]) is raised
    log = (deployment.logs / f"{RECONCILE}.log").read_text()
    [*_, left] = printed(log, alarm("KeyExpiringAlarm") | {"MetricName": "FirstExpiryDays"}, NAMES)
    assert left == pytest.approx(days, abs=0.1)
    [*_, age] = printed(
        log, alarm("KeyExpiringAlarm") | {"MetricName": "OldestCurrentKeyDays"}, NAMES
    )
    assert age == pytest.approx(0, abs=0.1)


def test_a_key_that_has_expired_is_urgent(deployment: Deployment) -> None:
    """The alarm that somebody must answer today; a good key does not raise it."""
    assert not fires(
        alarm("UrgentWarningsAlarm"), [newly_counted(deployment, "UrgentWarningsAlarm")]
    )
    store(deployment, expiresAt=in_days(-1))
    assert fires(alarm("UrgentWarningsAlarm"), [newly_counted(deployment, "UrgentWarningsAlarm")])


@pytest.mark.parametrize(("days", "raised"), [(5, True), (100, False)])
def test_an_admin_credential_that_expires_soon_raises_an_alarm(
    deployment: Deployment, days: int, raised: bool
) -> None:
    """Rotations need it; nobody rotates it but a person."""
    admin = deployment.vendor.keys.create(role=Role.ADMIN)
    value = {"apiKey": admin.material, "apiKeyId": admin.id, "expiresAt": in_days(days)}
    deployment.cloud.client("secretsmanager").put_secret_value(
        SecretId=ADMIN_SECRET, SecretString=json.dumps(value)
    )
    values = newly_counted(deployment, "AdminCredentialExpiringAlarm")
    assert fires(alarm("AdminCredentialExpiringAlarm"), [values]) is raised


def test_seals_that_fail_raise_an_alarm(deployment: Deployment) -> None:
    """As many as the parameter says within five minutes; fewer are somebody's document."""
    for number in range(5):
        assert deployment.seal(f"absent-{number}.pdf", "sealed.pdf")["status"] == "error"
    values = counted(deployment, "SealsFailedAlarm")
    assert values == [1.0] * 5
    assert fires(alarm("SealsFailedAlarm"), [values])
    assert not fires(alarm("SealsFailedAlarm"), [values[1:]])
    patient = alarms(SealFailuresPerAlarm="6")["SealsFailedAlarm"]
    assert not fires(patient, [values])


def test_the_stack_s_own_topic_admits_cloudwatch_and_eventbridge() -> None:
    """Encrypted by a key that both may use; an alarm of another stack is not admitted."""
    template = Template.read()
    assert template.properties("AlarmTopic")["KmsMasterKeyId"] == "AlarmKey"
    topic = template.properties("AlarmTopicPolicy")["PolicyDocument"]["Statement"]
    key = template.properties("AlarmKey")["KeyPolicy"]["Statement"]
    for statements in (topic, key):
        by_sid = {one["Sid"]: one for one in statements}
        cloudwatch, events = (
            by_sid["CloudWatchPublishesAlarms"],
            by_sid["EventBridgePublishesEvents"],
        )
        assert cloudwatch["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        assert cloudwatch["Condition"] == {
            "StringEquals": {"aws:SourceAccount": "012345678912"},
            "ArnLike": {
                "aws:SourceArn": "arn:aws:cloudwatch:eu-central-1:012345678912:alarm:signatures-*"
            },
        }
        assert events["Principal"] == {"Service": "events.amazonaws.com"}
        # Neither page of AWS allows one; with one, nothing would be delivered.
        assert "Condition" not in events


def test_a_given_topic_is_used_instead() -> None:
    """Then the stack creates neither topic, nor key, nor subscription."""
    own = ("AlarmKey", "AlarmTopic", "AlarmTopicPolicy")
    default = Template.read(AlarmEmail="on-call@example.com")
    given = Template.read(AlarmTopicArn=TOPIC)
    assert all(default.exists(name) for name in (*own, "AlarmEmailSubscription"))
    assert not Template.read().exists("AlarmEmailSubscription")
    assert not any(given.exists(name) for name in (*own, "AlarmEmailSubscription"))
    assert default.properties("AlarmEmailSubscription")["Endpoint"] == "on-call@example.com"


@pytest.mark.parametrize("role", ["RotationRole", "ReconcileRole"])
def test_people_are_asked_through_the_alarm_topic(role: str) -> None:
    """Unless a topic is given for them, or alarms have a topic that is not ours."""
    people = "arn:aws:sns:eu-central-1:012345678912:people"
    function = role.replace("Role", "Function")
    for parameters, topic, sids in (
        ({}, OWN_TOPIC, {"AskPeopleThroughAlarmTopic", "EncryptForAlarmTopic"}),
        ({"NotificationTopicArn": people}, people, {"AskPeople"}),
        ({"AlarmTopicArn": TOPIC}, "", set()),
    ):
        template = Template.read(**parameters)
        assert template.environment(function)["NOTIFICATION_TOPIC"] == topic
        asking = [
            one
            for one in template.statements(role)
            if "sns" in json.dumps([one["Action"], one.get("Condition")])
        ]
        assert {one["Sid"] for one in asking} == sids


def test_a_revocation_that_cannot_be_proven_raises_an_alarm(deployment: Deployment) -> None:
    """After three hours: while the vendor does not answer, no death is proven.

    It stands last, because it leaves an open incident behind.
    """
    name = "DeathUnprovenAlarm"
    assert not fires(alarm(name), [newly_counted(deployment, name)] * 3)
    declaration = {"secrets": [SECRET], "reason": "leaked", "actor": "me"}
    newly_counted(deployment, name, action="declare", **declaration)
    # The rotation's own request to reconcile is lost.
    deployment.cloud.faults.before("Invoke", AwsError("TooManyRequestsException"), times=9)
    secrets = deployment.cloud.client("secretsmanager")
    token = secrets.rotate_secret(SecretId=SECRET)["VersionId"]
    assert deployment.cloud.wait_for_rotation(SECRET, token, timedelta(minutes=5)).succeeded
    deployment.cloud.faults.clear()
    deployment.vendor.faults.next("sign", VendorFault.UNAVAILABLE, times=None)
    values = newly_counted(deployment, name)
    assert fires(alarm(name), [values] * 3)
    assert not fires(alarm(name), [[], values, values])
