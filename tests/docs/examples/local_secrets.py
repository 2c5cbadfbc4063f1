"""The extension and the agent, as their pages describe them, over the sandbox's Secrets Manager.

Lambda developer guide with-secrets-manager and Secrets Manager user guide secrets-manager-agent: a
GET of ``/secretsmanager/get`` with ``secretId`` and perhaps ``versionStage`` or ``versionId``, the
session token in a header, the answer of GetSecretValue as JSON, cached for a TTL. The agent takes
``refreshNow=true`` besides, which passes its cache and renews it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from botocore.exceptions import ClientError

TOKEN = "a-session-token-of-the-function"


@dataclass
class LocalSecretsServer:
    """One of the two, on a port of its own.

    Attributes:
        client: a boto3 Secrets Manager client, with the function's credentials.
        ttl: how many seconds an answer is kept; 0: not at all.
        agent: whether it is the agent.
        port: where it listens, once it is served.
        fetched: how often it asked Secrets Manager.
    """

    client: Any
    ttl: float
    agent: bool
    port: int = 0
    fetched: int = 0
    _lock: Lock = field(default_factory=Lock)
    _kept: dict[tuple[tuple[str, str], ...], tuple[float, bytes]] = field(default_factory=dict)

    def answer(self, target: str, token: str | None) -> tuple[int, bytes]:
        """Status and body for one request."""
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query))
        refresh = query.pop("refreshNow", "false") == "true" and self.agent
        if token != TOKEN:
            return 403, b"the token is missing or wrong"
        if parts.path != "/secretsmanager/get" or "secretId" not in query:
            return 400, b"no such request"
        asked = tuple(sorted(query.items()))
        with self._lock:
            at, body = self._kept.get(asked, (float("-inf"), b""))
            if refresh or monotonic() - at >= self.ttl:
                try:
                    body = self._fetch(query)
                except ClientError as error:
                    return 400, error.response["Error"]["Code"].encode()
                self._kept[asked] = monotonic(), body
        return 200, body

    def _fetch(self, query: dict[str, str]) -> bytes:
        names = {"secretId": "SecretId", "versionId": "VersionId", "versionStage": "VersionStage"}
        self.fetched += 1
        found = self.client.get_secret_value(**{names[name]: query[name] for name in query})
        found.pop("ResponseMetadata")
        return json.dumps(found, default=str).encode()


@contextmanager
def served(server: LocalSecretsServer) -> Iterator[LocalSecretsServer]:
    """Listen on loopback as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = self.headers["X-Aws-Parameters-Secrets-Token"]
            status, body = server.answer(self.path, token)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server.port = listening.server_port
        thread = Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()
