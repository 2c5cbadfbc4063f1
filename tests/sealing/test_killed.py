"""Killed while it seals a large document: never half a seal, and nothing left for ever."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rotation.sandbox.vendor import Pki, VendorEmulator, VendorFault
from rotation.sealing.storage.s3 import IN_MEMORY
from tests.harness.s3_server import S3Server
from tests.harness.s3_server.store import Bucket
from tests.sealing.conftest import SealerFixture
from tests.sealing.pdfs import large
from tests.sealing.seal_function import SealFunction, environment_of

SOURCE = large(IN_MEMORY)


@dataclass
class KilledFunctionFixture:
    """A large document in S3, and functions that seal it."""

    server: S3Server
    sealer_fixture: SealerFixture
    environment: dict[str, str]

    def function(self) -> SealFunction:
        return SealFunction(self.environment)

    def sealed_or_nothing(self) -> bool:
        there = self.server.store.bucket("outgoing").objects
        return not there or self.sealer_fixture.whole(SOURCE)

    def clean_up(self) -> int:
        """What the bucket's lifecycle rule does, a day later; how many uploads there were."""
        s3 = self.sealer_fixture.s3
        unfinished = s3.list_multipart_uploads(Bucket="outgoing").get("Uploads", [])
        for upload in unfinished:
            s3.abort_multipart_upload(
                Bucket="outgoing", Key=upload["Key"], UploadId=upload["UploadId"]
            )
        return len(unfinished)

    def nothing_unfinished(self) -> bool:
        return not list(self.server.store.unfinished("outgoing"))

    def a_repeat_succeeds(self) -> bool:
        (answer,), _ = self.function().invoke(self.sealer_fixture.event())
        return answer["status"] == "sealed" and self.sealer_fixture.whole(SOURCE)


@pytest.fixture
def killed_fixture(
    s3_server: S3Server, emulator: VendorEmulator, pki: Pki, tmp_path: Path
) -> Iterator[KilledFunctionFixture]:
    """`SOURCE` in a bucket, and an empty one for the seal."""
    s3_server.store.buckets |= {"incoming": Bucket(), "outgoing": Bucket()}
    client = s3_server.client()
    client.put_object(Bucket="incoming", Key="a.pdf", Body=SOURCE)
    sealer_fixture = SealerFixture(client, emulator, pki, incoming="incoming", outgoing="outgoing")
    yield KilledFunctionFixture(
        s3_server, sealer_fixture, environment_of(sealer_fixture, s3_server.url, tmp_path)
    )
    sealer_fixture.http.close()
    client.close()


@pytest.mark.parametrize(
    ("call", "skip"),
    [
        ("GetObject", 0),
        ("GetObject", 2),
        ("CreateMultipartUpload", 0),
        ("UploadPartCopy", 0),
        ("UploadPart", 0),
        ("CompleteMultipartUpload", 0),
    ],
)
def test_a_kill_at_a_call_to_s3(
    call: str, skip: int, killed_fixture: KilledFunctionFixture
) -> None:
    """S3 carries the call out, and nobody is there to hear of it."""
    function = killed_fixture.function()
    killed_fixture.server.faults.before(call, function.kill, skip=skip)
    function.begin(killed_fixture.sealer_fixture.event())
    assert function.died()
    assert killed_fixture.sealed_or_nothing()
    assert killed_fixture.clean_up() <= 1
    assert killed_fixture.nothing_unfinished()
    assert killed_fixture.a_repeat_succeeds()
    assert killed_fixture.nothing_unfinished()


def test_a_kill_while_the_vendor_signs(killed_fixture: KilledFunctionFixture) -> None:
    """A signature was bought and is lost; the copy is cleared by the bucket's rule."""
    function = killed_fixture.function()
    faults = killed_fixture.sealer_fixture.emulator.faults
    faults.next("sign", VendorFault.HANG)
    function.begin(killed_fixture.sealer_fixture.event())
    assert faults.wait_until_holding()
    function.kill()
    assert function.died()
    faults.release()
    assert killed_fixture.sealed_or_nothing()
    assert killed_fixture.clean_up() == 1
    assert killed_fixture.a_repeat_succeeds()
    assert killed_fixture.nothing_unfinished()
