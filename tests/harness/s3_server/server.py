"""The server: S3 over HTTP, and a client for it."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Event, Lock, Thread
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from tests.harness.s3_server.faults import Faults
from tests.harness.s3_server.handler import Handler
from tests.harness.s3_server.store import Store

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

    Args:
        folder: where objects go.
        checksums: whether the CRC of what is copied is computed; S3 does that on machines of its
            own, here it would take the processor of whoever is measured.

    Attributes:
        store: what it keeps; tests may look and change things behind the API.
        faults: what goes wrong.
        requests: how many there were of each operation.
    """

    def __init__(self, folder: Path, *, checksums: bool = True) -> None:
        self.store = Store(folder, checksums=checksums)
        self.faults = Faults()
        self.requests: Counter[str] = Counter()
        self.order: list[str] = []
        self._served = 0
        self._sending = 0
        self._sent = Condition()
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

    @contextmanager
    def sending(self) -> Iterator[Callable[[int], None]]:
        """While an object is sent; what it gives is told how much of it was."""
        with self._sent:
            self._sending += 1
        sent: list[int] = []
        try:
            yield sent.append
        finally:
            with self._sent:
                self._sending -= 1
                self._served += sum(sent)
                self._sent.notify_all()

    @property
    def bytes_served(self) -> int:
        """Bytes of objects that were sent; a client can have them a moment before the server knows.

        What is on its way is waited for, up to a minute.
        """
        with self._sent:
            self._sent.wait_for(lambda: self._sending == 0, 60)
            return self._served

    def client(self, *, attempts: int = 1, read_timeout: float = 60) -> S3Client:
        """An unmodified boto3 client with credentials that open nothing."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(
                connect_timeout=60,
                read_timeout=read_timeout,
                retries={"mode": "standard", "total_max_attempts": attempts},
            ),
        )
