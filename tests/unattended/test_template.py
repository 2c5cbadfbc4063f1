"""What the template deploys for events and for bulk, and what its role may do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from rotation.deadline import NEXT_DOCUMENT_RESERVE
from rotation.handlers.wiring.seal_options import seal_options
from rotation.sealing.request import Certification, SealOptions
from rotation.sealing.visible_seal import VisibleSeal
from rotation.settings.environment import Location
from rotation.settings.sealing import SealingSettings
from rotation.settings.unattended import UnattendedSettings
from tests.artifacts.template import Template, actions

FUNCTIONS = ("SealEventsFunction", "SealBatchFunction")
ROLES = ("SealEventsRole", "SealBatchRole")
SECRET = "arn:aws:secretsmanager:eu-central-1:012345678912:secret:Secret-AbCdEf"
KEY = "arn:aws:kms:eu-central-1:012345678912:key/0f1e2d3c"


@pytest.fixture(scope="module")
def template() -> Template:
    """Everything that there is, with prefixes."""
    return Template.read(
        UnattendedSealing="events", SourcePrefix="incoming/", DestinationPrefix="sealed/"
    )


def statements(template: Template, role: str = "SealBatchRole") -> Mapping[str, dict[str, Any]]:
    return {one["Sid"]: one for one in template.statements(role)}


def seconds(template: Template, function: str) -> timedelta:
    return timedelta(seconds=template.properties(function)["Timeout"])


@pytest.mark.parametrize(
    ("chosen", "bulk", "events"),
    [("none", False, False), ("bulk", True, False), ("events", True, True)],
)
def test_nothing_of_it_is_deployed_unless_it_is_asked_for(
    chosen: str, bulk: bool, events: bool
) -> None:
    """Off by default; a function that nobody invokes may be there with the one for events."""
    template = Template.read(UnattendedSealing=chosen)
    conditions = template.document["Conditions"]
    assert template.resolve(conditions["SealsUnattended"]) is bulk
    assert template.resolve(conditions["SealsArrivals"]) is events
    assert Template.read().parameters["UnattendedSealing"] == "none"
    conditional = {
        name: resource.get("Condition") for name, resource in template.document["Resources"].items()
    }
    assert {name for name, condition in conditional.items() if condition == "SealsArrivals"} == {
        *("ArrivalsRule", "ArrivalsQueue", "UnsealedQueue", "ArrivalsQueuesPolicy"),
        "SealEventsRole",
        *("UnsealedAlarm", "SealEventsFunction", "ArrivalsOldAlarm"),
        *("SealEventsErrorAlarm", "SealEventsThrottledAlarm", "SealEventsSlowAlarm"),
    }
    assert {name for name, condition in conditional.items() if condition == "SealsUnattended"} == {
        *("SealBatchFunction", "SealBatchRole", "UnattendedPolicy", "UnattendedLogGroup"),
        "JobRole",
        *("SealBatchErrorAlarm", "SealBatchThrottledAlarm", "SealBatchSlowAlarm"),
        "BulkTasksFailedAlarm",
    }


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_functions_get_settings_that_they_accept(template: Template, function: str) -> None:
    """The same as the sealing function, and the secret that is rotated."""
    settings = UnattendedSettings.from_environment(template.environment(function))
    assert settings.credential_secret == SECRET
    assert settings.destination == Location("outbox", "sealed/")
    environment = template.environment("SealingFunction")
    assert settings.sealing == SealingSettings.from_environment(environment)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_how_documents_are_sealed_is_a_matter_of_parameters(function: str) -> None:
    """By default as a request without options; otherwise each parameter is in its variable."""

    def options(**parameters: str) -> SealOptions:
        environment = Template.read(UnattendedSealing="events", **parameters).environment(function)
        return seal_options(UnattendedSettings.from_environment(environment).options)

    assert options() == SealOptions()
    assert options(
        SealReason="Arrived",
        SealLocation="Bern",
        SealContact="qa@example.org",
        SealFieldName="Arrival",
        SealTimestamp="true",
        SealRepair="true",
        SealCertify="ANNOTATIONS",
        SealVisiblePage="-1",
        SealVisibleBox="36, 36,236.5,84",
        SealVisibleText="Sealed",
    ) == SealOptions(
        *("Arrival", "Arrived", "Bern", "qa@example.org"),
        timestamp=True,
        repair=True,
        certify=Certification.ANNOTATIONS,
        visible=VisibleSeal(-1, (36.0, 36.0, 236.5, 84.0), "Sealed"),
    )


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("SealVisiblePage", "0"),
        ("SealVisiblePage", "last"),
        ("SealVisibleBox", "36,36,236"),
        ("SealVisibleBox", "36,36,236,-84"),
        ("SealVisibleImage", "seal.png"),
    ],
)
def test_a_seal_that_could_not_be_seen_is_refused_at_deployment(parameter: str, value: str) -> None:
    """The patterns stop what the function would refuse at its start."""
    with pytest.raises(AssertionError, match=parameter):
        Template.read(UnattendedSealing="events", **{parameter: value})


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_document_has_time(template: Template, function: str) -> None:
    """As much as in the sealing function, and well over what is left when none is begun."""
    assert seconds(template, function) == seconds(template, "SealingFunction")
    assert seconds(template, function) >= 3 * NEXT_DOCUMENT_RESERVE
    for other in ("MemorySize", "Tracing"):
        properties = template.properties(function)
        assert properties[other] == template.properties("SealingFunction")[other]


def test_failed_messages_come_again_alone(template: Template) -> None:
    """Partial batch responses are on, or a whole batch would be repeated for one message."""
    [event] = template.properties("SealEventsFunction")["Events"].values()
    assert event["Type"] == "SQS"
    assert event["Properties"] == {
        "Queue": "ArrivalsQueue.Arn",
        "BatchSize": "10",
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": "5"},
    }


def test_the_queue_waits_for_the_function_and_loses_nothing(template: Template) -> None:
    """Lambda developer guide services-sqs-configure: six times the timeout, five attempts."""
    queue, letters = template.properties("ArrivalsQueue"), template.properties("UnsealedQueue")
    visible_after = timedelta(seconds=queue["VisibilityTimeout"])
    assert visible_after >= 6 * seconds(template, "SealEventsFunction")
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": "UnsealedQueue.Arn",
        "maxReceiveCount": 5,
    }
    assert timedelta(seconds=letters["MessageRetentionPeriod"]) == timedelta(days=14)
    assert queue["SqsManagedSseEnabled"] is letters["SqsManagedSseEnabled"] is True
    alarm = template.properties("UnsealedAlarm")
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": "UnsealedQueue.QueueName"}]
    assert alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
    assert alarm["Threshold"] == 1


def test_only_the_rule_fills_the_queues(template: Template) -> None:
    """PDFs below the prefix of the one bucket; nobody else of EventBridge may send."""
    rule = template.properties("ArrivalsRule")
    assert rule["EventPattern"]["detail"] == {
        "bucket": {"name": ["inbox"]},
        "object": {"key": [{"wildcard": "incoming/*.pdf"}, {"wildcard": "incoming/*.PDF"}]},
    }
    [target] = rule["Targets"]
    assert target["Arn"] == "ArrivalsQueue.Arn"
    assert target["DeadLetterConfig"] == {"Arn": "UnsealedQueue.Arn"}
    [statement] = template.properties("ArrivalsQueuesPolicy")["PolicyDocument"]["Statement"]
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": "ArrivalsRule.Arn"}}


def test_the_role_reads_one_secret_s_current_version_and_writes_none(template: Template) -> None:
    """One action of Secrets Manager, on one secret, for one staging label."""
    by_sid = statements(template)
    reading = by_sid["ReadCurrentKey"]
    assert (reading["Action"], reading["Resource"]) == ("secretsmanager:GetSecretValue", SECRET)
    assert reading["Condition"] == {"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}}
    others = [one for sid, one in by_sid.items() if sid != "ReadCurrentKey"]
    assert not any(action.startswith("secretsmanager") for action in actions(others))
    arn = "arn:aws:secretsmanager:eu-central-1:012345678912:secret:ours-AbCdEf"
    existing = statements(Template.read(UnattendedSealing="bulk", ExistingSecretArn=arn))
    assert existing["ReadCurrentKey"]["Resource"] == arn


def test_the_role_does_with_documents_what_the_sealing_role_does_and_looks(
    template: Template,
) -> None:
    """Beside the sealing role's rights it looks at what is sealed; it deletes nothing."""
    ours, sealing = statements(template), statements(template, "SealingRole")
    by_action = {
        role: {
            (action, str(one["Resource"]))
            for one in by_sid.values()
            for action in actions([one])
            if action.startswith("s3:")
        }
        for role, by_sid in (("ours", ours), ("sealing", sealing))
    }
    assert by_action["ours"] - by_action["sealing"] == {
        ("s3:GetObject", "arn:aws:s3:::outbox/sealed/*"),
        ("s3:ListBucket", "arn:aws:s3:::outbox"),
    }
    assert by_action["sealing"] <= by_action["ours"]


@pytest.mark.parametrize("role", [*ROLES, "JobRole"])
def test_no_role_has_more_than_is_written_here(template: Template, role: str) -> None:
    """No managed policy, no wildcard action, and no right to every resource."""
    assert "ManagedPolicyArns" not in template.properties(role)
    every = template.statements(role)
    assert not any("*" in action for action in actions(every))
    assert not any(one["Resource"] == "*" for one in every)


def test_the_role_for_jobs_has_no_right_to_the_queue(template: Template) -> None:
    """Both functions may do the same with documents; one receives messages."""
    events, bulk = (statements(template, role) for role in ROLES)
    receiving = events["ReceiveArrivals"]
    assert receiving["Resource"] == "ArrivalsQueue.Arn"
    assert {sid: one for sid, one in events.items() if one != receiving} == bulk
    for function, role in zip(FUNCTIONS, ROLES, strict=True):
        assert template.properties(function)["Role"] == f"{role}.Arn"
    alone = Template.read(UnattendedSealing="bulk")
    assert alone.properties("UnattendedPolicy")["Roles"] == ["SealBatchRole"]


@pytest.mark.parametrize(
    ("role", "parameter", "service", "allowed"),
    [
        ("SealBatchRole", "KmsKeyArn", "secretsmanager", {"kms:Decrypt"}),
        ("SealBatchRole", "DocumentsKmsKeyArn", "s3", {"kms:Decrypt", "kms:GenerateDataKey"}),
        ("JobRole", "DocumentsKmsKeyArn", "s3", {"kms:Decrypt", "kms:GenerateDataKey"}),
    ],
)
def test_a_customer_managed_key_is_usable_through_its_service_alone(
    role: str, parameter: str, service: str, allowed: set[str]
) -> None:
    """The secret's key to read, the documents' key to read and to write."""
    without = Template.read(UnattendedSealing="events").statements(role)
    with_key = Template.read(UnattendedSealing="events", **{parameter: KEY})
    [added] = [one for one in with_key.statements(role) if one not in without]
    assert (added["Resource"], actions([added])) == (KEY, allowed)
    via = added["Condition"]["StringEquals"]["kms:ViaService"]
    assert via == f"{service}.eu-central-1.amazonaws.com"


def test_s3_may_ask_for_seals_and_keep_its_papers(template: Template) -> None:
    """S3 Batch Operations' role: one function, and one folder for manifests and reports."""
    properties = template.properties("JobRole")
    [trust] = properties["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "batchoperations.s3.amazonaws.com"}
    assert trust["Condition"] == {
        "StringEqualsIfExists": {"aws:SourceAccount": "012345678912"},
        "ArnLikeIfExists": {"aws:SourceArn": "arn:aws:s3:eu-central-1:012345678912:job/*"},
    }
    by_sid = statements(template, "JobRole")
    asking, papers = by_sid["AskForSeals"], by_sid["ReadManifestAndWriteReport"]
    assert (asking["Action"], asking["Resource"]) == (
        "lambda:InvokeFunction",
        "SealBatchFunction.Arn",
    )
    assert papers["Resource"] == "arn:aws:s3:::outbox/seal-jobs/*"
    assert by_sid.keys() == {"AskForSeals", "ReadManifestAndWriteReport"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_logs_are_kept_for_a_chosen_time(template: Template, function: str) -> None:
    """In a group of the stack, which the role may write to and no other."""
    assert template.properties(function)["LoggingConfig"] == {"LogGroup": "UnattendedLogGroup"}
    assert template.properties("UnattendedLogGroup") == {"RetentionInDays": "365"}
    assert statements(template)["WriteOwnLog"]["Resource"] == "UnattendedLogGroup.Arn"
