"""A payment gateway on loopback: API keys over REST, bearer tokens. It shares no code with ours."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_LETTERS = string.ascii_letters + string.digits
_KEYS = "/v1/api_keys"
_A_PAGE = 2


def _random(prefix: str, length: int) -> str:
    return prefix + "".join(secrets.choice(_LETTERS) for _ in range(length))


@dataclass
class GatewayKey:
    """One key of the account."""

    metadata: dict[str, str] = field(default_factory=dict)
    expires_at: str = "2099-01-01T00:00:00+00:00"
    admin: bool = False
    active: bool = True
    account: str = "acct_1"
    id: str = field(default_factory=lambda: _random("key_", 16))
    secret: str = field(default_factory=lambda: _random("sk_live_", 32))
    created_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())

    def listed(self) -> dict[str, Any]:
        """As a list shows it: without the secret."""
        return {
            "id": self.id,
            "metadata": self.metadata,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "status": "active" if self.active else "revoked",
        }


class GatewayEmulator:
    """One account and its keys; served by `served`."""

    def __init__(self) -> None:
        self.url = ""
        self._account = "acct_1"
        self.keys: dict[str, GatewayKey] = {}
        #: As many of the next requests answer 503.
        self.unavailable = 0
        self._lock = Lock()

    def create(self, **attributes: Any) -> GatewayKey:
        """What a person does on the gateway's dashboard."""
        key = GatewayKey(account=self._account, **attributes)
        self.keys[key.id] = key
        return key

    def new_keys_belong_to(self, account: str) -> None:
        """As if somebody had replaced the admin key by one of another account."""
        self._account = account

    def accepts(self, key: GatewayKey) -> bool:
        """Whether ``key`` works."""
        return key.active

    def answer(self, method: str, target: str, bearer: str, body: bytes) -> tuple[int, Any]:
        """Status and JSON for one request."""
        with self._lock:
            if self.unavailable:
                self.unavailable -= 1
                return 503, {"error": "come back later"}
            live = [key for key in self.keys.values() if key.active and key.secret == bearer]
            if not live:
                return 401, {"error": "no such key"}
            if (method, target) == ("GET", "/v1/account"):
                return 200, {"id": live[0].account}
            if not live[0].admin:
                return 403, {"error": "not an admin key"}
            return self._administer(method, target, body)

    def _administer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        parts = urlsplit(target)
        if (method, parts.path) == ("POST", _KEYS):
            made = self.create(**json.loads(body))
            return 201, made.listed() | {"secret": made.secret}
        if (method, parts.path) == ("GET", _KEYS):
            return 200, self._page(dict(parse_qsl(parts.query)).get("after"))
        key = self.keys.get(parts.path.removeprefix(f"{_KEYS}/"))
        if method != "DELETE" or key is None:
            return 404, {"error": "no such key"}
        key.active = False
        return 204, None

    def _page(self, after: str | None) -> dict[str, Any]:
        ids = list(self.keys)
        begin = ids.index(after) + 1 if after else 0
        page = ids[begin : begin + _A_PAGE]
        more = begin + _A_PAGE < len(ids)
        return {
            "data": [self.keys[one].listed() for one in page],
            "next": page[-1] if more else None,
        }


@contextmanager
def served() -> Iterator[GatewayEmulator]:
    """A gateway that listens on loopback as long as the context lasts."""
    gateway = GatewayEmulator()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer = gateway.answer(self.command, self.path, bearer, body)
            content = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the base's names
        do_DELETE = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        gateway.url = f"http://127.0.0.1:{listening.server_port}"
        thread = Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield gateway
        finally:
            listening.shutdown()
            thread.join()
