"""The way to services outside of AWS, through a proxy and past private certificates.

The vendor's name is one that nothing resolves, so that only the proxy can lead to it.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rotation.credential import ApiKey
from rotation.egress import DIRECT, Egress
from rotation.errors import VendorError, VendorUnavailableError
from rotation.sandbox.vendor import VendorEmulator
from rotation.sealing.levels.services import ServiceError, ServiceHttp, ServiceSettings
from rotation.vendor.http import VendorHttp, VendorRequest

NAME = "vendor.invalid"
ORIGIN = f"https://{NAME}"
KEY = ApiKey.from_text("4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5", "5d41402abc4b2a76b9719d911017c592")
REACH = VendorRequest("reach", "GET", "/", repeatable=True, accept=frozenset(range(300, 600)))
CREATE = VendorRequest("create", "POST", "/v1/keys", repeatable=False, body=b"{}")


@contextmanager
def _listening(serve: object) -> Iterator[int]:
    """A port on loopback; ``serve`` gets each connection, in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                Thread(target=serve, args=(connection,), daemon=True).start()  # type: ignore[arg-type]

    Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _join(one: socket.socket, port: int) -> None:
    """Hand on what comes in, both ways, until both sides have ended."""
    with closing(one), socket.create_connection(("127.0.0.1", port)) as other:
        back = Thread(target=_pump, args=(other, one), daemon=True)
        back.start()
        _pump(one, other)
        back.join()


@dataclass
class Proxy:
    """A proxy with CONNECT that leads to one port, whatever is asked for.

    Attributes:
        port: where it listens.
        target: the port that it leads to; None: it refuses.
        asked: the method and the target of each request.
    """

    target: int | None
    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1)
        self.asked.append(b" ".join(head.split()[:2]).decode())
        if self.target is None:
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            connection.close()
            return
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        _join(connection, self.target)


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate, which is its own CA."""

    pem: bytes
    file: Path


def _certificate(path: Path) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, path.stem)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + pem
    )
    return Certificate(pem, path)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The certificate of the vendor's TLS server."""
    return _certificate(tmp_path_factory.mktemp("tls") / "vendor.pem")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate of somebody else, for the same name."""
    return _certificate(tmp_path_factory.mktemp("tls") / "other.pem")


@pytest.fixture
def proxy(emulator: VendorEmulator, certificate: Certificate) -> Iterator[Proxy]:
    """A proxy that leads to the emulated vendor, behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file)
    behind = urlsplit(emulator.url).port
    assert behind is not None

    def terminate(connection: socket.socket) -> None:
        with suppress(OSError):
            _join(context.wrap_socket(connection, server_side=True), behind)

    with ExitStack() as stack:
        found = Proxy(stack.enter_context(_listening(terminate)))
        found.port = stack.enter_context(_listening(found.serve))
        yield found


def _vendor(egress: Egress) -> VendorHttp:
    minute = timedelta(minutes=1)
    return VendorHttp(
        ORIGIN,
        connect_timeout=minute,
        read_timeout=minute,
        clock=lambda: datetime.now(UTC),
        sleep=lambda _: None,
        egress=egress,
    )


def test_the_vendor_is_reached_through_the_proxy(proxy: Proxy, certificate: Certificate) -> None:
    """One tunnel serves many calls, and the proxy looks up the vendor's name."""
    http = _vendor(Egress(proxy.url, certificate.pem))
    assert [http.call(REACH, KEY).status for _ in range(2)] == [404, 404]
    assert proxy.asked == [f"CONNECT {NAME}:443"]
    http.close()


def test_validation_services_are_reached_the_same_way(
    proxy: Proxy, certificate: Certificate
) -> None:
    """The same proxy, and the same certificates."""
    settings = ServiceSettings(frozenset({NAME}), egress=Egress(proxy.url, certificate.pem))
    with ServiceHttp(settings, None) as http, pytest.raises(ServiceError, match="status 404"):
        http.exchange("GET", ORIGIN, {})
    assert proxy.asked == [f"CONNECT {NAME}:443"]


def test_the_private_certificates_are_the_only_ones(
    proxy: Proxy, certificate: Certificate, other: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that a public authority vouches for is refused where EGRESS_CA names another."""
    # As if a public authority had certified the vendor's server.
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(certificate.file))
    assert _vendor(Egress(proxy.url)).call(REACH, KEY).status == 404
    with pytest.raises(VendorError, match=r"certificate of .+ was not accepted"):
        _vendor(Egress(proxy.url, other.pem)).call(REACH, KEY)


def test_a_proxy_that_refuses_is_no_lost_connection(proxy: Proxy, certificate: Certificate) -> None:
    """Nothing reached the vendor, so even a request that may not be repeated is tried again."""
    proxy.target = None
    http = _vendor(Egress(proxy.url, certificate.pem))
    with pytest.raises(VendorUnavailableError, match="EGRESS_PROXY"):
        http.call(CREATE, KEY)
    assert len(proxy.asked) == 4


@pytest.mark.slow
def test_a_proxy_that_is_not_there_is_named(certificate: Certificate) -> None:
    """The message says which setting to check."""
    with _listening(socket.socket.close) as port:
        pass
    with pytest.raises(VendorUnavailableError, match="EGRESS_PROXY"):
        _vendor(Egress(f"http://127.0.0.1:{port}", certificate.pem)).call(REACH, KEY)


def test_the_environments_proxies_are_ignored(
    monkeypatch: pytest.MonkeyPatch, emulator: VendorEmulator
) -> None:
    """They are boto3's; nothing but the settings leads the key elsewhere."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    assert DIRECT.session().get(emulator.url, timeout=300).status_code == 404


def test_a_bundle_may_have_comments(certificate: Certificate) -> None:
    """Bundles of an organisation have them, in its own language."""
    bundle = "# Kořenové certifikáty\n".encode() + certificate.pem + b"\n# Ende\n"
    context = Egress(ca=bundle).tls_context()
    assert context is not None
    assert context.cert_store_stats()["x509"] == 1
