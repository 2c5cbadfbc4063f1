"""S3's rules for conditional writes, delete markers and Object Lock, and who obeys them here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from rotation.sandbox.aws.cloud import Cloud
from tests.sandbox.aws.rotating import Clock

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET, KEY = "evidence", "journal/arn:aws:a%2Fb.json"
DAYS = 30
pytestmark = pytest.mark.slow


@pytest.fixture
def s3(cloud: Cloud) -> S3Client:
    """A client of a Cloud with one bucket, locked as the template's evidence bucket is."""
    client = cloud.client("s3")
    client.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    lock_by_default(client, "GOVERNANCE")
    return client


def lock_by_default(s3: S3Client, mode: Any) -> None:
    s3.put_object_lock_configuration(
        Bucket=BUCKET,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": mode, "Days": DAYS}},
        },
    )


def put(s3: S3Client, body: bytes, **condition: Any) -> Any:
    return s3.put_object(Bucket=BUCKET, Key=KEY, Body=body, ChecksumAlgorithm="SHA256", **condition)


def stored(s3: S3Client) -> bytes:
    return s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read()


@contextmanager
def refused(status: int, code: str) -> Iterator[None]:
    with pytest.raises(ClientError) as told:
        yield
    assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert told.value.response["Error"]["Code"] == code


def test_if_none_match_writes_only_a_new_object(s3: S3Client) -> None:
    """UserGuide conditional-writes: 412 if there is one."""
    put(s3, b"1", IfNoneMatch="*")
    with refused(412, "PreconditionFailed"):
        put(s3, b"2", IfNoneMatch="*")
    assert stored(s3) == b"1"


def test_if_none_match_writes_over_a_delete_marker(s3: S3Client) -> None:
    """UserGuide conditional-writes: it succeeds if the current version is a delete marker."""
    put(s3, b"1", IfNoneMatch="*")
    s3.delete_object(Bucket=BUCKET, Key=KEY)
    put(s3, b"2", IfNoneMatch="*")
    assert stored(s3) == b"2"


def test_if_match_writes_only_over_what_was_read(s3: S3Client) -> None:
    """UserGuide conditional-writes: 412 if the ETag is another."""
    first = put(s3, b"1")["ETag"]
    put(s3, b"2", IfMatch=first)
    with refused(412, "PreconditionFailed"):
        put(s3, b"3", IfMatch=first)
    assert stored(s3) == b"2"


def test_if_match_writes_no_new_object(s3: S3Client) -> None:
    """UserGuide conditional-writes: 404 if there is none, or a delete marker."""
    with refused(404, "NoSuchKey"):
        put(s3, b"1", IfMatch='"0123456789abcdef0123456789abcdef"')
    first = put(s3, b"1")["ETag"]
    s3.delete_object(Bucket=BUCKET, Key=KEY)
    with refused(404, "NoSuchKey"):
        put(s3, b"2", IfMatch=first)


def test_a_conditional_write_is_refused_while_another_is_under_way(
    cloud: Cloud, s3: S3Client
) -> None:
    """API_PutObject: 409 for a conflicting operation during the upload. Others do not mind."""
    first = put(s3, b"1")["ETag"]
    with cloud.object_writes.under_way(BUCKET, KEY):
        with refused(409, "ConditionalRequestConflict"):
            put(s3, b"2", IfMatch=first)
        with refused(409, "ConditionalRequestConflict"):
            put(s3, b"2", IfNoneMatch="*")
        assert stored(s3) == b"1"
        put(s3, b"3")
    with refused(412, "PreconditionFailed"):
        put(s3, b"4", IfMatch=first)


@pytest.mark.parametrize("first_of_all", [True, False], ids=["If-None-Match", "If-Match"])
def test_of_many_conditional_writes_at_once_one_succeeds(s3: S3Client, first_of_all: bool) -> None:
    """UserGuide conditional-writes: the others are told 412, or 409 if they came meanwhile."""
    writers = 8
    for _ in range(5):
        s3.delete_object(Bucket=BUCKET, Key=KEY)
        condition: dict[str, Any] = (
            {"IfNoneMatch": "*"} if first_of_all else {"IfMatch": put(s3, b"first")["ETag"]}
        )
        begin = Barrier(writers)

        def write(number: int) -> int:
            begin.wait()  # noqa: B023 - every thread ends before the next round
            try:
                answer = put(s3, str(number).encode(), **condition)  # noqa: B023
            except ClientError as error:
                return error.response["ResponseMetadata"]["HTTPStatusCode"]
            return int(answer["ResponseMetadata"]["HTTPStatusCode"])

        with ThreadPoolExecutor(writers) as pool:
            told = list(pool.map(write, range(writers)))
        assert told.count(200) == 1
        assert set(told) <= {200, 409, 412}
        assert stored(s3) == str(told.index(200)).encode()


def test_a_delete_marker_is_named_in_the_refusal(s3: S3Client) -> None:
    """API_GetObject, x-amz-delete-marker: so a deleted object is not taken for one never made."""
    with refused(404, "NoSuchKey"):
        stored(s3)
    put(s3, b"1")
    marker = s3.delete_object(Bucket=BUCKET, Key=KEY)
    assert marker["DeleteMarker"] is True
    with pytest.raises(ClientError) as told:
        stored(s3)
    headers = told.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-delete-marker"] == "true"
    assert headers["x-amz-version-id"] == marker["VersionId"]
    with refused(405, "MethodNotAllowed"):
        s3.get_object(Bucket=BUCKET, Key=KEY, VersionId=marker["VersionId"])


def test_an_object_that_never_was_has_no_marker_until_it_is_deleted(s3: S3Client) -> None:
    """UserGuide DeleteMarker: a simple DELETE makes a marker whether there is an object or not."""
    with pytest.raises(ClientError) as told:
        stored(s3)
    assert "x-amz-delete-marker" not in told.value.response["ResponseMetadata"]["HTTPHeaders"]
    s3.delete_object(Bucket=BUCKET, Key=KEY)
    with pytest.raises(ClientError) as told:
        stored(s3)
    assert told.value.response["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"] == "true"


def test_a_deleted_object_is_there_again_without_its_marker(s3: S3Client) -> None:
    """UserGuide RemDelMarker: a simple DELETE hides the object and removes nothing."""
    put(s3, b"1")
    marker = s3.delete_object(Bucket=BUCKET, Key=KEY)["VersionId"]
    s3.delete_object(Bucket=BUCKET, Key=KEY, VersionId=marker)
    assert stored(s3) == b"1"


@pytest.mark.parametrize(("mode", "bypassed"), [("GOVERNANCE", True), ("COMPLIANCE", False)])
def test_a_locked_version_is_not_deleted_before_its_time(
    s3: S3Client, clock: Clock, mode: str, bypassed: bool
) -> None:
    """UserGuide object-lock: in GOVERNANCE mode by nobody without the bypass, else by nobody."""
    lock_by_default(s3, mode)
    for number in (b"1", b"2"):
        put(s3, number)
    versions = [one["VersionId"] for one in s3.list_object_versions(Bucket=BUCKET)["Versions"]]
    assert len(versions) == 2
    for version in versions:
        with refused(403, "AccessDenied"):
            s3.delete_object(Bucket=BUCKET, Key=KEY, VersionId=version)
        with refused(403, "AccessDenied"):
            s3.delete_object(
                Bucket=BUCKET, Key=KEY, VersionId=version, BypassGovernanceRetention=False
            )
    told = s3.delete_objects(
        Bucket=BUCKET, Delete={"Objects": [{"Key": KEY, "VersionId": one} for one in versions]}
    )
    assert [one["Code"] for one in told["Errors"]] == ["AccessDenied", "AccessDenied"]
    if bypassed:
        s3.delete_object(
            Bucket=BUCKET, Key=KEY, VersionId=versions[0], BypassGovernanceRetention=True
        )
    else:
        with refused(403, "AccessDenied"):
            s3.delete_object(
                Bucket=BUCKET, Key=KEY, VersionId=versions[0], BypassGovernanceRetention=True
            )
    clock.now += timedelta(days=DAYS, seconds=1)
    s3.delete_object(Bucket=BUCKET, Key=KEY, VersionId=versions[1])


def test_a_new_version_is_no_way_round_the_lock(s3: S3Client) -> None:
    """UserGuide object-lock: a PUT over a locked version adds one, and the locked one stays."""
    first = put(s3, b"1")["VersionId"]
    put(s3, b"2")
    assert s3.get_object(Bucket=BUCKET, Key=KEY, VersionId=first)["Body"].read() == b"1"


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_a_retention_grows_and_does_not_shrink(s3: S3Client, clock: Clock, mode: Any) -> None:
    """UserGuide object-lock-managing: shorter only with the bypass, and then in GOVERNANCE mode."""
    lock_by_default(s3, mode)
    version = put(s3, b"1")["VersionId"]

    def retain(days: int, **more: Any) -> None:
        until = clock.now + timedelta(days=days)
        s3.put_object_retention(
            Bucket=BUCKET,
            Key=KEY,
            VersionId=version,
            Retention={"Mode": mode, "RetainUntilDate": until},
            **more,
        )

    with refused(403, "AccessDenied"):
        retain(1)
    retain(DAYS + 1)
    if mode == "GOVERNANCE":
        retain(1, BypassGovernanceRetention=True)
    else:
        with refused(403, "AccessDenied"):
            retain(1, BypassGovernanceRetention=True)


def test_versioning_stays_on_where_objects_are_locked(s3: S3Client) -> None:
    """UserGuide object-lock: it cannot be suspended in a bucket with Object Lock."""
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    with refused(409, "InvalidBucketState"):
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})


def test_a_locked_bucket_wants_a_checksum(s3: S3Client) -> None:
    """API_PutObject: Content-MD5 or a checksum is required for a retention by Object Lock."""
    remove: Callable[..., Any] = lambda request, **_: [  # noqa: E731
        request.headers.__delitem__(name)
        for name in list(request.headers)
        if name.lower().startswith("x-amz-sdk-checksum")
    ]
    s3.meta.events.register("before-sign.s3.PutObject", remove)
    with pytest.raises(ClientError, match="Content-MD5"):
        s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"1")
