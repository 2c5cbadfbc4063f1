"""The vendor's HMAC headers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.message import Message

import pytest
from freezegun import freeze_time

from rotation.credential import ApiKey
from rotation.handlers.wiring.vendor import utc_now
from rotation.sandbox.vendor.keys import KeyStore
from rotation.sandbox.vendor.request_auth import authenticated
from rotation.vendor.request_auth import auth_headers

KEY = ApiKey.from_text(
    "4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5",
    "c80dd3f9db3330aa5daae1b469613cce2212e2beba7882b08fcc80acedba4c43",
)
AT = datetime(2025, 4, 13, 18, 21, 44, 40_999, tzinfo=UTC)


def test_the_published_example_gives_the_expected_signature() -> None:
    """The input of the vendor's documentation, signed over body and time with the raw key."""
    body = b'{ "digest": "wriYLGsKP7H91843t7svOIfoxxErUkJWdemTY1yQs1E=" }'
    assert auth_headers(KEY, body, AT) == {
        "X-Authorization-Algorithm": "HmacSHA256",
        "X-Authorization-Time": "2025-04-13T18:21:44.040Z",
        "X-Authorization-Key": "4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5",
        "X-Authorization": "npzzJHgnEnam5fpO/Dbt6YVBLE7HavpWGVv01ctWoP0=",
    }


def test_an_empty_body_is_signed_over_the_time_alone() -> None:
    """GET and DELETE have no body; their signature still depends on the time."""
    one = auth_headers(KEY, b"", AT)
    other = auth_headers(KEY, b"", AT.replace(second=45))
    assert one["X-Authorization"] != other["X-Authorization"]


@pytest.mark.parametrize("begin", ["2027-12-31T23:59:30Z", "2028-02-28T23:59:59Z"])
def test_a_request_is_good_for_one_minute(begin: str) -> None:
    """The vendor's rule accepts it up to a minute later, over the end of a year or a leap day."""
    body = b"{}"
    with freeze_time(begin) as clock:
        keys = KeyStore(utc_now, propagation_delay=timedelta(0), quota=1)
        key = keys.create()
        headers = Message()
        ours = auth_headers(ApiKey.from_text(key.id, key.material), body, utc_now())
        for name, value in ours.items():
            headers[name] = value
        clock.tick(60)
        assert authenticated(headers, body, utc_now(), keys.get) == key
        clock.tick(1)
        assert authenticated(headers, body, utc_now(), keys.get) is None
        clock.tick(-122)
        assert authenticated(headers, body, utc_now(), keys.get) is None
