"""Documents in S3: small ones whole, large ones in ranges."""

from __future__ import annotations

import base64
import hashlib
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Thread
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from rotation.errors import (
    DestinationError,
    DocumentTooLargeError,
    SealingError,
    SourceNotFoundError,
    SourceUnavailableError,
)
from rotation.sealing.documents import DocumentStore, SourceDocument, StoredDocument
from rotation.sealing.pdf import prepare
from rotation.sealing.request import ObjectLocation, SealOptions
from rotation.sealing.storage.remote_file import RemoteDocument
from rotation.sealing.storage.s3 import DestinationPolicy, S3Documents
from tests.harness.s3_server import S3Server
from tests.sealing.conftest import SealerFixture, now
from tests.sealing.pdfs import large, pdf

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.slow

DOCUMENT = pdf()
LARGE = large(6 * 1024**2)


def stored(documents: DocumentStore, destination: ObjectLocation) -> StoredDocument:
    """Store `DOCUMENT` with something in its placeholder that is no signature."""
    place = ObjectLocation("elsewhere", "a.pdf")
    with SourceDocument(BytesIO(DOCUMENT), place, len(DOCUMENT), "e", None, {}) as source:
        prepared = prepare(source.content, SealOptions(), now())
        with documents.open_writer(
            source, destination, {"seal-key-id": "k"}, rewritten=False
        ) as delivery:
            return delivery.complete(prepared, b"no signature")


def test_a_document_is_fetched_with_its_version(sealer_fixture: SealerFixture) -> None:
    """Content, size, version, entity tag and metadata are those of one and the same version."""
    stored = sealer_fixture.s3.put_object(
        Bucket=sealer_fixture.incoming,
        Key="ä b.pdf",
        Body=b"the first",
        ContentType="application/pdf",
        Metadata={"case": "4711"},
    )
    place = ObjectLocation(sealer_fixture.incoming, "ä b.pdf")
    with S3Documents(sealer_fixture.s3, now).open(place, most=9) as document:
        assert document.content.read() == b"the first"
    assert document.content.closed
    assert (document.location, document.size) == (place, 9)
    assert document.version_id == stored["VersionId"]
    assert document.etag == stored["ETag"].strip('"')
    assert document.metadata == {"case": "4711"}


def test_a_named_version_is_fetched_although_a_newer_one_exists(
    sealer_fixture: SealerFixture,
) -> None:
    """A request that pins a version gets that version."""
    first = sealer_fixture.put("a.pdf", b"the first")
    sealer_fixture.put("a.pdf", b"the second")
    documents = S3Documents(sealer_fixture.s3, now)
    with documents.open(
        ObjectLocation(sealer_fixture.incoming, "a.pdf", first), most=100
    ) as pinned:
        assert pinned.content.read() == b"the first"
    assert pinned.version_id == first


def test_a_bucket_without_versions_gives_none(s3: S3Client) -> None:
    """Where S3 keeps no versions there is no version id to speak of."""
    s3.create_bucket(Bucket="no-versions")
    documents = S3Documents(s3, now)
    place = ObjectLocation("no-versions", "a.pdf")
    assert stored(documents, place).version_id is None
    with documents.open(place, most=100_000) as document:
        assert document.version_id is None


def test_a_document_that_is_too_large_is_refused(sealer_fixture: SealerFixture) -> None:
    """One byte more than is accepted: refused, with both sizes."""
    sealer_fixture.put("a.pdf", b"x" * 11)
    with pytest.raises(DocumentTooLargeError, match=r"11 bytes.* at most 10"):
        S3Documents(sealer_fixture.s3, now).open(
            ObjectLocation(sealer_fixture.incoming, "a.pdf"), most=10
        )


@pytest.mark.parametrize(
    "location",
    [
        ObjectLocation("{bucket}", "missing.pdf"),
        ObjectLocation("{bucket}", "a.pdf", "no-such-version"),
        ObjectLocation("no-such-bucket-anywhere", "a.pdf"),
    ],
)
def test_a_source_that_is_not_there_is_said_to_be_missing(
    location: ObjectLocation, sealer_fixture: SealerFixture
) -> None:
    """No such key, version or bucket: one error, which names the object."""
    sealer_fixture.put("a.pdf", b"x")
    bucket = location.bucket.format(bucket=sealer_fixture.incoming)
    place = ObjectLocation(bucket, location.key, location.version_id)
    with pytest.raises(SourceNotFoundError, match=location.key) as missing:
        S3Documents(sealer_fixture.s3, now).open(place, most=10)
    assert not missing.value.retryable


def test_a_sealed_document_is_stored_as_a_pdf_with_its_provenance(
    sealer_fixture: SealerFixture,
) -> None:
    """Type, metadata and the SHA-256 that S3 has compared are on the stored object."""
    place = ObjectLocation(sealer_fixture.outgoing, "b.pdf")
    said = stored(S3Documents(sealer_fixture.s3, now), place)
    found = sealer_fixture.s3.get_object(Bucket=place.bucket, Key=place.key, ChecksumMode="ENABLED")
    content = found["Body"].read()
    assert content.startswith(DOCUMENT)
    assert found["ContentType"] == "application/pdf"
    assert found["Metadata"] == {"seal-key-id": "k"}
    assert found["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(content).digest()).decode()
    assert (found["VersionId"], found["ETag"]) == (said.version_id, f'"{said.etag}"')
    assert said.size == len(content)


@pytest.mark.parametrize("in_memory", [0, 100 * 1024**2], ids=["copied", "put"])
def test_what_is_carried_over_is_as_configured(in_memory: int, s3_server: S3Server) -> None:
    """The source's metadata, under ours, its tags, and the KMS key; for documents of any size."""
    client = s3_server.client()
    client.put_object(
        Bucket="in",
        Key="a.pdf",
        Body=LARGE,
        Metadata={"case": "4711", "seal-key-id": "forged"},
        Tagging="unit=%C3%A4%20b",
    )
    carried = DestinationPolicy(
        "arn:aws:kms:eu-west-1:111122223333:key/k", metadata=True, tags=True
    )
    documents = S3Documents(client, now, carried, in_memory=in_memory)
    with documents.open(ObjectLocation("in", "a.pdf"), most=len(LARGE)) as source:
        prepared = prepare(source.content, SealOptions(), now())
        with documents.open_writer(
            source, ObjectLocation("out", "b.pdf"), {"seal-key-id": "k"}, rewritten=False
        ) as delivery:
            said = delivery.complete(prepared, b"no signature")
    found = client.get_object(Bucket="out", Key="b.pdf")
    content = found["Body"].read()
    assert (content[: len(LARGE)], len(content)) == (LARGE, said.size)
    assert found["Metadata"] == {"case": "4711", "seal-key-id": "k"}
    assert found["SSEKMSKeyId"] == carried.kms_key_id
    tags = client.get_object_tagging(Bucket="out", Key="b.pdf")["TagSet"]
    assert tags == [{"Key": "unit", "Value": "ä b"}]
    client.close()
    assert bool(s3_server.requests["UploadPartCopy"]) is not bool(in_memory)


def test_a_large_document_is_not_read_when_it_is_opened(s3_server: S3Server) -> None:
    """One GET tells its size; of its body no more is sent than a socket holds."""
    client = s3_server.client()
    client.put_object(Bucket="in", Key="a.pdf", Body=b"x" * (64 * 1024**2))
    with S3Documents(client, now).open(ObjectLocation("in", "a.pdf"), most=2**40) as document:
        assert document.size == 64 * 1024**2
        assert isinstance(document.content, RemoteDocument)
    client.close()
    assert s3_server.requests["GetObject"] == 1
    assert s3_server.bytes_served < 16 * 1024**2


def test_a_destination_that_does_not_exist_is_an_error_that_stays(s3: S3Client) -> None:
    """A missing bucket does not come to be by asking again."""
    with pytest.raises(DestinationError, match="NoSuchBucket") as refused:
        stored(S3Documents(s3, now), ObjectLocation("no-such-bucket", "b.pdf"))
    assert not refused.value.retryable


Answer = Callable[[BaseHTTPRequestHandler], None]


def refusal(status: int, code: str) -> Answer:
    """S3's way to say no (API ErrorResponses)."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


def broken_off(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.send_header("ETag", '"e"')
    request.end_headers()
    request.wfile.write(b"%PDF-1.7")
    request.wfile.flush()
    request.connection.shutdown(socket.SHUT_RDWR)


def hung_up(request: BaseHTTPRequestHandler) -> None:
    """No answer: the connection ends."""
    request.close_connection = True


@pytest.fixture
def pauses() -> list[float]:
    """How long a document in the failing S3 was waited for."""
    return []


@pytest.fixture
def failing_s3(pauses: list[float]) -> Iterator[Callable[[Answer], S3Documents]]:
    """Documents in an S3 that answers everything in one way."""
    servers: list[tuple[ThreadingHTTPServer, Thread]] = []
    clients: list[S3Client] = []

    def start(answer: Answer) -> S3Documents:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: Any) -> None:
                """Keep the terminal quiet."""

            def do_GET(self) -> None:
                answer(self)

            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                answer(self)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{server.server_port}",
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(retries={"total_max_attempts": 1}),
        )
        clients.append(client)
        return S3Documents(client, now, sleep=pauses.append)

    yield start
    for client in clients:
        client.close()
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


PLACE = ObjectLocation("bucket", "a.pdf")


@pytest.mark.parametrize(
    ("status", "code", "error", "retryable"),
    [
        (403, "AccessDenied", SourceNotFoundError, False),
        (403, "InvalidObjectState", SourceNotFoundError, False),
        (405, "MethodNotAllowed", SourceNotFoundError, False),
        (400, "RequestTimeout", SourceUnavailableError, True),
        (500, "InternalError", SourceUnavailableError, True),
        (503, "SlowDown", SourceUnavailableError, True),
    ],
)
def test_each_refusal_to_read_becomes_one_of_our_errors(
    status: int,
    code: str,
    error: type[SealingError],
    retryable: bool,
    failing_s3: Callable[[Answer], S3Documents],
) -> None:
    """Denied and archived are final, slow and broken pass; the AWS code is named."""
    with pytest.raises(SealingError, match=code) as refused:
        failing_s3(refusal(status, code)).open(PLACE, most=10_000)
    assert type(refused.value) is error
    assert refused.value.retryable is retryable


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (403, "AccessDenied", False),
        (400, "BadDigest", False),
        (409, "OperationAborted", True),
        (503, "SlowDown", True),
    ],
)
def test_each_refusal_to_write_becomes_a_destination_error(
    status: int, code: str, retryable: bool, failing_s3: Callable[[Answer], S3Documents]
) -> None:
    """What may pass is told from what will not."""
    with pytest.raises(DestinationError, match=code) as refused:
        stored(failing_s3(refusal(status, code)), PLACE)
    assert refused.value.retryable is retryable


def test_a_destination_that_is_busy_for_seconds_costs_no_second_signature(
    pauses: list[float], failing_s3: Callable[[Answer], S3Documents]
) -> None:
    """What is sealed already is stored again; with pauses, each longer at most than the last."""
    answers = [refusal(503, "SlowDown"), refusal(500, "InternalError"), refusal(503, "SlowDown")]

    def busy(request: BaseHTTPRequestHandler) -> None:
        if answers:
            answers.pop()(request)
            return
        request.send_response(200)
        request.send_header("ETag", '"e"')
        request.send_header("Content-Length", "0")
        request.end_headers()

    assert stored(failing_s3(busy), PLACE).etag == "e"
    assert [0 <= pause <= most for pause, most in zip(pauses, (1, 2, 4), strict=True)] == [True] * 3


@pytest.mark.parametrize(
    ("answer", "tries"),
    [(refusal(503, "SlowDown"), 4), (refusal(403, "AccessDenied"), 1), (hung_up, 1)],
)
def test_a_destination_is_tried_again_only_after_a_refusal_that_passes(
    answer: Answer,
    tries: int,
    pauses: list[float],
    failing_s3: Callable[[Answer], S3Documents],
) -> None:
    """A denial stays, and silence may have used up the time of whoever asks."""
    with pytest.raises(DestinationError):
        stored(failing_s3(answer), PLACE)
    assert len(pauses) == tries - 1


def test_a_body_that_breaks_off_is_an_error_and_not_a_short_document(
    failing_s3: Callable[[Answer], S3Documents],
) -> None:
    """Half a document is never taken for a document."""
    with pytest.raises(SealingError, match="could not be read just now") as broken:
        failing_s3(broken_off).open(PLACE, most=10_000)
    assert broken.value.retryable


def test_an_s3_that_cannot_be_reached_is_an_error_that_passes() -> None:
    """No connection, for reading and for writing."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{unused.getsockname()[1]}",
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(retries={"total_max_attempts": 1}),
        )
        documents = S3Documents(client, now)
        with pytest.raises(SealingError, match="EndpointConnectionError") as unread:
            documents.open(PLACE, most=10)
        with pytest.raises(DestinationError, match="EndpointConnectionError") as unwritten:
            stored(documents, PLACE)
        client.close()
    assert unread.value.retryable
    assert unwritten.value.retryable
