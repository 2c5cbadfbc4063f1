"""CloudTrail's event history: the management events of the calls that the sandbox serves.

Operations of S3 on objects and of Lambda's Invoke are data events, which the history never has
(UserGuide logging-data-events-with-cloudtrail). An event names what was asked, by members that are
listed here, and never a value.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, Final

from moto.core.exceptions import JsonRESTError

from rotation.sandbox.aws.callers import Callers, user_name

#: UserGuide get-and-view-cloudtrail-log-files: about 5 minutes on average, and no promise.
LATENCY: Final = timedelta(minutes=5)
#: API_LookupEvents: how far back it looks, the greatest page, and the requests in a second.
KEPT: Final = timedelta(days=90)
PAGE: Final = 50
PER_SECOND: Final = 2

#: How many events the sandbox keeps; a run of hours would otherwise fill the memory.
_MOST_EVENTS: Final = 50_000
#: The members of a request that an event repeats.
_SHOWN: Final = frozenset(
    {
        "ClientRequestToken",
        "Filters",
        "MoveToVersionId",
        "Name",
        "PolicyArn",
        "PolicyName",
        "PolicySourceArn",
        "RemoveFromVersionId",
        "RoleArn",
        "RoleName",
        "RoleSessionName",
        "RotateImmediately",
        "RotationLambdaARN",
        "SecretId",
        "SecretIdList",
        "UserName",
        "VersionId",
        "VersionStage",
        "VersionStages",
    }
)
_READS: Final = re.compile(r"(BatchGet|Decrypt|Describe|Get|List|Lookup|Simulate)")
_ATTRIBUTES: Final = (
    "AccessKeyId",
    "EventId",
    "EventName",
    "EventSource",
    "ReadOnly",
    "Username",
)


@dataclass(frozen=True)
class ServedRequest:
    """What the sandbox was asked.

    Attributes:
        service: as in the scope of the signature, such as ``secretsmanager``.
        operation: the API operation.
        members: the members of the request.
        access_key: who signed it.
        region: the Region that the signature names.
        address: where it came from.
        agent: the program that sent it.
    """

    service: str
    operation: str
    members: Mapping[str, Any]
    access_key: str
    region: str
    address: str
    agent: str


class EventHistory:
    """The events of one account.

    Args:
        callers: who signs with which access key.
        clock: the sandbox's clock, aware UTC.
        latency: how long after a call its event can be looked up.

    Attributes:
        latency: may be changed at any time.
        seconds: the clock of the quota of requests, which a test may let stand still.
    """

    def __init__(
        self, callers: Callers, clock: Callable[[], datetime], latency: timedelta = LATENCY
    ) -> None:
        self.latency = latency
        self._callers = callers
        self._clock = clock
        self._lock = Lock()
        self._events: deque[tuple[datetime, dict[str, Any]]] = deque(maxlen=_MOST_EVENTS)
        self.seconds: Callable[[], float] = time.monotonic
        self._allowance, self._asked = float(PER_SECOND), 0.0
        self._delivered: dict[str, set[str]] = {}

    def now(self) -> datetime:
        """The time here, aware UTC."""
        return self._clock()

    def reset(self) -> None:
        """Forget every event."""
        with self._lock:
            self._events.clear()
            self._delivered.clear()

    def record(
        self, request: ServedRequest, *, error: tuple[str, str] | None, answer: Mapping[str, Any]
    ) -> None:
        """Keep the events of one request.

        Args:
            request: the request.
            error: code and message of the error that was answered; None: it succeeded.
            answer: the members of the answer that an event may name; no values.
        """
        events = [self._event(request, request.operation, request.members, error, answer)]
        if request.operation == "BatchGetSecretValue":
            # API_BatchGetSecretValue: an entry GetSecretValue for each secret too.
            failed = {one["SecretId"]: one["ErrorCode"] for one in answer.get("Errors", ())}
            for secret in (*answer.get("ARNs", ()), *failed):
                code = failed.get(secret)
                refused = None if code is None else (code, "")
                members = {"SecretId": secret}
                events.append(self._event(request, "GetSecretValue", members, refused, {}))
        self._keep(events)

    def record_service_event(self, name: str, secret_arn: str) -> None:
        """Keep an event that Secrets Manager makes by itself, such as ``RotationStarted``.

        UserGuide cloudtrail_log_entries: the member additionalEventData names the secret.
        """
        self._keep([self._service_event(name, secret_arn)])

    def lookup(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """API_LookupEvents: newest first, 50 at most, by one attribute and a time range.

        Raises:
            JsonRESTError: two requests were made in this second already, or one is malformed.
        """
        self._take_turn()
        wanted = members.get("LookupAttributes") or []
        if len(wanted) > 1 or any(
            one["AttributeKey"] not in (*_ATTRIBUTES, "ResourceName", "ResourceType")
            for one in wanted
        ):
            raise JsonRESTError("InvalidLookupAttributesException", "Give one known attribute.")
        size = members.get("MaxResults", PAGE)
        if not 1 <= size <= PAGE:
            raise JsonRESTError("InvalidMaxResultsException", f"1 to {PAGE}")
        now = self._clock()
        since = max(_time(members.get("StartTime"), now - KEPT), now - KEPT)
        until = min(_time(members.get("EndTime"), now), now - self.latency)
        with self._lock:
            found = [
                event
                for at, event in reversed(self._events)
                if since <= at <= until and all(_matches(event, one) for one in wanted)
            ]
        token = members.get("NextToken") or "0"
        if not token.isdigit():
            raise JsonRESTError("InvalidNextTokenException", token)
        start, end = int(token), int(token) + size
        more = {"NextToken": str(end)} if end < len(found) else {}
        return {"Events": found[start:end], **more}

    def kept(self, since: datetime, until: datetime) -> list[str]:
        """The CloudTrail records of every event in a time, ``until`` not included, as JSON."""
        with self._lock:
            return [event["CloudTrailEvent"] for at, event in self._events if since <= at < until]

    def undelivered(self, trail: str) -> list[str]:
        """The records of every event that was not asked for on behalf of this trail before."""
        with self._lock:
            done = self._delivered.setdefault(trail, set())
            new = [event for _, event in self._events if event["EventId"] not in done]
            done.update(event["EventId"] for event in new)
            return [event["CloudTrailEvent"] for event in new]

    def _take_turn(self) -> None:
        with self._lock:
            now = self.seconds()
            regained = max(0.0, now - self._asked) * PER_SECOND
            self._allowance = min(float(PER_SECOND), self._allowance + regained)
            self._asked = now
            if self._allowance < 1:
                raise JsonRESTError("ThrottlingException", "Rate exceeded")
            self._allowance -= 1

    def _keep(self, events: Iterable[dict[str, Any]]) -> None:
        now = self._clock()
        with self._lock:
            self._events.extend((now, event) for event in events)

    def _event(
        self,
        request: ServedRequest,
        operation: str,
        members: Mapping[str, Any],
        error: tuple[str, str] | None,
        answer: Mapping[str, Any],
    ) -> dict[str, Any]:
        identity = self._callers.identity(request.access_key)
        session = answer.get("Session")
        body = {
            "userIdentity": identity,
            "sourceIPAddress": request.address,
            "userAgent": request.agent,
            "requestParameters": {_camel(k): v for k, v in members.items() if k in _SHOWN},
            "responseElements": session,
            "eventType": "AwsApiCall",
            **({} if error is None else {"errorCode": error[0], "errorMessage": error[1]}),
        }
        resources = _resources(members, session) if operation.startswith("AssumeRole") else []
        return self._entry(request.service, operation, request.region, body, resources)

    def _service_event(self, name: str, secret_arn: str) -> dict[str, Any]:
        body = {
            "userIdentity": {
                "accountId": self._callers.account,
                "invokedBy": "secretsmanager.amazonaws.com",
                "type": "AWSService",
            },
            "sourceIPAddress": "secretsmanager.amazonaws.com",
            "userAgent": "secretsmanager.amazonaws.com",
            "requestParameters": None,
            "responseElements": None,
            "additionalEventData": {"SecretId": secret_arn},
            "eventType": "AwsServiceEvent",
        }
        return self._entry("secretsmanager", name, secret_arn.split(":")[3], body, [])

    def _entry(
        self,
        service: str,
        name: str,
        region: str,
        body: Mapping[str, Any],
        resources: list[dict[str, str]],
    ) -> dict[str, Any]:
        now, event_id = self._clock(), str(uuid.uuid4())
        read_only = bool(_READS.match(name))
        source = f"{service}.amazonaws.com"
        whole = {
            "eventVersion": "1.11",
            "eventTime": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "eventSource": source,
            "eventName": name,
            "awsRegion": region,
            "requestID": str(uuid.uuid4()),
            "eventID": event_id,
            "readOnly": read_only,
            "managementEvent": True,
            "recipientAccountId": self._callers.account,
            "eventCategory": "Management",
            **body,
        }
        identity = body["userIdentity"]
        listed: dict[str, Any] = {
            "EventId": event_id,
            "EventName": name,
            "ReadOnly": str(read_only).lower(),
            "EventTime": int(now.timestamp()),
            "EventSource": source,
            "Resources": resources,
            "CloudTrailEvent": json.dumps(whole),
        }
        if identity["type"] != "AWSService":
            listed |= {"AccessKeyId": identity["accessKeyId"], "Username": user_name(identity)}
        return listed


def _matches(event: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    key, value = wanted["AttributeKey"], wanted["AttributeValue"]
    if key in ("ResourceName", "ResourceType"):
        return any(resource[key] == value for resource in event["Resources"])
    return bool(event.get(key) == value)


def _resources(
    members: Mapping[str, Any], session: Mapping[str, Any] | None
) -> list[dict[str, str]]:
    role = {"ResourceType": "AWS::IAM::Role", "ResourceName": str(members.get("RoleArn"))}
    if session is None:
        return [role]
    key = session["credentials"]["accessKeyId"]
    return [role, {"ResourceType": "AWS::IAM::AccessKey", "ResourceName": key}]


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]


def _time(seconds: float | None, otherwise: datetime) -> datetime:
    return otherwise if seconds is None else datetime.fromtimestamp(seconds, UTC)
