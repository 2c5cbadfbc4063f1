"""One signed request to the vendor and its answer: the connection, the retries, the errors.

Every attempt is signed anew, so that its time is fresh. An attempt is repeated only if the vendor
cannot have begun it, or if it may take effect twice without harm.
"""

from __future__ import annotations

import email.utils
import random
import re
import time
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import inf
from time import monotonic
from typing import Any, Final, Self

import requests
import urllib3.exceptions

from rotation.credential import ApiKey, json_object
from rotation.deadline import Deadline
from rotation.egress import DIRECT, Egress
from rotation.errors import (
    ClockSkewError,
    CredentialRejectedError,
    MalformedResponseError,
    VendorError,
    VendorRefusedError,
    VendorUnavailableError,
)
from rotation.exchange import ExchangeWatch
from rotation.privacy.printable import outside_text
from rotation.vendor.request_auth import CLOCK_WINDOW, auth_headers

_ATTEMPTS: Final = 4
#: One for each thread that seals or probes at the same time.
_CONNECTIONS: Final = 16
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
_SHORTEST_ATTEMPT: Final = 0.1
_LARGEST_BODY: Final = 1024 * 1024
_LONGEST_REQUEST_ID: Final = 128
#: RFC 9110 section 5.6.7: the longest form of a date has 33 characters.
_LONGEST_DATE: Final = 64
_RETRY_AFTER: Final = re.compile(r"[0-9]{1,6}")
#: Beyond this difference of the clocks a 401 says nothing about the key. The Date header has whole
#: seconds, and an answer takes a moment: hence two seconds less than the vendor's window.
MAX_CLOCK_SKEW: Final = CLOCK_WINDOW - timedelta(seconds=2)


@dataclass(frozen=True)
class VendorRequest:
    """A request to the vendor.

    Attributes:
        operation: its name in errors, such as ``sign``.
        method: the HTTP method.
        path: the path, escaped, without a query.
        repeatable: whether it may take effect twice without harm.
        body: the bytes to send; they are signed.
        query: the query's parameters; they are not signed.
        accept: the statuses outside 2xx that the caller handles itself.
    """

    operation: str
    method: str
    path: str
    repeatable: bool
    body: bytes = b""
    query: Mapping[str, str] | None = None
    accept: frozenset[int] = frozenset()


@dataclass(frozen=True)
class VendorResponse:
    """The vendor's answer to one attempt.

    Attributes:
        status: the HTTP status.
        body: at most 1 MiB; never printed, since it may hold a new key.
        date: the vendor's clock, whole seconds, where the answer tells it.
        request_id: the vendor's id of the request, where the answer has one.
        retry_after: how many seconds the vendor asks to wait; 0 where it does not say.
    """

    status: int
    body: bytes = field(repr=False)
    date: datetime | None
    request_id: str | None
    retry_after: float = 0.0

    @classmethod
    def read(cls, response: requests.Response, until: float) -> Self:
        """Read an answer that has begun; ``until`` is a time of the monotonic clock.

        Raises:
            OSError: it did not come in time.
            urllib3.exceptions.HTTPError: it broke off.
        """
        return cls(
            status=response.status_code,
            body=_read_body(response.raw, until),
            date=_date(response.headers.get("Date")),
            request_id=_short(response.headers.get("X-Request-Id")),
            retry_after=_seconds(response.headers.get("Retry-After")),
        )

    @property
    def too_large(self) -> bool:
        """Whether it has more than 1 MiB; the rest was not read."""
        return len(self.body) > _LARGEST_BODY

    def json_object(self) -> dict[str, Any] | None:
        """The body as a JSON object, or None if it is anything else."""
        return json_object(self.body)


@dataclass(frozen=True)
class _FailedAttempt:
    """Why an attempt failed.

    Attributes:
        error: the error to raise if this was the last attempt.
        not_begun: whether the vendor cannot have begun what was asked.
        retry_after: how many seconds the vendor asks to wait.
    """

    error: VendorError
    not_begun: bool = False
    retry_after: float = 0.0


class VendorHttp:
    """A keep-alive session with one origin.

    It follows no redirect: a request goes to the configured origin or nowhere.
    """

    def __init__(
        self,
        origin: str,
        *,
        connect_timeout: timedelta,
        read_timeout: timedelta,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
        egress: Egress = DIRECT,
    ) -> None:
        self._origin = origin.rstrip("/")
        self._timeout = (connect_timeout.total_seconds(), read_timeout.total_seconds())
        self._clock = clock
        self._sleep = sleep
        self._deadline: Deadline | None = None
        self._session = egress.session({"Accept": "application/json"}, _CONNECTIONS)

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._session.close()

    def until(self, deadline: Deadline) -> Self:
        """The same connections, for calls that end by ``deadline``, retries and pauses included.

        This object keeps what it had, so no deadline reaches another invocation or thread.
        """
        bounded = copy(self)
        bounded._deadline = deadline  # noqa: SLF001 - a copy of our own
        return bounded

    def call(self, request: VendorRequest, key: ApiKey) -> VendorResponse:
        """Send a request, at most four times, and return an answer with an accepted status.

        A request that may not be repeated opens a connection of its own, and is tried again only
        where the vendor cannot have begun it: no connection, or 429.

        Raises:
            ClockSkewError, CredentialRejectedError: 401.
            VendorUnavailableError: no answer, 429 or 5xx, after the last attempt.
            VendorRefusedError: any other 4xx.
            MalformedResponseError: a redirect, or an answer larger than 1 MiB.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            if not request.repeatable:
                self.close()
            outcome = self._attempt(request, key)
            if isinstance(outcome, VendorResponse):
                return outcome
            may_pass = isinstance(outcome.error, VendorUnavailableError)
            harmless = request.repeatable or outcome.not_begun
            ceiling = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1))
            jittered = random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter
            pause = max(min(outcome.retry_after, _LONGEST_PAUSE), jittered)
            time_is_up = self._time_left() <= pause + _SHORTEST_ATTEMPT
            if attempt == _ATTEMPTS or time_is_up or not (may_pass and harmless):
                raise outcome.error
            self._sleep(pause)
        raise AssertionError("the loop ends by returning or raising")

    def _attempt(self, request: VendorRequest, key: ApiKey) -> VendorResponse | _FailedAttempt:
        sent_at = self._clock()
        headers = auth_headers(key, request.body, sent_at)
        if request.body:
            headers["Content-Type"] = "application/json"
        response = self._send(request, headers)
        if not isinstance(response, VendorResponse):
            return response
        status = response.status
        if response.too_large:
            detail = "the answer is larger than 1 MiB"
            return _FailedAttempt(MalformedResponseError(request.operation, detail, status=status))
        if 200 <= status < 300 or status in request.accept:
            return response
        error = _error_of(request.operation, response, key, sent_at)
        return _FailedAttempt(error, not_begun=status == 429, retry_after=response.retry_after)

    def _time_left(self) -> float:
        return inf if self._deadline is None else self._deadline.left().total_seconds()

    def _send(
        self, request: VendorRequest, headers: dict[str, str]
    ) -> VendorResponse | _FailedAttempt:
        connect_timeout, read_timeout = self._timeout
        left = self._time_left()
        if left <= _SHORTEST_ATTEMPT:
            detail = "no time is left to ask; give the function a longer timeout"
            return _FailedAttempt(VendorUnavailableError(request.operation, detail), not_begun=True)
        # The read timeout bounds each wait. This bounds the whole exchange, however slow it is.
        time = min(left, 2 * read_timeout)
        until, watch = monotonic() + time, ExchangeWatch(timedelta(seconds=time))
        # The exceptions of requests carry the request and the response. They end here.
        try:
            with (
                watch,
                self._session.request(
                    request.method,
                    self._origin + request.path,
                    params=request.query,
                    data=request.body or None,
                    headers=headers,
                    timeout=(connect_timeout, read_timeout),
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                answer = VendorResponse.read(response, until)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as exc:
            if watch.over and not _never_connected(exc):
                return self._too_slow(request.operation)
            return self._no_answer(request.operation, exc)
        # A connection that was shut down looks like an answer that has ended.
        return self._too_slow(request.operation) if watch.over else answer

    def _too_slow(self, operation: str) -> _FailedAttempt:
        detail = f"no whole answer from {self._origin} in the time that there was"
        return _FailedAttempt(VendorUnavailableError(operation, detail))

    def _no_answer(self, operation: str, failure: Exception) -> _FailedAttempt:
        if isinstance(failure, requests.exceptions.ProxyError):
            detail = (
                f"the proxy does not lead to {self._origin}. Check EGRESS_PROXY, and that the "
                "proxy allows this host."
            )
            return _FailedAttempt(VendorUnavailableError(operation, detail), not_begun=True)
        if isinstance(failure, requests.exceptions.SSLError):
            detail = f"the certificate of {self._origin} was not accepted"
            return _FailedAttempt(VendorError(operation, detail), not_begun=True)
        if isinstance(failure, requests.exceptions.ConnectionError):
            not_begun = _never_connected(failure)
            what = "cannot connect to" if not_begun else "lost the connection to"
            detail = f"{what} {self._origin}. Check the network, DNS and VENDOR_URL."
            return _FailedAttempt(VendorUnavailableError(operation, detail), not_begun=not_begun)
        detail = f"no whole answer from {self._origin} ({type(failure).__name__})"
        return _FailedAttempt(VendorUnavailableError(operation, detail))


def _never_connected(error: Exception) -> bool:
    """Whether the request cannot have reached the vendor."""
    # A proxy that did not open the tunnel has handed nothing on.
    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.ProxyError):
        return True
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _error_of(
    operation: str, response: VendorResponse, key: ApiKey, sent_at: datetime
) -> VendorError:
    """What an answer that was not accepted means; ``sent_at`` is our clock at the request."""
    status = response.status
    if status == 401:
        return _rejection(operation, response, key, sent_at)
    kind: type[VendorError] = MalformedResponseError
    if status == 429:
        kind, detail = VendorUnavailableError, "too many requests"
    elif status >= 500:
        kind, detail = VendorUnavailableError, "the vendor failed"
    elif status >= 400:
        kind = VendorRefusedError
        detail = (
            f"the vendor refuses it for key {key.id}; check the account, the key's rights and the "
            "configured path"
        )
    elif status >= 300:
        detail = "answered with a redirect, which is not followed; check VENDOR_URL and the path"
    else:
        detail = "an unexpected status"
    return kind(operation, detail, status=status, request_id=response.request_id)


def _rejection(
    operation: str, response: VendorResponse, key: ApiKey, sent_at: datetime
) -> CredentialRejectedError | ClockSkewError:
    skew = response.date - sent_at if response.date else timedelta(0)
    if abs(skew) > MAX_CLOCK_SKEW:
        direction = "behind" if skew > timedelta(0) else "ahead of"
        return ClockSkewError(
            operation,
            f"key {key.id} was rejected and our clock is {abs(skew).total_seconds():.0f} s "
            f"{direction} the vendor's; a request must be within one minute. Set the clock.",
            status=401,
            request_id=response.request_id,
            vendor_time=response.date,
        )
    return CredentialRejectedError(
        operation,
        f"the vendor does not accept key {key.id}: expired, revoked, not yet active, or not this "
        "key's material",
        status=401,
        request_id=response.request_id,
        vendor_time=response.date,
    )


def _read_body(raw: Any, until: float) -> bytes:
    """Read the body within the time, and at most one byte more than is accepted."""
    content = bytearray()
    while len(content) <= _LARGEST_BODY:
        piece = raw.read1(_LARGEST_BODY + 1 - len(content), decode_content=True)
        if not piece:
            break
        content += piece
        if monotonic() > until:
            raise TimeoutError
    return bytes(content)


def _short(value: str | None) -> str | None:
    return outside_text(value, _LONGEST_REQUEST_ID) if value else None


def _date(value: str | None) -> datetime | None:
    try:
        return email.utils.parsedate_to_datetime((value or "")[:_LONGEST_DATE]).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _seconds(value: str | None) -> float:
    return float(value) if value and _RETRY_AFTER.fullmatch(value) else 0.0
