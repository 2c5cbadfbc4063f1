"""A document that is too large to be held: sealed as any other, and failing at every call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from rotation.credential import ApiKey
from rotation.deadline import Deadline
from rotation.errors import (
    DestinationError,
    RotationError,
    SealingError,
    SignatureTooLargeError,
    SourceChangedError,
    VendorUnavailableError,
)
from rotation.sandbox.vendor import Outage, Pki, VendorEmulator, VendorFault
from rotation.sealing.storage.s3 import IN_MEMORY
from tests.harness.s3_server import S3Server, Trouble, read_timeout
from tests.harness.s3_server.store import Bucket
from tests.sealing.conftest import SealerFixture
from tests.sealing.pdfs import large

SOURCE = large(IN_MEMORY + 4 * 1024**2)
# In the order in which the sealer makes them.
CALLS = [
    "GetObject",
    "CreateMultipartUpload",
    "UploadPartCopy",
    "UploadPart",
    "CompleteMultipartUpload",
]


@dataclass
class LargeDocumentFixture:
    """`SOURCE` in S3, and a sealer whose client tries each call once: every failure shows."""

    server: S3Server
    sealer_fixture: SealerFixture

    def seal(self) -> None:
        self.sealer_fixture.sealer.seal(self.sealer_fixture.request())

    def fails(self) -> RotationError:
        """The error that sealing ends in, after a look that nothing was left behind."""
        with pytest.raises(RotationError) as failed:
            self.seal()
        assert not self.server.store.bucket("outgoing").objects
        assert self.nothing_dangles()
        return failed.value

    def ranges_of_a_seal(self) -> int:
        """How many GETs one costs."""
        before = self.server.requests["GetObject"]
        self.seal()
        return self.server.requests["GetObject"] - before

    def sealed_whole(self) -> bool:
        return self.sealer_fixture.whole(SOURCE) and self.nothing_dangles()

    def nothing_dangles(self) -> bool:
        return not list(self.server.store.unfinished("outgoing")) and not [
            thread
            for thread in threading.enumerate()
            if thread.name.startswith(("copy", "read-ahead"))
        ]


@pytest.fixture
def large_fixture(
    s3_server: S3Server, emulator: VendorEmulator, pki: Pki, request: pytest.FixtureRequest
) -> Iterator[LargeDocumentFixture]:
    """A large document in S3, and an empty bucket for the result."""
    s3_server.store.buckets |= {"incoming": Bucket(), "outgoing": Bucket()}
    client = s3_server.client(read_timeout=read_timeout(request, 3))
    client.put_object(Bucket="incoming", Key="a.pdf", Body=SOURCE)
    sealer_fixture = SealerFixture(
        client, emulator, pki, incoming="incoming", outgoing="outgoing", largest=2**40
    )
    yield LargeDocumentFixture(s3_server, sealer_fixture)
    sealer_fixture.http.close()
    client.close()


def test_s3_copies_what_is_sealed(large_fixture: LargeDocumentFixture) -> None:
    """Only the update is sent; what appears is whole, and the answer tells its size."""
    sealed = large_fixture.sealer_fixture.sealer.seal(large_fixture.sealer_fixture.request())
    assert large_fixture.sealed_whole()
    assert sealed.answer()["bytes"] == len(large_fixture.sealer_fixture.sealed())
    assert large_fixture.server.requests["UploadPartCopy"] == 1
    assert large_fixture.server.requests["PutObject"] == 1  # the fixture's


def test_copying_overlaps_hashing(large_fixture: LargeDocumentFixture) -> None:
    """The source is read to its end only after S3 was asked to copy it: neither waits."""
    # The last range of the digest; those before it open the document and follow its references.
    last = large_fixture.ranges_of_a_seal() - 1
    copying = threading.Event()
    large_fixture.server.faults.before("UploadPartCopy", copying.set)
    large_fixture.server.faults.before("GetObject", lambda: copying.wait(300), skip=last)
    large_fixture.seal()
    assert copying.is_set()
    assert large_fixture.sealed_whole()


def test_copying_overlaps_signing(large_fixture: LargeDocumentFixture) -> None:
    """The vendor is waited for while S3 copies: neither waits for the other to begin."""
    copying = threading.Event()
    sign = large_fixture.sealer_fixture.sign

    def sign_late(key: ApiKey, digest: bytes, *, timestamp: bool = False) -> bytes:
        assert copying.wait(300)
        return sign(key, digest, timestamp=timestamp)

    large_fixture.server.faults.before("UploadPartCopy", copying.set)
    large_fixture.sealer_fixture.sign = sign_late
    large_fixture.seal()
    assert large_fixture.sealed_whole()


TROUBLES = [
    Trouble.KILLED,
    Trouble.LOST,
    Trouble.HANGS,
    Trouble.INTERNAL_ERROR,
    Trouble.SLOW_DOWN,
    Trouble.DENIED,
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name.lower())
@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_goes_on_failing_leaves_nothing_and_a_repeat_succeeds(
    call: str, trouble: Trouble, large_fixture: LargeDocumentFixture
) -> None:
    """Killed, lost, unanswered, broken, throttled or denied, at whatever call."""
    large_fixture.server.faults.next(call, trouble, times=None)
    if (call, trouble) == ("CompleteMultipartUpload", Trouble.LOST):
        # It was done, and only the answer was lost: what is there is whole.
        with pytest.raises(DestinationError) as failed:
            large_fixture.seal()
        assert failed.value.retryable
        assert large_fixture.sealed_whole()
    else:
        assert large_fixture.fails().retryable is (trouble is not Trouble.DENIED)
    large_fixture.server.faults.clear()
    large_fixture.seal()
    assert large_fixture.sealed_whole()


@pytest.mark.parametrize("skip", [1, 2, 3, 4])
def test_a_body_that_breaks_off_is_read_on(skip: int, large_fixture: LargeDocumentFixture) -> None:
    """A ranged GET may be cut half-way: the rest is asked for, and the digest is right."""
    large_fixture.server.faults.next("GetObject", Trouble.CUT, skip=skip)
    large_fixture.seal()
    assert large_fixture.sealed_whole()


def test_a_vendor_that_fails_has_the_copy_dropped(large_fixture: LargeDocumentFixture) -> None:
    """No signature, no document, and no upload that goes on costing storage."""
    large_fixture.sealer_fixture.emulator.outage = Outage.UNAVAILABLE
    assert isinstance(large_fixture.fails(), VendorUnavailableError)
    assert large_fixture.server.requests["AbortMultipartUpload"] == 1


@pytest.mark.parametrize("call", ["CreateMultipartUpload", "UploadPartCopy"])
def test_a_source_replaced_after_it_was_read_is_told(
    call: str, large_fixture: LargeDocumentFixture
) -> None:
    """What was hashed is what is copied, or there is nothing."""
    client = large_fixture.server.client()
    large_fixture.server.faults.before(
        call, lambda: client.put_object(Bucket="incoming", Key="a.pdf", Body=SOURCE[::-1])
    )
    error = large_fixture.fails()
    assert (type(error), error.retryable) == (SourceChangedError, True)
    client.close()


def test_a_signature_too_large_is_bought_anew_for_the_same_copy(
    large_fixture: LargeDocumentFixture,
) -> None:
    """The source is read again for another digest; the upload goes on."""
    large_fixture.sealer_fixture.emulator.faults.next("sign", VendorFault.LARGE, times=2)
    large_fixture.seal()
    assert large_fixture.sealed_whole()
    assert (
        large_fixture.sealer_fixture.emulator.signatures[large_fixture.sealer_fixture.key.id] == 2
    )
    assert large_fixture.server.requests["CreateMultipartUpload"] == 1


def test_a_signature_that_never_fits_has_the_copy_dropped(
    large_fixture: LargeDocumentFixture,
) -> None:
    """As with a small document, and nothing is left behind."""
    sign, check = large_fixture.sealer_fixture.sign, large_fixture.sealer_fixture.verify
    padding = iter((20_000, 120_000))

    def swelling(key: ApiKey, digest: bytes, *, timestamp: bool = False) -> bytes:
        return sign(key, digest, timestamp=timestamp) + bytes(next(padding))

    large_fixture.sealer_fixture.sign = swelling
    large_fixture.sealer_fixture.verify = lambda cms, digest, at: check(
        cms.rstrip(b"\0"), digest, at
    )
    assert isinstance(large_fixture.fails(), SignatureTooLargeError)


@pytest.mark.parametrize("call", CALLS)
def test_a_seal_is_given_up_when_its_time_ends(
    large_fixture: LargeDocumentFixture, call: str
) -> None:
    """Whatever S3 does not answer: the caller is, nothing appears, and no upload is left."""
    answers = threading.Event()
    large_fixture.server.faults.before(call, answers.wait)
    large_fixture.sealer_fixture.ends = Deadline.after(timedelta(seconds=0.5))
    with pytest.raises(SealingError, match="function's time ended") as given_up:
        large_fixture.seal()
    assert given_up.value.retryable
    answers.set()
    for name in ("seal-in-time", "copy", "read-ahead"):
        for thread in threading.enumerate():
            if thread.name.startswith(name):
                thread.join()
    assert not large_fixture.server.store.bucket("outgoing").objects
    assert large_fixture.nothing_dangles()
