"""Messages to people: what SNS gets, and what is left when it cannot be reached."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from rotation.aws.notifier import SnsNotifier
from rotation.errors import NotificationError
from rotation.sandbox.aws.cloud import Cloud, isolated_session
from rotation.sandbox.aws.traffic import AwsError, Dropped

MATERIAL = "5d41402abc4b2a76b9719d911017c592ae25f1c0d3b94e6a8f7c1e2d3b4a5968"
# SNS speaks the query protocol: an operation is a POST to the root.
PUBLISH = "POST /"


@dataclass
class Topic:
    """A topic with one subscriber, a queue."""

    cloud: Cloud

    def __post_init__(self) -> None:
        self.sns = self.client("sns")
        self._sqs = self.client("sqs")
        self.arn = self.sns.create_topic(Name="people")["TopicArn"]
        self._queue = self._sqs.create_queue(QueueName="inbox")["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(
            QueueUrl=self._queue, AttributeNames=["QueueArn"]
        )
        queue = attributes["Attributes"]["QueueArn"]
        self.sns.subscribe(TopicArn=self.arn, Protocol="sqs", Endpoint=queue)

    def client(self, service: Any) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.cloud.url,
            region_name=self.cloud.region,
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",
            config=Config(proxies={}, retries={"total_max_attempts": 1}),
        )

    def received(self) -> list[dict[str, Any]]:
        answer = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in answer.get("Messages", ())]


@pytest.fixture
def topic(shared_cloud: Cloud) -> Topic:
    """A topic of the test's own."""
    shared_cloud.reset()
    return Topic(shared_cloud)


def test_a_person_reads_the_subject_and_the_facts(topic: Topic) -> None:
    """One message, in plain text: the subject, and a line for each fact."""
    SnsNotifier(topic.sns, topic.arn).notify("Revoke a key", {"key id": "4f1c", "where": "portal"})
    [message] = topic.received()
    assert message["Subject"] == "Revoke a key"
    assert message["Message"] == "Revoke a key\n\nkey id: 4f1c\nwhere: portal"


def test_a_subject_that_sns_would_refuse_is_made_fit(topic: Topic) -> None:
    """API_Publish: fewer than 100 characters and no line breaks; the message has it whole."""
    subject = "Revoke\nthis key: " + "x" * 150
    SnsNotifier(topic.sns, topic.arn).notify(subject, {})
    [message] = topic.received()
    assert message["Subject"] == "Revoke this key: " + "x" * 82
    assert message["Message"].startswith(subject)


def test_key_material_is_scrubbed_on_the_way(topic: Topic) -> None:
    """Nobody hands it over on purpose; a careless caller gives none away either."""
    SnsNotifier(topic.sns, topic.arn).notify(f"key {MATERIAL}", {"key": MATERIAL})
    assert MATERIAL not in json.dumps(topic.received())


@pytest.mark.parametrize(
    ("code", "says", "retryable"),
    [
        ("AuthorizationError", "sns:Publish", False),
        ("NotFound", "NOTIFICATION_TOPIC", False),
        ("Throttled", "Throttled", True),
    ],
)
def test_a_message_that_sns_refuses_is_an_error(
    topic: Topic, code: str, says: str, retryable: bool
) -> None:
    """It names the topic and what to do, says whether to try again, and has no cause."""
    with Stubber(topic.sns) as answers:
        answers.add_client_error("publish", code)
        with pytest.raises(NotificationError, match=says) as failed:
            SnsNotifier(topic.sns, topic.arn).notify("Revoke a key", {})
    assert topic.arn in str(failed.value)
    assert failed.value.retryable is retryable
    assert failed.value.__context__ is None


@pytest.mark.parametrize("fault", [Dropped(), AwsError("not XML, as from a gateway", status=502)])
def test_an_answer_that_never_comes_may_be_asked_for_again(topic: Topic, fault: Any) -> None:
    """The connection ends, or something else than SNS answers: later it may work."""
    topic.cloud.faults.before(PUBLISH, fault)
    with pytest.raises(NotificationError, match="network path") as failed:
        SnsNotifier(topic.sns, topic.arn).notify("Revoke a key", {})
    assert failed.value.retryable
    assert failed.value.__context__ is None


def test_a_message_that_was_not_sent_is_not_worth_repeating(topic: Topic) -> None:
    """Without credentials nothing is asked of SNS, and nothing is said of the network."""
    session = isolated_session()
    unsigned = session.client("sns", endpoint_url=topic.cloud.url, config=Config(proxies={}))
    with pytest.raises(NotificationError, match="NoCredentialsError") as failed:
        SnsNotifier(unsigned, topic.arn).notify("Revoke a key", {})
    assert not failed.value.retryable
    assert "network" not in str(failed.value)


def test_a_missing_topic_is_named(topic: Topic) -> None:
    """The ARN is in the message, as it was configured."""
    with pytest.raises(NotificationError, match=f"{topic.arn}-gone failed: NotFound"):
        SnsNotifier(topic.sns, topic.arn + "-gone").notify("Revoke a key", {})
