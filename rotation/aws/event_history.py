"""CloudTrail's event history, which every account has for 90 days, and the names of its trails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from rotation.aws.answers import reading_answer
from rotation.aws.errors import AWS_CALL_ERRORS
from rotation.aws.trail_bucket import Trail
from rotation.aws.unread import account_unread
from rotation.credential import json_object

#: API_LookupEvents: how far back it looks, and how many requests a second it takes from an account
#: in a Region. A few less are sent, so that the clocks need not agree.
KEPT: Final = timedelta(days=90)
LOOKUPS_PER_SECOND: Final = 1.8
_PAGE: Final = 50


class CloudTrailHistory:
    """A `rotation.exposure.ports.CallHistory`.

    Args:
        client: a boto3 CloudTrail client.
        pace: waits for the turn of the next lookup.
        progress: is told how many events were read so far.
    """

    def __init__(
        self, client: Any, pace: Callable[[], None], progress: Callable[[str], object]
    ) -> None:
        self._client = client
        self._pace = pace
        self._progress = progress

    def events(self, name: str, since: datetime, until: datetime) -> Iterator[Mapping[str, Any]]:
        """As `rotation.exposure.ports.CallHistory.events`."""
        more: dict[str, str] = {}
        seen = 0
        while True:
            self._pace()
            try:
                with reading_answer():
                    page = self._client.lookup_events(
                        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": name}],
                        StartTime=since,
                        EndTime=until,
                        MaxResults=_PAGE,
                        **more,
                    )
                    records = [_record(one["CloudTrailEvent"]) for one in page["Events"]]
            except AWS_CALL_ERRORS as error:
                raise account_unread("cloudtrail:LookupEvents", error) from error
            yield from records
            seen += len(records)
            self._progress(f"{seen} events {name}")
            if "NextToken" not in page:
                return
            more = {"NextToken": page["NextToken"]}

    def trails(self) -> list[Trail]:
        """Each trail that this Region has, those of other Regions and of the organization too.

        Raises:
            AccountReadError: CloudTrail did not tell.
        """
        try:
            with reading_answer():
                found = self._client.describe_trails()["trailList"]
                return [
                    Trail(
                        one["Name"],
                        one["TrailARN"],
                        one["S3BucketName"],
                        one.get("S3KeyPrefix", ""),
                        one["IsOrganizationTrail"],
                    )
                    for one in found
                ]
        except AWS_CALL_ERRORS as error:
            raise account_unread("cloudtrail:DescribeTrails", error) from error

    def selectors(self, trail: Trail) -> Mapping[str, Any]:
        """Which calls a trail keeps, as GetEventSelectors answers.

        Raises:
            AccountReadError: CloudTrail did not tell.
        """
        try:
            with reading_answer():
                found: Mapping[str, Any] = self._client.get_event_selectors(TrailName=trail.arn)
                return found
        except AWS_CALL_ERRORS as error:
            raise account_unread("cloudtrail:GetEventSelectors", error) from error


def _record(text: str) -> Mapping[str, Any]:
    record = json_object(text)
    if record is None:
        raise ValueError("CloudTrailEvent")
    return record
