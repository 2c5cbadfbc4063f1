from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from rotation.sandbox.vendor import Outage, Pki, VendorEmulator
from tests.sandbox.vendor.caller import Caller, Clock, signature_of


def test_a_connection_is_kept(signer: Caller, admin: Caller) -> None:
    """Many requests, bare 401 and 204 among them, travel on one connection."""
    connection = signer.connect()
    connection.connect()
    used = connection.sock
    statuses = [
        signer.call("POST", "/v1/sign", b"{}", connection=connection).status,
        signer.call("POST", "/v1/sign", b"{}", headers={}, connection=connection).status,
        admin.call("DELETE", f"/v1/keys/{signer.key.id}", connection=connection).status,
        admin.call("GET", "/v1/keys", connection=connection).status,
    ]
    assert statuses == [400, 401, 204, 200]
    assert connection.sock is used
    connection.close()


def test_every_answer_can_be_quoted(signer: Caller, admin: Caller) -> None:
    """An X-Request-Id, new each time; a type and a length only where there may be a body."""
    answers = [
        signer.sign(),
        signer.call("POST", "/v1/sign", headers={}),
        admin.revoke(signer.key.id),
    ]
    assert len({answer.headers["X-Request-Id"] for answer in answers}) == 3
    assert answers[0].headers["Content-Type"] == "application/json"
    assert answers[1].headers["Content-Length"] == "0"
    assert "Content-Length" not in answers[2].headers
    assert not any("Content-Type" in answer.headers for answer in answers[1:])


def test_many_callers_are_served_at_once(signer: Caller) -> None:
    """Concurrent signatures are each over their caller's own digest, and all are counted."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(signer.sign, [str(number).encode() for number in range(24)]))
    assert len({signature_of(answer) for answer in answers}) == 24
    assert signer.emulator.signatures[signer.key.id] == 24


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Transfer-Encoding: chunked", b"411"),
        (b"Content-Length: -1", b"411"),
        (b"Content-Length: 65537", b"413"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    emulator: VendorEmulator, head: bytes, status: bytes
) -> None:
    """The server says why and closes, since it cannot tell where the next request begins."""
    parts = urlsplit(emulator.url)
    with socket.create_connection((str(parts.hostname), parts.port or 0), timeout=300) as raw:
        raw.sendall(b"POST /v1/sign HTTP/1.1\r\nHost: sandbox\r\n" + head + b"\r\n\r\n")
        answer = b"".join(iter(lambda: raw.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert emulator.requests == ()


def test_an_outage_refuses_connections_and_ends(signer: Caller) -> None:
    """Open connections are closed, new ones refused, and afterwards it is the same server."""
    url = signer.emulator.url
    connection = signer.connect()
    assert signer.sign_on(connection).status == 200
    signer.emulator.outage = Outage.REFUSED
    with pytest.raises(ConnectionRefusedError):
        signer.sign()
    assert connection.sock.recv(1) == b""
    connection.close()
    signer.emulator.outage = None
    assert signer.sign().status == 200
    assert signer.emulator.url == url
    assert signer.emulator.signatures[signer.key.id] == 2


def test_an_outage_answers_503(signer: Caller, admin: Caller) -> None:
    """Every call, signed or not, gets 503 and has no effect."""
    signer.emulator.outage = Outage.UNAVAILABLE
    answers = [signer.sign(), admin.create(), signer.call("POST", "/v1/sign", headers={})]
    assert [answer.status for answer in answers] == [503] * 3
    signer.emulator.outage = None
    assert signer.emulator.signatures[signer.key.id] == 0
    assert len(admin.list_keys().json()["keys"]) == 1


def test_an_outage_can_change_its_kind(signer: Caller) -> None:
    """From 503 to refused and back, on the same port."""
    signer.emulator.outage = Outage.UNAVAILABLE
    assert signer.sign().status == 503
    signer.emulator.outage = Outage.REFUSED
    with pytest.raises(ConnectionRefusedError):
        signer.sign()
    signer.emulator.outage = Outage.UNAVAILABLE
    assert signer.sign().status == 503


@pytest.mark.slow
@pytest.mark.parametrize("outage", [None, Outage.REFUSED])
def test_stopping_leaves_nothing_behind(pki: Pki, clock: Clock, outage: Outage | None) -> None:
    """Idle connections and threads end with the emulator, which may be stopped twice."""
    before = set(threading.enumerate())
    emulator = VendorEmulator(pki, clock=clock).start()
    signer = Caller(emulator, emulator.keys.create(), clock)
    idle = signer.connect()
    assert signer.sign_on(idle).status == 200
    emulator.outage = outage
    emulator.stop()
    emulator.stop()
    idle.close()
    with pytest.raises(ConnectionRefusedError):
        signer.sign()
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=300)
        assert not thread.is_alive()


def test_an_emulator_starts_once(emulator: VendorEmulator) -> None:
    """A second start is a mistake of the caller's."""
    with pytest.raises(RuntimeError, match="before"):
        emulator.start()


def test_before_the_start_there_is_no_url(pki: Pki, clock: Clock) -> None:
    """The port is the system's choice, so nobody can know it yet."""
    idle = VendorEmulator(pki, clock=clock)
    with pytest.raises(RuntimeError, match="not been started"):
        assert idle.url
    with pytest.raises(RuntimeError, match="not been started"):
        idle.outage = Outage.REFUSED


def test_nothing_is_printed(
    emulator: VendorEmulator, clock: Clock, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither requests, nor bad requests, nor clients that leave show on the terminal."""
    signer = Caller(emulator, emulator.keys.create(), clock)
    assert signer.sign().status == 200
    assert signer.call("POST", "/v1/sign", headers={}).status == 401
    parts = urlsplit(emulator.url)
    for line in (b"NONSENSE\r\n\r\n", b"POST /v1/sign HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"):
        with socket.create_connection((str(parts.hostname), parts.port or 0), timeout=300) as raw:
            raw.sendall(line)
    emulator.stop()
    assert capfd.readouterr() == ("", "")
