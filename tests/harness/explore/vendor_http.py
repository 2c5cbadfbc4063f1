"""The product's session with the vendor, with the emulator's core below it and no HTTP between.

The fault harness judges what lies between; here a call must cost little.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from email.message import Message
from typing import Any
from urllib.parse import urlencode

import requests

from rotation.credential import ApiKey
from rotation.sandbox.vendor.messages import Request
from rotation.vendor.http import VendorHttp, VendorRequest, VendorResponse
from tests.harness.faults.boundary import Boundary, InterceptedCall
from tests.harness.faults.direct_vendor import DirectVendor
from tests.harness.faults.world import VirtualClock


class ExploredHttp(VendorHttp):
    """One process's session with the emulated vendor."""

    def __init__(
        self,
        boundary: Boundary,
        vendor: DirectVendor,
        clock: VirtualClock,
        sleep: Callable[[float], None],
    ) -> None:
        super().__init__(
            "https://vendor.invalid",
            connect_timeout=timedelta(minutes=1),
            read_timeout=timedelta(minutes=1),
            clock=clock,
            sleep=sleep,
        )
        self._boundary = boundary
        self._vendor = vendor
        self._intercepted: InterceptedCall

    def call(self, request: VendorRequest, key: ApiKey) -> VendorResponse:
        """One request of the product's, however many attempts it makes."""
        about = key.id if request.operation == "sign" else request.path.rpartition("/")[2]
        self._intercepted = self._boundary.open(request.operation, about)
        return super().call(request, key)

    def _send(self, request: VendorRequest, headers: dict[str, str]) -> Any:
        def act() -> VendorResponse:
            message = Message()
            for name, value in headers.items():
                message[name] = value
            target = request.path + (f"?{urlencode(request.query)}" if request.query else "")
            reply = self._vendor.answer(Request(request.method, target, message, request.body))
            date = self._clock().replace(microsecond=0)
            return VendorResponse(reply.status, reply.body, date, None)

        return self._intercepted.attempt(act, _Wire(self, request.operation))


class _Wire:
    """What the session makes of a failure, as with the wire of the fault harness."""

    def __init__(self, http: ExploredHttp, operation: str) -> None:
        self._http = http
        self._operation = operation

    def lost(self, *, effect: bool) -> Any:
        kind = requests.ConnectionError if effect else requests.exceptions.ConnectTimeout
        return self._http._no_answer(self._operation, kind("lost by the harness"))

    def throttled(self) -> VendorResponse:
        return self._status(429)

    def timed_out(self) -> Any:
        error = requests.exceptions.ReadTimeout("lost by the harness")
        return self._http._no_answer(self._operation, error)

    def rejected(self) -> VendorResponse:
        return self._status(401)

    def outcome(self, answer: Any) -> str:
        status = getattr(answer, "status", 0)
        return "ok" if 200 <= status < 300 else str(status)

    def labels(self, answer: Any) -> None:
        """The vendor tells no labels."""

    def _status(self, status: int) -> VendorResponse:
        return VendorResponse(status, b"", self._http._clock().replace(microsecond=0), None)
