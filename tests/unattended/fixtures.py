"""The way of a document to the functions: a bucket, EventBridge, a queue with its dead letters.

All of it over sockets: S3 itself tells EventBridge what arrives, the rule is the template's, and
`ArrivalQueue.deliver` is what Lambda's poller does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from rotation.client.credential_cache import CredentialCache
from rotation.client.in_process import InProcessInvoker
from rotation.client.sealing_client import SealingClient
from rotation.credential import ApiKey
from rotation.deadline import Deadline
from rotation.handlers.seal_batch import answer as answer_task
from rotation.handlers.seal_events import answer as answer_messages
from rotation.sealing.request import SealOptions
from rotation.unattended.idempotent_sealer import IdempotentSealer
from tests.artifacts.template import BUCKETS, Template
from tests.client.fixtures import NAME, Clock, SandboxSecrets
from tests.deadlines import deadline_of
from tests.rotation_fixture import RotationFixture
from tests.sealing.conftest import SealerFixture

PREFIX = "sealed/"
PLENTY = timedelta(minutes=5)
# Lambda reads the queue's messages with their attributes (developer guide, with-sqs).
_RECEIVE: Mapping[str, Any] = {"MaxNumberOfMessages": 10, "AttributeNames": ["All"]}

Deliver = Callable[[dict[str, Any]], Mapping[str, Any]]


def made_sealing(
    rotation_fixture: RotationFixture,
    sealer_fixture: SealerFixture,
    clock: Clock,
    deadline: Deadline,
) -> IdempotentSealer:
    """The parts of the functions, over sockets; pauses pass on ``clock`` alone."""
    client = SealingClient(
        InProcessInvoker(sealer_fixture.sealer),
        CredentialCache(SandboxSecrets(rotation_fixture).source, clock=clock),
        NAME,
        clock=clock,
        sleep=clock.advance,
    )
    return IdempotentSealer(
        sealer_fixture.s3, client, sealer_fixture.outgoing, PREFIX, SealOptions(), deadline
    )


@dataclass
class ArrivalQueue:
    """A source bucket whose new PDFs end up in a queue, and what empties it."""

    rotation_fixture: RotationFixture
    sealer_fixture: SealerFixture
    attempts: int = 3
    time_left: timedelta = PLENTY
    at_once: int = 1
    clock: Clock = field(default_factory=Clock)
    answers: list[Mapping[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sealing = self._made_sealing()
        self._sqs: Any = self.rotation_fixture.cloud.client("sqs")  # type: ignore[call-overload]
        # Visible again at once: where the pauses are long, nobody would wait for them here.
        self.letters = self._queue("letters", {})
        redrive = {"deadLetterTargetArn": self._arn(self.letters), "maxReceiveCount": self.attempts}
        self.queue = self._queue("arrivals", {"RedrivePolicy": json.dumps(redrive)})
        self.sealer_fixture.s3.put_bucket_notification_configuration(
            Bucket=self.sealer_fixture.incoming,
            NotificationConfiguration={"EventBridgeConfiguration": {}},
        )
        events: Any = self.rotation_fixture.cloud.client("events")  # type: ignore[call-overload]
        events.put_rule(Name="arrivals", EventPattern=_pattern(self.sealer_fixture.incoming))
        target = {"Id": "arrivals", "Arn": self._arn(self.queue)}
        events.put_targets(Rule="arrivals", Targets=[target])

    def during_the_next_seal(self, act: Callable[[], object]) -> None:
        """Do something once, while the vendor is asked."""
        acts = [act]

        def once() -> None:
            while acts:
                acts.pop()()

        self.while_signing(once)

    def while_signing(self, act: Callable[[], object]) -> None:
        """Do something each time before the vendor is asked."""
        sign = self.sealer_fixture.sign

        def acting(key: ApiKey, digest: bytes, *, timestamp: bool = False) -> bytes:
            act()
            return sign(key, digest, timestamp=timestamp)

        self.sealer_fixture.sign = acting
        self.sealing = self._made_sealing()

    def send(self, body: str) -> None:
        """Put a message into the queue that S3 did not send."""
        self._sqs.send_message(QueueUrl=self.queue, MessageBody=body)

    def take(self) -> list[str]:
        """The messages in the queue, which leave it."""
        return [message["Body"] for message in self._taken(self.queue)]

    def dead_letters(self) -> list[str]:
        """What could not be sealed in as many attempts as a message has."""
        # SQS moves a message when it is received once more than it may be.
        self._receive(self.queue)
        return [message["Body"] for message in self._taken(self.letters)]

    def deliver(self, function: Deliver | None = None) -> list[str]:
        """Hand on what is in the queue, delete what did not fail, and return what failed."""
        messages = self._receive(self.queue)
        if not messages:
            return []
        records = [as_record(message) for message in messages]
        answer = (function or self._answer)({"Records": records})
        self.answers.append(answer)
        failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
        for message in messages:
            if message["MessageId"] not in failed:
                self._delete(self.queue, message)
        return [message["Body"] for message in messages if message["MessageId"] in failed]

    def _answer(self, event: dict[str, Any]) -> Mapping[str, Any]:
        return answer_messages(event, self.sealing, self.at_once)

    def _made_sealing(self) -> IdempotentSealer:
        deadline = deadline_of(lambda: self.time_left)
        return made_sealing(self.rotation_fixture, self.sealer_fixture, self.clock, deadline)

    def _queue(self, name: str, attributes: Mapping[str, str]) -> str:
        url: str = self._sqs.create_queue(
            QueueName=name, Attributes={"VisibilityTimeout": "0", **attributes}
        )["QueueUrl"]
        return url

    def _arn(self, url: str) -> str:
        answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return str(answer["Attributes"]["QueueArn"])

    def _receive(self, url: str) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self._sqs.receive_message(QueueUrl=url, **_RECEIVE).get(
            "Messages", []
        )
        return messages

    def _taken(self, url: str) -> list[dict[str, Any]]:
        messages = self._receive(url)
        for message in messages:
            self._delete(url, message)
        return messages

    def _delete(self, url: str, message: Mapping[str, Any]) -> None:
        self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def _pattern(bucket: str) -> str:
    return _template_s_pattern().replace(BUCKETS["SourceBucket"], bucket)


@cache
def _template_s_pattern() -> str:
    return json.dumps(Template.read().properties("ArrivalsRule")["EventPattern"])


def as_record(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as Lambda hands it on (developer guide, with-sqs, "Example standard queue")."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": {
            name[0].upper() + name[1:]: value for name, value in message["Attributes"].items()
        },
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:012345678912:arrival_queue",
        "awsRegion": "us-east-1",
    }


def unversioned(arrival_queue: ArrivalQueue) -> ArrivalQueue:
    """The same with a source bucket that keeps no versions."""
    bucket = f"plain-{arrival_queue.sealer_fixture.incoming}"[:63]
    arrival_queue.sealer_fixture.s3.create_bucket(Bucket=bucket)
    return ArrivalQueue(
        arrival_queue.rotation_fixture, replace(arrival_queue.sealer_fixture, incoming=bucket)
    )


def task(bucket: str, key: str, version: str | None, **arguments: str) -> dict[str, Any]:
    """What S3 sends for one object of a job: schema 2.0 (Storage blog on directory buckets)."""
    return {
        "invocationSchemaVersion": "2.0",
        "invocationId": "invocation",
        "job": {"id": "job", "userArguments": arguments or None},
        "tasks": [{"taskId": "task", "s3Key": key, "s3VersionId": version, "s3Bucket": bucket}],
    }


def old_task(bucket: str, key: str, version: str | None) -> dict[str, Any]:
    """The same in schema 1.0 (UserGuide batch-ops-invoke-lambda)."""
    arn = f"arn:aws:s3:::{bucket}"
    return {
        "invocationSchemaVersion": "1.0",
        "invocationId": "invocation",
        "job": {"id": "job"},
        "tasks": [{"taskId": "task", "s3Key": key, "s3VersionId": version, "s3BucketArn": arn}],
    }


def result(
    event: dict[str, Any], sealing: IdempotentSealer, time_left: timedelta = PLENTY
) -> tuple[str, str]:
    """The code and the text with which a task ends, its answer held against its invocation."""
    in_time = replace(sealing, deadline=deadline_of(lambda: time_left))
    answer = answer_task(event, lambda: in_time)
    assert answer.keys() == {
        *("invocationSchemaVersion", "treatMissingKeysAs", "invocationId", "results"),
    }
    assert answer["invocationSchemaVersion"] == event["invocationSchemaVersion"]
    assert answer["invocationId"] == "invocation"
    assert answer["treatMissingKeysAs"] == "TemporaryFailure"
    [one] = answer["results"]
    assert one["taskId"] == "task"
    assert len(one["resultString"]) <= 1024
    return one["resultCode"], one["resultString"]


@pytest.fixture
def sealer_fixture(rotation_fixture: RotationFixture) -> Iterator[SealerFixture]:
    """Two buckets with versions, a sealer, and a secret with a key that works."""
    rotation_fixture.store()
    sealer_fixture = SealerFixture(
        rotation_fixture.cloud.client("s3"), rotation_fixture.vendor, rotation_fixture.pki
    )
    yield sealer_fixture
    sealer_fixture.http.close()


@pytest.fixture
def arrival_queue(rotation_fixture: RotationFixture, sealer_fixture: SealerFixture) -> ArrivalQueue:
    """What arrives in the incoming bucket is in the queue."""
    return ArrivalQueue(rotation_fixture, sealer_fixture)
