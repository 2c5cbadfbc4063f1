"""The way to services outside of AWS: through which proxy, and whose TLS certificates count.

The vendor, OCSP responders, CRLs and time-stamping authorities are all reached in this way. What
the environment says of proxies, netrc and certificate bundles is ignored; boto3 obeys it.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import requests
from requests.structures import CaseInsensitiveDict

from rotation.exchange import WatchedAdapter

_USER_AGENT: Final = {"User-Agent": "trusted-signatures-rotation"}


@dataclass(frozen=True)
class Egress:
    """The way to services outside of AWS.

    Attributes:
        proxy: the URL of the proxy for all of them, or None.
        ca: PEM certificates that TLS servers, and a proxy that speaks TLS, must chain to, and no
            other; None: the public authorities that the package certifi lists.
    """

    proxy: str | None = None
    ca: bytes | None = field(default=None, repr=False)

    def tls_context(self) -> ssl.SSLContext | None:
        """What TLS servers are checked by, or None for the public authorities.

        Raises:
            ValueError, OSError: ``ca`` holds no certificate, or a malformed one.
        """
        if self.ca is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # A bundle may have comments, in any language.
        context.load_verify_locations(cadata=self.ca.decode("ascii", "ignore"))
        return context

    def session(
        self, headers: Mapping[str, str] | None = None, connections: int = 10
    ) -> requests.Session:
        """A session that goes this way, never sends a request again, and can be watched.

        Args:
            headers: what each request has beside the User-Agent.
            connections: how many connections to one host are kept for later requests.
        """
        session = requests.Session()
        session.trust_env = False
        session.headers = CaseInsensitiveDict({**_USER_AGENT, **(headers or {})})
        adapter = _EgressAdapter(self.tls_context(), connections)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        if self.proxy is not None:
            session.proxies = {"http": self.proxy, "https": self.proxy}
        return session


#: No proxy, and the public authorities.
DIRECT: Final = Egress()


class _EgressAdapter(WatchedAdapter):
    """An adapter that checks TLS servers by a context of its own, if there is one."""

    def __init__(self, context: ssl.SSLContext | None, connections: int) -> None:
        self._context = context
        super().__init__(pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As the adapter's own."""
        if self._context is not None:
            kwargs["ssl_context"] = self._context
        super().init_poolmanager(*args, **kwargs)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """As the adapter's own; the proxy itself is checked by the context, too."""
        if self._context is not None:
            kwargs |= {"ssl_context": self._context, "proxy_ssl_context": self._context}
        return super().proxy_manager_for(*args, **kwargs)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """As the adapter's own, which would add the public authorities to the context."""
        if self._context is None:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
