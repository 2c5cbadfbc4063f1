"""Asks the vendor, and brings back facts. Judges nothing, raises nothing of the vendor's."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from rotation.cli.doctor.facts import Reached, Signature, VendorContact
from rotation.cli.doctor.obstacles import Obstacle, connection_obstacle
from rotation.credential import ApiKey
from rotation.errors import RotationError
from rotation.handlers.wiring.vendor import vendor_http
from rotation.settings import VendorSettings
from rotation.vendor.http import VendorRequest
from rotation.vendor.signing_api import SigningApi

#: For the whole conversation, retries included.
_PATIENCE: Final = timedelta(seconds=30)
_ANYTHING: Final = frozenset(range(300, 600))


def contact_vendor(
    settings: VendorSettings,
    secret: str,
    key: ApiKey | None,
    timeout: timedelta,
    clock: Callable[[], datetime],
) -> VendorContact:
    """What comes of asking the vendor for a test seal, or without a key for nothing.

    With ``key`` one signature is bought. Without, `/` is asked for, signed with a key that nobody
    has: any answer proves the way there, and tells the vendor's clock.

    Args:
        settings: where the vendor is.
        secret: what the test seal's sentence names.
        key: the key to try.
        timeout: how long a connection may take.
        clock: our clock, aware UTC.
    """
    origin = urlsplit(settings.url)
    host, seconds = str(origin.hostname), timeout.total_seconds()
    port = origin.port or (443 if origin.scheme == "https" else 80)
    # Each attempt is signed anew: the answer's Date belongs to the last one.
    signed_at: list[datetime] = []

    def look() -> datetime:
        signed_at.append(clock())
        return signed_at[-1]

    outcome: Signature | Reached | Obstacle | RotationError | None
    outcome = connection_obstacle(host, port, seconds)
    if outcome is None:
        outcome = _ask(settings, secret, key, look)
    return VendorContact(host, seconds, outcome, signed_at[-1] if signed_at else clock())


def _ask(
    settings: VendorSettings, secret: str, key: ApiKey | None, clock: Callable[[], datetime]
) -> Signature | Reached | RotationError:
    http = vendor_http(settings, settings.url, clock)
    http.end_within(_PATIENCE)
    try:
        if key is not None:
            statement = f"rotation test seal for {secret} {key.id}"
            digest = hashlib.sha256(statement.encode()).digest()
            der, vendor_time = SigningApi(http, settings.sign_path).answered(key, digest)
            return Signature(der, digest, vendor_time)
        request = VendorRequest("reach", "GET", "/", repeatable=True, accept=_ANYTHING)
        nobody = ApiKey.from_text(str(uuid.uuid4()), secrets.token_hex(32))
        answer = http.call(request, nobody)
    except RotationError as error:
        return error
    finally:
        http.close()
    return Reached(answer.status, answer.date)
