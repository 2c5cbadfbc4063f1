"""Answers of S3, Lambda and SNS that were cut or rewritten on the way, with status 200."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from rotation.aws.evidence_bucket import S3EvidenceStore
from rotation.aws.notifier import SnsNotifier
from rotation.client.lambda_invoker import LambdaInvoker
from rotation.credential import ApiKey
from rotation.errors import RotationError
from rotation.sandbox.aws.cloud import isolated_session
from rotation.sealing.pdf import prepare
from rotation.sealing.request import ObjectLocation, SealOptions, SealRequest
from rotation.sealing.storage.multipart import MultipartCopy, MultipartUpload, ObjectProperties
from rotation.sealing.storage.ranges import RangedObject
from rotation.sealing.storage.s3 import PutObjectWriter, S3Documents
from rotation.unattended.idempotent_sealer import IdempotentSealer
from tests.sealing.pdfs import pdf

SOURCE, DESTINATION = ObjectLocation("in", "a.pdf"), ObjectLocation("out", "a.pdf")
KEY = ApiKey.from_text("4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5", "7b" * 32)
PROPERTIES = ObjectProperties({})
#: A status of 200 with nothing, another program's page, XML and JSON without a member.
BODIES = [b"", b"<html><p>Welcome</p></html>", b"<Result><A/></Result>", b"{}", b"null", b"[1]"]


class Body(io.BytesIO):
    """The body of an answer, as botocore reads it."""

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        """The whole body at once."""
        yield self.read()


def client(service: str, body: bytes, headers: dict[str, str] | None = None) -> Any:
    """A client whose every call is answered with this body, and with no other header than these."""
    session: Any = isolated_session()
    made = session.client(
        service,
        region_name="us-east-1",
        aws_access_key_id="AKIATEST",
        aws_secret_access_key="none",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def answer(request: Any, **_: object) -> AWSResponse:
        kept: Any = headers or {}
        return AWSResponse(request.url, 200, kept, Body(body))

    made.meta.events.register("before-send", answer)
    return made


def now() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


def nothing(_: float) -> None:
    """Instead of a pause."""


def ranged(s3: Any) -> RangedObject:
    return RangedObject(s3, SOURCE, 20 * 1024 * 1024, "e1", None, nothing)


def copied(s3: Any) -> object:
    """A copy whose parts and whole are answered so."""
    upload = MultipartUpload(s3, DESTINATION, "1", nothing)
    with MultipartCopy(upload, ranged(s3), [range(20 * 1024 * 1024)]) as copy:
        return copy.complete(b"tail")


def put(s3: Any) -> object:
    prepared = prepare(io.BytesIO(pdf()), SealOptions(), now())
    return PutObjectWriter(s3, DESTINATION, PROPERTIES, nothing).complete(prepared, b"cms")


def sealed_before(s3: Any) -> object:
    sealer: Any = IdempotentSealer
    return sealer._metadata(sealer(s3, None, "out", "", SealOptions(), None), DESTINATION)


CALLS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "GetObject": ("s3", lambda s3: S3Documents(s3, now).open(SOURCE, most=10**9)),
    "GetObject, a range": ("s3", lambda s3: ranged(s3).read(0, 100)),
    "GetObjectTagging": ("s3", lambda s3: ranged(s3).tags()),
    "HeadObject of a source": ("s3", lambda s3: RangedObject.find(s3, SOURCE)),
    "HeadObject of a destination": ("s3", sealed_before),
    "PutObject": ("s3", put),
    "CreateMultipartUpload": (
        "s3",
        lambda s3: MultipartUpload.begin(s3, DESTINATION, PROPERTIES, now, nothing),
    ),
    "UploadPart, UploadPartCopy": ("s3", copied),
    "PutObject of a record": ("s3", lambda s3: S3EvidenceStore(s3, "b").keep("a", b"{}")),
    "ListObjectsV2 of records": ("s3", lambda s3: S3EvidenceStore(s3, "b").records("a/")),
    "Publish": ("sns", lambda sns: SnsNotifier(sns, "arn:topic").notify("subject", {})),
    "Invoke": (
        "lambda",
        lambda functions: LambdaInvoker("seal", lambda: functions).invoke(
            SealRequest(SOURCE, DESTINATION, KEY, SealOptions())
        ),
    ),
}


@pytest.mark.parametrize(
    ("call", "body"),
    # An empty object is a whole payload: the sealing contract says what is missing in it.
    sorted({(call, body) for call in CALLS for body in BODIES} - {("Invoke", b"{}")}),
)
def test_an_answer_without_its_members_is_an_error_that_passes(call: str, body: bytes) -> None:
    """No result, no raw error, and nothing concluded: the call can be made again."""
    service, act = CALLS[call]
    with pytest.raises(RotationError) as failed:
        act(client(service, body))
    assert failed.value.retryable or failed.value.code == "evidence"


@pytest.mark.parametrize("size", [5, 20])
def test_a_body_that_is_not_as_long_as_it_says_is_not_taken_for_the_document(size: int) -> None:
    """Half of a document would be sealed as if it were the whole."""
    s3 = client("s3", b"ten bytes!", {"Content-Length": str(size), "ETag": '"e"'})
    with pytest.raises(RotationError) as failed:
        S3Documents(s3, now).open(SOURCE, most=10**9)
    assert failed.value.retryable
