"""HTTP to validation services and time-stamping authorities: few hosts, and little time.

Addresses come from certificates, which others wrote. So only hosts of the settings are asked, over
http too (RFC 6960 and RFC 5280 answers are signed), no redirect is followed, and one deadline holds
for all exchanges together, however slowly an answer comes (`rotation.exchange`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import requests
import urllib3

from rotation.deadline import Deadline
from rotation.egress import DIRECT, Egress
from rotation.exchange import ExchangeWatch

_CONNECT_SECONDS: Final = 5.0
_SHORTEST: Final = 0.05
# The CRL of a large CA has some megabytes.
_LARGEST_ANSWER: Final = 16 * 1024 * 1024
_LONGEST_ADDRESS: Final = 200
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class ServiceSettings:
    """Which services may be asked, and how.

    Attributes:
        hosts: ``host``, for the standard ports, or ``host:port``; no other host is asked.
        tsa_url: the time-stamping authority for document timestamps, or None. Its host is allowed.
        egress: the way to all of them.
        time: how long all exchanges for one document may take together.
    """

    hosts: frozenset[str] = frozenset()
    tsa_url: str | None = None
    egress: Egress = DIRECT
    time: timedelta = timedelta(seconds=20)

    def allows(self, url: str) -> bool:
        """Whether the host of ``url`` may be asked."""
        if self.tsa_url is not None and url == self.tsa_url:
            return True
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme)
        except ValueError:
            return False
        standard = port == _PORTS.get(parts.scheme)
        names = {f"{parts.hostname}:{port}"} | ({str(parts.hostname)} if standard else set())
        return parts.scheme in _PORTS and "@" not in parts.netloc and bool(names & self.hosts)


class ServiceError(requests.RequestException):
    """A service was not asked, or gave no usable answer; the message says which, and why."""


@dataclass(frozen=True)
class ServiceAnswer:
    """The answer of a service, status 200."""

    content: bytes = field(repr=False)
    headers: Mapping[str, str]


class ServiceHttp:
    """The exchanges for one document; a context manager.

    Attributes:
        problems: what went wrong, in the order in which it did.
    """

    def __init__(self, settings: ServiceSettings, deadline: Deadline | None) -> None:
        own = Deadline.after(settings.time)
        self._deadline = min(own, deadline or own, key=lambda one: one.left())
        self._settings = settings
        self.problems: list[str] = []
        self._session = settings.egress.session()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._session.close()

    def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> ServiceAnswer:
        """Ask a service. May be called from several threads.

        Raises:
            ServiceError: its host is not allowed, or it gave no answer with status 200 in time.
        """
        try:
            return self._exchange(method, url, headers, body)
        except ServiceError as error:
            self.problems.append(str(error))
            raise

    def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> ServiceAnswer:
        shown = url[:_LONGEST_ADDRESS]
        if not self._settings.allows(url):
            raise ServiceError(f"{shown} is not a host of VALIDATION_HOSTS")
        left = self._deadline.left().total_seconds()
        if left < _SHORTEST:
            raise ServiceError(f"no time was left to ask {shown}")
        watch = ExchangeWatch(timedelta(seconds=left))
        try:
            with (
                watch,
                self._session.request(
                    method,
                    url,
                    headers=dict(headers),
                    data=body,
                    timeout=(_CONNECT_SECONDS, left),
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                content = self._read(response, shown)
                status = response.status_code
                answered = response.headers
        except ServiceError:
            raise
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
            ValueError,
        ) as why:
            reason = "no whole answer in time" if watch.over else type(why).__name__
            raise ServiceError(f"{shown} gave no answer ({reason})") from why
        # A connection that was shut down looks like an answer that has ended.
        if watch.over:
            raise ServiceError(f"{shown} gave no whole answer in time")
        if status != 200:
            raise ServiceError(f"{shown} answered with status {status}")
        return ServiceAnswer(content, answered)

    def _read(self, response: requests.Response, shown: str) -> bytes:
        content = bytearray()
        for piece in response.iter_content(64 * 1024):
            content += piece
            if len(content) > _LARGEST_ANSWER:
                raise ServiceError(f"{shown} answered with more than {_LARGEST_ANSWER} bytes")
        return bytes(content)
