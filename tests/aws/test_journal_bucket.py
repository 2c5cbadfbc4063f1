"""The journal in S3: what it makes of refusals, lost answers, deletions and cut answers.

`tests.journal.test_store` holds the store to its contract.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from botocore.exceptions import ClientError, IncompleteReadError
from botocore.response import StreamingBody
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from rotation.aws.journal_bucket import S3JournalStore, object_name
from rotation.errors import JournalConflictError, JournalError
from rotation.sandbox.aws.cloud import Cloud, isolated_session
from rotation.sandbox.aws.traffic import AwsError, Dropped

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "evidence"
ARN = "arn:aws:secretsmanager:us-east-1:012345678912:secret:pay/ments-AbCdEf"
NAME = "journal/arn:aws:secretsmanager:us-east-1:012345678912:secret:pay%2Fments-AbCdEf.json"
GET, PUT = f"GET /{BUCKET}/{NAME}", f"PUT /{BUCKET}/{NAME}"


@dataclass
class JournalBucket:
    """An evidence bucket in the sandbox, and the store over it."""

    cloud: Cloud
    s3: S3Client = field(init=False)
    store: S3JournalStore = field(init=False)

    def __post_init__(self) -> None:
        self.s3 = self.cloud.client("s3")
        self.s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
        self.store = S3JournalStore(self.s3, BUCKET)

    def states(self) -> list[bytes]:
        """Every body that the object ever had, newest first."""
        listed = self.s3.list_object_versions(Bucket=BUCKET, Prefix=NAME).get("Versions", [])
        return [
            self.s3.get_object(Bucket=BUCKET, Key=NAME, VersionId=one["VersionId"])["Body"].read()
            for one in listed
        ]

    def calls(self, operation: str) -> int:
        return [call.operation for call in self.cloud.calls].count(operation)


@pytest.fixture
def bucket(shared_cloud: Cloud) -> JournalBucket:
    """A bucket of the test's own."""
    shared_cloud.reset()
    return JournalBucket(shared_cloud)


def test_the_object_bears_the_arn(bucket: JournalBucket) -> None:
    """It is JSON under journal/, and one GET reads it."""
    bucket.store.write(ARN, b"{}", None)
    [listed] = bucket.s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert listed["Key"] == NAME
    assert bucket.s3.head_object(Bucket=BUCKET, Key=NAME)["ContentType"] == "application/json"
    bucket.store.read(ARN)
    assert (bucket.calls(GET), bucket.calls(PUT)) == (1, 1)


names = st.text("abZ09/_+=.@-~%: ä", max_size=40)


@given(names, names)
def test_no_object_name_is_a_folder_of_another(one: str, other: str) -> None:
    """Different ARNs have different names, all of them directly in the folder journal/."""
    if one != other:
        assert object_name(one) != object_name(other)
    folder, slash, rest = object_name(one).partition("/")
    assert (folder, slash) == ("journal", "/")
    assert "/" not in rest
    assert unquote(rest.removesuffix(".json")) == one


def test_an_object_name_fits_s3() -> None:
    """1,024 bytes at most, for the longest ARN too; and two long ones differ."""
    long = [ARN + "/" * 512 + end for end in ("a", "b")]
    assert len({object_name(arn) for arn in long}) == 2
    assert all(len(object_name(arn).encode()) <= 1024 for arn in long)


def test_a_lost_answer_to_a_write_is_no_conflict(bucket: JournalBucket) -> None:
    """The PUT is repeated by botocore, S3 answers 412, and the store finds its own state there."""
    bucket.cloud.faults.after(PUT, Dropped())
    first = bucket.store.write(ARN, b"1", None)
    bucket.cloud.faults.after(PUT, Dropped())
    second = bucket.store.write(ARN, b"2", first)
    assert bucket.store.read(ARN) == (b"2", second)
    assert bucket.states() == [b"2", b"1"]
    assert bucket.calls(PUT) == 4


def test_an_equal_state_of_somebody_else_is_a_conflict(bucket: JournalBucket) -> None:
    """Two functions decide the same at the same time: one of them did it."""
    first = bucket.store.write(ARN, b"1", None)
    bucket.store.write(ARN, b"2", first)
    bucket.cloud.faults.before(PUT, Dropped())
    with pytest.raises(JournalConflictError):
        bucket.store.write(ARN, b"2", first)


def test_a_write_under_way_elsewhere_is_a_conflict(bucket: JournalBucket) -> None:
    """S3 answers 409 then (API_PutObject)."""
    first = bucket.store.write(ARN, b"1", None)
    with (
        bucket.cloud.object_writes.under_way(BUCKET, NAME),
        pytest.raises(JournalConflictError),
    ):
        bucket.store.write(ARN, b"2", first)
    assert bucket.store.write(ARN, b"2", first)


def test_a_refusal_after_a_write_that_took_effect_is_a_success(bucket: JournalBucket) -> None:
    """409 to the repeated PUT, because the first one was still being stored."""
    bucket.cloud.faults.after(
        PUT, AwsError("ConditionalRequestConflict", "another one is under way", 409)
    )
    revision = bucket.store.write(ARN, b"1", None)
    assert bucket.store.read(ARN) == (b"1", revision)


def test_a_deleted_journal_is_an_error(bucket: JournalBucket) -> None:
    """Reading and writing say so, and nothing begins anew; without the marker all is well."""
    revision = bucket.store.write(ARN, b"1", None)
    marker = bucket.s3.delete_object(Bucket=BUCKET, Key=NAME)["VersionId"]
    with pytest.raises(JournalError, match="Remove its delete marker") as told:
        bucket.store.read(ARN)
    assert not told.value.retryable
    with pytest.raises(JournalError, match="Was it deleted") as told:
        bucket.store.write(ARN, b"2", revision)
    assert not told.value.retryable
    bucket.s3.delete_object(Bucket=BUCKET, Key=NAME, VersionId=marker)
    assert bucket.store.read(ARN) == (b"1", revision)


def read(store: S3JournalStore) -> object:
    return store.read(ARN)


def write(store: S3JournalStore) -> object:
    return store.write(ARN, b"1", None)


@pytest.mark.parametrize("act", [read, write])
@pytest.mark.parametrize(
    ("code", "status", "retryable"),
    [
        ("AccessDenied", 403, False),
        ("NoSuchBucket", 404, False),
        ("InvalidAccessKeyId", 403, False),
        ("SlowDown", 503, True),
        ("InternalError", 500, True),
    ],
)
def test_a_refusal_is_never_an_empty_journal(
    bucket: JournalBucket,
    act: Callable[[S3JournalStore], object],
    code: str,
    status: int,
    retryable: bool,
) -> None:
    """Also 403, which is S3's answer for an absent object to who may not list the bucket."""
    for operation in (GET, PUT):
        bucket.cloud.faults.before(operation, AwsError(code, status=status), times=10)
    with pytest.raises(JournalError, match=code) as told:
        act(bucket.store)
    assert not isinstance(told.value, JournalConflictError)
    assert told.value.retryable is retryable


def test_no_answer_at_all_passes(bucket: JournalBucket) -> None:
    """The body may have been stored or not; who asks again learns it."""
    bucket.cloud.faults.before(PUT, Dropped(), times=10)
    with pytest.raises(JournalError) as told:
        bucket.store.write(ARN, b"1", None)
    assert told.value.retryable
    assert not isinstance(told.value, JournalConflictError)


@pytest.fixture
def stubbed() -> tuple[S3JournalStore, Stubber]:
    """A store whose client answers what the test says."""
    client = isolated_session().client(
        "s3", aws_access_key_id="stub", aws_secret_access_key="stub", region_name="us-east-1"
    )
    stubber = Stubber(client)
    stubber.activate()
    return S3JournalStore(client, BUCKET), stubber


def body(content: bytes, length: int | None = None) -> StreamingBody:
    return StreamingBody(BytesIO(content), len(content) if length is None else length)


@pytest.mark.parametrize(
    "answer", [{}, {"ETag": '"1"'}, {"Body": body(b"{}")}], ids=["nothing", "no body", "no ETag"]
)
def test_a_cut_answer_to_a_read_is_an_error(
    stubbed: tuple[S3JournalStore, Stubber], answer: dict[str, Any]
) -> None:
    """200 without what it must have: neither a document nor none."""
    store, stubber = stubbed
    stubber.add_response("get_object", answer)
    with pytest.raises(JournalError, match="S3 answered") as told:
        store.read(ARN)
    assert told.value.retryable


def test_a_body_that_breaks_off_is_an_error(stubbed: tuple[S3JournalStore, Stubber]) -> None:
    """Half a document is none."""
    store, stubber = stubbed
    stubber.add_response("get_object", {"ETag": '"1"', "Body": body(b"{", 2)})
    with pytest.raises(JournalError) as told:
        store.read(ARN)
    assert isinstance(told.value.__cause__, IncompleteReadError)
    assert told.value.retryable


def test_a_cut_answer_to_a_write_is_an_error(stubbed: tuple[S3JournalStore, Stubber]) -> None:
    """Without its ETag nobody knows which state was stored."""
    store, stubber = stubbed
    stubber.add_response("put_object", {})
    with pytest.raises(JournalError, match="without ETag") as told:
        store.write(ARN, b"1", None)
    assert told.value.retryable


def test_a_conflict_that_cannot_be_looked_into_is_an_error(bucket: JournalBucket) -> None:
    """The write may have been our own, so nobody calls it a conflict."""
    bucket.store.write(ARN, b"1", None)
    bucket.cloud.faults.before(GET, AwsError("AccessDenied", status=403))
    with pytest.raises(JournalError, match="AccessDenied") as told:
        bucket.store.write(ARN, b"2", None)
    assert not isinstance(told.value, JournalConflictError)
    assert isinstance(told.value.__cause__, ClientError)
