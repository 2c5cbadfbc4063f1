"""What the vendor answered, read within bounds and judged."""

from __future__ import annotations

import email.utils
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final, Self

import requests

from rotation.credential import ApiKey, json_object
from rotation.errors import (
    ClockSkewError,
    CredentialRejectedError,
    MalformedResponseError,
    VendorError,
    VendorRefusedError,
    VendorUnavailableError,
)
from rotation.vendor.request_auth import CLOCK_WINDOW

_LARGEST: Final = 1024 * 1024
#: Beyond this difference of the clocks a rejection says nothing about the key. The Date header has
#: whole seconds, and an answer takes a moment: hence two seconds less than the vendor's window.
MAX_CLOCK_SKEW: Final = CLOCK_WINDOW - timedelta(seconds=2)
_seconds = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True)
class Answer:
    """What the vendor answered.

    Attributes:
        status: the HTTP status.
        body: at most 1 MiB; never printed, since it may hold a new key.
        date: the vendor's clock, whole seconds, where it gave one.
        request_id: the vendor's id of the request, where it gave one.
        retry_after: how many seconds the vendor asks to wait, 0 where it does not say.
    """

    status: int
    body: bytes = field(repr=False)
    date: datetime | None
    request_id: str | None
    retry_after: float = 0.0

    @classmethod
    def read(cls, response: requests.Response, until: float) -> Self:
        """Read an answer that has begun; ``until`` is of the monotonic clock.

        Raises:
            OSError: it did not come in time.
            urllib3.exceptions.HTTPError: it broke off.
        """
        return cls(
            status=response.status_code,
            body=_read(response.raw, until),
            date=_parse_date(response.headers.get("Date")),
            request_id=response.headers.get("X-Request-Id"),
            retry_after=_retry_after(response.headers.get("Retry-After")),
        )

    @property
    def too_large(self) -> bool:
        """Whether it has more than 1 MiB; what is beyond that was not read."""
        return len(self.body) > _LARGEST

    def json_object(self) -> dict[str, Any] | None:
        """The body as a JSON object, or None if it is anything else."""
        return json_object(self.body)


@dataclass(frozen=True)
class Failure:
    """Why an attempt failed.

    Attributes:
        untouched: whether the vendor cannot have begun what was asked.
        pause: how many seconds the vendor asks to wait.
    """

    error: VendorError
    untouched: bool = False
    pause: float = 0.0


def judge(operation: str, answer: Answer, key: ApiKey, sent_at: datetime) -> Failure:
    """What an answer that was not accepted means; ``sent_at`` is our clock at the request."""
    status, request_id = answer.status, answer.request_id
    error: VendorError
    if status == 429:
        error = VendorUnavailableError(
            operation, "too many requests", status=status, request_id=request_id
        )
    elif status == 401:
        error = _rejection(operation, answer, key, sent_at)
    elif status >= 500:
        error = VendorUnavailableError(
            operation, "the vendor failed", status=status, request_id=request_id
        )
    elif 300 <= status < 400:
        error = MalformedResponseError(
            operation,
            "answered with a redirect, which is not followed; check VENDOR_URL and the path",
            status=status,
            request_id=request_id,
        )
    elif status >= 400:
        error = VendorRefusedError(
            operation,
            f"the vendor refuses it for key {key.id}; check the account, the key's rights and "
            "the configured path",
            status=status,
            request_id=request_id,
        )
    else:
        error = MalformedResponseError(
            operation, "an unexpected status", status=status, request_id=request_id
        )
    return Failure(error, untouched=status == 429, pause=answer.retry_after)


def _rejection(
    operation: str, answer: Answer, key: ApiKey, sent_at: datetime
) -> CredentialRejectedError | ClockSkewError:
    skew = answer.date - sent_at if answer.date else timedelta(0)
    if abs(skew) > MAX_CLOCK_SKEW:
        direction = "behind" if skew > timedelta(0) else "ahead of"
        return ClockSkewError(
            operation,
            f"key {key.id} was rejected and our clock is {abs(skew).total_seconds():.0f} s "
            f"{direction} the vendor's; a request must be within one minute. Set the clock.",
            status=401,
            request_id=answer.request_id,
            vendor_time=answer.date,
        )
    return CredentialRejectedError(
        operation,
        f"the vendor does not accept key {key.id}: expired, revoked, not yet active, or not this "
        "key's material",
        status=401,
        request_id=answer.request_id,
        vendor_time=answer.date,
    )


def _read(raw: Any, until: float) -> bytes:
    """The body, at most a byte more than is accepted, if it comes in time."""
    content = bytearray()
    while len(content) <= _LARGEST:
        piece = raw.read1(_LARGEST + 1 - len(content), decode_content=True)
        if not piece:
            break
        content += piece
        if monotonic() > until:
            raise TimeoutError
    return bytes(content)


def _parse_date(value: str | None) -> datetime | None:
    try:
        return email.utils.parsedate_to_datetime(value or "").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _retry_after(value: str | None) -> float:
    return float(value) if value and _seconds.fullmatch(value) else 0.0
