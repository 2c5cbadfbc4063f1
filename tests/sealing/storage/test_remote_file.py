"""A document in S3 as a file."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rotation.errors import SourceChangedError, SourceUnavailableError
from rotation.sealing.request import ObjectLocation
from rotation.sealing.storage import remote_file as remote
from rotation.sealing.storage.ranges import RangedObject
from rotation.sealing.storage.remote_file import BLOCK, BLOCKS, RemoteDocument, RemoteStream
from tests.harness.s3_server import S3Server, Trouble

# Two blocks and a bit, so that borders of blocks and of the source are near.
CONTENT = random.Random(4711).randbytes(2 * BLOCK + 1000)
LARGE = random.Random(4712).randbytes(9 * 1024 * 1024 + 77)
PLACE = ObjectLocation("in", "a.pdf")


@pytest.fixture
def source(s3_server: S3Server) -> Iterator[RangedObject]:
    """`CONTENT` in S3."""
    client = s3_server.client()
    client.put_object(Bucket="in", Key="a.pdf", Body=CONTENT)
    yield RangedObject.find(client, PLACE)
    client.close()


@pytest.fixture
def large(s3_server: S3Server) -> Iterator[RangedObject]:
    """`LARGE` in S3."""
    client = s3_server.client()
    client.put_object(Bucket="in", Key="a.pdf", Body=LARGE)
    yield RangedObject.find(client, PLACE)
    client.close()


BORDERS = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, len(CONTENT) - 1, len(CONTENT)]


@pytest.mark.parametrize("start", BORDERS)
@pytest.mark.parametrize("length", [1, 7, BLOCK, 2 * BLOCK])
def test_reads_at_borders_give_what_is_there(start: int, length: int, source: RangedObject) -> None:
    """Neither the borders of blocks nor the end show in what is read."""
    with RemoteDocument(source) as document:
        document.seek(start)
        assert document.read(length) == CONTENT[start : start + length]


positions = st.one_of(
    st.sampled_from(BORDERS), st.integers(0, len(CONTENT) + 3 * BLOCK), st.just(len(CONTENT) + 5)
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("seek"), positions),
        st.tuples(st.just("back"), st.integers(1, 100)),
        st.tuples(st.just("end"), st.integers(-100, 100)),
        st.tuples(st.just("read"), st.one_of(st.integers(0, 64), st.integers(0, 3 * BLOCK))),
        st.tuples(st.just("readline"), st.integers(1, 64)),
    ),
    max_size=25,
)


@given(steps=steps)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_is_a_file_like_any_other(steps: list[tuple[str, int]], source: RangedObject) -> None:
    """Any reads and seeks do as they do in memory."""
    plain = io.BytesIO(CONTENT)
    with RemoteDocument(source) as document:
        for act, amount in steps:
            assert _done(plain, act, amount) == _done(document, act, amount)
            assert plain.tell() == document.tell()


def _done(file: io.BytesIO | RemoteDocument, act: str, amount: int) -> object:
    acts: dict[str, Callable[[], object]] = {
        "seek": lambda: file.seek(amount),
        "back": lambda: file.seek(max(0, file.tell() - amount)),
        "end": lambda: file.seek(amount, io.SEEK_END),
        "read": lambda: file.read(amount),
        "readline": lambda: file.readline(amount),
    }
    return acts[act]()


def test_a_source_is_never_written(source: RangedObject) -> None:
    """It can be read, and nothing else."""
    with RemoteDocument(source) as document:
        assert document.readable()
        assert not document.writable()
        with pytest.raises(io.UnsupportedOperation):
            document.write(b"x")
        with pytest.raises(io.UnsupportedOperation):
            document.truncate(0)


def test_there_is_nothing_before_the_start(source: RangedObject) -> None:
    """A position below zero is refused."""
    with RemoteStream(source) as stream, pytest.raises(ValueError, match="no position -1"):
        stream.seek(-1)


def test_a_closed_document_is_closed(source: RangedObject, s3_server: S3Server) -> None:
    """Neither stream reads any more, nor asks S3."""
    document = RemoteDocument(source)
    raw = RemoteStream(source)
    for stream in (document, raw):
        stream.close()
        with pytest.raises(ValueError, match="closed"):
            stream.read(1)
    assert s3_server.requests["GetObject"] == 0


def test_jumping_about_reads_each_block_once(source: RangedObject, s3_server: S3Server) -> None:
    """What was read lately is not fetched again."""
    with RemoteDocument(source) as document:
        for position in [len(CONTENT) - 50, 0, BLOCK + 5, 10, len(CONTENT) - 20, BLOCK + 500] * 5:
            document.seek(position)
            assert document.read(10) == CONTENT[position : position + 10]
    assert s3_server.requests["GetObject"] == 3


def test_reading_byte_by_byte_costs_few_requests(source: RangedObject, s3_server: S3Server) -> None:
    """As pyHanko reads a cross-reference stream."""
    with RemoteDocument(source) as document:
        assert b"".join(iter(lambda: document.read(1), b"")) == CONTENT
    assert s3_server.requests["GetObject"] == 3


def test_old_blocks_are_let_go(large: RangedObject, s3_server: S3Server) -> None:
    """No more than the stated number of blocks is kept."""
    with RemoteStream(large) as stream:
        for number in range(BLOCKS + 1):
            stream.seek(2 * number * BLOCK % len(LARGE))
            stream.read(1)
        assert len(stream._blocks) == BLOCKS
        before = s3_server.requests["GetObject"]
        stream.seek(0)
        stream.read(1)
        assert s3_server.requests["GetObject"] == before + 1


@pytest.mark.parametrize("piece", [4096, 64 * 1024, 1024 * 1024, 20 * 1024 * 1024])
def test_going_straight_through_reads_ahead(
    piece: int, large: RangedObject, s3_server: S3Server
) -> None:
    """A digest over all costs a handful of large requests, whatever it reads at once."""
    digest = hashlib.sha256()
    with RemoteDocument(large) as document:
        while content := document.read(piece):
            digest.update(content)
    assert digest.digest() == hashlib.sha256(LARGE).digest()
    assert s3_server.requests["GetObject"] <= 8
    assert s3_server.bytes_served <= len(LARGE) + 4 * BLOCK


def test_turning_back_while_reading_ahead_is_no_matter(large: RangedObject) -> None:
    """What was fetched ahead is dropped when the reader jumps, and never shows up elsewhere."""
    with RemoteDocument(large) as document:
        document.read(3 * 1024 * 1024)
        for position in (5, len(LARGE) - 10, 4 * 1024 * 1024 - 3):
            document.seek(position)
            assert document.read(7) == LARGE[position : position + 7]
        document.seek(1)
        assert document.read() == LARGE[1:]


def test_the_pieces_are_the_whole(large: RangedObject, s3_server: S3Server) -> None:
    """In order, once, and in one request; reading elsewhere goes on where it was."""
    with RemoteDocument(large) as document:
        document.seek(5)
        assert b"".join(bytes(piece) for piece in document.chunks()) == LARGE
        assert document.tell() == 5
        assert document.read(10) == LARGE[5:15]
    assert s3_server.requests["GetObject"] == 2
    assert s3_server.bytes_served == len(LARGE) + BLOCK


def test_a_source_replaced_half_way_is_an_error(large: RangedObject, s3_server: S3Server) -> None:
    """Two documents are never mixed."""
    client = s3_server.client()

    def replace() -> None:
        client.put_object(Bucket="in", Key="a.pdf", Body=LARGE[::-1])

    s3_server.faults.before("GetObject", replace, skip=2)
    with RemoteDocument(large) as document, pytest.raises(SourceChangedError, match=r"in/a\.pdf"):
        document.read()
    client.close()


def test_after_a_failure_reading_goes_on_where_it_was(
    large: RangedObject, s3_server: S3Server
) -> None:
    """An outage that ends leaves a stream that works, and no thread behind."""
    patient = RangedObject(large.s3, large.location, large.size, large.etag, sleep=lambda _: None)
    with RemoteStream(patient) as stream:
        s3_server.faults.next("GetObject", Trouble.SLOW_DOWN, times=None)
        with pytest.raises(SourceUnavailableError):
            stream.read(3 * 1024 * 1024)
        s3_server.faults.clear()
        assert stream.read(3 * 1024 * 1024) == LARGE[: 3 * 1024 * 1024]


def test_the_stated_memory_is_what_the_constants_say() -> None:
    """The module's docstring names 4 MiB of blocks."""
    assert BLOCK * BLOCKS == 4 * 1024**2
    assert "(4 MiB)" in (remote.__doc__ or "")
