"""The services that prove what certificates are worth: OCSP, CRLs, issuers' certificates, a TSA.

They answer over HTTP on 127.0.0.1 for the certificates of a `Pki` that was made for their address
(`Pki.with_services`): RFC 6960 for the signer, RFC 5280 for the issuing CA and the time-stamping
unit, RFC 3161 for timestamps. A test revokes certificates, and takes services down.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, Final, Self

from asn1crypto import tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from rotation.sandbox.vendor.cms import timestamp_response
from rotation.sandbox.vendor.listener import HOST
from rotation.sandbox.vendor.pki import Identity, Pki, ServicePaths

_LARGEST_BODY: Final = 64 * 1024
_VALID: Final = timedelta(days=7)
_CLOSING_SECONDS: Final = 5.0


class ValidationService(Enum):
    """What the services are asked for."""

    OCSP = "ocsp"
    CRL = "crl"
    CERTIFICATE = "certificate"
    TSA = "tsa"


class Trouble(Enum):
    """How a service fails."""

    DOWN = "every request is answered with 503"
    NONSENSE = "the answer is no DER"
    DRIPPING_HEADERS = "the header comes a byte at a time, for ever"
    DRIPPING_BODY = "the body comes a byte at a time, for ever"


class ValidationServices:
    """OCSP responder, CRLs and TSA of one `Pki`, at one port; a context manager.

    Args:
        pki: whose certificates it speaks of; it is made anew with this address in them.
        clock: the time, aware UTC.

    Attributes:
        pki: the certificates that name these services; their keys are those of the given ones.
        trouble: which services fail, and how. Change it at any time.
        requests: how often each service was asked.
        alter: what becomes of an answer before it is sent.
    """

    def __init__(self, pki: Pki, *, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.trouble: dict[ValidationService, Trouble] = {}
        self.requests: Counter[ValidationService] = Counter()
        self.alter: Callable[[ValidationService, bytes], bytes] = lambda _, content: content
        self.stopped = Event()
        self._revoked: dict[int, datetime] = {}
        self._lock = Lock()
        self._server = _ServiceServer((HOST, 0), _ServiceHandler)
        self._server.services = self
        self.pki = pki.with_services(self.url)
        self._thread = Thread(
            target=self._server.serve_forever, args=(0.02,), name="services", daemon=True
        )

    @property
    def host(self) -> str:
        """The host and port."""
        return f"{HOST}:{self._server.server_port}"

    @property
    def url(self) -> str:
        """The origin."""
        return f"http://{self.host}"

    @property
    def tsa_url(self) -> str:
        """The address of the time-stamping authority."""
        return self.url + ServicePaths.TSA

    def revoke(self, certificate: x509.Certificate) -> None:
        """Revoke a certificate from now on."""
        with self._lock:
            self._revoked[certificate.serial_number] = self.clock()

    def start(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close the port, and let go of whoever still waits."""
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_CLOSING_SECONDS)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def answer(self, path: str, body: bytes) -> tuple[ValidationService | None, bytes, str]:
        """Which service answers, with what, and of which content type."""
        now = self.clock().replace(microsecond=0)
        issuers = {"root": self.pki.root, "issuing": self.pki.issuing}
        name = path.rpartition("/")[2].partition(".")[0]
        if path == ServicePaths.OCSP:
            return ValidationService.OCSP, self._ocsp(body, now), "application/ocsp-response"
        if path == ServicePaths.TSA:
            token = asyncio.run(
                timestamp_response(tsp.TimeStampReq.load(body), self.pki.tsa, now)
            ).dump()
            return ValidationService.TSA, token, "application/timestamp-reply"
        if path.endswith(".crl") and name in issuers:
            with self._lock:
                revoked = dict(self._revoked)
            listed = self.pki.crl(issuers[name], now, revoked, valid=_VALID)
            return ValidationService.CRL, listed, "application/pkix-crl"
        if path.endswith(".cer") and name in issuers:
            der = issuers[name].certificate.public_bytes(Encoding.DER)
            return ValidationService.CERTIFICATE, der, "application/pkix-cert"
        return None, b"", "text/plain"

    def _ocsp(self, body: bytes, now: datetime) -> bytes:
        request = ocsp.load_der_ocsp_request(body)
        found = self._certificate(request.serial_number)
        if found is None:
            unknown = ocsp.OCSPResponseStatus.UNAUTHORIZED
            return ocsp.OCSPResponseBuilder.build_unsuccessful(unknown).public_bytes(Encoding.DER)
        certificate, issuer = found
        with self._lock:
            since = self._revoked.get(request.serial_number)
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=certificate,
            issuer=issuer.certificate,
            algorithm=request.hash_algorithm,
            cert_status=ocsp.OCSPCertStatus.REVOKED if since else ocsp.OCSPCertStatus.GOOD,
            this_update=now,
            next_update=now + _VALID,
            revocation_time=since,
            revocation_reason=None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer.certificate)
        for extension in request.extensions:
            if isinstance(extension.value, x509.OCSPNonce):
                builder = builder.add_extension(extension.value, critical=False)
        return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def _certificate(self, serial: int) -> tuple[x509.Certificate, Identity] | None:
        pki = self.pki
        pairs = ((pki.signer, pki.issuing), (pki.issuing, pki.root), (pki.tsa, pki.root))
        for identity, issuer in pairs:
            if identity.certificate.serial_number == serial:
                return identity.certificate, issuer
        return None


class _ServiceServer(ThreadingHTTPServer):
    daemon_threads = True
    services: ValidationServices

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""


class _ServiceHandler(BaseHTTPRequestHandler):
    server: _ServiceServer

    def exchange(self) -> None:
        """Read one request and answer it."""
        services = self.server.services
        body = self.rfile.read(min(int(self.headers.get("Content-Length", "0")), _LARGEST_BODY))
        service, content, kind = services.answer(self.path, body)
        if service is not None:
            services.requests[service] += 1
        trouble = services.trouble.get(service) if service else None
        if trouble is Trouble.DRIPPING_HEADERS:
            self._drip(b"HTTP/1.0 200 OK\r\n")
            return
        if service is None or trouble is Trouble.DOWN:
            self.send_error(404 if service is None else 503)
            return
        if trouble is Trouble.NONSENSE:
            content = b"this is no DER"
        content = services.alter(service, content)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if trouble is Trouble.DRIPPING_BODY:
            self.end_headers()
            self._drip(b"")
            return
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = exchange  # noqa: N815 - http.server's names

    def _drip(self, beginning: bytes) -> None:
        self.wfile.write(beginning)
        while not self.server.services.stopped.wait(0.02):
            self.wfile.write(b"x")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Log nothing."""
