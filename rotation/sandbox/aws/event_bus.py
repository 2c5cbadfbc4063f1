"""EventBridge as moto serves it, with buses whose rules invoke functions and fill queues.

moto answers with an error for a bus that does not exist, sends to disabled rules, dates an event
with a number, knows no functions as targets, and takes events whose source is one of AWS's.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from moto.events.exceptions import ValidationException
from moto.events.models import EventsBackend
from moto.sqs.models import sqs_backends

from rotation.sandbox.aws.functions import Functions

#: API_PutEvents, Entries.
_MOST_ENTRIES: Final = 10
#: EventBridge UserGuide, eb-putevents: what an entry, and a request, may have at most.
_LARGEST: Final = 256 * 1024
_REQUIRED: Final = ("Source", "DetailType", "Detail")
_FUNCTION: Final = ":function:"
#: How long Lambda tries, and how often again, where nobody says otherwise (Lambda developer guide,
#: invocation-async-error-handling).
_AGE: Final = timedelta(hours=6)
_RETRIES: Final = 2


class FaithfulEvents(EventsBackend):  # type: ignore[misc]
    """The event buses of one account in one region. moto decides which rule matches an event."""

    # moto finds a backend's URLs by the name of the module that its class claims to be from.
    __module__ = "moto.events.models"

    def __init__(self, region_name: str, account_id: str, *, functions: Functions) -> None:
        super().__init__(region_name, account_id)
        self._functions = functions

    def reset(self) -> None:
        """Forget every bus and rule."""
        super().__init__(self.region_name, self.account_id)

    def put_events(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """API_PutEvents: each event is taken or refused by itself.

        A bus that does not exist is no error: AWS answers with an id, and drops the event.
        """
        if not 1 <= len(events) <= _MOST_ENTRIES:
            raise ValidationException(
                "1 validation error detected: Value at 'entries' failed to satisfy constraint: "
                f"Member must have length between 1 and {_MOST_ENTRIES}"
            )
        if sum(map(_size, events)) > _LARGEST:
            raise ValidationException(
                f"Total size of the entries in the request is over {_LARGEST}."
            )
        return [self._put(event) for event in events]

    def _put(self, event: Mapping[str, Any]) -> dict[str, Any]:
        refused = _problem(event)
        if refused is not None:
            return refused
        name = str(event.get("EventBusName") or "default").rpartition("event-bus/")[2]
        message = self._message(event)
        bus = self.event_buses.get(name)
        for rule in [] if bus is None else list(bus.rules.values()):
            if rule.state != "DISABLED" and rule.event_pattern.matches_event(message):
                for target in rule.targets:
                    self._send(target, message)
        return {"EventId": message["id"]}

    def _message(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """The event as rules and targets see it (EventBridge UserGuide, eb-events-structure)."""
        time = event.get("Time")
        at = datetime.now(UTC) if time is None else datetime.fromtimestamp(float(time), UTC)
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": event["DetailType"],
            "source": event["Source"],
            "account": self.account_id,
            "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self.region_name,
            "resources": event.get("Resources", []),
            "detail": json.loads(event["Detail"]),
        }

    def _send(self, target: Mapping[str, Any], message: dict[str, Any]) -> None:
        arn = str(target["Arn"])
        if _FUNCTION in arn:
            name, event = arn.partition(_FUNCTION)[2], json.dumps(message).encode()
            self._functions.deliver(name, event, retries=_RETRIES, age=_AGE)
            return
        if ":sqs:" not in arn:
            raise NotImplementedError(f"the sandbox sends no events to {arn}")
        # moto's rule would send each event through a library that is not there.
        queues = sqs_backends[self.account_id][self.region_name]
        queues.send_message(queue_name=arn.rpartition(":")[2], message_body=json.dumps(message))


def _problem(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """Why an event is refused, as a member of the answer (API_PutEventsResultEntry)."""
    for member in _REQUIRED:
        if not event.get(member):
            return _refused("InvalidArgument", f"Parameter {member} is not valid.")
    # EventBridge UserGuide, eb-events-structure: sources of AWS begin so.
    if str(event["Source"]).startswith("aws."):
        return _refused("NotAuthorizedForSourceException", "Not authorized for the source.")
    try:
        detail = json.loads(event["Detail"])
    except ValueError:
        detail = None
    if not isinstance(detail, dict):
        return _refused("MalformedDetail", "Detail is malformed.")
    return None


def _refused(code: str, message: str) -> dict[str, Any]:
    return {"ErrorCode": code, "ErrorMessage": message}


def _size(event: Mapping[str, Any]) -> int:
    """The size of an entry (EventBridge UserGuide, eb-putevent-size)."""
    texts = [str(event.get(member, "")) for member in _REQUIRED]
    texts += map(str, event.get("Resources", ()))
    return (14 if "Time" in event else 0) + sum(len(text.encode()) for text in texts)
