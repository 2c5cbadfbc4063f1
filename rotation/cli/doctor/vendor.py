"""Asks the vendor for a test seal, or only whether it can be reached. Raises no vendor error."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from rotation.cli.doctor.connection import ConnectionFailure, try_connection
from rotation.core.statements import of_a_typed_key
from rotation.credential import ApiKey
from rotation.deadline import Deadline
from rotation.errors import RotationError
from rotation.handlers.wiring.vendor import vendor_http
from rotation.settings.vendor import VendorSettings
from rotation.vendor.http import VendorRequest
from rotation.vendor.key_prover import seal_digest_of
from rotation.vendor.signing_api import SigningApi

#: For the whole conversation, retries included.
_TIME_LIMIT: Final = timedelta(seconds=30)
_ANY_FAILURE: Final = frozenset(range(300, 600))


@dataclass(frozen=True)
class SignedTestSeal:
    """The vendor signed: the DER, the digest that was sent, and the vendor's clock."""

    der: bytes = field(repr=False)
    digest: bytes
    vendor_time: datetime | None


@dataclass(frozen=True)
class VendorReached:
    """The vendor answered a request that asks for nothing: HTTP status and the vendor's clock."""

    status: int
    vendor_time: datetime | None


@dataclass(frozen=True)
class VendorContact:
    """What happened when the vendor was asked.

    Attributes:
        host: the vendor's host name.
        outcome: an error is one of `rotation.errors`.
        sent_at: our clock when the request that was answered was signed, aware UTC.
    """

    host: str
    outcome: SignedTestSeal | VendorReached | ConnectionFailure | RotationError
    sent_at: datetime


def contact_vendor(
    settings: VendorSettings,
    secret: str,
    key: ApiKey | None,
    timeout: timedelta,
    clock: Callable[[], datetime],
) -> VendorContact:
    """Ask the vendor for a test seal with ``key``, which buys one signature.

    Without a key the vendor is asked for ``/``, signed with a random key: any answer shows that the
    vendor can be reached, and what its clock says.

    Args:
        settings: where the vendor is.
        secret: the secret that the test seal's sentence names.
        key: the key to try, or None.
        timeout: how long a connection may take.
        clock: our clock, aware UTC.
    """
    host = str(urlsplit(settings.url).hostname)
    first = urlsplit(settings.egress.proxy or settings.url)
    port = first.port or (443 if first.scheme == "https" else 80)
    # Each attempt is signed anew: the answer's Date belongs to the last one.
    signed_at: list[datetime] = []

    def recording_clock() -> datetime:
        signed_at.append(clock())
        return signed_at[-1]

    outcome: SignedTestSeal | VendorReached | ConnectionFailure | RotationError | None
    outcome = try_connection(str(first.hostname), port, timeout.total_seconds())
    if outcome is not None and settings.egress.proxy is not None:
        outcome = ConnectionFailure("proxy", outcome.exception)
    elif outcome is None:
        outcome = _ask(settings, secret, key, recording_clock)
    return VendorContact(host, outcome, signed_at[-1] if signed_at else clock())


def _ask(
    settings: VendorSettings, secret: str, key: ApiKey | None, clock: Callable[[], datetime]
) -> SignedTestSeal | VendorReached | RotationError:
    http = vendor_http(settings, settings.url, clock).until(Deadline.after(_TIME_LIMIT))
    try:
        if key is not None:
            statement = of_a_typed_key(secret, key.id)
            digest = seal_digest_of(statement)
            der, vendor_time = SigningApi(http, settings.sign_path).sign_with_vendor_time(
                key, digest
            )
            return SignedTestSeal(der, digest, vendor_time)
        request = VendorRequest("reach", "GET", "/", repeatable=True, accept=_ANY_FAILURE)
        random_key = ApiKey.from_text(str(uuid.uuid4()), secrets.token_hex(32))
        answer = http.call(request, random_key)
    except RotationError as error:
        return error
    finally:
        http.close()
    return VendorReached(answer.status, answer.date)
