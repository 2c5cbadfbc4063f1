"""Where calls are that the event history has no more: a trail's bucket, and CloudTrail Lake."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

import rotation.aws.trail_bucket
from rotation.aws.event_data_store import EventDataStore, event_data_stores
from rotation.aws.event_history import CloudTrailHistory
from rotation.aws.trail_bucket import TrailBucket
from rotation.errors import AccountReadError
from rotation.exposure.older_calls import OlderCalls, keeps_reads
from rotation.sandbox.aws import ACCOUNT, REGION
from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.traffic import AwsError

pytestmark = pytest.mark.slow

LONG_AGO: Final = datetime(2026, 1, 30, 23, 58, 30, tzinfo=UTC)
BUCKET: Final = "trail-logs"
PREFIX: Final = "corp"


class MovableClock:
    """The time of the Cloud, which a test sets."""

    now = LONG_AGO

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def cloud(clock: MovableClock) -> Iterator[Cloud]:
    """A Cloud with one trail and one event data store, in which a secret was read four times."""
    with Cloud(clock=clock) as running:
        make: Any = running.client
        make("s3").create_bucket(Bucket=BUCKET)
        make("cloudtrail").create_trail(
            Name="all", S3BucketName=BUCKET, S3KeyPrefix=PREFIX, IsMultiRegionTrail=True
        )
        make("cloudtrail").start_logging(Name="all")
        make("cloudtrail").create_event_data_store(Name="lake")
        secrets = running.client("secretsmanager")
        secrets.create_secret(Name="s", SecretString="the value")
        for passed in (0, 2, 60 * 24, 60 * 24 * 3):
            clock.now = LONG_AGO + timedelta(minutes=passed)
            secrets.get_secret_value(SecretId="s")
        running.deliver_log_files()
        yield running


def client(cloud: Cloud, service: str) -> Any:
    make: Any = cloud.client
    return make(service)


def trail_bucket(cloud: Cloud) -> TrailBucket:
    history = CloudTrailHistory(client(cloud, "cloudtrail"), lambda: None, lambda _: None)
    [trail] = history.trails()
    assert keeps_reads(history.selectors(trail))
    return TrailBucket(client(cloud, "s3"), trail, ACCOUNT, REGION, lambda _: None)


def event_data_store(cloud: Cloud) -> EventDataStore:
    [store] = event_data_stores(client(cloud, "cloudtrail"))
    assert keeps_reads(store.selectors)
    trail = client(cloud, "cloudtrail")
    return EventDataStore(trail, store, ACCOUNT, REGION, lambda _: None, sleep=lambda _: None)


SOURCES: Final = pytest.mark.parametrize("open_source", [trail_bucket, event_data_store])
WHOLE: Final = (LONG_AGO - timedelta(days=1), LONG_AGO + timedelta(days=9))


def times(source: OlderCalls, since: datetime, until: datetime) -> list[timedelta]:
    """How long after the first each reading was."""
    found = source.events("GetSecretValue", since, until)
    return sorted(datetime.fromisoformat(one["eventTime"]) - LONG_AGO for one in found)


@SOURCES
def test_every_call_of_a_time_is_told_once(
    cloud: Cloud, open_source: Callable[[Cloud], OlderCalls]
) -> None:
    """From the beginning on, the end not included; also what was delivered on the next day."""
    source = open_source(cloud)
    minutes = [timedelta(minutes=one) for one in (0, 2, 60 * 24, 60 * 24 * 3)]
    assert times(source, *WHOLE) == minutes
    assert times(source, LONG_AGO, LONG_AGO + timedelta(days=1)) == minutes[:2]
    assert times(source, LONG_AGO + timedelta(seconds=1), WHOLE[1]) == minutes[1:]
    assert times(source, WHOLE[1], WHOLE[1] + timedelta(days=9)) == []


@SOURCES
def test_a_record_has_what_a_reading_is_told_by(
    cloud: Cloud, open_source: Callable[[Cloud], OlderCalls]
) -> None:
    """Who, which secret, and from where; and never the value."""
    first = next(iter(open_source(cloud).events("GetSecretValue", *WHOLE)))
    assert first["requestParameters"]["secretId"] == "s"
    assert {"userIdentity", "sourceIPAddress", "eventID"} <= first.keys()
    assert "the value" not in json.dumps(first)


@pytest.mark.parametrize(
    ("open_source", "operation"),
    [
        (trail_bucket, f"GET /{BUCKET}"),
        (event_data_store, "StartQuery"),
        (event_data_store, "GetQueryResults"),
    ],
)
def test_a_refusal_names_the_right_that_is_missing(
    cloud: Cloud, open_source: Callable[[Cloud], OlderCalls], operation: str
) -> None:
    """And an outage asks for patience instead."""
    source = open_source(cloud)
    cloud.faults.before(operation, AwsError("AccessDenied", "no", 403))
    with pytest.raises(AccountReadError, match="Allow it to this caller's role") as denied:
        list(source.events("GetSecretValue", *WHOLE))
    assert not denied.value.retryable
    cloud.faults.before(operation, AwsError("ThrottlingException", "slow down", 400), times=20)
    with pytest.raises(AccountReadError, match="Try again later") as throttled:
        list(source.events("GetSecretValue", *WHOLE))
    assert throttled.value.retryable


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"no gzip", "not compressed by gzip"),
        (gzip.compress(b'{"Records": [{"eventName": "GetSecretValue"')[:-9], "or damaged"),
        (gzip.compress(b'{"GetSecretValue": 1}'), "not a log file of CloudTrail"),
        (gzip.compress(b'{"Records": [{"eventName": "GetSecretValue"}]}'), "not a log file"),
        (gzip.compress(b'["GetSecretValue"' + b"[" * 100_000), "not a log file"),
        (gzip.compress(b"\xff GetSecretValue"), "not a log file"),
    ],
    ids=["no gzip", "cut", "other JSON", "without a time", "nested too deep", "no UTF-8"],
)
def test_a_file_that_cloudtrail_did_not_write_hides_no_other(
    cloud: Cloud, content: bytes, problem: str
) -> None:
    """It is named, and the calls of the others are told."""
    source = trail_bucket(cloud)
    key = f"{PREFIX}/AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/01/30/a.json.gz"
    cloud.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)
    assert len(times(source, *WHOLE)) == 4
    [told] = [one for one in source.missing() if key in one]
    assert problem in told


def test_a_file_that_unpacks_to_too_much_is_not_unpacked(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit holds for all members of the file together."""
    monkeypatch.setattr(rotation.aws.trail_bucket, "LARGEST", 10_000)
    source = trail_bucket(cloud)
    key = f"{PREFIX}/AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/01/30/a.json.gz"
    bomb = gzip.compress(b"GetSecretValue" + b" " * 6_000) * 2
    cloud.client("s3").put_object(Bucket=BUCKET, Key=key, Body=bomb)
    assert len(times(source, *WHOLE)) == 4
    assert any("holds more than 10000 bytes" in one for one in source.missing())


def test_days_without_a_file_are_named(cloud: Cloud) -> None:
    """Nothing proves that nobody called then."""
    source = trail_bucket(cloud)
    list(source.events("GetSecretValue", LONG_AGO, LONG_AGO + timedelta(days=6)))
    assert source.missing() == ["It has no log file for 3 days, the first is 2026-02-01."]


def test_the_files_of_an_organization_s_trail_are_found(cloud: Cloud) -> None:
    """The organization's id stands in their path, and nobody has to be asked for it."""
    s3 = cloud.client("s3")
    start = f"{PREFIX}/AWSLogs/"
    for one in s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        whole = s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read()
        key = one["Key"].replace(start, f"{start}o-exampleorgid/")
        s3.put_object(Bucket=BUCKET, Key=key, Body=whole)
        s3.delete_object(Bucket=BUCKET, Key=one["Key"])
    history = CloudTrailHistory(client(cloud, "cloudtrail"), lambda: None, lambda _: None)
    [trail] = history.trails()
    found = rotation.aws.trail_bucket.Trail("all", trail.arn, BUCKET, PREFIX, of_organization=True)
    source = TrailBucket(s3, found, ACCOUNT, REGION, lambda _: None)
    assert len(times(source, *WHOLE)) == 4


def test_a_store_says_from_when_it_has_nothing(cloud: Cloud) -> None:
    """What was called before it was made is in it only if somebody copied it."""
    source = event_data_store(cloud)
    list(source.events("GetSecretValue", LONG_AGO - timedelta(days=9), WHOLE[1]))
    assert any("It has nothing from before " in one for one in source.missing())
