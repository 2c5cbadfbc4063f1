"""One suite for every store of the journal: what the journal may rely on, whichever it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, cast

import pytest
from botocore.exceptions import ClientError

from rotation.aws.journal_bucket import S3JournalStore, object_name
from rotation.errors import JournalConflictError, JournalError
from rotation.journal.store import JournalStore
from rotation.sandbox.aws.cloud import Cloud
from tests.harness.faults.boundary import Boundary
from tests.harness.faults.direct import DirectBucket
from tests.journal.memory_store import MemoryJournalStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "evidence-of-one-test"
ARN = "arn:aws:secretsmanager:us-east-1:012345678912:secret:payments-AbCdEf"
BELOW = "arn:aws:secretsmanager:us-east-1:012345678912:secret:payments-AbCdEf/gateway-AbCdEf"


@pytest.fixture(
    params=[
        "memory",
        "direct",
        pytest.param("sandbox", marks=pytest.mark.slow),
        pytest.param("seaweedfs", marks=pytest.mark.slow),
    ]
)
def store(request: pytest.FixtureRequest) -> JournalStore:
    """Each of them in turn, empty."""
    if request.param == "memory":
        return MemoryJournalStore()
    if request.param == "direct":
        return S3JournalStore(cast("S3Client", DirectBucket(Boundary())), BUCKET)
    client: S3Client
    if request.param == "seaweedfs":
        client = request.getfixturevalue("seaweedfs")
    else:
        cloud: Cloud = request.getfixturevalue("shared_cloud")
        cloud.reset()
        client = cloud.client("s3")
    return S3JournalStore(client, emptied(client))


def emptied(client: S3Client) -> str:
    """A bucket with versions and without objects. It has no lock: the next test empties it too."""
    if BUCKET not in [one["Name"] for one in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    listed = client.list_object_versions(Bucket=BUCKET)
    for one in (*listed.get("Versions", ()), *listed.get("DeleteMarkers", ())):
        client.delete_object(Bucket=BUCKET, Key=one["Key"], VersionId=one["VersionId"])
    return BUCKET


def test_a_document_that_was_never_written_is_none(store: JournalStore) -> None:
    """Also where the document of another secret has a name that begins the same."""
    assert store.read(ARN) is None
    store.write(BELOW, b"{}", None)
    assert store.read(ARN) is None


def test_a_document_reads_as_it_was_written(store: JournalStore) -> None:
    """With the revision that the write returned, byte for byte; and again after a change."""
    first = store.write(ARN, b'{"a": "\xc3\xa4"}', None)
    assert store.read(ARN) == (b'{"a": "\xc3\xa4"}', first)
    second = store.write(ARN, b'{"a": 2}\n', first)
    assert second != first
    assert store.read(ARN) == (b'{"a": 2}\n', second)


def test_each_secret_has_a_document_of_its_own(store: JournalStore) -> None:
    """Also where the name of one secret begins with the whole name of another."""
    names = [ARN, BELOW, ARN.replace(":payments", ":p/a"), ARN.replace(":payments", ":p%2Fa")]
    revisions = [store.write(name, name.encode(), None) for name in names]
    assert [store.read(name) for name in names] == [
        (name.encode(), revision) for name, revision in zip(names, revisions, strict=True)
    ]


def test_a_document_is_created_once(store: JournalStore) -> None:
    """Who comes second is told so, with an equal document too, and the first one stays."""
    first = store.write(ARN, b"1", None)
    for body in (b"2", b"1"):
        with pytest.raises(JournalConflictError) as told:
            store.write(ARN, body, None)
        assert told.value.retryable
    assert store.read(ARN) == (b"1", first)


def test_a_document_is_changed_only_from_the_revision_that_was_read(store: JournalStore) -> None:
    """Who read an older one is told so, with an equal document too, and the newer one stays."""
    first = store.write(ARN, b"1", None)
    second = store.write(ARN, b"2", first)
    for body in (b"3", b"2"):
        with pytest.raises(JournalConflictError):
            store.write(ARN, body, first)
    assert store.read(ARN) == (b"2", second)


def test_a_document_that_is_not_there_is_not_changed(store: JournalStore) -> None:
    """It was deleted, or never written: that is no conflict, and nobody repeats it in vain."""
    revision = store.write(BELOW, b"1", None)
    with pytest.raises(JournalError) as told:
        store.write(ARN, b"2", revision)
    assert not isinstance(told.value, JournalConflictError)
    assert not told.value.retryable
    assert store.read(ARN) is None


def test_no_change_is_lost_among_threads(store: JournalStore) -> None:
    """Several writers add one at the same time, and the sum is right."""
    writers, times = 4, 5
    begin = Barrier(writers)

    def add() -> None:
        begin.wait()
        done = 0
        while done < times:
            found = store.read(ARN)
            count, revision = (int(found[0]), found[1]) if found else (0, None)
            try:
                store.write(ARN, str(count + 1).encode(), revision)
            except JournalConflictError:
                continue
            done += 1

    with ThreadPoolExecutor(writers) as pool:
        for writer in [pool.submit(add) for _ in range(writers)]:
            writer.result()
    found = store.read(ARN)
    assert found is not None
    assert int(found[0]) == writers * times


@pytest.mark.slow
def test_seaweedfs_departs_from_aws_where_an_object_was_deleted(seaweedfs: S3Client) -> None:
    """Two answers are not AWS's, and nothing here is bent to them; docs/sandbox.md lists both.

    If-Match without an object is 412 there, not 404: the store looks, and finds that there is none.
    A 404 does not name the delete marker, so a deleted journal would pass for one never written.
    """
    bucket = emptied(seaweedfs)
    store = S3JournalStore(seaweedfs, bucket)
    revision = store.write(ARN, b"1", None)
    seaweedfs.delete_object(Bucket=bucket, Key=object_name(ARN))
    with pytest.raises(ClientError) as told:
        seaweedfs.get_object(Bucket=bucket, Key=object_name(ARN))
    answer = told.value.response["ResponseMetadata"]
    assert answer["HTTPStatusCode"] == 404
    assert "x-amz-delete-marker" not in answer["HTTPHeaders"]
    assert store.read(ARN) is None
    with pytest.raises(ClientError) as told:
        seaweedfs.put_object(Bucket=bucket, Key=object_name(ARN), Body=b"2", IfMatch=revision)
    assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    with pytest.raises(JournalError, match="Was it deleted"):
        store.write(ARN, b"2", revision)
