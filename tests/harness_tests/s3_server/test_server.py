"""The server says what S3 says; what moto says too is asked of both."""

from __future__ import annotations

import base64
import hashlib
import http.client
import random
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ReadTimeoutError,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.s3_server import S3Server, Trouble, read_timeout
from tests.harness.s3_server.wire import combined

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART = 5 * 1024**2
BODY = random.Random(4711).randbytes(PART)


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


class TestContract:
    """The same cases for ours and for moto."""

    def test_an_object_comes_back_with_what_it_was_stored_with(
        self, s3: S3Client, bucket: str
    ) -> None:
        """Content, type, metadata, entity tag and checksum."""
        s3.put_object(
            Bucket=bucket,
            Key="a b/ü.pdf",
            Body=b"content",
            ContentType="application/pdf",
            Metadata={"case": "4711"},
            ChecksumAlgorithm="SHA256",
        )
        found = s3.get_object(Bucket=bucket, Key="a b/ü.pdf")
        assert found["Body"].read() == b"content"
        assert found["ContentLength"] == 7
        assert found["ContentType"] == "application/pdf"
        assert found["Metadata"] == {"case": "4711"}
        assert found["ETag"] == f'"{hashlib.md5(b"content").hexdigest()}"'
        head = s3.head_object(Bucket=bucket, Key="a b/ü.pdf")
        assert (head["ETag"], head["ContentLength"]) == (found["ETag"], 7)

    @pytest.mark.parametrize(
        ("asked", "got"),
        [
            ("bytes=0-3", b"0123"),
            ("bytes=5-5", b"5"),
            ("bytes=8-", b"89"),
            ("bytes=8-100", b"89"),
            ("bytes=-3", b"789"),
        ],
    )
    def test_a_range_is_answered_with_206(
        self, asked: str, got: bytes, s3: S3Client, bucket: str
    ) -> None:
        """RFC 9110, 14.1.2; API_GetObject."""
        s3.put_object(Bucket=bucket, Key="a", Body=b"0123456789")
        answer = s3.get_object(Bucket=bucket, Key="a", Range=asked)
        assert answer["Body"].read() == got
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        first = b"0123456789".index(got)
        assert answer["ContentRange"] == f"bytes {first}-{first + len(got) - 1}/10"

    def test_a_range_past_the_end_is_416(self, s3: S3Client, bucket: str) -> None:
        """ErrorResponses: InvalidRange."""
        s3.put_object(Bucket=bucket, Key="a", Body=b"0123456789")
        with pytest.raises(ClientError) as refused:
            s3.get_object(Bucket=bucket, Key="a", Range="bytes=10-20")
        assert code(refused) == (416, "InvalidRange")

    def test_a_condition_that_fails_is_412(self, s3: S3Client, bucket: str) -> None:
        """API_GetObject, If-Match."""
        etag = s3.put_object(Bucket=bucket, Key="a", Body=b"old")["ETag"]
        s3.get_object(Bucket=bucket, Key="a", IfMatch=etag, Range="bytes=0-1")["Body"].read()
        s3.put_object(Bucket=bucket, Key="a", Body=b"new")
        with pytest.raises(ClientError) as refused:
            s3.get_object(Bucket=bucket, Key="a", IfMatch=etag)
        assert code(refused) == (412, "PreconditionFailed")

    @pytest.mark.parametrize("key", ["missing", "a"])
    def test_what_is_not_there_is_404(self, key: str, s3: S3Client, bucket: str) -> None:
        """No such key, and no such bucket."""
        where = bucket if key == "missing" else "no-such-bucket-anywhere"
        with pytest.raises(ClientError) as refused:
            s3.get_object(Bucket=where, Key=key)
        assert code(refused) == (404, "NoSuchKey" if where == bucket else "NoSuchBucket")

    def test_versions_are_kept_where_they_are_wanted(self, s3: S3Client, bucket: str) -> None:
        """A newer version hides an older one, which stays."""
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        first = s3.put_object(Bucket=bucket, Key="a", Body=b"1")["VersionId"]
        second = s3.put_object(Bucket=bucket, Key="a", Body=b"2")["VersionId"]
        assert s3.get_object(Bucket=bucket, Key="a")["VersionId"] == second
        old = s3.get_object(Bucket=bucket, Key="a", VersionId=first)
        assert old["Body"].read() == b"1"
        assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 2

    def test_tags_are_those_it_was_stored_with(self, s3: S3Client, bucket: str) -> None:
        """API_PutObject, Tagging: URL query parameters."""
        s3.put_object(Bucket=bucket, Key="a", Body=b"1", Tagging="case=4711&of=a%2Fb%3D")
        tags = s3.get_object_tagging(Bucket=bucket, Key="a")["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == {"case": "4711", "of": "a/b="}

    def test_parts_are_copied_and_put_together(self, s3: S3Client, bucket: str) -> None:
        """A part of another object, and one of our own; the entity tag counts the parts."""
        s3.put_object(Bucket=bucket, Key="source", Body=BODY + b"and more")
        upload = s3.create_multipart_upload(
            Bucket=bucket, Key="a", ContentType="application/pdf", Metadata={"case": "4711"}
        )["UploadId"]
        place = {"Bucket": bucket, "Key": "a", "UploadId": upload}
        copied = s3.upload_part_copy(
            **place,  # type: ignore[arg-type]
            PartNumber=1,
            CopySource={"Bucket": bucket, "Key": "source"},
            CopySourceRange=f"bytes=0-{PART - 1}",
        )["CopyPartResult"]
        added = s3.upload_part(**place, PartNumber=2, Body=b"tail")  # type: ignore[arg-type]
        assert [found["UploadId"] for found in uploads(s3, bucket)] == [upload]
        parts = s3.list_parts(**place)["Parts"]  # type: ignore[arg-type]
        assert [(part["PartNumber"], part["Size"]) for part in parts] == [(1, PART), (2, 4)]
        done = s3.complete_multipart_upload(
            **place,  # type: ignore[arg-type]
            MultipartUpload={
                "Parts": [
                    {"PartNumber": 1, "ETag": copied["ETag"]},
                    {"PartNumber": 2, "ETag": added["ETag"]},
                ]
            },
        )
        found = s3.get_object(Bucket=bucket, Key="a")
        assert found["Body"].read() == BODY + b"tail"
        assert found["ETag"] == done["ETag"]
        assert found["ETag"].endswith('-2"')
        assert (found["ContentType"], found["Metadata"]) == ("application/pdf", {"case": "4711"})
        assert uploads(s3, bucket) == []

    def test_an_aborted_upload_is_gone(self, s3: S3Client, bucket: str) -> None:
        """Nothing appears, nothing is listed, and its parts are gone."""
        upload = s3.create_multipart_upload(Bucket=bucket, Key="a")["UploadId"]
        s3.upload_part(Bucket=bucket, Key="a", UploadId=upload, PartNumber=1, Body=b"x")
        s3.abort_multipart_upload(Bucket=bucket, Key="a", UploadId=upload)
        assert uploads(s3, bucket) == []
        with pytest.raises(ClientError) as refused:
            s3.list_parts(Bucket=bucket, Key="a", UploadId=upload)
        assert code(refused) == (404, "NoSuchUpload")
        with pytest.raises(ClientError) as missing:
            s3.get_object(Bucket=bucket, Key="a")
        assert code(missing) == (404, "NoSuchKey")

    def test_a_small_part_that_is_not_the_last_is_refused(self, s3: S3Client, bucket: str) -> None:
        """API_CompleteMultipartUpload: EntityTooSmall."""
        upload = s3.create_multipart_upload(Bucket=bucket, Key="a")["UploadId"]
        parts = [
            s3.upload_part(
                Bucket=bucket, Key="a", UploadId=upload, PartNumber=number, Body=b"small"
            )["ETag"]
            for number in (1, 2)
        ]
        with pytest.raises(ClientError) as refused:
            complete(s3, bucket, upload, parts)
        assert code(refused) == (400, "EntityTooSmall")

    def test_a_part_of_another_etag_is_refused(self, s3: S3Client, bucket: str) -> None:
        """API_CompleteMultipartUpload: InvalidPart."""
        upload = s3.create_multipart_upload(Bucket=bucket, Key="a")["UploadId"]
        s3.upload_part(Bucket=bucket, Key="a", UploadId=upload, PartNumber=1, Body=b"x")
        with pytest.raises(ClientError) as refused:
            complete(s3, bucket, upload, [f'"{"0" * 32}"'])
        assert code(refused) == (400, "InvalidPart")


def uploads(s3: S3Client, bucket: str) -> list[dict[str, object]]:
    return list(s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []))  # type: ignore[arg-type]


def complete(s3: S3Client, bucket: str, upload: str, etags: list[str], **further: str) -> str:
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)]
    return s3.complete_multipart_upload(
        Bucket=bucket,
        Key="a",
        UploadId=upload,
        MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
        **further,  # type: ignore[arg-type]
    )["ETag"]


class TestBeyondMoto:
    """Rules of S3 that moto does not know."""

    @pytest.fixture
    def s3(self, server: S3Server) -> S3Client:
        client = server.client()
        client.create_bucket(Bucket="b")
        return client

    def test_a_copy_is_made_of_what_the_condition_names(self, s3: S3Client) -> None:
        """API_UploadPartCopy, CopySourceIfMatch."""
        etag = s3.put_object(Bucket="b", Key="source", Body=BODY)["ETag"]
        upload = s3.create_multipart_upload(Bucket="b", Key="a")["UploadId"]
        s3.put_object(Bucket="b", Key="source", Body=BODY[::-1])
        with pytest.raises(ClientError) as refused:
            s3.upload_part_copy(
                Bucket="b",
                Key="a",
                UploadId=upload,
                PartNumber=1,
                CopySource={"Bucket": "b", "Key": "source"},
                CopySourceIfMatch=etag,
            )
        assert code(refused) == (412, "PreconditionFailed")

    def test_a_range_of_a_small_source_cannot_be_copied(self, s3: S3Client) -> None:
        """API_UploadPartCopy, CopySourceRange: sources of more than 5 MB only."""
        s3.put_object(Bucket="b", Key="source", Body=b"small")
        upload = s3.create_multipart_upload(Bucket="b", Key="a")["UploadId"]
        with pytest.raises(ClientError) as refused:
            s3.upload_part_copy(
                Bucket="b",
                Key="a",
                UploadId=upload,
                PartNumber=1,
                CopySource={"Bucket": "b", "Key": "source"},
                CopySourceRange="bytes=0-1",
            )
        assert code(refused) == (400, "InvalidRequest")

    @pytest.mark.parametrize(
        ("further", "refusal"),
        [({"ChecksumCRC32": "AAAAAA=="}, "BadDigest"), ({"MpuObjectSize": 2}, "InvalidRequest")],
    )
    def test_a_whole_that_is_another_is_not_completed(
        self, further: dict[str, str], refusal: str, s3: S3Client
    ) -> None:
        """API_CompleteMultipartUpload: ChecksumCRC32, MpuObjectSize; asked rightly, it is done."""
        upload = s3.create_multipart_upload(Bucket="b", Key="a")["UploadId"]
        etag = s3.upload_part(Bucket="b", Key="a", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
        with pytest.raises(ClientError) as refused:
            complete(s3, "b", upload, [etag], **further)
        assert code(refused) == (400, refusal)
        right = base64.b64encode(zlib.crc32(b"x").to_bytes(4, "big")).decode()
        complete(s3, "b", upload, [etag], ChecksumCRC32=right)
        assert s3.head_object(Bucket="b", Key="a")["ContentLength"] == 1

    def test_completing_again_gives_the_same(self, s3: S3Client) -> None:
        """Whose answer was lost asks again, and nothing is stored twice."""
        s3.put_bucket_versioning(Bucket="b", VersioningConfiguration={"Status": "Enabled"})
        upload = s3.create_multipart_upload(Bucket="b", Key="a")["UploadId"]
        etag = s3.upload_part(Bucket="b", Key="a", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
        assert complete(s3, "b", upload, [etag]) == complete(s3, "b", upload, [etag])
        assert len(s3.list_object_versions(Bucket="b")["Versions"]) == 1

    @pytest.mark.parametrize("right", [True, False])
    def test_trailing_checksums_are_held_against_the_body(
        self, right: bool, server: S3Server, s3: S3Client
    ) -> None:
        """aws-chunked in HTTP's own chunks, as boto3 sends it over TLS; both are undone."""
        content = BODY[:70_000]
        crc = base64.b64encode((zlib.crc32(content) + (not right)).to_bytes(4, "big"))
        framed = b"%x\r\n%b\r\n0\r\nx-amz-checksum-crc32:%b\r\n\r\n" % (len(content), content, crc)
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
        for _ in range(2):
            connection.request(
                "PUT",
                "/b/a",
                body=iter([framed[:1000], framed[1000:]]),
                headers={
                    "Content-Encoding": "aws-chunked",
                    "Transfer-Encoding": "chunked",
                    "X-Amz-Decoded-Content-Length": str(len(content)),
                    "X-Amz-Trailer": "x-amz-checksum-crc32",
                    "X-Amz-Content-SHA256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
                },
                encode_chunked=True,
            )
            answer = connection.getresponse()
            answer.read()
            assert answer.status == (200 if right else 400)
        connection.close()
        if right:
            assert s3.get_object(Bucket="b", Key="a")["Body"].read() == content

    def test_a_sparse_file_is_served_and_copied_without_its_holes(
        self, server: S3Server, s3: S3Client, tmp_path: Path
    ) -> None:
        """Sixty-four megabytes that take no space, before and after."""
        path = tmp_path / "sparse"
        with path.open("wb") as file:
            file.write(b"begin")
            file.seek(64 * 1024**2)
            file.write(b"end")
        server.store.adopt("b", "source", path)
        upload = s3.create_multipart_upload(Bucket="b", Key="a")["UploadId"]
        copied = s3.upload_part_copy(
            Bucket="b",
            Key="a",
            UploadId=upload,
            PartNumber=1,
            CopySource={"Bucket": "b", "Key": "source"},
        )["CopyPartResult"]["ETag"]
        complete(s3, "b", upload, [copied])
        content = server.store.version("b", "a", None).content
        assert content.size == 64 * 1024**2 + 3
        assert sum(path.stat().st_blocks for path in content.files) * 512 < 1024**2
        assert s3.get_object(Bucket="b", Key="a", Range="bytes=-5")["Body"].read() == b"\0\0end"
        assert s3.get_object(Bucket="b", Key="a", Range="bytes=0-5")["Body"].read() == b"begin\0"


class TestFaults:
    """What a client sees of each trouble."""

    @pytest.fixture
    def s3(self, server: S3Server, request: pytest.FixtureRequest) -> S3Client:
        client = server.client(read_timeout=read_timeout(request, 0.5))
        client.create_bucket(Bucket="b")
        client.put_object(Bucket="b", Key="a", Body=b"0123456789")
        return client

    @pytest.mark.parametrize(
        ("trouble", "seen", "done"),
        [
            (Trouble.KILLED, ConnectionClosedError, False),
            (Trouble.LOST, ConnectionClosedError, True),
            (Trouble.HANGS, ReadTimeoutError, False),
            (Trouble.INTERNAL_ERROR, ClientError, False),
            (Trouble.SLOW_DOWN, ClientError, False),
            (Trouble.DENIED, ClientError, False),
        ],
    )
    def test_a_write_fails_as_it_should(
        self,
        trouble: Trouble,
        seen: type[Exception],
        done: bool,
        server: S3Server,
        s3: S3Client,
    ) -> None:
        """Done or not, the client cannot tell."""
        server.faults.next("PutObject", trouble)
        with pytest.raises(seen):
            s3.put_object(Bucket="b", Key="new", Body=b"x" * 10_000)
        assert ("new" in server.store.bucket("b").objects) is done

    def test_a_body_is_cut_in_the_middle(self, server: S3Server, s3: S3Client) -> None:
        """The length was promised, and half of it came."""
        server.faults.next("GetObject", Trouble.CUT)
        body = s3.get_object(Bucket="b", Key="a")["Body"]
        with pytest.raises(BotoCoreError):
            body.read()
        assert server.bytes_served == 5
        assert s3.get_object(Bucket="b", Key="a")["Body"].read() == b"0123456789"

    def test_requests_are_counted_and_let_go(self, server: S3Server, s3: S3Client) -> None:
        """A rule strikes where it was told to, and no more."""
        server.faults.next("GetObject", Trouble.SLOW_DOWN, skip=1)
        answers: list[object] = []
        for _ in range(3):
            try:
                answers.append(s3.get_object(Bucket="b", Key="a")["Body"].read())
            except ClientError as error:
                answers.append(error.response["Error"]["Code"])
        assert answers == [b"0123456789", "SlowDown", b"0123456789"]
        assert server.requests["GetObject"] == 3
        assert server.order[:2] == ["CreateBucket", "PutObject"]


@given(one=st.binary(max_size=300), other=st.binary(max_size=300))
def test_checksums_of_parts_give_that_of_the_whole(one: bytes, other: bytes) -> None:
    """As zlib has it."""
    assert combined(zlib.crc32(one), zlib.crc32(other), len(other)) == zlib.crc32(one + other)
