"""The vendor client, wired to an emulated vendor, with its pauses written down, not waited for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from rotation.credential import ApiKey
from rotation.sandbox.vendor import Pki, PortalKey, Role, VendorEmulator
from rotation.vendor.admin_api import AdminApi
from rotation.vendor.http import VendorHttp
from rotation.vendor.key_prover import TestSealProver
from rotation.vendor.signer import SignerPolicy
from rotation.vendor.signing_api import SigningApi


def as_api_key(key: PortalKey) -> ApiKey:
    return ApiKey.from_text(key.id, key.material)


@dataclass
class Client:
    """Everything a test asks of the vendor client."""

    emulator: VendorEmulator
    pki: Pki
    offset: timedelta = timedelta(0)
    pauses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.http = self.session(self.emulator.url)
        self.signing = SigningApi(self.http, "/v1/sign")
        self.key = as_api_key(self.emulator.keys.create())
        admin = as_api_key(self.emulator.keys.create(role=Role.ADMIN))
        self.admin = AdminApi(self.http, "/v1/keys", lambda: admin, self.now)
        self.policy = SignerPolicy.from_pem(self.pki.root_pem, "Trusted Signatures Sandbox")
        self.prover = TestSealProver(self.signing, self.policy, self.now)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def session(self, origin: str, *, read_timeout: float = 60) -> VendorHttp:
        return VendorHttp(
            origin,
            connect_timeout=timedelta(seconds=60),
            read_timeout=timedelta(seconds=read_timeout),
            clock=self.now,
            sleep=self.pauses.append,
        )


@pytest.fixture
def client(emulator: VendorEmulator, pki: Pki) -> Client:
    """A client of the test's own vendor."""
    return Client(emulator, pki)


Act = Callable[[], object]
