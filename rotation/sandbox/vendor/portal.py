"""The vendor's portal, where people make and revoke keys, by requests that curl can make.

The real portal is for browsers. This one is on loopback, asks for no password, and answers with
what `rotation pool add` reads. A key is shown once: in the answer to the request that makes it or,
if it was made by `VendorPortal.make`, in the answer to the first request that asks for it.
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final, Self

from rotation.sandbox.vendor.keys import KeyQuotaReachedError, KeyStore, PortalKey
from rotation.sandbox.vendor.listener import HOST

_PATH: Final = "/portal/keys"
_CLOSING_SECONDS: Final = 5.0


class VendorPortal:
    """Serves the keys of one account to people; a context manager.

    Args:
        keys: the keys of the account.
    """

    def __init__(self, keys: KeyStore) -> None:
        self.keys = keys
        self._not_shown: dict[str, PortalKey] = {}
        self._server = _PortalServer((HOST, 0), _PortalHandler)
        self._server.portal = self
        self._thread = Thread(
            target=self._server.serve_forever, args=(0.02,), name="portal", daemon=True
        )

    @property
    def url(self) -> str:
        """Where a POST makes a key; below it a key id takes GET, which shows it, and DELETE."""
        return f"http://{HOST}:{self._server.server_port}{_PATH}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_CLOSING_SECONDS)

    def create(self) -> tuple[int, dict[str, str]]:
        """A new key, as an HTTP status and the members of the answer."""
        try:
            key = self.keys.create()
        except KeyQuotaReachedError as error:
            return 409, {"message": str(error)}
        return 201, _shown(key)

    def make(self) -> str:
        """A new key that nobody has seen yet; its id.

        Raises:
            KeyQuotaReachedError: the account has as many active keys as it may have.
        """
        key = self.keys.create()
        self._not_shown[key.id] = key
        return key.id

    def not_shown(self) -> frozenset[str]:
        """The ids of the keys that `show` has yet to show."""
        return frozenset(self._not_shown)

    def show(self, key_id: str) -> tuple[int, dict[str, str]]:
        """A key of `make`, once; an HTTP status and the members of the answer."""
        key = self._not_shown.pop(key_id, None)
        if key is None:
            return 404, {"message": "There is no such key, or it was shown before."}
        return 200, _shown(key)

    def revoke(self, key_id: str) -> tuple[int, dict[str, str]]:
        """Revoke a key; an HTTP status and the members of the answer."""
        if self.keys.revoke(key_id):
            self._not_shown.pop(key_id, None)
            return 200, {"apiKeyId": key_id, "status": "revoked"}
        return 404, {"message": "There is no such key, or it was revoked before."}


def _shown(key: PortalKey) -> dict[str, str]:
    return {
        "apiKeyId": key.id,
        "apiKey": key.material,
        "expiresAt": key.expires_at.isoformat(),
    }


class _PortalServer(ThreadingHTTPServer):
    daemon_threads = True
    portal: VendorPortal

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""


class _PortalHandler(BaseHTTPRequestHandler):
    server: _PortalServer

    def exchange(self) -> None:
        """Answer one request."""
        folder, _, key_id = self.path.rpartition("/")
        answer: tuple[int, dict[str, str]]
        if self.command == "POST" and self.path == _PATH:
            answer = self.server.portal.create()
        elif self.command == "GET" and folder == _PATH:
            answer = self.server.portal.show(key_id)
        elif self.command == "DELETE" and folder == _PATH:
            answer = self.server.portal.revoke(key_id)
        else:
            answer = 404, {"message": f"POST {_PATH}, or GET or DELETE {_PATH}/KEY_ID."}
        body = json.dumps(answer[1]).encode() + b"\n"
        self.send_response(answer[0])
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = exchange  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Log nothing."""
