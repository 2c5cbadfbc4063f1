"""Builds what every function needs: the clock, a session with the vendor, a signer policy.

What is costly and holds no secret (an HTTPS session, a boto3 client) lives as long as the
execution environment; what belongs to one event is made for that event.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from rotation.settings.vendor import VendorSettings
from rotation.vendor.http import VendorHttp
from rotation.vendor.signer import SignerPolicy


def utc_now() -> datetime:
    """The clock of the functions."""
    return datetime.now(UTC)


def vendor_http(
    settings: VendorSettings, origin: str, clock: Callable[[], datetime] | None = None
) -> VendorHttp:
    """A session with one origin of the vendor; requests are signed by ``clock``, or by ours."""
    return VendorHttp(
        origin,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        clock=clock or utc_now,
        egress=settings.egress,
    )


def signer_policy(settings: VendorSettings) -> SignerPolicy:
    """Whose signatures are accepted."""
    return SignerPolicy.from_pem(settings.trust_anchors, settings.organization)
