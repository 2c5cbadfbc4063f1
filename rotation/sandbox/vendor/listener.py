"""The sockets of the emulated vendor: HTTP/1.1 with keep-alive, one thread a connection.

Says nothing on stderr. Faults that concern the delivery of an answer happen here.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from time import monotonic
from typing import Any, Final

from rotation.sandbox.vendor.faults import VendorFault, VendorFaults
from rotation.sandbox.vendor.messages import Reply, Request, refusal

HOST: Final = "127.0.0.1"

_LARGEST_BODY = 64 * 1024
_CLOSING_SECONDS = 5.0


def bound_socket(port: int) -> socket.socket:
    """A socket bound to ``port`` (0: any) that does not listen, so that connecting is refused."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((HOST, port))
    return bound


class Listener(ThreadingHTTPServer):
    """Accepts connections on a socket that is bound already, until `close`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        bound: socket.socket,
        answer: Callable[[Request], tuple[Reply, VendorFault | None]],
        faults: VendorFaults,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(bound.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = bound
        self.answer = answer
        self.faults = faults
        self.clock = clock
        self._connections: set[Any] = set()
        self._changed = Condition()
        self.server_activate()
        self._thread = Thread(
            target=self.serve_forever, args=(0.02,), name="vendor-emulator", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Accept no more, end every connection, and wait until their threads are done."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._changed:
            for connection in self._connections:
                _shut(connection)
            deadline = monotonic() + _CLOSING_SECONDS
            while self._connections and monotonic() < deadline:
                # Again and again: a request may begin to be withheld just after a release.
                self.faults.release()
                self._changed.wait(0.02)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, then serve it in a thread of its own."""
        with self._changed:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End the connection and forget it."""
        super().shutdown_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away; anything else is our own mistake."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "TrustedSignaturesSandbox"
    disable_nagle_algorithm = True
    server: Listener

    def exchange(self) -> None:
        """Read one request and answer it."""
        body = self._body()
        if body is None:
            return
        request = Request(self.command, self.path, self.headers, body)
        reply, fault = self.server.answer(request)
        if fault in {VendorFault.DISCONNECT, VendorFault.LOSE_REPLY}:
            self.close_connection = True
            return
        if fault is VendorFault.HANG:
            self.server.faults.hold()
        self._head(reply)
        if fault is VendorFault.CUT_BODY:
            self.wfile.write(reply.body[: len(reply.body) // 2])
            self.close_connection = True
        elif fault is VendorFault.SLOW:
            size = max(1, -(-len(reply.body) // 10))
            for start in range(0, max(1, len(reply.body)), size):
                self.server.faults.pause()
                self.wfile.write(reply.body[start : start + size])
        else:
            self.wfile.write(reply.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = exchange  # noqa: N815 - http.server's names

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "0")
        problem = None
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            problem = refusal(411, "Say the body's length in Content-Length.")
        elif int(length) > _LARGEST_BODY:
            problem = refusal(413, f"A body has at most {_LARGEST_BODY} bytes.")
        if problem is not None:
            self.close_connection = True
            self._head(problem)
            self.wfile.write(problem.body)
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return None
        return body

    def _head(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.body:
            self.send_header("Content-Type", reply.content_type)
        # RFC 9110 section 8.6: no Content-Length on a 204.
        if reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def date_time_string(self, timestamp: float | None = None) -> str:  # noqa: ARG002
        """The ``Date`` header: the vendor's clock, whatever the machine's says."""
        return format_datetime(self.server.clock(), usegmt=True)

    def version_string(self) -> str:
        """The ``Server`` header, which names no Python."""
        return self.server_version

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Log nothing: a log line would hold what a client put in a path."""
