"""The settings of every function: where the vendor is, and whose signatures are accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from rotation.egress import Egress
from rotation.settings.egress import egress
from rotation.settings.environment import Environment


@dataclass(frozen=True)
class VendorSettings:
    """Where the vendor is, and whose signatures are accepted.

    Attributes:
        url: the origin, ``https://…``; plain http for a loopback address alone.
        sign_path: the path of the signing call.
        trust_anchors: PEM certificates that a signer must chain to, or None.
        organization: the organisation that a signer's certificate must name, or None.
        connect_timeout: how long to wait for a connection.
        read_timeout: how long to wait between two bytes of an answer.
        egress: the way to the vendor.
    """

    url: str
    sign_path: str
    trust_anchors: bytes | None
    organization: str | None
    connect_timeout: timedelta
    read_timeout: timedelta
    egress: Egress

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the ``VENDOR_*``, ``SIGNER_*`` and ``EGRESS_*`` variables."""
        env = Environment(environ)
        return cls(
            url=env.url("VENDOR_URL", "https://api.trusted-signatures.com"),
            sign_path=env.path("VENDOR_SIGN_PATH", "/v1/sign"),
            trust_anchors=env.pem("SIGNER_TRUST_ANCHORS"),
            organization=env.text("SIGNER_ORGANIZATION") or None,
            connect_timeout=env.seconds("VENDOR_CONNECT_TIMEOUT_SECONDS", 3, least=0.1, most=30),
            read_timeout=env.seconds("VENDOR_READ_TIMEOUT_SECONDS", 15, least=0.1, most=120),
            egress=egress(environ),
        )
