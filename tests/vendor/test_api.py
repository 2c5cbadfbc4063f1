"""The signing call over real sockets: what it returns, what it repeats, how it fails."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from threading import Thread

import pytest
import requests
import urllib3

from rotation.deadline import Deadline
from rotation.errors import (
    ClockSkewError,
    CredentialRejectedError,
    MalformedResponseError,
    SealVerificationError,
    VendorError,
    VendorRefusedError,
    VendorUnavailableError,
)
from rotation.sandbox.vendor import PADES, PKCS7, Outage, VendorFault, VendorProfile
from rotation.vendor.cms import verify_cms
from rotation.vendor.http import VendorResponse
from rotation.vendor.signing_api import SigningApi
from tests.vendor.conftest import Client, as_api_key

DIGEST = hashlib.sha256(b"a document").digest()


@pytest.mark.parametrize("timestamp", [False, True])
def test_a_signature_covers_the_digest_that_was_sent(client: Client, timestamp: bool) -> None:
    """The vendor's CMS passes every check, with a timestamp or without."""
    der = client.signing.sign(client.key, DIGEST, timestamp=timestamp)
    signer = verify_cms(der, DIGEST, client.policy, client.now())
    assert signer.organization == "Trusted Signatures Sandbox"
    assert signer.chained


def test_two_calls_share_one_connection(client: Client) -> None:
    """The session is kept alive: the second call opens no connection."""
    pool = client.http._session.get_adapter(client.emulator.url)
    for _ in range(3):
        client.signing.sign(client.key, DIGEST)
    (connections,) = pool.poolmanager.pools._container.values()  # type: ignore[attr-defined]
    assert connections.num_connections == 1
    assert connections.num_requests == 3


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (VendorFault.UNAUTHORIZED, CredentialRejectedError),
        (VendorFault.FORBIDDEN, VendorRefusedError),
        (VendorFault.REDIRECT, MalformedResponseError),
        (VendorFault.HTML, MalformedResponseError),
        (VendorFault.TRUNCATED_JSON, MalformedResponseError),
        (VendorFault.EMPTY_JSON, MalformedResponseError),
        (VendorFault.NOT_BASE64, MalformedResponseError),
    ],
)
def test_an_answer_that_will_not_change_is_not_asked_for_again(
    client: Client, fault: VendorFault, error: type[VendorError]
) -> None:
    """A refusal or nonsense ends the call at once, with a typed error and no body in it."""
    client.emulator.faults.next("sign", fault, times=None)
    with pytest.raises(error) as failed:
        client.signing.sign(client.key, DIGEST)
    assert len(client.emulator.requests) == 1
    assert client.pauses == []
    assert failed.value.operation == "sign"
    assert failed.value.__cause__ is None
    assert failed.value.__context__ is None


@pytest.mark.parametrize(
    "fault",
    [
        VendorFault.THROTTLED,
        VendorFault.SERVER_ERROR,
        VendorFault.UNAVAILABLE,
        VendorFault.DISCONNECT,
        VendorFault.LOSE_REPLY,
        VendorFault.CUT_BODY,
    ],
)
def test_a_passing_fault_is_survived(client: Client, fault: VendorFault) -> None:
    """A seal harms nothing twice, so the call is repeated until it succeeds."""
    client.emulator.faults.next("sign", fault, times=2)
    der = client.signing.sign(client.key, DIGEST)
    assert verify_cms(der, DIGEST, client.policy, client.now()).chained
    assert len(client.pauses) == 2


def test_a_lasting_fault_ends_after_four_attempts(client: Client) -> None:
    """Retries are bounded, their pauses grow, and the error says that it may pass."""
    client.emulator.faults.next("sign", VendorFault.SERVER_ERROR, times=None)
    with pytest.raises(VendorUnavailableError) as failed:
        client.signing.sign(client.key, DIGEST)
    assert len(client.emulator.requests) == 4
    assert len(client.pauses) == 3
    assert client.pauses == sorted(client.pauses)
    assert failed.value.retryable
    assert failed.value.status == 500


def test_each_attempt_is_signed_at_its_own_time(client: Client) -> None:
    """A retry after a long pause is still within the vendor's minute."""

    def pause(_: float) -> None:
        client.offset += timedelta(minutes=5)
        client.emulator.clock_offset += timedelta(minutes=5)

    client.http._sleep = pause
    client.emulator.faults.next("sign", VendorFault.UNAVAILABLE)
    assert client.signing.sign(client.key, DIGEST)
    assert [record.status for record in client.emulator.requests] == [503, 200]


@pytest.mark.parametrize(("minutes", "word"), [(2, "ahead of"), (-2, "behind")])
def test_a_wrong_clock_is_told_apart_from_a_wrong_key(
    client: Client, minutes: int, word: str
) -> None:
    """Two minutes off is a clock to set, not a key to replace."""
    client.offset = timedelta(minutes=minutes)
    with pytest.raises(ClockSkewError, match=word) as failed:
        client.signing.sign(client.key, DIGEST)
    assert failed.value.retryable


def test_a_revoked_key_is_rejected_as_such(client: Client) -> None:
    """With the clocks in agreement, a 401 is about the key."""
    client.emulator.keys.revoke(client.key.id)
    with pytest.raises(CredentialRejectedError, match=client.key.id) as failed:
        client.signing.sign(client.key, DIGEST)
    assert not failed.value.retryable


def test_an_unreachable_vendor_is_named_with_what_to_check(client: Client) -> None:
    """Nobody listening: the error names the origin and where to look."""
    client.emulator.outage = Outage.REFUSED
    with pytest.raises(VendorUnavailableError, match="cannot connect to http://127") as failed:
        client.signing.sign(client.key, DIGEST)
    assert failed.value.status is None
    assert len(client.pauses) == 3


def test_a_silent_vendor_does_not_hold_the_caller(client: Client) -> None:
    """An answer that never comes ends at the read timeout, four times."""
    client.emulator.faults.next("sign", VendorFault.HANG, times=None)
    signing = SigningApi(client.session(client.emulator.url, read_timeout=0.1), "/v1/sign")
    with pytest.raises(VendorUnavailableError, match=r"no whole answer|lost the connection"):
        signing.sign(client.key, DIGEST)
    client.emulator.faults.release()
    assert len(client.pauses) == 3


def test_a_call_ends_within_the_time_that_is_left(client: Client) -> None:
    """A hanging vendor cannot outlast the function: no attempt begins that could not end."""
    client.emulator.faults.next("sign", VendorFault.HANG, times=None)
    session = client.session(client.emulator.url, read_timeout=600)
    http = session.until(Deadline.after(timedelta(seconds=0.6)))
    begun = time.monotonic()
    with pytest.raises(VendorUnavailableError):
        SigningApi(http, "/v1/sign").sign(client.key, DIGEST)
    assert time.monotonic() - begun < 300, "it waited for the read timeout"
    with pytest.raises(VendorUnavailableError, match="no time is left"):
        SigningApi(http, "/v1/sign").sign(client.key, DIGEST)
    client.emulator.faults.release()


def test_a_deadline_stays_with_its_own_calls(client: Client) -> None:
    """The next invocation shares the connections, and not the deadline that has passed."""
    ended = client.http.until(Deadline.after(timedelta(seconds=-1)))
    with pytest.raises(VendorUnavailableError, match="no time is left"):
        SigningApi(ended, "/v1/sign").sign(client.key, DIGEST)
    assert client.signing.sign(client.key, DIGEST)
    assert SigningApi(ended.until(Deadline.after(timedelta(minutes=1))), "/v1/sign").sign(
        client.key, DIGEST
    )


def test_a_dripping_answer_does_not_hold_the_caller(client: Client) -> None:
    """Each piece comes in time and the whole does not: the call ends."""
    client.emulator.faults.next("sign", VendorFault.SLOW, times=None)
    client.emulator.faults.pace = timedelta(seconds=0.15)
    signing = SigningApi(client.session(client.emulator.url, read_timeout=0.3), "/v1/sign")
    # On a busy machine even the first piece may come too late.
    with pytest.raises(VendorUnavailableError, match=r"no whole answer|lost the connection"):
        signing.sign(client.key, DIGEST)
    client.emulator.faults.release()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Date", "Fri, 31 Dec 9999 23:59:59 -0100"),
        ("Date", "yesterday"),
        ("Retry-After", "\u00b2"),
        ("Retry-After", "soon"),
    ],
)
def test_a_header_of_nonsense_is_passed_over(name: str, value: str) -> None:
    """An answer's headers are the vendor's to get wrong."""
    response = requests.Response()
    response.status_code = 200
    response.headers[name] = value
    response.raw = urllib3.HTTPResponse(BytesIO(b"{}"), preload_content=False)
    answer = VendorResponse.read(response, time.monotonic() + 5)
    assert (answer.date, answer.retry_after) == (None, 0.0)
    assert answer.json_object() == {}


@pytest.mark.parametrize("character", ["\\", '"', "[", "\x1b", "0", "=", "é"])
def test_the_vendor_s_request_id_is_short_and_printable(character: str) -> None:
    """An error names the request, and repeats no header of 16 kB."""
    response = requests.Response()
    response.status_code = 200
    for name in ("X-Request-Id", "Date", "Retry-After"):
        response.headers[name] = character * 16_384
    response.raw = urllib3.HTTPResponse(BytesIO(b"{}"), preload_content=False)
    answer = VendorResponse.read(response, time.monotonic() + 5)
    error = VendorError("sign", "it failed", request_id=answer.request_id)
    assert len(str(error)) < 200
    assert str(error).isprintable()


def test_the_environment_s_proxy_is_not_used(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy in the environment never sees a digest."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert client.signing.sign(client.key, DIGEST)


@pytest.mark.parametrize(
    "fault",
    [
        VendorFault.OTHER_DIGEST,
        VendorFault.CORRUPTED_SIGNATURE,
        VendorFault.NOT_CMS,
        VendorFault.STRANGER,
        VendorFault.IMPOSTOR,
        VendorFault.NEIGHBOUR,
    ],
)
def test_a_test_seal_is_judged_whole(client: Client, fault: VendorFault) -> None:
    """A signature over something else, damaged, or by somebody else proves nothing."""
    client.emulator.faults.next("sign", fault)
    with pytest.raises(SealVerificationError):
        client.prover.prove(client.key, "rotation test seal")
    assert client.prover.prove(client.key, "rotation test seal").identity_checked


@pytest.mark.parametrize("profile", [PADES, PKCS7])
def test_a_test_seal_tells_what_the_vendor_gives(client: Client, profile: VendorProfile) -> None:
    """The log of testSecret names the profile, and no profile is refused there."""
    client.emulator.profile = profile
    facts = client.prover.prove(client.key, "rotation test seal").facts
    assert isinstance(facts["profile"], dict)
    assert facts["profile"]["name"] == ("pades" if profile is PADES else "pkcs7")


@pytest.mark.parametrize("timestamp", [False, True])
def test_a_timestamp_is_asked_for_or_declined(client: Client, timestamp: bool) -> None:
    """Either way the request says so, as the vendor's own client does."""
    bodies: list[bytes] = []

    class Listening(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(401)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Listening) as server:
        Thread(target=server.handle_request, daemon=True).start()
        http = client.session(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(CredentialRejectedError):
            SigningApi(http, "/v1/sign").sign(client.key, DIGEST, timestamp=timestamp)
        http.close()
    assert json.loads(bodies[0])["tsaTimestamp"] is timestamp


def test_another_key_s_material_is_rejected(client: Client) -> None:
    """The id alone does not sign."""
    other = as_api_key(client.emulator.keys.create())
    forged = type(other)(id=client.key.id, material=other.material)
    with pytest.raises(CredentialRejectedError):
        client.signing.sign(forged, DIGEST)
