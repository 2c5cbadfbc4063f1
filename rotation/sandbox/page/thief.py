"""Somebody who has a leaked key and signs with it: what an incident is about.

A stolen key is in the memory of the sandbox alone, where the emulated vendor has it too.
"""

from __future__ import annotations

import hashlib
import http.client
import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from rotation.sandbox.vendor.keys import PortalKey
from rotation.sandbox.vendor.messages import iso
from rotation.sandbox.vendor.request_auth import (
    ALGORITHM,
    ALGORITHM_HEADER,
    KEY_HEADER,
    MAC_HEADER,
    TIME_HEADER,
    authorization,
)
from rotation.sandbox.vendor.server import SIGN_PATHS

_PATIENCE_SECONDS: Final = 10
_DIGEST: Final = hashlib.sha256(b"a document of the thief's").digest()


@dataclass
class StolenKey:
    """A key that leaked.

    Attributes:
        key: the key, with its material.
        at: when it leaked, aware UTC.
        tried_at: when the thief last signed with it, or tried to.
        answer: what the vendor answered then, in words.
    """

    key: PortalKey = field(repr=False)
    at: datetime
    tried_at: datetime
    answer: str


class Thief:
    """Signs with stolen keys.

    Args:
        vendor_url: the vendor's origin.
        clock: the thief's clock, which is right; aware UTC.
    """

    def __init__(self, vendor_url: str, clock: Callable[[], datetime]) -> None:
        self._vendor = urlsplit(vendor_url).netloc
        self._clock = clock
        self._stolen: dict[str, StolenKey] = {}

    @property
    def stolen(self) -> tuple[StolenKey, ...]:
        """Every stolen key, in the order of the thefts."""
        return tuple(self._stolen.values())

    def sign(self, key: PortalKey) -> StolenKey:
        """Steal the key, if it is not stolen yet, and sign a document with it."""
        answer, now = self._answer(key), self._clock()
        known = self._stolen.get(key.id)
        stolen = StolenKey(key, known.at if known else now, now, answer)
        self._stolen[key.id] = stolen
        return stolen

    def _answer(self, key: PortalKey) -> str:
        digest = b64encode(_DIGEST).decode()
        body = json.dumps({"digestAlgorithm": "SHA256", "digest": digest}).encode()
        time = iso(self._clock())
        headers = {
            ALGORITHM_HEADER: ALGORITHM,
            TIME_HEADER: time,
            KEY_HEADER: key.id,
            MAC_HEADER: authorization(key.material, body, time),
        }
        connection = http.client.HTTPConnection(self._vendor, timeout=_PATIENCE_SECONDS)
        try:
            connection.request("POST", SIGN_PATHS[0], body, headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return "the vendor cannot be reached"
        finally:
            connection.close()
        known = {200: "the vendor signed", 401: "the vendor refused (401)"}
        return known.get(status, f"the vendor answered {status}")
