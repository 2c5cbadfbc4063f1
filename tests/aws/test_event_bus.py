"""Events about phases: what EventBridge is sent, and what is left when it does not take them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from rotation.aws.event_bus import EventBridgeBus
from rotation.errors import EventBusError
from tests.journal.journals import ARN


@dataclass
class Bus:
    """EventBridge as a client sees it: takes every event, or what ``refused`` says of it."""

    refused: dict[str, str] = field(default_factory=dict)
    fails: dict[int, Exception] = field(default_factory=dict)
    requests: list[Sequence[Any]] = field(default_factory=list)

    def put_events(self, *, Entries: Sequence[Any]) -> Any:  # noqa: N803
        self.requests.append(Entries)
        if error := self.fails.get(len(self.requests)):
            raise error
        ids = [json.loads(one["Detail"])["id"] for one in Entries]
        return {
            "FailedEntryCount": sum(one in self.refused for one in ids),
            "Entries": [
                {"ErrorCode": self.refused[one]} if one in self.refused else {"EventId": "e"}
                for one in ids
            ],
        }


def put(bus: Bus, number: int = 1) -> None:
    EventBridgeBus(bus, "keys").put(ARN, [{"id": f"e{n}"} for n in range(number)])


def test_an_event_names_its_secret() -> None:
    """In its resources, where a rule finds it, beside source and detail type."""
    bus = Bus()
    put(bus)
    [[entry]] = bus.requests
    assert entry == {
        "EventBusName": "keys",
        "Source": "trusted-signatures-rotation",
        "DetailType": "API Key Phase",
        "Resources": [ARN],
        "Detail": '{"id": "e0"}',
    }


def test_a_request_has_ten_events_at_most() -> None:
    """API_PutEvents, Entries."""
    bus = Bus()
    put(bus, 23)
    assert [len(one) for one in bus.requests] == [10, 10, 3]


@pytest.mark.parametrize(
    ("code", "retryable"),
    [
        ("InternalFailure", True),
        ("ThrottlingException", True),
        ("NotAuthorizedForSourceException", False),
    ],
)
def test_what_was_taken_is_named_where_one_was_refused(code: str, retryable: bool) -> None:
    """The others of its request count as taken; no later request is sent."""
    bus = Bus(refused={"e1": code})
    with pytest.raises(EventBusError, match=f"bus keys did not take .*: {code}") as refused:
        put(bus, 12)
    assert refused.value.accepted == {f"e{n}" for n in range(10)} - {"e1"}
    assert refused.value.retryable is retryable
    assert len(bus.requests) == 1


def test_what_was_taken_before_the_bus_failed_is_named() -> None:
    """The error says where to look, and its causes hold no event."""
    denied = ClientError({"Error": {"Code": "AccessDeniedException"}}, "PutEvents")
    with pytest.raises(EventBusError, match="events:PutEvents") as refused:
        put(Bus(fails={2: denied}), 12)
    assert refused.value.accepted == {f"e{n}" for n in range(10)}
    assert (refused.value.__cause__, refused.value.__context__) == (None, None)
    unreachable = EndpointConnectionError(endpoint_url="https://events")
    with pytest.raises(EventBusError, match="network path") as refused:
        put(Bus(fails={1: unreachable}))
    assert refused.value.retryable
    assert refused.value.accepted == frozenset()


@pytest.mark.parametrize("answer", [{}, {"Entries": []}, {"Entries": None}, {"Entries": [{}]}])
def test_nothing_is_concluded_from_an_answer_that_is_not_whole(answer: Any) -> None:
    """Something between EventBridge and this process may cut it: the event is sent again."""

    class Cut(Bus):
        def put_events(self, *, Entries: Sequence[Any]) -> Any:  # noqa: N803
            return answer

    with pytest.raises(EventBusError) as refused:
        put(Cut())
    assert refused.value.accepted == frozenset()
