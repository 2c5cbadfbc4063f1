from __future__ import annotations

from datetime import timedelta

import pytest

from rotation.sandbox.vendor import VendorEmulator
from rotation.sandbox.vendor.request_auth import authorization
from tests.sandbox.vendor.caller import Caller, Clock, sign_body, signature_of


def test_the_vendors_example_gives_its_signature() -> None:
    """The vendor's own example input gives the signature that its rule gives."""
    material = "c80dd3f9db3330aa5daae1b469613cce2212e2beba7882b08fcc80acedba4c43"
    body = b'{ "digest": "wriYLGsKP7H91843t7svOIfoxxErUkJWdemTY1yQs1E=" }'
    assert (
        authorization(material, body, "2025-04-13T18:21:44.040Z")
        == "npzzJHgnEnam5fpO/Dbt6YVBLE7HavpWGVv01ctWoP0="
    )


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Authorization-Algorithm", "HmacSHA512"),
        ("X-Authorization-Algorithm", "hmacsha256"),
        ("X-Authorization-Algorithm", None),
        ("X-Authorization-Time", "2025-04-13T18:21:44Z"),
        ("X-Authorization-Time", "2025-04-13T18:21:44.040+00:00"),
        ("X-Authorization-Time", "2025-13-13T18:21:44.040Z"),
        ("X-Authorization-Time", "yesterday"),
        ("X-Authorization-Time", None),
        ("X-Authorization-Key", "00000000-0000-0000-0000-000000000000"),
        ("X-Authorization-Key", "not a UUID"),
        ("X-Authorization-Key", None),
        ("X-Authorization", "AAAA"),
        ("X-Authorization", "\u00e9"),
        ("X-Authorization", ""),
        ("X-Authorization", None),
    ],
)
def test_a_tampered_header_is_a_bare_401(signer: Caller, header: str, value: str | None) -> None:
    """Any header missing or wrong gives 401, an empty body, and no reason."""
    body = sign_body()
    headers = signer.headers(body)
    if value is None:
        del headers[header]
    else:
        headers[header] = value
    answer = signer.call("POST", "/v1/sign", body, headers=headers)
    assert (answer.status, answer.body) == (401, b"")
    assert "Content-Type" not in answer.headers
    assert not signer.emulator.signatures


@pytest.mark.parametrize("header", ["X-Authorization-Time", "X-Authorization-Key"])
def test_a_header_given_twice_is_a_401(signer: Caller, header: str) -> None:
    """Which of two values was signed is not for the server to guess."""
    body = sign_body()
    connection = signer.connect()
    connection.putrequest("POST", "/v1/sign")
    for name, value in [*signer.headers(body).items(), ("Content-Length", str(len(body)))]:
        connection.putheader(name, value)
    connection.putheader(header, signer.headers(body)[header])
    connection.endheaders(body)
    response = connection.getresponse()
    assert (response.status, response.read()) == (401, b"")
    connection.close()


def test_another_body_than_the_signed_one_is_a_401(signer: Caller) -> None:
    """The signature covers the body's bytes, not its meaning."""
    body = sign_body()
    assert signer.call("POST", "/v1/sign", body).status == 200
    answer = signer.call("POST", "/v1/sign", body + b" ", headers=signer.headers(body))
    assert (answer.status, answer.body) == (401, b"")


def test_another_time_than_the_signed_one_is_a_401(signer: Caller, clock: Clock) -> None:
    """The signature covers the time string."""
    body = sign_body()
    headers = signer.headers(body)
    clock.advance(timedelta(seconds=1))
    headers["X-Authorization-Time"] = signer.headers(body)["X-Authorization-Time"]
    assert signer.call("POST", "/v1/sign", body, headers=headers).status == 401


def test_the_key_id_is_read_in_either_case(signer: Caller) -> None:
    """A UUID in capitals is the same UUID."""
    body = sign_body()
    headers = signer.headers(body) | {"X-Authorization-Key": signer.key.id.upper()}
    assert signer.call("POST", "/v1/sign", body, headers=headers).status == 200
    assert signer.emulator.requests[-1].key_id == signer.key.id


@pytest.mark.parametrize(("seconds", "status"), [(59, 200), (60, 200), (61, 401)])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_vendors_clock_may_differ_by_a_minute(
    emulator: VendorEmulator, clock: Clock, seconds: int, sign: int, status: int
) -> None:
    """A time up to one minute before or after the vendor's clock is good, and no other."""
    emulator.clock_offset = timedelta(seconds=sign * seconds)
    answer = Caller(emulator, emulator.keys.create(), clock).sign()
    assert answer.status == status
    if status == 200:
        assert signature_of(answer)


def test_the_date_header_is_the_vendors_clock(
    emulator: VendorEmulator, signer: Caller, clock: Clock
) -> None:
    """A rejected client can read from `Date` by how much its clock is off."""
    emulator.clock_offset = timedelta(hours=-3)
    clock.now = clock.now.replace(year=2025, month=4, day=13, hour=18, minute=21, second=44)
    answer = signer.sign()
    assert answer.status == 401
    assert answer.headers["Date"] == "Sun, 13 Apr 2025 15:21:44 GMT"
