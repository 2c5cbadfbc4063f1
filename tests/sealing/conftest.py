"""A sealer whose parts are real: S3 over sockets (moto), the vendor over sockets (the emulator)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from pyhanko.sign.signers.pdf_cms import SimpleSigner

from rotation.credential import ApiKey
from rotation.deadline import Deadline
from rotation.sandbox.aws.server import LocalServer, MotoApplication
from rotation.sandbox.vendor import Pki, VendorEmulator
from rotation.sealing.profile import ProfileChoice
from rotation.sealing.raised import RaiseSeal
from rotation.sealing.request import SealRequest
from rotation.sealing.sealer import Sealer, SealLedger, SignFunction, VerifyFunction
from rotation.sealing.signer_name import SignerName
from rotation.sealing.storage.s3 import S3Documents
from rotation.sealing.turns import Turns
from rotation.sealing.verify import verify
from rotation.settings.environment import Location
from rotation.vendor.cms import verify_cms
from rotation.vendor.http import VendorHttp
from rotation.vendor.signer import Signer, SignerPolicy
from rotation.vendor.signing_api import SigningApi
from tests.harness.s3_server import S3Server
from tests.harness.s3_server.store import Bucket
from tests.sealing.pdfs import signer_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LARGEST = 64 * 1024


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """The address of an S3 of this process's own."""
    server = LocalServer(MotoApplication())
    yield server.url
    server.stop()


@pytest.fixture
def s3(s3_url: str) -> Iterator[S3Client]:
    """A client with credentials that open nothing."""
    client = boto3.client(
        "s3",
        endpoint_url=s3_url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    yield client
    client.close()


@pytest.fixture
def s3_server(tmp_path: Path) -> Iterator[S3Server]:
    """An S3 for large documents, with a bucket for them, ``in``, and one for seals, ``out``."""
    with S3Server(tmp_path) as server:
        server.store.buckets |= {"in": Bucket(), "out": Bucket()}
        yield server
    assert server.crashes == []


@pytest.fixture
def signer(pki: Pki) -> SimpleSigner:
    """The vendor's identity, signing in this process."""
    return signer_of(pki.signer)


@dataclass
class SealerFixture:
    """Two buckets, a vendor, a key, and the sealer between them.

    Without names, the buckets are made, of its own and with versions.
    """

    s3: S3Client
    emulator: VendorEmulator
    pki: Pki
    incoming: str = ""
    outgoing: str = ""
    largest: int = LARGEST
    at_once: int = 1
    ends: Deadline | None = None
    ledger: SealLedger | None = None
    signer_name: SignerName | None = None
    profile: ProfileChoice | None = None
    raise_seal: RaiseSeal | None = None

    def __post_init__(self) -> None:
        if not self.incoming:
            self._make_buckets()
        portal_key = self.emulator.keys.create()
        self.material = portal_key.material
        self.key = ApiKey.from_text(portal_key.id, portal_key.material)
        self.http = VendorHttp(
            self.emulator.url,
            connect_timeout=timedelta(seconds=60),
            read_timeout=timedelta(seconds=60),
            clock=now,
            sleep=lambda _: None,
        )
        self.sign: SignFunction = SigningApi(self.http, "/v1/sign").sign
        self.verify: VerifyFunction = self._verify
        self.policy = SignerPolicy.from_pem(self.pki.root_pem, "Trusted Signatures Sandbox")

    @property
    def sealer(self) -> Sealer:
        """Reads from the incoming bucket, writes to ``sealed/`` of the outgoing one."""
        return Sealer(
            S3Documents(self.s3, now),
            self.sign,
            self.verify,
            now,
            sources=(Location(self.incoming, ""),),
            destinations=(Location(self.outgoing, "sealed/"),),
            max_document_bytes=self.largest,
            ledger=self.ledger,
            signer_name=self.signer_name,
            turns=Turns() if self.at_once > 1 else None,
            ends=self.ends,
            profile=self.profile,
            raise_seal=self.raise_seal,
        )

    def _make_buckets(self) -> None:
        name = uuid.uuid4().hex
        self.incoming, self.outgoing = f"in-{name}", f"out-{name}"
        for bucket in (self.incoming, self.outgoing):
            self.s3.create_bucket(Bucket=bucket)
            self.s3.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
            )

    def _verify(self, cms: bytes, digest: bytes, at: datetime) -> Signer:
        return verify_cms(cms, digest, self.policy, at)

    def put(self, key: str, content: bytes) -> str:
        """Put a document into the incoming bucket; its version."""
        return self.s3.put_object(Bucket=self.incoming, Key=key, Body=content)["VersionId"]

    def sealed(self, key: str = "sealed/a.pdf") -> bytes:
        return self.s3.get_object(Bucket=self.outgoing, Key=key)["Body"].read()

    def whole(self, source: bytes) -> bool:
        """Whether the sealed document is ``source`` and one seal, which covers it all."""
        content = self.sealed()
        (report,) = verify(content, self.pki.root_pem)
        return content.startswith(source) and report.problem is None and report.covers_whole_file

    def nothing_sealed(self) -> bool:
        """Whether the outgoing bucket holds no object and no trace of one."""
        versions = self.s3.list_object_versions(Bucket=self.outgoing)
        uploads = self.s3.list_multipart_uploads(Bucket=self.outgoing)
        return not {"Versions", "DeleteMarkers"} & versions.keys() and "Uploads" not in uploads

    def event(
        self, key: str = "a.pdf", *, options: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """What an application sends."""
        return {
            "source": {"bucket": self.incoming, "key": key},
            "destination": {"bucket": self.outgoing, "key": "sealed/a.pdf"},
            "credential": {"apiKey": self.material, "apiKeyId": self.key.id},
            **({"options": dict(options)} if options else {}),
        }

    def request(
        self, key: str = "a.pdf", *, options: Mapping[str, object] | None = None
    ) -> SealRequest:
        return SealRequest.parse(self.event(key, options=options))


@pytest.fixture
def sealer_fixture(s3: S3Client, emulator: VendorEmulator, pki: Pki) -> Iterator[SealerFixture]:
    """Everything that a seal needs, of the test's own."""
    sealer_fixture = SealerFixture(s3, emulator, pki)
    yield sealer_fixture
    sealer_fixture.http.close()


def now() -> datetime:
    return datetime.now(UTC)
