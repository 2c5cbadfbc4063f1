"""One version of an object, read in ranges, over an S3 in which calls fail."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from rotation.errors import (
    SealingError,
    SourceChangedError,
    SourceNotFoundError,
    SourceUnavailableError,
)
from rotation.sealing.request import ObjectLocation
from rotation.sealing.storage.ranges import RangedObject
from tests.harness.s3_server import S3Server, Trouble, read_timeout

CONTENT = random.Random(4711).randbytes(1024 * 1024 + 13)
PLACE = ObjectLocation("in", "a.pdf")
CHUNK = 100_000


@pytest.fixture
def pauses() -> list[float]:
    """What was waited, seconds."""
    return []


@pytest.fixture
def source(
    s3_server: S3Server, pauses: list[float], request: pytest.FixtureRequest
) -> Iterator[RangedObject]:
    """`CONTENT`, pinned; the client itself tries each call once."""
    client = s3_server.client(read_timeout=read_timeout(request, 1.5))
    client.put_object(Bucket="in", Key="a.pdf", Body=CONTENT)
    found = RangedObject.find(client, PLACE)
    yield RangedObject(client, PLACE, found.size, found.etag, sleep=pauses.append)
    client.close()


def streamed(source: RangedObject, start: int = 0, end: int | None = None) -> bytes:
    end = source.size if end is None else end
    return b"".join(bytes(view) for view in source.stream(start, end, chunk=CHUNK, span=CHUNK))


@pytest.mark.parametrize(
    ("start", "length"),
    [(0, 1), (0, len(CONTENT)), (5, 1000), (len(CONTENT) - 1, 1), (len(CONTENT) - 5, 100)],
)
def test_any_range_can_be_read(start: int, length: int, source: RangedObject) -> None:
    """What lies between the borders, up to the object's end."""
    assert source.read(start, length) == CONTENT[start : start + length]


@pytest.mark.parametrize(("start", "length"), [(len(CONTENT), 10), (0, 0), (2 * len(CONTENT), 1)])
def test_past_the_end_there_is_nothing_and_nothing_is_asked(
    start: int, length: int, source: RangedObject, s3_server: S3Server
) -> None:
    """S3 would answer such a range with 416 (API_GetObject)."""
    assert source.read(start, length) == b""
    assert s3_server.requests["GetObject"] == 0


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, len(CONTENT)),
        (0, CHUNK),
        (1, CHUNK),
        (CHUNK - 1, CHUNK + 1),
        (77, 3 * CHUNK + 77),
        (0, 3 * CHUNK),
        (9, 9),
    ],
)
def test_a_stream_is_the_bytes_between_its_borders(
    start: int, end: int, source: RangedObject
) -> None:
    """Whole chunks, parts of chunks, one chunk, none."""
    assert streamed(source, start, end) == CONTENT[start:end]


@pytest.mark.parametrize("ahead", [1, 2, 3])
def test_chunks_are_fetched_while_one_is_used(
    ahead: int, source: RangedObject, s3_server: S3Server
) -> None:
    """As many as were asked for, and no more until the next one is wanted."""
    with closing(source.stream(0, len(CONTENT), chunk=CHUNK, span=CHUNK, ahead=ahead)) as stream:
        next(stream)
        # Closing waits for what is being fetched, so that all that was asked for is counted.
    assert 1 <= s3_server.requests["GetObject"] <= ahead + 1


def test_a_stream_that_is_left_leaves_no_thread(source: RangedObject) -> None:
    """Closing ends the threads, and what they fetch."""
    stream = source.stream(0, len(CONTENT), chunk=CHUNK, span=CHUNK)
    next(stream)
    stream.close()
    names = [thread.name for thread in threading.enumerate()]
    assert [name for name in names if name.startswith("read-ahead")] == []


def test_a_stream_reuses_its_memory(source: RangedObject) -> None:
    """Four chunks of memory serve any number of chunks of the object."""
    views = [
        id(view.obj) for view in source.stream(0, len(CONTENT), chunk=CHUNK, span=CHUNK, ahead=3)
    ]
    assert len(views) == 11
    assert len(set(views)) == 4


PASSING = [
    Trouble.KILLED,
    Trouble.LOST,
    Trouble.INTERNAL_ERROR,
    Trouble.SLOW_DOWN,
    Trouble.CUT,
    Trouble.HANGS,
]


@pytest.mark.parametrize("trouble", PASSING)
@pytest.mark.parametrize("skip", [0, 1, 10])
def test_what_passes_is_ridden_out(
    trouble: Trouble, skip: int, source: RangedObject, s3_server: S3Server, pauses: list[float]
) -> None:
    """A call that fails once, the first, one in the middle or the last: nothing shows."""
    s3_server.faults.next("GetObject", trouble, skip=skip)
    assert streamed(source) == CONTENT
    assert len(pauses) == 1


def test_a_body_that_breaks_off_is_continued_where_it_broke(
    source: RangedObject, s3_server: S3Server
) -> None:
    """Half, half of the rest, and so on: nothing is fetched twice."""
    s3_server.faults.next("GetObject", Trouble.CUT, times=3)
    assert source.read(0, len(CONTENT)) == CONTENT
    assert s3_server.requests["GetObject"] == 4
    assert s3_server.bytes_served == len(CONTENT)


@pytest.mark.parametrize("trouble", [Trouble.KILLED, Trouble.SLOW_DOWN, Trouble.CUT])
def test_what_does_not_pass_is_an_error_after_a_bound(
    trouble: Trouble, source: RangedObject, s3_server: S3Server, pauses: list[float]
) -> None:
    """Five attempts, with pauses of at most two seconds between them."""
    s3_server.faults.next("GetObject", trouble, times=None)
    with pytest.raises(SourceUnavailableError, match="could not be read just now") as failed:
        source.read(0, 1000)
    assert failed.value.retryable
    assert s3_server.requests["GetObject"] == 5
    assert len(pauses) == 4
    assert all(0 <= pause <= 2 for pause in pauses)


def test_a_failure_ahead_is_raised_in_its_turn(source: RangedObject, s3_server: S3Server) -> None:
    """What comes before the failed chunk is given out first."""
    s3_server.faults.next("GetObject", Trouble.DENIED, skip=3)
    stream = source.stream(0, len(CONTENT), chunk=CHUNK, span=CHUNK, ahead=1)
    assert b"".join(bytes(next(stream)) for _ in range(3)) == CONTENT[: 3 * CHUNK]
    with pytest.raises(SourceNotFoundError, match="AccessDenied"):
        next(stream)


@pytest.mark.parametrize("skip", [0, 1, 5, 10])
def test_a_source_that_is_replaced_half_way_is_changed(
    skip: int, source: RangedObject, s3_server: S3Server, pauses: list[float]
) -> None:
    """412 answers If-Match: told at once, without a second attempt."""
    other = s3_server.client()
    s3_server.faults.before(
        "GetObject", lambda: other.put_object(Bucket="in", Key="a.pdf", Body=b"new"), skip=skip
    )
    with pytest.raises(SourceChangedError, match="was replaced") as changed:
        streamed(source)
    assert changed.value.retryable
    assert pauses == []
    other.close()


def test_a_range_of_something_else_is_never_taken(
    source: RangedObject, s3_server: S3Server
) -> None:
    """The same entity tag over another size: some store that is not S3, and not to be trusted."""
    pinned = RangedObject(source.s3, PLACE, source.size - 5, source.etag)
    with pytest.raises(SourceChangedError):
        pinned.read(0, 10)
    assert s3_server.requests["GetObject"] == 1


def test_a_source_that_is_removed_half_way_is_not_found(
    source: RangedObject, s3_server: S3Server
) -> None:
    """Gone is gone."""
    s3_server.faults.before("GetObject", lambda: s3_server.store.delete("in", "a.pdf"), skip=4)
    with pytest.raises(SourceNotFoundError, match="NoSuchKey"):
        streamed(source)


def test_a_version_stays_what_it_was(s3_server: S3Server) -> None:
    """Where the bucket keeps versions, the one that was first seen is read to its end."""
    s3_server.store.bucket("in").versioned = True
    client = s3_server.client()
    client.put_object(Bucket="in", Key="a.pdf", Body=CONTENT)
    first = RangedObject.find(client, PLACE)
    newer = client.put_object(Bucket="in", Key="a.pdf", Body=b"new")["VersionId"]
    assert first.version_id
    assert streamed(first) == CONTENT
    named = RangedObject.find(client, ObjectLocation("in", "a.pdf", newer))
    assert (named.read(0, 10), named.version_id) == (b"new", newer)
    client.close()


@pytest.mark.parametrize(
    "place", [ObjectLocation("in", "b.pdf"), ObjectLocation("nowhere", "a.pdf")]
)
def test_an_object_that_is_not_there_is_not_found(
    place: ObjectLocation, s3_server: S3Server
) -> None:
    """HEAD says 404 and no more (API_HeadObject)."""
    client = s3_server.client()
    with pytest.raises(SourceNotFoundError, match=place.key):
        RangedObject.find(client, place)
    client.close()


@pytest.mark.parametrize("trouble", [Trouble.SLOW_DOWN, Trouble.KILLED, Trouble.HANGS])
def test_an_s3_that_cannot_say_is_unavailable(
    trouble: Trouble, source: RangedObject, s3_server: S3Server
) -> None:
    """No answer to the HEAD is told from a missing object."""
    s3_server.faults.next("HeadObject", trouble, times=None)
    with pytest.raises(SealingError, match="Ask again") as failed:
        RangedObject.find(source.s3, PLACE)
    assert type(failed.value) is SourceUnavailableError


def test_tags_are_read_from_the_pinned_version(s3_server: S3Server) -> None:
    """Tags belong to a version (UserGuide object-tagging)."""
    s3_server.store.bucket("in").versioned = True
    client = s3_server.client()
    client.put_object(Bucket="in", Key="a.pdf", Body=b"a", Tagging="case=4711&of=a%2Fb%3D")
    first = RangedObject.find(client, PLACE)
    client.put_object(Bucket="in", Key="a.pdf", Body=b"b")
    assert first.tags() == {"case": "4711", "of": "a/b="}
    s3_server.faults.next("GetObjectTagging", Trouble.DENIED)
    with pytest.raises(SourceNotFoundError, match="AccessDenied"):
        first.tags()
    client.close()
