"""A client of the emulator that owes nothing to the project's own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from rotation.sandbox.vendor import PortalKey, VendorEmulator

STATEMENT = b"a sentence that is no document"
DIGEST = hashlib.sha256(STATEMENT).digest()


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


@dataclass(frozen=True)
class Answer:
    """An answer, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def everything(self) -> bytes:
        """The answer's head and body, for searches."""
        return repr(sorted(self.headers.items())).encode() + self.body


class Caller:
    """Signs requests with one key, by the clock it is given."""

    def __init__(self, emulator: VendorEmulator, key: PortalKey, clock: Callable[[], datetime]):
        self.emulator = emulator
        self.key = key
        self.clock = clock

    def headers(self, body: bytes = b"") -> dict[str, str]:
        """The four headers of a request with ``body``, signed now."""
        now = self.clock().astimezone(UTC)
        time = f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z"
        mac = hmac.digest(bytes.fromhex(self.key.material), body + time.encode(), hashlib.sha256)
        return {
            "X-Authorization-Algorithm": "HmacSHA256",
            "X-Authorization-Time": time,
            "X-Authorization-Key": self.key.id,
            "X-Authorization": base64.b64encode(mac).decode(),
        }

    def connect(self) -> http.client.HTTPConnection:
        """A connection of its own."""
        return http.client.HTTPConnection(urlsplit(self.emulator.url).netloc, timeout=300)

    def call(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        connection: http.client.HTTPConnection | None = None,
    ) -> Answer:
        """One request, on a connection of its own unless one is given."""
        used = connection or self.connect()
        try:
            signed = self.headers(body) if headers is None else headers
            used.request(method, target, body, dict(signed))
            response = used.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            if connection is None:
                used.close()

    def sign(self, statement: bytes = STATEMENT, *, path: str = "/v1/sign", **more: Any) -> Answer:
        """Ask for a signature over the SHA-256 of ``statement``."""
        return self.call("POST", path, sign_body(hashlib.sha256(statement).digest(), **more))

    def sign_on(self, connection: http.client.HTTPConnection) -> Answer:
        """Ask for a signature on a connection that stays open."""
        return self.call("POST", "/v1/sign", sign_body(), connection=connection)

    def create(self, label: object = "label", expires_at: object = None, **more: Any) -> Answer:
        """Ask for a key; one that lives thirty days unless said otherwise."""
        expires_at = expires_at or iso(self.clock() + timedelta(days=30))
        body = {"label": label, "expiresAt": expires_at, **more}
        return self.call("POST", "/v1/keys", json.dumps(body).encode())

    def list_keys(self, prefix: str | None = None, cursor: str | None = None) -> Answer:
        """Ask for a page of keys."""
        query = {"label": prefix, "cursor": cursor}
        given = "&".join(f"{name}={quote(value)}" for name, value in query.items() if value)
        return self.call("GET", "/v1/keys" + (f"?{given}" if given else ""))

    def revoke(self, key_id: str) -> Answer:
        """Ask for a key's end."""
        return self.call("DELETE", f"/v1/keys/{key_id}")


def sign_body(covered: bytes = DIGEST, **more: Any) -> bytes:
    """The body of a signing request; ``more`` adds members or replaces them."""
    text = base64.b64encode(covered).decode()
    return json.dumps({"digestAlgorithm": "SHA256", "digest": text, **more}).encode()


def signature_of(answer: Answer) -> bytes:
    """The DER CMS in an answer to a signing request."""
    assert answer.status == 200
    return base64.b64decode(answer.json()["signature"], validate=True)


def iso(time: datetime) -> str:
    """The form in which the vendor writes times."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def error_code(answer: Answer) -> str:
    """The code of a refusal, which has the form of every refusal."""
    content = answer.json()
    assert content.keys() == {"error"}
    assert content["error"].keys() == {"code", "message"}
    return str(content["error"]["code"])
