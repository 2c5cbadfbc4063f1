"""The headers that authenticate a request to Trusted Signatures.

Source: the vendor's signing documentation and its own client. The signature is the base64 of
HMAC-SHA256, with the raw bytes of the hex key, over the body's bytes followed by the time string;
the time must be within one minute of the vendor's clock. An old sentence of the documentation says
to hash the body first; the vendor's client does not, and the vendor accepts what the client does.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Final

from rotation.credential import ApiKey, iso_utc

ALGORITHM: Final = "HmacSHA256"
#: How far the time of a request may be from the vendor's clock.
CLOCK_WINDOW: Final = timedelta(minutes=1)


def auth_headers(key: ApiKey, body: bytes, at: datetime) -> dict[str, str]:
    """The four ``X-Authorization`` headers for ``body``, signed with ``key`` at the time ``at``."""
    time = iso_utc(at)
    # The raw key has no name here: a traceback that prints locals would show it.
    mac = hmac.digest(bytes.fromhex(key.material.reveal()), body + time.encode(), hashlib.sha256)
    return {
        "X-Authorization-Algorithm": ALGORITHM,
        "X-Authorization-Time": time,
        "X-Authorization-Key": key.id,
        "X-Authorization": base64.b64encode(mac).decode(),
    }
