"""CloudTrail as moto serves it, with the event history, event data stores and log files.

moto makes trails and keeps nothing in them. A trail here writes its log files when
`deliver_log_files` is called; CloudTrail does so about every five minutes.
"""

from __future__ import annotations

import gzip
import json
import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

from moto.cloudtrail.responses import CloudTrailResponse
from moto.core.exceptions import JsonRESTError

from rotation.sandbox.aws.event_history import EventHistory

#: What a store keeps where nobody says otherwise (API_CreateEventDataStore).
_MANAGEMENT_EVENTS: Final = [
    {
        "Name": "Default management events",
        "FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}],
    }
]
_EVERY_MANAGEMENT_EVENT: Final = {
    "ReadWriteType": "All",
    "IncludeManagementEvents": True,
    "DataResources": [],
    "ExcludeManagementEventSources": [],
}
_QUERY: Final = re.compile(
    r"SELECT eventJson FROM (?P<store>[0-9a-f-]+) WHERE eventName = '(?P<name>\w+)' "
    r"AND recipientAccountId = '(?P<account>\d+)' AND awsRegion = '(?P<region>[\w-]+)' "
    r"AND eventTime >= '(?P<since>[^']+)' AND eventTime < '(?P<until>[^']+)'"
)


@dataclass
class EventDataStores:
    """The event data stores of CloudTrail Lake, and the queries of them.

    Args:
        history: the events.
        account: the account's number.
        region: the Region.
    """

    history: EventHistory
    account: str
    region: str
    _stores: dict[str, dict[str, Any]] = field(default_factory=dict)
    _results: dict[str, list[str]] = field(default_factory=dict)
    _running: set[str] = field(default_factory=set)

    def create(self, members: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """API_CreateEventDataStore."""
        arn = f"arn:aws:cloudtrail:{self.region}:{self.account}:eventdatastore/{uuid.uuid4()}"
        self._stores[arn] = {
            "EventDataStoreArn": arn,
            "Name": members["Name"],
            "Status": "ENABLED",
            "AdvancedEventSelectors": members.get("AdvancedEventSelectors", _MANAGEMENT_EVENTS),
            "MultiRegionEnabled": members.get("MultiRegionEnabled", True),
            "OrganizationEnabled": False,
            "RetentionPeriod": members.get("RetentionPeriod", 366),
            "TerminationProtectionEnabled": True,
            "CreatedTimestamp": int(now.timestamp()),
        }
        return self._stores[arn]

    def listed(self) -> dict[str, Any]:
        """API_ListEventDataStores: of each its ARN and its name."""
        names = ("EventDataStoreArn", "Name")
        return {
            "EventDataStores": [
                {name: store[name] for name in names} for store in self._stores.values()
            ]
        }

    def found(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """API_GetEventDataStore.

        Raises:
            JsonRESTError: there is no such store.
        """
        wanted = members["EventDataStore"]
        for arn, store in self._stores.items():
            if wanted in (arn, arn.rpartition("/")[2]):
                return store
        raise JsonRESTError("EventDataStoreNotFoundException", f"{wanted} was not found.")

    def start(self, members: Mapping[str, Any]) -> dict[str, str]:
        """API_StartQuery, of the one form that is understood here.

        Raises:
            JsonRESTError: the query is of another form, or there is no such store.
        """
        asked = _QUERY.fullmatch(members["QueryStatement"])
        if asked is None:
            raise JsonRESTError("InvalidQueryStatementException", "It has another form.")
        self.found({"EventDataStore": asked["store"]})
        query = str(uuid.uuid4())
        self._results[query] = [
            text
            for text in self.history.kept(_sql_time(asked["since"]), _sql_time(asked["until"]))
            if (event := json.loads(text))["eventName"] == asked["name"]
            and event["recipientAccountId"] == asked["account"]
            and event["awsRegion"] == asked["region"]
        ]
        return {"QueryId": query}

    def results(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """API_GetQueryResults: the first answer of a query is that it runs.

        Raises:
            JsonRESTError: there is no such query.
        """
        query = members["QueryId"]
        if query not in self._results:
            raise JsonRESTError("QueryIdNotFoundException", query)
        if query not in self._running:
            self._running.add(query)
            return {"QueryStatus": "RUNNING"}
        rows = self._results[query]
        start = int(members.get("NextToken", "0"))
        end = start + members.get("MaxQueryResults", 1000)
        more = {"NextToken": str(end)} if end < len(rows) else {}
        return {
            "QueryStatus": "FINISHED",
            "QueryResultRows": [[{"eventJson": text}] for text in rows[start:end]],
            **more,
        }

    def reset(self) -> None:
        """Forget every store and query."""
        self._stores.clear()
        self._results.clear()
        self._running.clear()


class HistoryResponse(CloudTrailResponse):  # type: ignore[misc]
    """moto's trails, and what moto does not have: the event history, and CloudTrail Lake.

    moto gives a trail no event selectors at all where nobody sets any.

    Attributes:
        history: the events of the Cloud that runs.
        stores: its event data stores.
    """

    history: EventHistory
    stores: EventDataStores

    def lookup_events(self) -> str:
        """API_LookupEvents."""
        return json.dumps(self.history.lookup(self._members()))

    def get_event_selectors(self) -> str:
        """API_GetEventSelectors.

        A trail begins with all management events (API_PutEventSelectors).
        """
        found = json.loads(super().get_event_selectors())
        if not found["EventSelectors"] and not found["AdvancedEventSelectors"]:
            found["EventSelectors"] = [_EVERY_MANAGEMENT_EVENT]
        return json.dumps(found)

    def create_event_data_store(self) -> str:
        """API_CreateEventDataStore."""
        return json.dumps(self.stores.create(self._members(), self.history.now()))

    def list_event_data_stores(self) -> str:
        """API_ListEventDataStores."""
        return json.dumps(self.stores.listed())

    def get_event_data_store(self) -> str:
        """API_GetEventDataStore."""
        return json.dumps(self.stores.found(self._members()))

    def start_query(self) -> str:
        """API_StartQuery."""
        return json.dumps(self.stores.start(self._members()))

    def get_query_results(self) -> str:
        """API_GetQueryResults."""
        return json.dumps(self.stores.results(self._members()))

    def _members(self) -> dict[str, Any]:
        members: dict[str, Any] = json.loads(self.body or "{}")
        return members


def deliver_log_files(history: EventHistory, trails: Any, s3: Any) -> None:
    """Have each trail that is logging write its log files: one for each Region and minute.

    UserGuide cloudtrail-find-log-files and cloudtrail-log-file-examples say where, and what is in
    them. A trail that has written an event does not write it again.

    Args:
        history: the events.
        trails: a boto3 CloudTrail client.
        s3: a boto3 S3 client.
    """
    for trail in trails.describe_trails()["trailList"]:
        name = trail["TrailARN"]
        if not trails.get_trail_status(Name=name)["IsLogging"]:
            continue
        new = [json.loads(text) for text in history.undelivered(name)]
        for (region, minute), events in groupby(sorted(new, key=_place), key=_place):
            records = [*events]
            account = records[0]["recipientAccountId"]
            prefix = f"{trail['S3KeyPrefix']}/" if trail.get("S3KeyPrefix") else ""
            day, stamp = minute[:10].replace("-", "/"), re.sub("[-:]", "", minute)
            s3.put_object(
                Bucket=trail["S3BucketName"],
                Key=f"{prefix}AWSLogs/{account}/CloudTrail/{region}/{day}/"
                f"{account}_CloudTrail_{region}_{stamp}Z_{secrets.token_hex(8)}.json.gz",
                Body=gzip.compress(json.dumps({"Records": records}).encode()),
            )


def _place(event: Mapping[str, str]) -> tuple[str, str]:
    return event["awsRegion"], event["eventTime"][:16]


def _sql_time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
