"""One signed request to the vendor and its answer: the connection, the retries, the errors.

Every call is signed anew for each attempt, so that its time is fresh. Only what cannot have taken
effect, or may take effect twice without harm, is repeated.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from time import monotonic
from typing import Final, Self

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from rotation.credential import ApiKey
from rotation.deadline import Deadline
from rotation.errors import MalformedResponseError, VendorError, VendorUnavailableError
from rotation.vendor.request_auth import auth_headers
from rotation.vendor.response import Answer, Failure, judge

_ATTEMPTS: Final = 4
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
_SHORTEST_ATTEMPT: Final = 0.1


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
        self._deadline: Deadline | None = None
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers = CaseInsensitiveDict(
            {"Accept": "application/json", "User-Agent": "trusted-signatures-rotation"}
        )
        self._session.mount(self._origin, HTTPAdapter(pool_maxsize=4, max_retries=0))

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
                self.close()
            outcome = self._once(request, key)
            if isinstance(outcome, Answer):
                return outcome
            passing = isinstance(outcome.error, VendorUnavailableError)
            safe = request.repeatable or outcome.untouched
            ceiling = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1))
            jittered = random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter
            pause = max(min(outcome.pause, _LONGEST_PAUSE), jittered)
            time_is_up = self._time_left() <= pause + _SHORTEST_ATTEMPT
            if attempt == _ATTEMPTS or time_is_up or not (passing and safe):
                raise outcome.error
            self._sleep(pause)
        raise AssertionError("the loop ends by returning or raising")

    def _once(self, request: VendorRequest, key: ApiKey) -> Answer | Failure:
        sent_at = self._clock()
        headers = auth_headers(key, request.body, sent_at)
        if request.body:
            headers["Content-Type"] = "application/json"
        answer = self._send(request, headers)
        if not isinstance(answer, Answer):
            return answer
        if answer.too_large:
            detail = "the answer is larger than 1 MiB"
            return Failure(MalformedResponseError(request.operation, detail, status=answer.status))
        if 200 <= answer.status < 300 or answer.status in request.accept:
            return answer
        return judge(request.operation, answer, key, sent_at)

    def _time_left(self) -> float:
        return inf if self._deadline is None else self._deadline.left().total_seconds()

    def _send(self, request: VendorRequest, headers: dict[str, str]) -> Answer | Failure:
        connect_timeout, read_timeout = self._timeout
        left = self._time_left()
        if left <= _SHORTEST_ATTEMPT:
            detail = "no time is left to ask; give the function a longer timeout"
            return Failure(VendorUnavailableError(request.operation, detail), untouched=True)
        # The read timeout is for each wait; a slow drip must not outlast the whole answer's.
        until = monotonic() + min(left, 2 * read_timeout)
        # The exceptions of requests carry the request and the response. They end here.
        try:
            with self._session.request(
                request.method,
                self._origin + request.path,
                params=request.query,
                data=request.body or None,
                headers=headers,
                timeout=(min(connect_timeout, left), min(read_timeout, left)),
                allow_redirects=False,
                stream=True,
            ) as response:
                return Answer.read(response, until)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as exc:
            return self._explain(request.operation, exc)

    def _explain(self, operation: str, failure: Exception) -> Failure:
        if isinstance(failure, requests.exceptions.SSLError):
            detail = f"the certificate of {self._origin} was not accepted"
            return Failure(VendorError(operation, detail), untouched=True)
        if isinstance(failure, requests.exceptions.ConnectionError):
            untouched = _never_connected(failure)
            what = "cannot connect to" if untouched else "lost the connection to"
            detail = f"{what} {self._origin}. Check the network, DNS and VENDOR_URL."
            return Failure(VendorUnavailableError(operation, detail), untouched=untouched)
        detail = f"no whole answer from {self._origin} ({type(failure).__name__})"
        return Failure(VendorUnavailableError(operation, detail))


def _never_connected(error: Exception) -> bool:
    """Whether the request cannot have reached the vendor."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, urllib3.exceptions.NewConnectionError)
