"""The emulated vendor, whole: start it, make keys, tell it what to do wrong, see what it was asked.

It listens on 127.0.0.1 at a port of the system's choice and keeps that port through an outage.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, Self

from rotation.sandbox.vendor.account import Account
from rotation.sandbox.vendor.faults import VendorFault, VendorFaults
from rotation.sandbox.vendor.keys import KeyStore
from rotation.sandbox.vendor.listener import HOST, Listener, bound_socket
from rotation.sandbox.vendor.messages import Reply, Request
from rotation.sandbox.vendor.pki import Pki
from rotation.sandbox.vendor.profiles import PADES, VendorProfile
from rotation.sandbox.vendor.service import RequestRecord, Service

SIGN_PATHS: Final = ("/v1/sign", "/api/v1/sign")


class Outage(Enum):
    """How the vendor can be down."""

    REFUSED = "connections are refused, and open ones were closed"
    UNAVAILABLE = "every request is answered with 503"


class VendorEmulator:
    """Trusted Signatures on this machine: the signing call and the key calls we assume.

    Use it as a context manager, or `start` and `stop` it. Keys are made with ``keys.create``,
    which stands for the vendor's portal.

    Args:
        pki: who signs.
        clock: the time, aware UTC; the vendor's clock is this plus ``clock_offset``.
        propagation_delay: how long a new key is not yet accepted, and a revoked one still is.
        key_quota: how many active signing keys the account may have.
        page_size: how many keys a page of the key list holds.
        sign_paths: the paths of the signing call.
        profile: what kind of CMS it gives; it may be changed later.

    Attributes:
        keys: the account's keys.
        faults: what to do wrong.
        clock_offset: how far the vendor's clock is ahead of ``clock``.
        latency: how long each answer takes at least.
    """

    def __init__(
        self,
        pki: Pki,
        *,
        clock: Callable[[], datetime],
        propagation_delay: timedelta = timedelta(0),
        key_quota: int = 20,
        page_size: int = 100,
        sign_paths: tuple[str, ...] = SIGN_PATHS,
        profile: VendorProfile = PADES,
    ) -> None:
        self.clock_offset = timedelta(0)
        self.latency = timedelta(0)
        self._clock = clock
        self.keys = KeyStore(self.now, propagation_delay=propagation_delay, quota=key_quota)
        self.faults = VendorFaults()
        self._account = Account(pki, self.keys, self.now, page_size=page_size)
        self._account.profile = profile
        self._service = Service(
            self._account, self.keys, self.faults, self.now, sign_paths=sign_paths
        )
        self._port: int | None = None
        self._listener: Listener | None = None
        self._reserved: socket.socket | None = None
        self._outage: Outage | None = None

    def now(self) -> datetime:
        """The vendor's clock, aware UTC."""
        return self._clock() + self.clock_offset

    @property
    def url(self) -> str:
        """The origin, ``http://127.0.0.1:<port>``, the same until `stop`."""
        if self._port is None:
            raise RuntimeError("The emulator has not been started.")
        return f"http://{HOST}:{self._port}"

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """Every request that was answered or cut off, oldest first."""
        return self._service.records

    @property
    def signatures(self) -> Counter[str]:
        """How many signatures each key id has made, spoilt and unanswered ones included."""
        return self._account.signatures

    @property
    def profile(self) -> VendorProfile:
        """What kind of CMS it gives. Assign to it."""
        return self._account.profile

    @profile.setter
    def profile(self, profile: VendorProfile) -> None:
        self._account.profile = profile

    @property
    def outage(self) -> Outage | None:
        """How the vendor is down, or None. Assign to it; the port stays the same throughout."""
        return self._outage

    @outage.setter
    def outage(self, outage: Outage | None) -> None:
        if self._port is None:
            raise RuntimeError("The emulator has not been started.")
        self._outage = outage
        if outage is Outage.REFUSED:
            if self._listener is not None:
                self._close_listener()
                # Bound and not listening: the system refuses connections and nobody takes the port.
                self._reserved = bound_socket(self._port)
        elif self._reserved is not None:
            self._listener = self._listen(self._reserved)
            self._reserved = None

    def start(self) -> Self:
        """Begin to listen; requests are answered when this returns."""
        if self._port is not None:
            raise RuntimeError("The emulator has been started before.")
        listening = bound_socket(0)
        self._port = listening.getsockname()[1]
        self._listener = self._listen(listening)
        return self

    def stop(self) -> None:
        """Close the port and every connection; withheld answers are let go. Idempotent."""
        self._close_listener()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _listen(self, bound: socket.socket) -> Listener:
        return Listener(bound, self._answer, self.faults, self.now)

    def _answer(self, request: Request) -> tuple[Reply, VendorFault | None]:
        time.sleep(self.latency.total_seconds())
        return self._service.answer(request, down=self._outage is Outage.UNAVAILABLE)

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
