"""Why a connection was not made: what the exceptions of sockets and of botocore mean."""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass
from typing import Final

from botocore.exceptions import (
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
    SSLError,
)

from rotation.aws.errors import AwsCallError, got_no_answer

#: The kinds of failure, which are parts of codes, each with a clause that describes it.
FAILURE_KINDS: Final = {
    "dns": "its name cannot be resolved",
    "refused": "the connection is refused",
    "timeout": "no connection was made in time",
    "unreachable": "there is no route to it",
    "tls": "its TLS certificate is not accepted",
    "proxy": "the proxy cannot be reached",
    "lost": "the connection was lost before the whole answer came",
}
_NO_ROUTE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL})


@dataclass(frozen=True)
class ConnectionFailure:
    """A host gave no answer.

    Attributes:
        kind: a key of `FAILURE_KINDS`.
        exception: the name of the exception's class.
    """

    kind: str
    exception: str

    @property
    def clause(self) -> str:
        """What happened, as a clause."""
        return FAILURE_KINDS[self.kind]


def botocore_failure(error: AwsCallError) -> ConnectionFailure | None:
    """Why AWS gave no answer; None if the error is not about the connection."""
    if isinstance(error, ProxyConnectionError):
        kind = "proxy"
    elif isinstance(error, ConnectTimeoutError):
        kind = "timeout"
    elif isinstance(error, SSLError):
        kind = "tls"
    elif isinstance(error, EndpointConnectionError):
        kind = _kind(error.kwargs.get("error"))
    elif got_no_answer(error):
        kind = "lost"
    else:
        return None
    return ConnectionFailure(kind, type(error).__name__)


def try_connection(host: str, port: int, seconds: float) -> ConnectionFailure | None:
    """Open a TCP connection to ``host`` and close it; None if that worked."""
    try:
        socket.create_connection((host, port), seconds).close()
    except (OSError, UnicodeError) as error:
        return ConnectionFailure(_kind(error), type(error).__name__)
    return None


def _kind(error: object) -> str:
    """The kind of failure that an exception, or one of those behind it, stands for."""
    while isinstance(error, BaseException):
        if isinstance(error, (socket.gaierror, UnicodeError)):
            return "dns"
        if isinstance(error, ssl.SSLError):
            return "tls"
        if isinstance(error, TimeoutError):
            return "timeout"
        if isinstance(error, ConnectionRefusedError):
            return "refused"
        if isinstance(error, OSError) and error.errno in _NO_ROUTE:
            return "unreachable"
        error = error.__cause__ or error.__context__
    return "unreachable"
