"""One signed request to the vendor and its answer: the connection, the retries, the errors.

Every call is signed anew for each attempt, so that its time is fresh. Only what cannot have taken
effect, or may take effect twice without harm, is repeated.
"""

from __future__ import annotations

import email.utils
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from rotation.credential import ApiKey
from rotation.errors import (
    ClockSkewError,
    CredentialRejectedError,
    MalformedResponseError,
    VendorError,
    VendorRefusedError,
    VendorUnavailableError,
)
from rotation.vendor.request_auth import CLOCK_WINDOW, auth_headers

_LARGEST_ANSWER: Final = 1024 * 1024
_ATTEMPTS: Final = 4
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
# The Date header has whole seconds, and an answer takes a moment.
_DATE_TOLERANCE: Final = timedelta(seconds=2)


@dataclass(frozen=True)
class VendorRequest:
    """What is asked of the vendor.

    Attributes:
        operation: its name in errors, such as ``sign``.
        method: the HTTP method.
        path: the path, escaped, without a query.
        repeatable: whether it may take effect twice without harm.
        body: the bytes to send; they are signed.
        query: the query's parameters; they are not signed.
        accept: statuses beyond 2xx that the caller reads itself.
    """

    operation: str
    method: str
    path: str
    repeatable: bool
    body: bytes = b""
    query: Mapping[str, str] | None = None
    accept: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Answer:
    """What the vendor answered.

    Attributes:
        status: the HTTP status.
        body: at most 1 MiB; never printed, since it may hold a new key.
        date: the vendor's clock, whole seconds, where it gave one.
        request_id: the vendor's id of the request, where it gave one.
    """

    status: int
    body: bytes = field(repr=False)
    date: datetime | None
    request_id: str | None

    def json_object(self) -> dict[str, Any] | None:
        """The body as a JSON object, or None if it is anything else."""
        try:
            members = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return members if isinstance(members, dict) else None


class VendorHttp:
    """A keep-alive session with one origin.

    Proxies, netrc and certificate bundles of the environment are not consulted, and no redirect is
    followed: a request goes to the configured origin or nowhere.
    """

    def __init__(
        self,
        origin: str,
        *,
        connect_timeout: timedelta,
        read_timeout: timedelta,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._origin = origin.rstrip("/")
        self._timeout = (connect_timeout.total_seconds(), read_timeout.total_seconds())
        self._clock = clock
        self._sleep = sleep
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers = CaseInsensitiveDict(
            {"Accept": "application/json", "User-Agent": "trusted-signatures-rotation"}
        )
        self._session.mount(self._origin, HTTPAdapter(pool_maxsize=4, max_retries=0))

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._session.close()

    def call(self, request: VendorRequest, key: ApiKey) -> Answer:
        """Ask, at most four times, and return an answer with an accepted status.

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
                self._session.close()
            outcome = self._once(request, key)
            if isinstance(outcome, Answer):
                return outcome
            passing = isinstance(outcome.error, VendorUnavailableError)
            safe = request.repeatable or outcome.untouched
            if attempt == _ATTEMPTS or not (passing and safe):
                raise outcome.error
            ceiling = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1))
            pause = random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter
            self._sleep(max(outcome.pause, pause))
        raise AssertionError("the loop ends by returning or raising")

    def _once(self, request: VendorRequest, key: ApiKey) -> Answer | _Failure:
        sent_at = self._clock()
        headers = auth_headers(key, request.body, sent_at)
        if request.body:
            headers["Content-Type"] = "application/json"
        answer = self._send(request, headers)
        if not isinstance(answer, Answer):
            return answer
        if 200 <= answer.status < 300 or answer.status in request.accept:
            return answer
        return _judge(request.operation, answer, key, sent_at)

    def _send(self, request: VendorRequest, headers: dict[str, str]) -> Answer | _Failure:
        operation = request.operation
        # The exceptions of requests carry the request and the response. They end here.
        try:
            with self._session.request(
                request.method,
                self._origin + request.path,
                params=request.query,
                data=request.body or None,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                content = response.raw.read(_LARGEST_ANSWER + 1, decode_content=True)
                answer = Answer(
                    response.status_code,
                    content,
                    _parse_date(response.headers.get("Date")),
                    response.headers.get("X-Request-Id"),
                )
                pause = _retry_after(response.headers.get("Retry-After"))
        except requests.exceptions.SSLError:
            detail = f"the certificate of {self._origin} was not accepted"
            return _Failure(VendorError(operation, detail), untouched=True)
        except (requests.exceptions.ConnectTimeout, requests.exceptions.ConnectionError) as exc:
            untouched = _never_connected(exc)
            what = "cannot connect to" if untouched else "lost the connection to"
            detail = f"{what} {self._origin}. Check the network, DNS and VENDOR_URL."
            return _Failure(VendorUnavailableError(operation, detail), untouched=untouched)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as exc:
            detail = f"no whole answer from {self._origin} ({type(exc).__name__})"
            return _Failure(VendorUnavailableError(operation, detail), untouched=False)
        if len(content) > _LARGEST_ANSWER:
            detail = "the answer is larger than 1 MiB"
            return _Failure(
                MalformedResponseError(operation, detail, status=answer.status), untouched=False
            )
        if answer.status == 429:
            error = VendorUnavailableError(
                operation, "too many requests", status=429, request_id=answer.request_id
            )
            return _Failure(error, untouched=True, pause=pause)
        return answer


@dataclass(frozen=True)
class _Failure:
    error: VendorError
    untouched: bool = False
    pause: float = 0.0


def _judge(operation: str, answer: Answer, key: ApiKey, sent_at: datetime) -> _Failure:
    status, request_id = answer.status, answer.request_id
    error: VendorError
    if status == 401:
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
    return _Failure(error)


def _rejection(
    operation: str, answer: Answer, key: ApiKey, sent_at: datetime
) -> CredentialRejectedError:
    skew = answer.date - sent_at if answer.date else timedelta(0)
    if abs(skew) > CLOCK_WINDOW - _DATE_TOLERANCE:
        direction = "behind" if skew > timedelta(0) else "ahead of"
        return ClockSkewError(
            operation,
            f"key {key.id} was rejected and our clock is {abs(skew).total_seconds():.0f} s "
            f"{direction} the vendor's; a request must be within one minute. Set the clock.",
            status=401,
            request_id=answer.request_id,
        )
    return CredentialRejectedError(
        operation,
        f"the vendor does not accept key {key.id}: expired, revoked, not yet active, or not this "
        "key's material",
        status=401,
        request_id=answer.request_id,
    )


def _never_connected(error: Exception) -> bool:
    """Whether the request cannot have reached the vendor."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _parse_date(value: str | None) -> datetime | None:
    try:
        return email.utils.parsedate_to_datetime(value or "").astimezone(UTC)
    except ValueError:
        return None


def _retry_after(value: str | None) -> float:
    return min(_LONGEST_PAUSE, float(value)) if value and value.isdigit() else 0.0
