"""The server: S3 over HTTP, and a client for it."""

from __future__ import annotations

import socket
from collections import Counter
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from tests.s3server.faults import Faults
from tests.s3server.handler import Handler
from tests.s3server.store import Store

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Server(ThreadingHTTPServer):
    """Knows what it serves."""

    request_queue_size = 64
    s3: S3Server

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A request of a test must not fail unseen."""
        self.s3.crashes.append(str(client_address))
        super().handle_error(request, client_address)


class S3Server:
    """An S3 of its own, at ``url`` while it runs.

    Attributes:
        store: what it keeps; tests may look and change things behind the API.
        faults: what goes wrong.
        requests: how many there were of each operation.
        bytes_served: bytes of objects that were sent.
    """

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.faults = Faults()
        self.requests: Counter[str] = Counter()
        self.order: list[str] = []
        self.bytes_served = 0
        self.crashes: list[str] = []
        self.connections: set[socket.socket] = set()
        self.stopping = Event()
        self._lock = Lock()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.s3 = self
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> S3Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._server.server_close()

    def heard(self, operation: str) -> None:
        with self._lock:
            self.requests[operation] += 1
            self.order.append(operation)

    def served(self, count: int) -> None:
        with self._lock:
            self.bytes_served += count

    def client(self, *, attempts: int = 1, read_timeout: float = 10) -> S3Client:
        """An unmodified boto3 client with credentials that open nothing."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(
                connect_timeout=2,
                read_timeout=read_timeout,
                retries={"mode": "standard", "total_max_attempts": attempts},
            ),
        )
