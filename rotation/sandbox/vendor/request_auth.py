"""Does a request bear a valid signature? The vendor's rule, written here a second time.

The project's client has an implementation of its own; this one shares no line with it, so that an
error in either shows. The rule is Trusted Signatures' documentation of its signing call: four
headers, HMAC-SHA256 with the raw bytes of the hexadecimal key over the body's bytes followed by
the time string, and a time within one minute of the vendor's clock.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from email.message import Message
from typing import Final

from rotation.sandbox.vendor.keys import PortalKey

ALGORITHM: Final = "HmacSHA256"
ALGORITHM_HEADER: Final = "X-Authorization-Algorithm"
TIME_HEADER: Final = "X-Authorization-Time"
KEY_HEADER: Final = "X-Authorization-Key"
MAC_HEADER: Final = "X-Authorization"
TOLERANCE: Final = timedelta(minutes=1)

_time = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_uuid = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def authorization(material: str, body: bytes, time: str) -> str:
    """What ``X-Authorization`` must be: base64 of the 32-byte MAC.

    Args:
        material: the key as hexadecimal text.
        body: the request's body, empty for GET and DELETE.
        time: ``X-Authorization-Time`` as it was sent.
    """
    digest = hmac.new(bytes.fromhex(material), digestmod=hashlib.sha256)
    digest.update(body)
    digest.update(time.encode("ascii"))
    return base64.b64encode(digest.digest()).decode("ascii")


def claimed_key_id(headers: Message) -> str | None:
    """The key id a request names, in lower case, whether or not it is entitled to it.

    None unless it is a UUID: what else a client may have put there is not repeated.
    """
    value = _single(headers, KEY_HEADER)
    return value.lower() if value is not None and _uuid.fullmatch(value) else None


def authenticated(
    headers: Message, body: bytes, now: datetime, accepted: Callable[[str], PortalKey | None]
) -> PortalKey | None:
    """The key that signed the request, or None; it is not told why.

    Args:
        headers: the request's headers; one given twice counts as missing.
        body: the request's body.
        now: the vendor's clock, aware UTC.
        accepted: the key of that id, if it is accepted at this moment.
    """
    key_id = claimed_key_id(headers)
    time = _single(headers, TIME_HEADER)
    mac = _single(headers, MAC_HEADER)
    algorithm = _single(headers, ALGORITHM_HEADER)
    if algorithm != ALGORITHM or key_id is None or time is None or mac is None:
        return None
    sent_at = _parse_time(time)
    key = accepted(key_id)
    if sent_at is None or abs(now - sent_at) > TOLERANCE or key is None:
        return None
    expected = authorization(key.material, body, time)
    return key if hmac.compare_digest(expected.encode(), mac.encode("utf-8", "replace")) else None


def _single(headers: Message, name: str) -> str | None:
    values = headers.get_all(name, [])
    return str(values[0]) if len(values) == 1 else None


def _parse_time(text: str) -> datetime | None:
    if not _time.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
