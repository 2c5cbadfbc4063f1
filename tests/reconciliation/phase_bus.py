"""A real event bus of the sandbox, with a rule and a queue for each phase."""

from __future__ import annotations

import json
from typing import Any

import boto3
from botocore.config import Config

from rotation.aws.event_bus import SOURCE, EventBridgeBus
from rotation.reconciliation.phases import Phase
from rotation.sandbox.aws.cloud import Cloud

BUS = "keys"


class PhaseBus:
    """What whoever depends on a key hears: each rule takes one phase, and fills a queue."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        events: Any = cloud.client("events")  # type: ignore[call-overload]
        self._queues: Any = cloud.client("sqs")  # type: ignore[call-overload]
        events.create_event_bus(Name=BUS)
        self._events = events
        self._urls: dict[str, str] = {}
        for phase in Phase:
            self.listen(phase.value, {"source": [SOURCE], "detail": {"phase": [phase.value]}})
        # A client that tries once: a test that has EventBridge fail does not wait for pauses.
        client: Any = boto3.client(
            "events",
            endpoint_url=cloud.url,
            region_name=cloud.region,
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",
            config=Config(proxies={}, retries={"total_max_attempts": 1}),
        )
        self.bus = EventBridgeBus(client, BUS)

    def listen(self, name: str, pattern: dict[str, Any]) -> None:
        """A rule with a queue of its own for what matches the pattern."""
        self._urls[name] = self._queues.create_queue(QueueName=name)["QueueUrl"]
        self._events.put_rule(Name=name, EventBusName=BUS, EventPattern=json.dumps(pattern))
        arn = f"arn:aws:sqs:{self.cloud.region}:{self.cloud.account}:{name}"
        target = {"Id": "queue", "Arn": arn}
        self._events.put_targets(Rule=name, EventBusName=BUS, Targets=[target])

    def envelopes(self, name: str) -> list[dict[str, Any]]:
        """The events that a rule has taken since the last time."""
        url = self._urls[name]
        answer = self._queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        messages = answer.get("Messages", ())
        for one in messages:
            self._queues.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        return [json.loads(one["Body"]) for one in messages]

    def heard(self) -> dict[str, list[dict[str, Any]]]:
        """The details of the events since the last time, by their phase; no phase without any."""
        found = {one.value: self.envelopes(one.value) for one in Phase}
        return {
            phase: [one["detail"] for one in events] for phase, events in found.items() if events
        }
