"""Trails and event data stores of the sandbox."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from rotation.sandbox.aws.cloud import Cloud

pytestmark = pytest.mark.slow


def cloudtrail(cloud: Cloud) -> Any:
    make: Any = cloud.client
    return make("cloudtrail")


def test_a_trail_begins_with_all_management_events(cloud: Cloud) -> None:
    """API_PutEventSelectors: a trail without selectors keeps all that reads and writes."""
    cloud.client("s3").create_bucket(Bucket="logs")
    trails = cloudtrail(cloud)
    trails.create_trail(Name="all", S3BucketName="logs")
    [selector] = trails.get_event_selectors(TrailName="all")["EventSelectors"]
    assert (selector["ReadWriteType"], selector["IncludeManagementEvents"]) == ("All", True)
    only = [{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": True, "DataResources": []}]
    trails.put_event_selectors(TrailName="all", EventSelectors=only)
    [selector] = trails.get_event_selectors(TrailName="all")["EventSelectors"]
    assert selector["ReadWriteType"] == "WriteOnly"


def test_a_log_file_has_each_event_once(cloud: Cloud) -> None:
    """UserGuide cloudtrail-log-file-examples; and a trail that was stopped writes none."""
    s3, trails = cloud.client("s3"), cloudtrail(cloud)
    s3.create_bucket(Bucket="logs")
    trails.create_trail(Name="all", S3BucketName="logs")
    cloud.client("secretsmanager").list_secrets()
    cloud.deliver_log_files()
    assert "Contents" not in s3.list_objects_v2(Bucket="logs")
    trails.start_logging(Name="all")
    cloud.deliver_log_files()
    first = [one["Key"] for one in s3.list_objects_v2(Bucket="logs")["Contents"]]
    place = "AWSLogs/012345678912/CloudTrail/us-east-1/"
    assert all(key.startswith(place) and key.endswith(".json.gz") for key in first)
    trails.stop_logging(Name="all")
    cloud.deliver_log_files()
    assert [one["Key"] for one in s3.list_objects_v2(Bucket="logs")["Contents"]] == first


def test_a_query_has_one_form(cloud: Cloud) -> None:
    """API_StartQuery: another statement, or another store, is refused."""
    trails = cloudtrail(cloud)
    arn = trails.create_event_data_store(Name="lake")["EventDataStoreArn"]
    with pytest.raises(ClientError, match="InvalidQueryStatementException"):
        trails.start_query(QueryStatement=f"SELECT * FROM {arn.rpartition('/')[2]}")
    statement = (
        "SELECT eventJson FROM 00000000 WHERE eventName = 'GetSecretValue' "
        "AND recipientAccountId = '012345678912' AND awsRegion = 'us-east-1' "
        "AND eventTime >= '2026-01-01 00:00:00' AND eventTime < '2026-01-02 00:00:00'"
    )
    with pytest.raises(ClientError, match="EventDataStoreNotFoundException"):
        trails.start_query(QueryStatement=statement)
    with pytest.raises(ClientError, match="QueryIdNotFoundException"):
        trails.get_query_results(QueryId="0" * 36)
