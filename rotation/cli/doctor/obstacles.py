"""Why no answer came: what the exceptions of a connection mean."""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass
from enum import Enum
from typing import Final

from botocore.exceptions import (
    BotoCoreError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NotConnectedError


class Kind(Enum):
    """What stands in the way. Values are parts of codes."""

    DNS = "dns"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    PROXY = "proxy"
    LOST = "lost"


IN_WORDS: Final = {
    Kind.DNS: "its name is not resolved",
    Kind.REFUSED: "the connection is refused",
    Kind.TIMEOUT: "no connection within the time",
    Kind.UNREACHABLE: "there is no route to it",
    Kind.TLS: "its TLS certificate is not accepted",
    Kind.PROXY: "the proxy cannot be reached",
    Kind.LOST: "connected, and no whole answer came",
}

_NO_ROUTE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL})


@dataclass(frozen=True)
class Obstacle:
    """Nothing was answered.

    Attributes:
        name: the exception's class.
    """

    kind: Kind
    name: str

    @property
    def in_words(self) -> str:
        """What stands in the way, as a clause."""
        return IN_WORDS[self.kind]


def obstacle_of(failure: BotoCoreError) -> Obstacle | None:
    """What kept a call to AWS from being answered; None: something else is the matter."""
    kind = None
    if isinstance(failure, ProxyConnectionError):
        kind = Kind.PROXY
    elif isinstance(failure, ConnectTimeoutError):
        kind = Kind.TIMEOUT
    elif isinstance(failure, SSLError):
        kind = Kind.TLS
    elif isinstance(failure, EndpointConnectionError):
        kind = _kind(failure.kwargs.get("error"))
    elif isinstance(failure, (HTTPClientError, NotConnectedError)):
        kind = Kind.LOST
    return None if kind is None else Obstacle(kind, type(failure).__name__)


def connection_obstacle(host: str, port: int, seconds: float) -> Obstacle | None:
    """What keeps this process from a TCP connection with ``host``; None: nothing does."""
    try:
        socket.create_connection((host, port), seconds).close()
    except (OSError, UnicodeError) as failure:
        return Obstacle(_kind(failure), type(failure).__name__)
    return None


def _kind(failure: object) -> Kind:
    """What an exception, or one that it came from, says of a connection that was not made."""
    error = failure if isinstance(failure, BaseException) else None
    while error is not None:
        if isinstance(error, (socket.gaierror, UnicodeError)):
            return Kind.DNS
        if isinstance(error, ssl.SSLError):
            return Kind.TLS
        if isinstance(error, TimeoutError):
            return Kind.TIMEOUT
        if isinstance(error, ConnectionRefusedError):
            return Kind.REFUSED
        if isinstance(error, OSError) and error.errno in _NO_ROUTE:
            return Kind.UNREACHABLE
        error = error.__cause__ or error.__context__
    return Kind.UNREACHABLE
