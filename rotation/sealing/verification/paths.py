"""Checks by pyHanko's certificate validator whether certificates chain to the given trust anchors.

RFC 5280 section 6, without revocation, and nothing is fetched.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from asn1crypto import x509
from cryptography import x509 as pyca_x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko_certvalidator import CertificateValidator, ValidationContext

from rotation.cms.signed_data import MOST_CERTIFICATES, is_whole


@dataclass(frozen=True)
class TrustAnchors:
    """The certificates that signers and time-stamping authorities must chain to."""

    certificates: tuple[x509.Certificate, ...]
    _known: dict[tuple[bytes, datetime], bool] = field(default_factory=dict, repr=False)

    @classmethod
    def from_pem(cls, pem: bytes) -> TrustAnchors:
        """The certificates in PEM text. Raises ValueError if it is none."""
        return cls(
            tuple(
                x509.Certificate.load(certificate.public_bytes(Encoding.DER))
                for certificate in pyca_x509.load_pem_x509_certificates(pem)
            )
        )

    def chains(
        self, certificate: x509.Certificate, others: Sequence[x509.Certificate], at: datetime
    ) -> bool:
        """As `rotation.cms.timestamps.PathCheck`. The answer for one signer is found once."""
        asked = certificate.dump(), at
        # Another signature may enclose what an earlier one lacked, so only success is kept.
        if self._known.get(asked):
            return True
        found = self._known[asked] = self._path_exists(certificate, others, at)
        return found

    def _path_exists(
        self, certificate: x509.Certificate, others: Sequence[x509.Certificate], at: datetime
    ) -> bool:
        # What cannot be read helps nobody, and must not stand in the way of what can.
        readable = [one for one in others[:MOST_CERTIFICATES] if is_whole(one)]
        context = ValidationContext(
            trust_roots=list(self.certificates), allow_fetching=False, moment=at
        )
        try:
            validator = CertificateValidator(certificate, readable, validation_context=context)
            asyncio.run(validator.async_validate_path())
        except Exception:  # noqa: BLE001 - a certificate that cannot be read raises any type
            return False
        return True
