"""One suite for every place where documents lie: what the sealer may rely on, whichever it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyhanko.sign.signers.pdf_cms import SimpleSigner

from rotation.errors import (
    DestinationError,
    DocumentTooLargeError,
    SignatureTooLargeError,
    SourceChangedError,
    SourceNotFoundError,
)
from rotation.sandbox.vendor import Pki
from rotation.sealing.documents import DocumentStore
from rotation.sealing.pdf import prepare
from rotation.sealing.request import ObjectLocation, SealOptions
from rotation.sealing.storage.folders import LocalDocuments
from rotation.sealing.storage.s3 import IN_MEMORY, S3Documents
from rotation.sealing.verify import verify
from tests.harness.s3_server import S3Server
from tests.sealing.conftest import now
from tests.sealing.pdfs import cms_over, large, pdf
from tests.sealing.storage.seal_document import seal_document

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.slow

SOURCE, SEALED = ObjectLocation("in", "a b/ä.pdf"), ObjectLocation("out", "x/y/b.pdf")


@dataclass
class Place:
    """Two buckets, ``in`` and ``out``, whatever they are."""

    documents: DocumentStore
    content: bytes
    write: Callable[[str, str, bytes], object]
    read: Callable[[str, str], bytes | None]
    left_behind: Callable[[], list[str]]
    nowhere: ObjectLocation

    def put(self, content: bytes | None = None) -> None:
        self.write(SOURCE.bucket, SOURCE.key, self.content if content is None else content)

    def nothing_is_there(self) -> bool:
        return self.read(SEALED.bucket, SEALED.key) is None and self.left_behind() == []


@pytest.fixture(params=["files", "S3, held", "S3, copied"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Each of them in turn."""
    if request.param == "files":
        yield in_folders(request.getfixturevalue("tmp_path"))
        return
    server: S3Server = request.getfixturevalue("s3_server")
    client = server.client()
    copied = request.param == "S3, copied"
    yield in_s3(client, server, large(6 * 1024**2) if copied else pdf(), copied=copied)
    client.close()


def in_folders(folder: Path) -> Place:
    roots = {name: folder / name for name in ("in", "out")}

    def write(bucket: str, key: str, content: bytes) -> None:
        path = roots[bucket] / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def read(bucket: str, key: str) -> bytes | None:
        with suppress(FileNotFoundError):
            return (roots[bucket] / key).read_bytes()
        return None

    def left_behind() -> list[str]:
        return [str(path) for path in roots["out"].rglob("*") if path.is_file()]

    nowhere = ObjectLocation("in", f"{SOURCE.key}/below-a-file.pdf")
    return Place(LocalDocuments(roots), large(3 * 1024**2), write, read, left_behind, nowhere)


def in_s3(client: S3Client, server: S3Server, content: bytes, *, copied: bool) -> Place:
    def write(bucket: str, key: str, content: bytes) -> None:
        client.put_object(Bucket=bucket, Key=key, Body=content)

    def read(bucket: str, key: str) -> bytes | None:
        with suppress(client.exceptions.NoSuchKey):
            return client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return None

    def left_behind() -> list[str]:
        return [upload.key for upload in server.store.unfinished("out")]

    documents = S3Documents(client, now, in_memory=0 if copied else IN_MEMORY)
    nowhere = ObjectLocation("no-such-bucket", "b.pdf")
    return Place(documents, content, write, read, left_behind, nowhere)


def test_a_document_is_opened_for_reading_anywhere(place: Place) -> None:
    """Its bytes, its size, where it lies; closed at the end of the block."""
    place.put()
    with place.documents.open(SOURCE, most=len(place.content)) as source:
        assert (source.location, source.size) == (SOURCE, len(place.content))
        assert source.etag
        source.content.seek(1000)
        assert source.content.read(500) == place.content[1000:1500]
        source.content.seek(0)
        assert source.content.read() == place.content
        assert source.content.read() == b""
        assert source.content.seek(0, 2) == len(place.content)
    assert source.content.closed


def test_another_content_has_another_tag(place: Place) -> None:
    """What is stored as the seal's origin tells one version from the next."""
    place.put()
    with place.documents.open(SOURCE, most=2**40) as first:
        pass
    place.put(place.content + b"\n")
    with place.documents.open(SOURCE, most=2**40) as second:
        assert first.etag != second.etag


def test_what_is_not_there_is_told(place: Place) -> None:
    """No document of that name, and none of that version."""
    with pytest.raises(SourceNotFoundError, match=r"ä\.pdf") as missing:
        place.documents.open(SOURCE, most=2**40)
    assert not missing.value.retryable
    place.put()
    with pytest.raises(SourceNotFoundError):
        place.documents.open(ObjectLocation("in", SOURCE.key, "no-such-version"), most=2**40)


def test_what_is_too_large_is_told(place: Place) -> None:
    """Both sizes are named."""
    place.put()
    size = len(place.content)
    with pytest.raises(DocumentTooLargeError, match=rf"{size} bytes.* at most {size - 1}"):
        place.documents.open(SOURCE, most=size - 1)


def test_what_is_stored_is_the_source_and_its_seal(
    place: Place, signer: SimpleSigner, pki: Pki
) -> None:
    """Every byte of the source in front, one good signature over all, and the size as told."""
    place.put()
    told = seal_document(
        place.documents, SOURCE, SEALED, signer, before=lambda: assert_nothing(place)
    )
    stored = place.read(SEALED.bucket, SEALED.key)
    assert stored is not None
    assert stored.startswith(place.content)
    assert len(stored) == told.size
    (report,) = verify(stored, pki.root_pem)
    assert (report.problem, report.covers_whole_file) == (None, True)


def assert_nothing(place: Place) -> None:
    assert place.read(SEALED.bucket, SEALED.key) is None


def test_a_repaired_document_is_stored_as_it_was_rewritten(
    place: Place, signer: SimpleSigner, pki: Pki
) -> None:
    """It does not begin with the source; its seal is good all the same."""
    place.put(pdf().replace(b"%PDF-1.7", b"%QDF-1.7"))
    seal_document(place.documents, SOURCE, SEALED, signer, options=SealOptions(repair=True))
    stored = place.read(SEALED.bucket, SEALED.key)
    assert stored is not None
    assert stored.startswith(b"%PDF")
    (report,) = verify(stored, pki.root_pem)
    assert (report.problem, report.covers_whole_file) == (None, True)


def test_what_is_not_completed_leaves_nothing(place: Place, signer: SimpleSigner) -> None:
    """Whether the block ends by itself or by an error."""
    place.put()
    with place.documents.open(SOURCE, most=2**40) as source:
        with place.documents.open_writer(source, SEALED, {}, rewritten=False):
            pass
        assert place.nothing_is_there()
    with pytest.raises(ZeroDivisionError):
        seal_document(place.documents, SOURCE, SEALED, signer, before=lambda: 1 // 0)
    assert place.nothing_is_there()


def test_a_signature_that_does_not_fit_is_told_and_can_be_tried_again(
    place: Place, signer: SimpleSigner
) -> None:
    """Nothing is stored; the same delivery takes a document that was prepared with more space."""
    place.put()
    with place.documents.open(SOURCE, most=2**40) as source:
        small = prepare(source.content, SealOptions(), now(), reserve=64)
        cms = cms_over(small.digest, signer)
        with (
            place.documents.open_writer(source, SEALED, {}, rewritten=False) as delivery,
            pytest.raises(SignatureTooLargeError),
        ):
            delivery.complete(small, cms)
    assert place.nothing_is_there()
    with place.documents.open(SOURCE, most=2**40) as source:
        prepare(source.content, SealOptions(), now(), reserve=64)
        with place.documents.open_writer(source, SEALED, {}, rewritten=False) as delivery:
            prepared = prepare(source.content, SealOptions(), now(), reserve=60_000)
            delivery.complete(prepared, cms_over(prepared.digest, signer))
    assert not place.nothing_is_there()


def test_two_documents_are_never_mixed(place: Place, signer: SimpleSigner, pki: Pki) -> None:
    """A source that is replaced meanwhile: sealed as it was opened, or not at all."""
    place.put()
    other = place.content.replace(b"10 10 50 50 re", b"99 99 99 99 re").replace(b"   ", b"###")
    with suppress(SourceChangedError):
        seal_document(place.documents, SOURCE, SEALED, signer, before=lambda: place.put(other))
    stored = place.read(SEALED.bucket, SEALED.key)
    if stored is None:
        assert place.left_behind() == []
    else:
        assert stored.startswith(place.content)
        (report,) = verify(stored, pki.root_pem)
        assert report.problem is None


def test_a_destination_that_cannot_be_written_is_told_before_or_after(
    place: Place, signer: SimpleSigner
) -> None:
    """It does not come to be by asking again; nothing is left behind."""
    place.put()
    with pytest.raises(DestinationError) as refused:
        seal_document(place.documents, SOURCE, place.nowhere, signer)
    assert not refused.value.retryable
