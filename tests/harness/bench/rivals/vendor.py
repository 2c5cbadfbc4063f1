"""The vendor's signing call, as its documentation has it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from datetime import UTC, datetime

import requests

_session = requests.Session()


def sign(digest: bytes, key_id: str, key: str) -> bytes:
    """The vendor's signature over a digest."""
    body = json.dumps({"digestAlgorithm": "SHA256", "digest": base64.b64encode(digest).decode()})
    time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    mac = hmac.digest(bytes.fromhex(key), (body + time).encode(), hashlib.sha256)
    answer = _session.post(
        os.environ["VENDOR_URL"] + "/v1/sign",
        data=body,
        headers={
            "Content-Type": "application/json",
            "X-Authorization-Algorithm": "HmacSHA256",
            "X-Authorization-Time": time,
            "X-Authorization-Key": key_id,
            "X-Authorization": base64.b64encode(mac).decode(),
        },
        timeout=15,
    )
    answer.raise_for_status()
    return base64.b64decode(answer.json()["signature"])
