"""An event data store of CloudTrail Lake, which is asked by SQL.

Only accounts that used it before 31 May 2026 have one (CloudTrail UserGuide,
cloudtrail-lake-service-availability-change).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rotation.aws.answers import reading_answer
from rotation.aws.errors import AWS_CALL_ERRORS
from rotation.aws.unread import account_unread
from rotation.credential import json_object
from rotation.errors import AccountReadError

#: API_GetQueryResults: the largest page.
_PAGE: Final = 1000
#: How long one query may take, in seconds. CloudTrail ends one after an hour at the latest.
_LONGEST: Final = 900
_PAUSE: Final = 2.0
_WAITING: Final = frozenset({"QUEUED", "RUNNING"})


@dataclass(frozen=True)
class Store:
    """An event data store, as GetEventDataStore describes it.

    Attributes:
        arn: its ARN.
        name: its name.
        begun_at: when it was made, aware UTC; earlier calls are in it only if somebody copied them.
        kept: for how long it keeps calls.
        selectors: which calls it keeps.
        every_region: whether it has the calls of other Regions too.
    """

    arn: str
    name: str
    begun_at: datetime
    kept: timedelta
    selectors: Mapping[str, Any]
    every_region: bool


class EventDataStore:
    """The calls of one account in one Region. A `rotation.exposure.older_calls.OlderCalls`.

    Args:
        client: a boto3 CloudTrail client.
        store: the store.
        account: the account's number.
        region: the Region.
        progress: is told how far it is.
        sleep: waits a number of seconds.
    """

    def __init__(
        self,
        client: Any,
        store: Store,
        account: str,
        region: str,
        progress: Callable[[str], object],
        *,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._client = client
        self._store = store
        self._account = account
        self._region = region
        self._progress = progress
        self._sleep = sleep
        self._since: datetime | None = None

    @property
    def name(self) -> str:
        """The store."""
        return f"the event data store {self._store.name} of CloudTrail Lake"

    def events(self, name: str, since: datetime, until: datetime) -> Iterator[Mapping[str, Any]]:
        """The CloudTrail records of the operation ``name``, ``until`` not included.

        Raises:
            AccountReadError: CloudTrail refused, did not answer, or did not end the query.
        """
        self._since = since if self._since is None else min(self._since, since)
        # A query cannot have parameters (API_StartQuery). Nothing in it was typed by a person.
        query = self._start(
            f"SELECT eventJson FROM {self._store.arn.rpartition('/')[2]} "  # noqa: S608
            f"WHERE eventName = '{name}' "
            f"AND recipientAccountId = '{self._account}' AND awsRegion = '{self._region}' "
            f"AND eventTime >= '{_sql(since)}' AND eventTime < '{_sql(until)}'"
        )
        more: dict[str, str] = {}
        waited, seen = 0.0, 0
        while True:
            try:
                with reading_answer():
                    page = self._client.get_query_results(
                        EventDataStore=self._store.arn,
                        QueryId=query,
                        MaxQueryResults=_PAGE,
                        **more,
                    )
                    status = page["QueryStatus"]
                    rows = page["QueryResultRows"] if status == "FINISHED" else []
                    records = [_record(row) for row in rows]
            except AWS_CALL_ERRORS as error:
                raise account_unread("cloudtrail:GetQueryResults", error) from error
            if status in _WAITING and waited < _LONGEST:
                self._progress(f"{name} in CloudTrail Lake, {waited:.0f} s")
                self._sleep(_PAUSE)
                waited += _PAUSE
                continue
            if status != "FINISHED":
                raise AccountReadError(
                    f"The query {query} of CloudTrail Lake did not end well: {status}. "
                    "Try again later.",
                    aws_code=status,
                    retryable=True,
                )
            yield from records
            seen += len(records)
            self._progress(f"{seen} events {name} in CloudTrail Lake")
            if "NextToken" not in page:
                return
            more = {"NextToken": page["NextToken"]}

    def missing(self) -> list[str]:
        """As `rotation.exposure.older_calls.OlderCalls.missing`."""
        oldest = max(self._store.begun_at, datetime.now(UTC) - self._store.kept)
        if self._since is None or oldest <= self._since:
            return []
        return [f"It has nothing from before {oldest:%Y-%m-%d %H:%M} UTC, unless it was copied."]

    def _start(self, statement: str) -> str:
        try:
            with reading_answer():
                started: str = self._client.start_query(QueryStatement=statement)["QueryId"]
                return started
        except AWS_CALL_ERRORS as error:
            raise account_unread("cloudtrail:StartQuery", error) from error


def event_data_stores(client: Any) -> Iterator[Store]:
    """Every store of the account in this Region that can be asked.

    ListEventDataStores answers names only (API_ListEventDataStores): each is asked for by itself.

    Raises:
        AccountReadError: CloudTrail did not tell.
    """
    more: dict[str, str] = {}
    while True:
        try:
            with reading_answer():
                page = client.list_event_data_stores(**more)
                arns = [one["EventDataStoreArn"] for one in page["EventDataStores"]]
        except AWS_CALL_ERRORS as error:
            raise account_unread("cloudtrail:ListEventDataStores", error) from error
        for arn in arns:
            try:
                with reading_answer():
                    found = client.get_event_data_store(EventDataStore=arn)
                    if found["Status"] in ("ENABLED", "STOPPED_INGESTION"):
                        yield Store(
                            arn=arn,
                            name=found["Name"],
                            begun_at=found["CreatedTimestamp"],
                            kept=timedelta(days=found["RetentionPeriod"]),
                            selectors=found,
                            every_region=found["MultiRegionEnabled"],
                        )
            except AWS_CALL_ERRORS as error:
                raise account_unread("cloudtrail:GetEventDataStore", error) from error
        if "NextToken" not in page:
            return
        more = {"NextToken": page["NextToken"]}


def _record(row: list[Mapping[str, str]]) -> Mapping[str, Any]:
    """The record of a row, which has one column in a list of its own (API_GetQueryResults)."""
    [text] = [value for column in row for key, value in column.items() if key == "eventJson"]
    record = json_object(text)
    if record is None:
        raise ValueError("eventJson")
    return record


def _sql(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
