"""moto's application, served on loopback by a thread.

moto's own threaded server leaves its socket open when it stops, takes half a second for it, and
logs a line for each request through the root of werkzeug's logging.
"""

from __future__ import annotations

from threading import Thread
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from rotation.sandbox.aws.traffic import Application


class _QuietHandler(MotoRequestHandler):  # type: ignore[misc]
    def log_request(self, *args: Any) -> None:
        """Nothing; failures of moto itself are still logged."""


class MotoApplication(DomainDispatcherApplication):  # type: ignore[misc]
    """moto's services behind one address.

    moto lists the folder of its services for each request, to find the one that a host stands for.
    That is a fifth of what a request costs, and the answer for a host never changes.
    """

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self._backends: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        """As moto's, which is asked once for each host."""
        if host not in self._backends:
            self._backends[host] = super().get_backend_for_host(host)
        return self._backends[host]


class LocalServer:
    """A WSGI application on 127.0.0.1, on a free port, a thread for each request."""

    def __init__(self, application: Application) -> None:
        self._server = make_server(
            "127.0.0.1", 0, application, threaded=True, request_handler=_QuietHandler
        )
        self._thread = Thread(
            target=self._server.serve_forever, args=(0.02,), name="sandbox-aws", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The origin, ``http://127.0.0.1:…``."""
        return f"http://127.0.0.1:{self._server.port}"

    def stop(self) -> None:
        """Accept nothing more and free the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
