"""EventBridge as the sandbox serves it. Each test names the AWS page."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rotation.sandbox.aws.cloud import Cloud
from tests.sandbox.aws.rotating import InProcess


def client(cloud: Cloud) -> Any:
    return cloud.client("events")  # type: ignore[call-overload]


def entry(**more: Any) -> dict[str, Any]:
    """An event that the rule of these tests takes."""
    return {
        "EventBusName": "keys",
        "Source": "a.test",
        "DetailType": "A Test",
        "Detail": '{"phase": "promoted"}',
        **more,
    }


class Listener:
    """A function that hears what a rule on the bus ``keys`` takes."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.heard: list[Any] = []
        self.arn = cloud.add_function("listener", InProcess(self._hear))
        client(cloud).create_event_bus(Name="keys")
        self.put_rule()
        client(cloud).put_targets(
            Rule="promotions", EventBusName="keys", Targets=[{"Id": "f", "Arn": self.arn}]
        )

    def put_rule(self, state: str = "ENABLED") -> None:
        pattern = {"source": ["a.test"], "detail": {"phase": ["promoted"]}}
        client(self.cloud).put_rule(
            Name="promotions", EventBusName="keys", EventPattern=json.dumps(pattern), State=state
        )

    def _hear(self, event: Any) -> None:
        self.heard.append(event)

    def put(self, *entries: dict[str, Any]) -> list[dict[str, Any]]:
        """Put events, and wait until the function has heard of those that matched."""
        answer = client(self.cloud).put_events(Entries=list(entries))
        self.cloud.wait_for_events()
        results: list[dict[str, Any]] = answer["Entries"]
        assert answer["FailedEntryCount"] == sum("ErrorCode" in one for one in results)
        return results


@pytest.fixture
def listener(cloud: Cloud) -> Listener:
    return Listener(cloud)


def test_a_rule_invokes_its_function_with_the_event(listener: Listener) -> None:
    """eb-events-structure: the envelope names account, region, source, time and resources."""
    [result] = listener.put(entry(Time=1776416400, Resources=["arn:of:it"]))
    [heard] = listener.heard
    assert heard == {
        "version": "0",
        "id": result["EventId"],
        "detail-type": "A Test",
        "source": "a.test",
        "account": listener.cloud.account,
        "time": "2026-04-17T09:00:00Z",
        "region": "us-east-1",
        "resources": ["arn:of:it"],
        "detail": {"phase": "promoted"},
    }


def test_a_bus_that_does_not_exist_takes_the_event_and_drops_it(listener: Listener) -> None:
    """API_PutEvents answers with an id for a bus that nobody made; no rule hears of it."""
    [result] = listener.put(entry(EventBusName="nobody-made-it"))
    assert "EventId" in result
    assert listener.heard == []


def test_a_disabled_rule_and_another_pattern_take_nothing(listener: Listener) -> None:
    """API_DisableRule; eb-event-patterns: every member of the pattern must match."""
    listener.put(entry(Detail='{"phase": "dead"}'), entry(Source="another"))
    listener.put_rule("DISABLED")
    listener.put(entry())
    assert listener.heard == []


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"Source": "aws.secretsmanager"}, "NotAuthorizedForSourceException"),
        ({"Detail": "no JSON"}, "MalformedDetail"),
        ({"Detail": "[]"}, "MalformedDetail"),
        ({"DetailType": ""}, "InvalidArgument"),
    ],
)
def test_an_event_that_is_refused_stops_no_other(
    listener: Listener, wrong: dict[str, Any], code: str
) -> None:
    """API_PutEventsResultEntry: each event has a result of its own, in the order of the request."""
    refused, taken = listener.put(entry(**wrong), entry())
    assert refused["ErrorCode"] == code
    assert [one["id"] for one in listener.heard] == [taken["EventId"]]


def test_ten_events_at_most_and_256_kilobytes(listener: Listener) -> None:
    """API_PutEvents, Entries; eb-putevent-size."""
    for entries in ([entry()] * 11, [entry(Detail=json.dumps({"phase": "x" * 262_144}))]):
        with pytest.raises(ClientError) as refused:
            listener.put(*entries)
        assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_a_rule_fills_a_queue(cloud: Cloud, listener: Listener) -> None:
    """eb-targets: what moto sends to, it still sends to."""
    queues: Any = cloud.client("sqs")  # type: ignore[call-overload]
    url = queues.create_queue(QueueName="q")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{cloud.account}:q"
    client(cloud).put_targets(
        Rule="promotions", EventBusName="keys", Targets=[{"Id": "q", "Arn": arn}]
    )
    listener.put(entry())
    [message] = queues.receive_message(QueueUrl=url)["Messages"]
    assert json.loads(message["Body"])["detail"] == {"phase": "promoted"}
    assert len(listener.heard) == 1
