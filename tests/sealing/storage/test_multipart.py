"""A large document put together in S3, while every call fails in every way."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotation.errors import (
    DestinationError,
    RotationError,
    SourceChangedError,
    SourceNotFoundError,
    VendorUnavailableError,
)
from rotation.sealing.documents import StoredDocument
from rotation.sealing.request import ObjectLocation
from rotation.sealing.storage.multipart import (
    MOST_PARTS,
    PART,
    SMALLEST_PART,
    MultipartCopy,
    ObjectProperties,
    parts_of,
)
from rotation.sealing.storage.ranges import RangedObject
from rotation.sealing.storage.remote_file import RemoteDocument
from tests.harness.s3_server import S3Server, Trouble

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONTENT = random.Random(4711).randbytes(2 * SMALLEST_PART + 3)
TAIL = b"the incremental update"
SOURCE = ObjectLocation("in", "a b/ä.pdf")
DESTINATION = ObjectLocation("out", "sealed/ä.pdf")
STORING = ObjectProperties({"seal-key-id": "k"})
# In the order of a transfer; the copies run beside the tail's upload.
CALLS = ["CreateMultipartUpload", "UploadPartCopy", "UploadPart", "CompleteMultipartUpload"]


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class MultipartFixture:
    """An S3 with a source, and what a transfer from it leaves."""

    server: S3Server
    source: RangedObject

    def transfer(
        self, attempts: int = 1, storing: ObjectProperties = STORING, patience: float = 60
    ) -> StoredDocument:
        """A whole transfer, in two copies and a tail, by a client that tries so often."""
        client = self.server.client(attempts=attempts, read_timeout=patience)
        source = replace(self.source, s3=client)
        try:
            with MultipartCopy.begin(
                source, DESTINATION, storing, now, part=SMALLEST_PART, sleep=lambda _: None
            ) as transfer:
                return transfer.complete(TAIL)
        finally:
            client.close()

    def sealed(self) -> bytes:
        return self.source.s3.get_object(Bucket="out", Key=DESTINATION.key)["Body"].read()

    def nothing_sealed(self) -> bool:
        return not self.server.store.bucket("out").objects

    def nothing_dangles(self) -> bool:
        return not list(self.server.store.unfinished("out")) and not [
            thread for thread in threading.enumerate() if thread.name.startswith("copy")
        ]


@pytest.fixture
def multipart_fixture(s3_server: S3Server) -> Iterator[MultipartFixture]:
    """`CONTENT` in S3, and an empty bucket for the result."""
    client = s3_server.client()
    client.put_object(Bucket="in", Key=SOURCE.key, Body=CONTENT, Tagging="case=4711")
    yield MultipartFixture(s3_server, RangedObject.find(client, SOURCE))
    client.close()


@given(
    size=st.one_of(
        st.integers(SMALLEST_PART, 6 * PART),
        st.integers(SMALLEST_PART, 48 * 1024**4),
        st.sampled_from([SMALLEST_PART, PART - 1, PART, PART + 1, PART + 5, 9_999 * PART + 1]),
    ),
    part=st.sampled_from([SMALLEST_PART, 16 * 1024**2, PART]),
)
def test_parts_are_a_division_that_s3_accepts(size: int, part: int) -> None:
    """No gap, no overlap, 5 MiB to 5 GiB each, and one of the 10,000 is left for the tail."""
    parts = parts_of(size, part)
    assert parts[0].start == 0
    assert parts[-1].stop == size
    assert all(one.stop == other.start for one, other in pairwise(parts))
    assert {SMALLEST_PART <= len(found) <= 5 * 1024**3 for found in parts} == {True}
    assert len(parts) <= MOST_PARTS - 1


def test_what_is_too_small_to_be_copied_is_refused() -> None:
    """A document of less than 5 MiB has no business here."""
    with pytest.raises(ValueError, match="too few to be copied"):
        parts_of(SMALLEST_PART - 1)


def test_the_document_is_the_source_and_the_tail(multipart_fixture: MultipartFixture) -> None:
    """With type, metadata and S3's checksum over all of it, and nothing left of the upload."""
    stored = multipart_fixture.transfer()
    assert multipart_fixture.sealed() == CONTENT + TAIL
    found = multipart_fixture.source.s3.head_object(
        Bucket="out", Key=DESTINATION.key, ChecksumMode="ENABLED"
    )
    assert found["ContentType"] == "application/pdf"
    assert found["Metadata"] == {"seal-key-id": "k"}
    assert found["ETag"] == f'"{stored.etag}"'
    assert found["ChecksumType"] == "FULL_OBJECT"
    assert multipart_fixture.nothing_dangles()
    assert multipart_fixture.server.requests["UploadPartCopy"] == 2
    assert multipart_fixture.server.bytes_served == len(CONTENT + TAIL), (
        "only this test has read anything"
    )


def test_moto_takes_it_too(s3: S3Client) -> None:
    """The sandbox's S3: reading in ranges, copying and completing, as against ours."""
    for bucket in ("moto-in", "moto-out"):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="moto-in", Key="a.pdf", Body=CONTENT, Tagging="case=4711")
    source = RangedObject.find(s3, ObjectLocation("moto-in", "a.pdf"))
    with RemoteDocument(source) as document:
        assert document.read() == CONTENT
        place = ObjectLocation("moto-out", "a.pdf")
        storing = ObjectProperties({"seal-key-id": "k"}, tags=source.tags())
        with MultipartCopy.begin(source, place, storing, now, part=SMALLEST_PART) as transfer:
            stored = transfer.complete(TAIL)
    found = s3.get_object(Bucket="moto-out", Key="a.pdf")
    assert found["Body"].read() == CONTENT + TAIL
    assert (found["VersionId"], found["ETag"]) == (stored.version_id, f'"{stored.etag}"')
    assert found["Metadata"] == {"seal-key-id": "k"}
    assert found["TagCount"] == 1


def test_the_smallest_source_is_copied_whole(s3_server: S3Server) -> None:
    """5 MiB and not a byte more: one copy, without a range, which S3 would refuse."""
    client = s3_server.client()
    client.put_object(Bucket="in", Key=SOURCE.key, Body=bytes(SMALLEST_PART))
    multipart_fixture = MultipartFixture(s3_server, RangedObject.find(client, SOURCE))
    with MultipartCopy.begin(multipart_fixture.source, DESTINATION, STORING, now) as transfer:
        transfer.complete(TAIL)
    assert multipart_fixture.sealed() == bytes(SMALLEST_PART) + TAIL
    client.close()


def test_versions_are_pinned_and_named(s3_server: S3Server) -> None:
    """The version that was found is copied although a newer one is there; the new one is named."""
    for bucket in ("in", "out"):
        s3_server.store.bucket(bucket).versioned = True
    client = s3_server.client()
    client.put_object(Bucket="in", Key=SOURCE.key, Body=CONTENT)
    multipart_fixture = MultipartFixture(s3_server, RangedObject.find(client, SOURCE))
    client.put_object(Bucket="in", Key=SOURCE.key, Body=b"newer")
    stored = multipart_fixture.transfer()
    assert multipart_fixture.sealed() == CONTENT + TAIL
    assert stored.version_id == s3_server.store.version("out", DESTINATION.key, None).id
    client.close()


def test_encryption_and_tags_are_as_configured(multipart_fixture: MultipartFixture) -> None:
    """A KMS key and the source's tags are given when the upload begins."""
    multipart_fixture.transfer(
        storing=ObjectProperties(
            {}, kms_key_id="alias/documents", tags=multipart_fixture.source.tags()
        )
    )
    about = multipart_fixture.server.store.version("out", DESTINATION.key, None).about
    assert about.tags == {"case": "4711"}
    assert about.encryption == {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "alias/documents",
    }


def test_nothing_appears_before_it_is_completed(multipart_fixture: MultipartFixture) -> None:
    """Copying may run while the vendor signs; whoever looks sees nothing."""
    with MultipartCopy.begin(multipart_fixture.source, DESTINATION, STORING, now) as transfer:
        assert multipart_fixture.nothing_sealed()
        transfer.complete(TAIL)
        assert not multipart_fixture.nothing_sealed()


def test_a_transfer_that_is_left_is_aborted(multipart_fixture: MultipartFixture) -> None:
    """The vendor fails: the block ends, and nothing of the copy stays."""
    with (
        pytest.raises(VendorUnavailableError),
        MultipartCopy.begin(multipart_fixture.source, DESTINATION, STORING, now),
    ):
        raise VendorUnavailableError("sign", "too slow")
    assert multipart_fixture.server.requests["AbortMultipartUpload"] == 1
    assert multipart_fixture.nothing_sealed()
    assert multipart_fixture.nothing_dangles()


@pytest.mark.parametrize("call", ["UploadPart", "CompleteMultipartUpload"])
def test_an_interrupt_aborts(call: str, multipart_fixture: MultipartFixture) -> None:
    """Ctrl-C in the middle of a call is a failure like any other."""
    client = multipart_fixture.source.s3

    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    event = f"before-call.s3.{call}"
    client.meta.events.register(event, interrupted)
    with (
        pytest.raises(KeyboardInterrupt),
        MultipartCopy.begin(
            multipart_fixture.source, DESTINATION, STORING, now, part=SMALLEST_PART
        ) as transfer,
    ):
        transfer.complete(TAIL)
    client.meta.events.unregister(event, interrupted)
    assert multipart_fixture.nothing_sealed()
    assert multipart_fixture.nothing_dangles()


UNDONE = [
    Trouble.KILLED,
    Trouble.HANGS,
    Trouble.INTERNAL_ERROR,
    Trouble.SLOW_DOWN,
    Trouble.DENIED,
]
MOMENTS = [*((call, 0) for call in CALLS), ("UploadPartCopy", 1)]


@pytest.mark.parametrize("trouble", [*UNDONE, Trouble.LOST])
@pytest.mark.parametrize(("call", "skip"), MOMENTS)
def test_a_call_that_fails_leaves_nothing(
    call: str, skip: int, trouble: Trouble, multipart_fixture: MultipartFixture
) -> None:
    """One call fails for good: an error of ours, no document, and no upload that dangles.

    With one exception: a completion whose answer is lost has happened.
    """
    multipart_fixture.server.faults.next(call, trouble, skip=skip)
    with pytest.raises(DestinationError) as failed:
        multipart_fixture.transfer(patience=_patience(trouble))
    completed = (call, trouble) == ("CompleteMultipartUpload", Trouble.LOST)
    assert multipart_fixture.nothing_sealed() is not completed
    assert multipart_fixture.nothing_dangles()
    assert failed.value.retryable is (trouble is not Trouble.DENIED)
    assert "could not be aborted" not in str(failed.value)


@pytest.mark.parametrize("trouble", [*UNDONE[:-1], Trouble.LOST])
@pytest.mark.parametrize(("call", "skip"), MOMENTS)
def test_a_call_that_fails_once_is_ridden_out(
    call: str, skip: int, trouble: Trouble, multipart_fixture: MultipartFixture
) -> None:
    """With a second attempt the document is there, once, and no first upload dangles."""
    multipart_fixture.server.faults.next(call, trouble, skip=skip)
    multipart_fixture.transfer(attempts=2, patience=_patience(trouble))
    assert multipart_fixture.sealed() == CONTENT + TAIL
    assert multipart_fixture.nothing_dangles()


def _patience(trouble: Trouble) -> float:
    """Seconds to wait for an answer: not long for one that never comes."""
    return 1.5 if trouble is Trouble.HANGS else 60


def test_an_error_inside_a_200_is_an_error(multipart_fixture: MultipartFixture) -> None:
    """API_CompleteMultipartUpload: the headers came before S3 knew."""
    multipart_fixture.server.faults.next("CompleteMultipartUpload", Trouble.ERROR_IN_200)
    with pytest.raises(DestinationError, match="InternalError") as failed:
        multipart_fixture.transfer()
    assert failed.value.retryable
    assert multipart_fixture.nothing_sealed()
    assert multipart_fixture.nothing_dangles()


@pytest.mark.parametrize("skip", [0, 1])
def test_a_source_replaced_half_way_is_changed(
    skip: int, multipart_fixture: MultipartFixture
) -> None:
    """412 answers the copy's condition: another document is never sealed under this one's hash."""

    def replaced() -> None:
        multipart_fixture.source.s3.put_object(Bucket="in", Key=SOURCE.key, Body=CONTENT[::-1])

    multipart_fixture.server.faults.before("UploadPartCopy", replaced, skip=skip)
    with pytest.raises(SourceChangedError, match="was replaced"):
        multipart_fixture.transfer(attempts=2)
    assert multipart_fixture.nothing_sealed()
    assert multipart_fixture.nothing_dangles()


def test_a_source_that_is_removed_half_way_is_not_found(
    multipart_fixture: MultipartFixture,
) -> None:
    """Gone is gone, and not the destination's fault."""
    multipart_fixture.server.faults.before(
        "UploadPartCopy", lambda: multipart_fixture.server.store.delete("in", SOURCE.key)
    )
    with pytest.raises(SourceNotFoundError, match="NoSuchKey"):
        multipart_fixture.transfer()
    assert multipart_fixture.nothing_sealed()
    assert multipart_fixture.nothing_dangles()


@pytest.mark.parametrize("trouble", [Trouble.KILLED, Trouble.SLOW_DOWN, Trouble.LOST])
def test_an_abort_that_fails_is_tried_again(
    trouble: Trouble, multipart_fixture: MultipartFixture
) -> None:
    """Three failures in a row are ridden out; one that was done, and seemed not to be, is done."""
    multipart_fixture.server.faults.next("UploadPart", Trouble.DENIED)
    multipart_fixture.server.faults.next("AbortMultipartUpload", trouble, times=3)
    with pytest.raises(DestinationError) as failed:
        multipart_fixture.transfer()
    assert "could not be aborted" not in str(failed.value)
    assert multipart_fixture.nothing_dangles()


@pytest.mark.parametrize(
    "error",
    [lambda: DestinationError("full"), lambda: VendorUnavailableError("sign", "too slow")],
)
def test_what_cannot_be_aborted_is_named(
    error: Callable[[], RotationError], multipart_fixture: MultipartFixture
) -> None:
    """Whatever the first error was, its message ends with what was left, and where."""
    multipart_fixture.server.faults.next("AbortMultipartUpload", Trouble.DENIED, times=None)
    reason = error()
    with (
        pytest.raises(type(reason), match="could not be aborted") as failed,
        MultipartCopy.begin(multipart_fixture.source, DESTINATION, STORING, now),
    ):
        raise reason
    [left] = multipart_fixture.server.store.unfinished("out")
    assert left.id in str(failed.value)
    assert str(DESTINATION) in str(failed.value)
    assert failed.value.code == reason.code
    multipart_fixture.server.faults.clear()


def test_an_upload_whose_answer_is_lost_is_found_and_aborted(
    multipart_fixture: MultipartFixture,
) -> None:
    """Nobody knows its id; those of other documents, and older ones, are left alone."""
    others = [
        multipart_fixture.source.s3.create_multipart_upload(Bucket="out", Key=key)["UploadId"]
        for key in (f"{DESTINATION.key}.other", DESTINATION.key)
    ]
    old = multipart_fixture.server.store.upload("out", DESTINATION.key, others[1])
    old.initiated = old.initiated.replace(year=2020)
    multipart_fixture.server.faults.next("CreateMultipartUpload", Trouble.LOST)
    with pytest.raises(DestinationError):
        multipart_fixture.transfer()
    assert [upload.id for upload in multipart_fixture.server.store.unfinished("out")] == others
    assert multipart_fixture.server.requests["AbortMultipartUpload"] == 1


def test_without_the_right_to_look_a_lost_upload_is_named(
    multipart_fixture: MultipartFixture,
) -> None:
    """s3:ListBucketMultipartUploads is missing: the error says what may be there."""
    multipart_fixture.server.faults.next("CreateMultipartUpload", Trouble.LOST)
    multipart_fixture.server.faults.next("ListMultipartUploads", Trouble.DENIED)
    with pytest.raises(
        DestinationError, match="an upload that may have begun could not be aborted"
    ):
        multipart_fixture.transfer()


def test_a_destination_that_does_not_exist_is_found_before_anything_is_copied(
    multipart_fixture: MultipartFixture,
) -> None:
    """And so before a signature is bought."""
    del multipart_fixture.server.store.buckets["out"]
    with pytest.raises(DestinationError, match="NoSuchBucket") as refused:
        multipart_fixture.transfer()
    assert not refused.value.retryable
    assert multipart_fixture.server.requests["UploadPartCopy"] == 0
