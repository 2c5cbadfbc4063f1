"""Ends an HTTP exchange when its time is over, wherever it stands.

A read timeout bounds each wait, and whoever sends a byte a second never lets it pass. So a watch
holds the socket of the exchange and shuts it down at the deadline: while names are looked up and
connections made, during the TLS handshake, and while the other side takes the request, sends
``100 Continue``, headers, the size of a chunk, the body or trailers. ::

    session.mount("https://", WatchedAdapter(max_retries=0))
    with ExchangeWatch(timedelta(seconds=10)) as watch, session.get(url, stream=True) as response:
        content = response.raw.read(...)
    if watch.over:
        ...  # the content may be cut: a connection that was shut down looks like one that has ended

A watch belongs to the thread that enters it: only requests that this thread makes are watched.
Threads may share a session, each with a watch of its own.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from queue import Empty, SimpleQueue
from threading import Lock, Thread, Timer, local
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, ProxyError

_thread: Final = local()


class ExchangeWatch:
    """A context manager in which the exchanges of one thread end by a deadline.

    An exchange that is ended raises what requests, urllib3 and the socket raise for a connection
    that was lost, or seems to have ended well: ask `over` before the answer is believed.

    Args:
        time: how long the exchanges may take together.
    """

    def __init__(self, time: timedelta) -> None:
        self._ends = monotonic() + time.total_seconds()
        self._timer = Timer(max(0.0, time.total_seconds()), self._end)
        self._timer.daemon = True
        self._lock = Lock()
        self._sockets: list[socket.socket] = []
        self._over = False
        self._outer: ExchangeWatch | None = None

    def __enter__(self) -> Self:
        self._outer, _thread.watch = current_watch(), self
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        _thread.watch = self._outer
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for one in sockets:
            one.close()

    @property
    def over(self) -> bool:
        """Whether the deadline has passed, so that sockets were shut down."""
        return self._over

    def left(self) -> float:
        """The seconds until the deadline; 0 once it has passed."""
        return max(0.0, self._ends - monotonic())

    def hold(self, connected: socket.socket) -> None:
        """Shut ``connected`` down at the deadline, or at once if that has passed."""
        # A descriptor of our own: TLS takes the first one over, and a number may be used again.
        own = socket.socket(fileno=os.dup(connected.fileno()))
        with self._lock:
            self._sockets.append(own)
            over = self._over
        if over:
            _shut_down(own)

    def _end(self) -> None:
        with self._lock:
            self._over = True
            for one in self._sockets:
                _shut_down(one)


def current_watch() -> ExchangeWatch | None:
    """The watch that this thread has entered, or None."""
    watch: ExchangeWatch | None = getattr(_thread, "watch", None)
    return watch


def _shut_down(connected: socket.socket) -> None:
    # The other side may have ended the connection already.
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


class _Plain(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self, super()._new_conn)

    def request(self, *args: Any, **kwargs: Any) -> None:
        _hold(self)
        super().request(*args, **kwargs)


class _Tls(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self, super()._new_conn)

    def _tunnel(self) -> None:
        # urllib3 tells a refused tunnel from a lost connection by its text alone.
        try:
            super()._tunnel()
        except OSError as error:
            raise ProxyError("The proxy opened no tunnel.", error) from error

    def request(self, *args: Any, **kwargs: Any) -> None:
        _hold(self)
        super().request(*args, **kwargs)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


_POOLS: Final = {"http": _PlainPool, "https": _TlsPool}


class WatchedAdapter(HTTPAdapter):
    """An adapter of requests whose connections the thread's `ExchangeWatch` can end.

    Without a watch it is an ordinary one.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As the adapter's own, with connections that can be watched."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """As the adapter's own, with connections that can be watched."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def _hold(connection: HTTPConnection) -> None:
    """Watch a connection that is used again; a new one is watched as soon as it is made."""
    watch = current_watch()
    if watch is not None and connection.sock is not None:
        watch.hold(connection.sock)


def _connect(connection: HTTPConnection, connect: Callable[[], socket.socket]) -> socket.socket:
    """Connect within the watch's time, to however many addresses the name has."""
    watch = current_watch()
    if watch is None:
        return connect()
    name, timeout = connection._dns_host, connection.timeout  # noqa: SLF001 - what urllib3 looks up
    failure: Exception = ConnectTimeoutError(connection, f"no time to connect to {name}")
    try:
        for address in _addresses(connection, name, watch):
            left = watch.left()
            if left <= 0:
                break
            connection._dns_host = address  # noqa: SLF001
            connection.timeout = min(left, timeout) if isinstance(timeout, int | float) else left
            try:
                connected = connect()
            except (ConnectTimeoutError, OSError) as error:
                failure = error
            else:
                connected.settimeout(timeout if isinstance(timeout, int | float) else None)
                watch.hold(connected)
                return connected
    finally:
        connection._dns_host, connection.timeout = name, timeout  # noqa: SLF001
    raise failure


def _addresses(connection: HTTPConnection, name: str, watch: ExchangeWatch) -> list[str]:
    """The addresses of a host. Nothing interrupts a look-up, so another thread does it."""
    found: SimpleQueue[list[str] | OSError | UnicodeError] = SimpleQueue()

    def look_up() -> None:
        try:
            infos = socket.getaddrinfo(name.strip("[]"), None, type=socket.SOCK_STREAM)
            found.put([str(info[4][0]) for info in infos])
        except (OSError, UnicodeError) as error:
            found.put(error)

    Thread(target=look_up, daemon=True).start()
    try:
        answer = found.get(timeout=watch.left())
    except Empty:
        raise ConnectTimeoutError(connection, f"{name} was not resolved in time") from None
    if isinstance(answer, list):
        return answer
    raise NameResolutionError(name, connection, socket.gaierror(str(answer))) from answer
