"""Puts events on a bus of Amazon EventBridge; a `rotation.core.ports.EventBus`.

``docs/phase-event.schema.json`` describes the detail of an event.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from rotation.aws.answers import reading_answer
from rotation.aws.errors import (
    AWS_CALL_ERRORS,
    error_code,
    got_no_answer,
    is_retryable,
    is_retryable_code,
)
from rotation.errors import EventBusError
from rotation.privacy.printable import outside_text

SOURCE: Final = "trusted-signatures-rotation"
DETAIL_TYPE: Final = "API Key Phase"

#: API_PutEvents, Entries.
_MOST_ENTRIES: Final = 10
_LONGEST_CODE: Final = 100


class EventsClient(Protocol):
    """The part of a boto3 EventBridge client that is needed."""

    def put_events(self, *, Entries: Sequence[Any]) -> Any:  # noqa: N803
        """API_PutEvents."""


class EventBridgeBus:
    """One event bus.

    Args:
        client: a boto3 EventBridge client; several threads use it.
        bus: the name or the ARN of the bus.
    """

    def __init__(self, client: EventsClient, bus: str) -> None:
        self._client = client
        self._bus = bus

    def put(self, secret_arn: str, events: Sequence[Mapping[str, Any]]) -> None:
        """As `rotation.core.ports.EventBus.put`. A bus takes an event, or refuses it, one by one.

        Nothing tells whether a rule took the event.
        """
        accepted: set[str] = set()
        for begin in range(0, len(events), _MOST_ENTRIES):
            some = events[begin : begin + _MOST_ENTRIES]
            try:
                with reading_answer():
                    answer = self._client.put_events(
                        Entries=[self._entry(secret_arn, one) for one in some]
                    )
                    # Results are in the order of the entries (EventBridge UserGuide, eb-putevents).
                    results = [
                        (one.get("EventId"), one.get("ErrorCode")) for one in answer["Entries"]
                    ]
            except AWS_CALL_ERRORS as failure:
                advice = "Check PHASE_EVENTS_BUS, and events:PutEvents on it in the role."
                if got_no_answer(failure):
                    advice = "Check the network path to EventBridge."
                error = self._error(
                    error_code(failure), advice, accepted, retryable=is_retryable(failure)
                )
                break
            accepted |= {one["id"] for one, (taken, _) in zip(some, results, strict=False) if taken}
            refused = [code for taken, code in results if not taken]
            if refused or len(results) != len(some):
                code = outside_text(str(refused[0] if refused else "Unknown"), _LONGEST_CODE)
                retryable = is_retryable_code(code)
                error = self._error(
                    code, "The next run sends it again.", accepted, retryable=retryable
                )
                break
        else:
            return
        # Raised outside the except block: botocore's frames hold the events.
        raise error

    def _entry(self, secret_arn: str, event: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "EventBusName": self._bus,
            "Source": SOURCE,
            "DetailType": DETAIL_TYPE,
            "Resources": [secret_arn],
            "Detail": json.dumps(event),
        }

    def _error(
        self, code: str, advice: str, accepted: set[str], *, retryable: bool
    ) -> EventBusError:
        return EventBusError(
            f"The event bus {self._bus} did not take an event about a phase: {code}. {advice}",
            accepted=frozenset(accepted),
            retryable=retryable,
        )
