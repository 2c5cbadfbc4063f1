"""The emulated vendor without a socket: its own core, called directly below `requests`.

For speed a signature here is the digest itself with a mark, and `QuickProver` looks for just that;
the CMS of the real prover is judged over sockets.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from email.message import Message
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter

from rotation.core.ports import Proof
from rotation.credential import ApiKey
from rotation.errors import SealVerificationError
from rotation.sandbox.vendor.account import Account
from rotation.sandbox.vendor.faults import VendorFault, VendorFaults
from rotation.sandbox.vendor.keys import KeyStore
from rotation.sandbox.vendor.messages import Reply, Request
from rotation.sandbox.vendor.server import SIGN_PATHS
from rotation.sandbox.vendor.service import Service
from rotation.vendor.signing_api import SigningApi
from tests.harness.faults.gates import built

_MARK = b"signed: "


class DirectVendor(BaseAdapter):
    """The emulated vendor below requests, without a socket."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__()
        self._clock = clock
        self.keys = KeyStore(clock, propagation_delay=timedelta(0), quota=50)
        account = _QuickAccount(None, self.keys, clock, page_size=100)  # type: ignore[arg-type]
        self._service = Service(account, self.keys, VendorFaults(), clock, sign_paths=SIGN_PATHS)
        self._down = False

    def forget_requests(self) -> None:
        """Begin the record of requests anew."""
        self._service._records.clear()

    def go_down(self, down: bool) -> None:
        """Answer 503 from now on, or no longer."""
        self._down = down

    def answer(self, asked: Request) -> Reply:
        """The vendor's reply to one request."""
        return self._service.answer(asked, down=self._down)[0]

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Answer one request."""
        headers = Message()
        for name, value in request.headers.items():
            headers[name] = str(value)
        parts = urlsplit(str(request.url))
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        given: Any = request.body or b""
        body: bytes = given.encode() if isinstance(given, str) else given
        reply = self.answer(Request(str(request.method), target, headers, body))
        date = format_datetime(self._clock().replace(microsecond=0), usegmt=True)
        return built(request, reply.status, reply.body, {**reply.headers, "Date": date})

    def close(self) -> None:
        """Nothing is open."""


class _QuickAccount(Account):
    def _signature(self, digest: bytes, timestamp: bool, fault: VendorFault | None) -> str:
        return base64.b64encode(_MARK + digest).decode()


class QuickProver:
    """`rotation.core.ports.KeyProver` for signatures of `DirectVendor`."""

    def __init__(self, api: SigningApi, clock: Callable[[], datetime]) -> None:
        self._api = api
        self._clock = clock

    def prove(self, key: ApiKey, statement: str) -> Proof:
        """As `rotation.vendor.key_prover.TestSealProver.prove`."""
        digest = hashlib.sha256(statement.encode()).digest()
        signature, vendor_time = self._api.sign_with_vendor_time(key, digest)
        if signature != _MARK + digest:
            raise SealVerificationError("The signature is over something else.")
        return Proof(self._clock(), vendor_time, "CN=Quick", True)
