"""A vendor that sends byte after byte, or takes none: each exchange ends with its time.

The servers here never end by themselves, and no wait is longer than the client's read timeout. So
a call ends because its time is over, or not at all.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import pytest

from rotation.credential import ApiKey
from rotation.deadline import Deadline
from rotation.errors import VendorUnavailableError
from rotation.vendor.http import VendorHttp, VendorRequest

pytestmark = pytest.mark.slow

KEY = ApiKey.from_text("4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5", "5d41402abc4b2a76b9719d911017c592")
BUDGET = timedelta(seconds=0.5)
PAUSE = 0.02

Act: TypeAlias = "Callable[[socket.socket, DrippingServer], None]"


class DrippingServer:
    """Accepts connections, and does the same on each until the other side ends it.

    Attributes:
        ended: whether the client has ended a connection.
        drain: set once the server shall take what it did not take.
        stop: set once the server shall end.
        act: what it does on a connection.
    """

    def __init__(self, act: Act) -> None:
        self.act = act
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.stop = threading.Event()
        self.ended = threading.Event()
        self.drain = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with closing(connection):
            with suppress(OSError):
                self.act(connection, self)
            if not self.stop.is_set():
                self.ended.set()

    def close(self) -> None:
        """End everything."""
        self.drain.set()
        self.stop.set()
        self._listener.close()


def _drip(connection: socket.socket, server: DrippingServer, piece: bytes) -> None:
    """Send the piece again and again; OSError once the client is gone."""
    while not server.stop.wait(PAUSE):
        connection.sendall(piece)


def _after(start: bytes, piece: bytes) -> Act:
    def act(connection: socket.socket, server: DrippingServer) -> None:
        connection.recv(65_536)
        connection.sendall(start)
        _drip(connection, server, piece)

    return act


def _tls_record_without_end(connection: socket.socket, server: DrippingServer) -> None:
    connection.recv(65_536)
    # The header of a handshake record of 16 KiB, of which a byte comes at a time.
    connection.sendall(b"\x16\x03\x03\x40\x00")
    _drip(connection, server, b"\x00")


def _takes_nothing(connection: socket.socket, server: DrippingServer) -> None:
    # What the client has sent until then has to be read before its end is seen.
    server.drain.wait()
    while connection.recv(65_536):
        pass


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
DRIPS: dict[str, tuple[str, Act]] = {
    "the status line": ("http", _after(b"HTTP/1.1 200 ", b"O")),
    "one header": ("http", _after(OK + b"X-Slow: ", b"a")),
    "100 Continue": ("http", _after(b"", b"HTTP/1.1 100 Continue\r\n\r\n")),
    "103 and its headers": ("http", _after(b"HTTP/1.1 100 Continue\r\n", b"X: 1\r\n")),
    "a body of known length": ("http", _after(OK + b"Content-Length: 100000\r\n\r\n", b"{")),
    "a body until the connection ends": ("http", _after(OK + b"\r\n", b" ")),
    "the size of a chunk": ("http", _after(CHUNKED, b"0")),
    "the extension of a chunk": ("http", _after(CHUNKED + b"5;", b"x")),
    "small chunks": ("http", _after(CHUNKED, b"1\r\n \r\n")),
    "trailers": ("http", _after(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: 1\r\n")),
    "one trailer": ("http", _after(CHUNKED + b"2\r\n{}\r\n0\r\nX: ", b"1")),
    "a body that is compressed": (
        "http",
        _after(OK + b"Content-Encoding: gzip\r\nContent-Length: 100000\r\n\r\n\x1f\x8b\x08", b"\0"),
    ),
    "the TLS handshake": ("https", _tls_record_without_end),
    "an answer that does not come": ("http", _takes_nothing),
}


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[DrippingServer]:
    """A server that does what the test's parameter says."""
    server = DrippingServer(request.param)
    yield server
    server.close()


@pytest.mark.parametrize(
    ("scheme", "server"),
    [pytest.param(*drip, id=name) for name, drip in DRIPS.items()],
    indirect=["server"],
)
@pytest.mark.parametrize(("repeatable", "body"), [(True, 100), (False, 100), (True, 16_000_000)])
def test_an_exchange_ends_with_its_time(
    scheme: str, server: DrippingServer, repeatable: bool, body: int
) -> None:
    """Whatever drips, the call raises the error of a vendor that is too slow, and hangs up."""
    http = VendorHttp(
        f"{scheme}://127.0.0.1:{server.port}",
        connect_timeout=timedelta(minutes=5),
        read_timeout=timedelta(minutes=5),
        clock=lambda: datetime.now(UTC),
    ).until(Deadline.after(BUDGET))
    request = VendorRequest("sign", "POST", "/v1/sign", repeatable, body=b" " * body)
    with pytest.raises(VendorUnavailableError, match="no whole answer"):
        http.call(request, KEY)
    server.drain.set()
    assert server.ended.wait(300), "the connection was left open"


@pytest.mark.parametrize("server", [DRIPS["one header"][1]], indirect=True)
def test_a_connection_that_is_used_again_is_watched_too(server: DrippingServer) -> None:
    """The second exchange over a connection ends with its time like the first."""
    answered = threading.Event()

    def act(connection: socket.socket, server: DrippingServer) -> None:
        connection.recv(65_536)
        connection.sendall(OK + b"Content-Length: 2\r\n\r\n{}")
        answered.set()
        connection.recv(65_536)
        connection.sendall(OK + b"X-Slow: ")
        _drip(connection, server, b"a")

    server.act = act
    http = VendorHttp(
        f"http://127.0.0.1:{server.port}",
        connect_timeout=timedelta(minutes=5),
        read_timeout=timedelta(minutes=5),
        clock=lambda: datetime.now(UTC),
    )
    request = VendorRequest("sign", "GET", "/", repeatable=True)
    assert http.call(request, KEY).json_object() == {}
    assert answered.wait(300)
    with pytest.raises(VendorUnavailableError, match="no whole answer"):
        http.until(Deadline.after(BUDGET)).call(request, KEY)
    assert server.ended.wait(300)
