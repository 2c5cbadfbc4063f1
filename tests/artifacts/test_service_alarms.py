"""The alarms on what Lambda and SQS count by themselves, raised by the functions and queues.

The template is created in the sandbox's AWS, and its functions run there from the source tree. A
call to AWS may wait as long as a test wants: the clock of all services moves meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.functions import FunctionRunner
from rotation.sandbox.aws.processes import ProcessFunction
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.aws.traffic import Dropped
from rotation.sandbox.vendor import Pki, Role, VendorEmulator
from tests.artifacts.alarms import raised
from tests.artifacts.events import matches, sent
from tests.artifacts.stack import Stack
from tests.artifacts.template import Template
from tests.artifacts.test_events import service_event
from tests.sealing.pdfs import pdf
from tests.unattended.fixtures import as_record, task

FUNCTIONS = ("Rotation", "Reconcile", "Sealing", "SealEvents", "SealBatch")


@dataclass
class Watched:
    """A stack, its clock, and what its functions do.

    Attributes:
        ahead: how far the clock of AWS, of the vendor and of each invocation that begins is ahead
            of the machine's.
    """

    folder: Path
    ahead: timedelta = timedelta(0)
    runners: dict[str, ProcessFunction] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    documents: int = 0

    def now(self) -> datetime:
        """The time here, aware UTC."""
        return datetime.now(UTC) + self.ahead

    @contextmanager
    def running(self) -> Iterator[Watched]:
        """Create the stack; a key is current at its end."""
        pki = Pki.create(self.now())
        self.anchors = self.folder / "anchors.pem"
        self.anchors.write_bytes(pki.root_pem)
        with ExitStack() as undo:
            self.vendor = undo.enter_context(VendorEmulator(pki, clock=self.now))
            self.cloud = undo.enter_context(Cloud(retries=RetryPolicy(()), clock=self.now))
            template = Template.read(KeyIssuer="admin-api", UnattendedSealing="events")
            self.stack = Stack(self.cloud, template, self._function).create()
            admin = self.vendor.keys.create(role=Role.ADMIN)
            self.secrets.put_secret_value(
                SecretId=self.stack.output("AdminSecretArn"),
                SecretString=json.dumps({"apiKey": admin.material, "apiKeyId": admin.id}),
            )
            assert self.rotate()
            yield self

    @property
    def secrets(self) -> Any:
        return self.cloud.client("secretsmanager")

    @property
    def alarms(self) -> dict[str, Any]:
        """The alarms on metrics that AWS publishes."""
        created = self.stack.template.created("AWS::CloudWatch::Alarm")
        return {name: one for name, one in created.items() if one["Namespace"].startswith("AWS/")}

    def raised(self, since: datetime) -> set[str]:
        """The alarms that were raised since then."""
        return raised(self.cloud, self.alarms, since, self.now())

    def next_hour(self) -> datetime:
        """Let the metrics of before be of the past, and give the time."""
        self.ahead += timedelta(hours=1)
        return self.now()

    def rotate(self) -> bool:
        """Rotate the secret; whether it succeeded."""
        secret = self.stack.output("SecretArn")
        token = self.secrets.rotate_secret(SecretId=secret)["VersionId"]
        succeeded = self.cloud.wait_for_rotation(secret, token).succeeded
        self.cloud.wait_for_events()
        return succeeded

    def unstick(self) -> None:
        """What a person does after a rotation that ended before its end."""
        secret = self.stack.output("SecretArn")
        versions = self.secrets.describe_secret(SecretId=secret)["VersionIdsToStages"]
        for version, labels in versions.items():
            if labels == ["AWSPENDING"]:
                self.secrets.update_secret_version_stage(
                    SecretId=secret, VersionStage="AWSPENDING", RemoveFromVersionId=version
                )

    def tell(self, event: Mapping[str, Any]) -> None:
        """What EventBridge does with an event of Secrets Manager; the sandbox sends it none."""
        for rule in self.stack.template.created("AWS::Events::Rule").values():
            if "EventPattern" not in rule or not matches(rule, event):
                continue
            [target] = rule["Targets"]
            client: Any = self.cloud.client
            try:
                client("sns").publish(TopicArn=target["Arn"], Message=sent(rule, event))
            except ClientError:
                queue = target["DeadLetterConfig"]["Arn"].rpartition(":")[2]
                url = client("sqs").get_queue_url(QueueName=queue)["QueueUrl"]
                client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(event))

    def invoke(self, function: str, event: Mapping[str, Any]) -> Any:
        """Invoke one of the functions, and give its answer."""
        answer = self.cloud.client("lambda").invoke(
            FunctionName=self.names[f"{function}Function"], Payload=json.dumps(event).encode()
        )
        return json.loads(answer["Payload"].read())

    def work(self, function: str, during: Callable[[], object]) -> None:
        """Have a function do its work; ``during`` is called before AWS answers one of its calls.

        The vendor, whose clock moves too, is not asked after that call.
        """
        act = Dropped(first=during)
        if function == "Rotation":
            self.cloud.faults.before("UpdateSecretVersionStage", act)
            self.rotate()
            self.unstick()
        elif function == "Reconcile":
            self.cloud.faults.before("ListSecrets", act)
            self.invoke(function, {})
        else:
            self._seal(function, act)
        self.cloud.faults.clear()

    def put(self, body: bytes, ending: str = ".pdf") -> tuple[str, str, str]:
        """Put a document into the source bucket: its bucket, key and version.

        One that ends with .pdf is announced in the queue of arrivals.
        """
        self.documents += 1
        bucket, key = self.stack.output("SourceBucketName"), f"{self.documents}{ending}"
        answer = self.cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
        return bucket, key, str(answer["VersionId"])

    def deliver(self) -> None:
        """What Lambda's poller does: hand on what is in the queue, delete what was sealed.

        If the function failed as a whole, everything comes back to the queue.
        """
        sqs: Any = self.cloud.client("sqs")  # type: ignore[call-overload]
        url = self.stack.attribute("ArrivalsQueue")
        found = sqs.receive_message(QueueUrl=url, AttributeNames=["All"], MaxNumberOfMessages=10)
        messages = found.get("Messages", [])
        if not messages:
            return
        answer = self.invoke("SealEvents", {"Records": [as_record(one) for one in messages]})
        if "errorType" in answer:
            return
        failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
        for one in messages:
            if one["MessageId"] not in failed:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])

    def _seal(self, function: str, act: Dropped) -> None:
        bucket, key, version = self.put(pdf(), ".pdf" if function == "SealEvents" else "")
        destination = self.stack.output("DestinationBucketName")
        written = key if function == "Sealing" else f"{key}/{version}.pdf"
        self.cloud.faults.before(f"PUT /{destination}/{written}", act)
        if function == "SealEvents":
            self.deliver()
        elif function == "SealBatch":
            self.invoke(function, task(bucket, key, version))
        else:
            text = self.secrets.get_secret_value(SecretId=self.stack.output("SecretArn"))
            value = json.loads(text["SecretString"])
            self.invoke(
                function,
                {
                    "source": {"bucket": bucket, "key": key},
                    "destination": {"bucket": destination, "key": written},
                    "credential": {name: value[name] for name in ("apiKey", "apiKeyId")},
                },
            )

    def _function(self, name: str, called: str, properties: Mapping[str, Any]) -> FunctionRunner:
        variables = properties["Environment"]["Variables"]
        self.names[name] = called
        self.runners[name] = ProcessFunction(
            properties["Handler"],
            environment={
                **{variable: str(value) for variable, value in variables.items()},
                **self.cloud.environment(),
                "VENDOR_URL": self.vendor.url,
                "SIGNER_TRUST_ANCHORS": str(self.anchors),
                "ADMIN_API_URL": "",
                "PROPAGATION_LIMIT_SECONDS": "0.5",
            },
            log_path=self.folder / f"{name}.log",
            timeout=timedelta(seconds=int(properties["Timeout"])),
            concurrency=2,
            name=called,
            ahead=lambda: self.ahead,
        )
        return self.runners[name]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One stack for all tests; each begins an hour after the one before."""
    with Watched(tmp_path_factory.mktemp("stack")).running() as running:
        yield running


def errors(function: str) -> str:
    return {"Rotation": "RotationFailedAlarm"}.get(function, f"{function}ErrorAlarm")


def test_every_alarm_on_a_metric_of_aws_has_a_test_here(watched: Watched) -> None:
    """None is left to values that somebody made up."""
    of_functions = {
        name
        for function in FUNCTIONS
        for name in (errors(function), f"{function}ThrottledAlarm", f"{function}SlowAlarm")
    }
    of_queues = {"UnsealedAlarm", "ArrivalsOldAlarm", "EventsUndeliveredAlarm"}
    assert watched.alarms.keys() == of_functions | of_queues


def timeout(watched: Watched, function: str) -> timedelta:
    """What the template gives the function."""
    seconds = watched.stack.template.properties(f"{function}Function")["Timeout"]
    return timedelta(seconds=int(seconds))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_function_that_is_slow_raises_its_alarm(
    watched: Watched, function: str, share: float
) -> None:
    """From four fifths of its timeout on, and no other alarm; half of it raises none."""
    since, limit = watched.next_hour(), timeout(watched, function)

    def wait() -> None:
        watched.ahead += share * limit

    watched.work(function, wait)
    assert watched.now() - since >= share * limit, "the function made no such call"
    slow = {f"{function}SlowAlarm"} if share == 0.8 else set()
    assert watched.raised(since) == slow


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_that_dies_raises_its_alarm(watched: Watched, function: str) -> None:
    """Its process ends in the middle of its work, as for want of memory; no other alarm hears."""
    since, killed = watched.next_hour(), []
    watched.work(function, lambda: killed.append(watched.runners[f"{function}Function"].kill()))
    assert killed == [1]
    assert watched.raised(since) == {errors(function)}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_without_concurrency_raises_its_alarm(watched: Watched, function: str) -> None:
    """One invocation is reserved and under way: Lambda does not start the next."""
    client = watched.cloud.client("lambda")
    name = watched.names[f"{function}Function"]
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    since, began, go_on = watched.next_hour(), Event(), Event()

    def wait() -> None:
        began.set()
        assert go_on.wait(300)

    work = Thread(target=watched.work, args=(function, wait))
    work.start()
    try:
        assert began.wait(300)
        with pytest.raises(ClientError) as caught:
            watched.invoke(function, {})
    finally:
        go_on.set()
        work.join()
        client.delete_function_concurrency(FunctionName=name)
    assert caught.value.response["Error"]["Code"] == "TooManyRequestsException"
    assert watched.raised(since) == {f"{function}ThrottledAlarm"}


def test_a_document_that_nobody_takes_raises_an_alarm(watched: Watched) -> None:
    """Such as while the function that seals arrivals is stopped."""
    since = watched.next_hour()
    watched.put(pdf())
    watched.ahead += timedelta(minutes=30)
    watched.cloud.measure_queues()
    assert watched.raised(since) == set()
    watched.ahead += timedelta(minutes=15)
    watched.cloud.measure_queues()
    assert watched.raised(since) == {"ArrivalsOldAlarm"}
    watched.deliver()


def test_a_document_that_cannot_be_sealed_raises_alarms(watched: Watched) -> None:
    """First it is old, while it is tried again; then it is given up.

    SQS tells no age of a message that was received three times, so its age is heard before that.
    """
    since = watched.next_hour()
    watched.put(b"This is no PDF.")
    heard: dict[str, timedelta] = {}
    for minutes in range(0, 160, 5):
        watched.deliver()
        watched.cloud.measure_queues()
        for name in watched.raised(since):
            heard.setdefault(name, timedelta(minutes=minutes))
        watched.ahead += timedelta(minutes=5)
    assert heard.keys() == {"ArrivalsOldAlarm", "UnsealedAlarm"}
    assert timedelta(minutes=30) < heard["ArrivalsOldAlarm"] <= timedelta(hours=1)
    assert timedelta(hours=2) < heard["UnsealedAlarm"] <= timedelta(hours=3)


@pytest.mark.parametrize("topic", ["takes it", "is gone"])
def test_an_event_that_the_topic_does_not_take_raises_an_alarm(
    watched: Watched, topic: str
) -> None:
    """It lies in a queue; a topic that takes it raises none. The topic is gone afterwards."""
    if topic == "is gone":
        client: Any = watched.cloud.client
        client("sns").delete_topic(TopicArn=watched.stack.attribute("AlarmTopic"))
    since = watched.next_hour()
    assert watched.rotate()
    watched.tell(service_event("RotationSucceeded", watched.stack.output("SecretArn")))
    watched.cloud.measure_queues()
    raised_then = {"EventsUndeliveredAlarm"} if topic == "is gone" else set()
    # What the test before could not seal lies in its queue still.
    assert watched.raised(since) - {"UnsealedAlarm"} == raised_then
