"""Requests and replies of the emulated vendor, and the reading and writing of their bodies."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from typing import Any
from urllib.parse import parse_qs

_codes = {
    400: "invalid_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "key_quota_exceeded",
    411: "length_required",
    413: "request_too_large",
    429: "rate_limited",
    500: "internal_error",
    503: "unavailable",
}
_utc_time = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.ASCII)


@dataclass(frozen=True)
class Request:
    """A request as it arrived; ``target`` is the path with its query."""

    method: str
    target: str
    headers: Message
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, list[str]]:
        """The query's parameters, empty ones included."""
        return parse_qs(self.target.partition("?")[2], keep_blank_values=True)


@dataclass(frozen=True)
class Reply:
    """What to send back. The body may hold a new key's material, so repr leaves it out."""

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """The request is refused: an HTTP status and a sentence for the caller."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.reply = refusal(status, message)


def json_reply(status: int, content: Mapping[str, Any]) -> Reply:
    """A reply with a JSON object."""
    return Reply(status, json.dumps(content).encode())


def refusal(status: int, message: str) -> Reply:
    """A reply ``{"error": {"code", "message"}}``; the status decides the code."""
    return json_reply(status, {"error": {"code": _codes[status], "message": message}})


def members(
    request: Request, *, required: set[str], optional: Collection[str] = ()
) -> dict[str, Any]:
    """The request's JSON object, which has the ``required`` members and no unknown one.

    Raises:
        RefusedError: 400.
    """
    try:
        content = json.loads(request.body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise RefusedError(400, "The body must be a JSON object.")
    if not required <= content.keys() <= required.union(optional):
        names = ", ".join(sorted(required))
        raise RefusedError(400, f"The body must have the members {names}, and no unknown one.")
    return content


def refuse_body(request: Request) -> None:
    """Refuse a request whose body is not empty.

    Raises:
        RefusedError: 400.
    """
    if request.body:
        raise RefusedError(400, "The body must be empty.")


def sha256_digest(value: object) -> bytes:
    """The 32 bytes that base64 text stands for.

    Raises:
        RefusedError: 400.
    """
    try:
        digest = base64.b64decode(value if isinstance(value, str) else "", validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 32:
        raise RefusedError(400, "digest must be base64 of the 32 bytes of a SHA-256.")
    return digest


def utc_time(value: object) -> datetime:
    """The aware time that ``2025-04-13T18:21:44.040Z`` and its like stand for.

    Raises:
        RefusedError: 400.
    """
    if isinstance(value, str) and _utc_time.fullmatch(value):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    raise RefusedError(400, "expiresAt must be a time in UTC such as 2025-04-13T18:21:44.040Z.")


def iso(time: datetime) -> str:
    """``YYYY-MM-DDTHH:MM:SS.mmmZ``."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
