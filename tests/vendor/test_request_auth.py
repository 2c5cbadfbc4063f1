"""The vendor's HMAC headers."""

from __future__ import annotations

from datetime import UTC, datetime

from rotation.credential import ApiKey
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
