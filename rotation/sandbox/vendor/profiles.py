"""The kinds of CMS that the emulated vendor can give, since the vendor publishes none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Algorithm(Enum):
    """How the emulated vendor signs, always over SHA-256."""

    RSA = "RSA, PKCS #1 v1.5"
    RSA_PSS = "RSA-PSS"
    ECDSA = "ECDSA over P-256"


@dataclass(frozen=True)
class VendorProfile:
    """What a CMS is like.

    Attributes:
        signing_certificate: whether the ESS signing-certificate-v2 attribute is signed.
        signing_time: whether the signing-time attribute is signed.
        chain: whether the issuers' certificates are enclosed.
        revocation_data: whether adbe-revocationInfoArchival is signed, with CRLs of the issuers.
        algorithm: how it is signed.
        timestamp: whether it has a timestamp; None: if the request asks for one.
    """

    signing_certificate: bool = True
    signing_time: bool = False
    chain: bool = True
    revocation_data: bool = False
    algorithm: Algorithm = Algorithm.RSA
    timestamp: bool | None = None


#: What PAdES asks of a CMS (ETSI EN 319 142-1, 6.3).
PADES: Final = VendorProfile()
#: What many signers give for adbe.pkcs7.detached (ISO 32000-2, 12.8.3.3).
PKCS7: Final = VendorProfile(signing_certificate=False, signing_time=True)
