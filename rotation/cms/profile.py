"""Judges which kind of signature in a PDF document a CMS can be.

``ETSI.CAdES.detached`` promises a CMS with the ESS signing-certificate-v2 attribute and without
signing-time (ETSI EN 319 142-1, 6.3, where the time is the signature dictionary's M).
``adbe.pkcs7.detached`` promises neither (ISO 32000-2, 12.8.3.3).

Does NOT verify anything: whoever takes a CMS for a signature does that before.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from asn1crypto import tsp as _tsp  # noqa: F401 - names the ESS and timestamp attributes

# ISO 32000-2, 12.8.3.3.2. asn1crypto knows its name only if another of its modules is imported.
_REVOCATION_INFO_ARCHIVAL: Final = "1.2.840.113583.1.1.8"
_ALGORITHMS: Final = {"rsassa_pkcs1v15": "RSA", "rsassa_pss": "RSA-PSS", "ecdsa": "ECDSA"}


class Profile(StrEnum):
    """The kinds of signatures in PDF documents that a CMS can be. Values are stable."""

    PADES = "pades"
    PKCS7 = "pkcs7"


@dataclass(frozen=True)
class CmsProfile:
    """What a CMS SignedData is.

    Attributes:
        digest_algorithm: such as ``SHA256``.
        signature_algorithm: ``RSA`` (PKCS #1 v1.5), ``RSA-PSS`` or ``ECDSA``, or the library's name
            of another one.
        signing_certificate: whether the ESS signing-certificate-v2 attribute is signed.
        signing_time: whether the signing-time attribute is signed.
        chain: whether the issuer of the signer's certificate is enclosed.
        timestamp: whether a signature timestamp is enclosed; NOT whether it is genuine.
        revocation_data: whether OCSP responses or CRLs are enclosed.
    """

    digest_algorithm: str
    signature_algorithm: str
    signing_certificate: bool
    signing_time: bool
    chain: bool
    timestamp: bool
    revocation_data: bool

    @property
    def name(self) -> Profile:
        """The most demanding kind that it fits."""
        return Profile.PKCS7 if self.why_not_pades else Profile.PADES

    @property
    def why_not_pades(self) -> tuple[str, ...]:
        """Each rule of ETSI EN 319 142-1, 6.3, that it breaks."""
        found = []
        if not self.signing_certificate:
            found.append("it has no signing-certificate-v2 attribute")
        if self.signing_time:
            found.append("it has a signing-time attribute")
        return tuple(found)

    def __str__(self) -> str:
        words = [
            f"{self.name} ({self.signature_algorithm} with {self.digest_algorithm})",
            *self.why_not_pades,
            "the chain is enclosed" if self.chain else "the chain is not enclosed",
        ]
        words += ["it has a timestamp"] if self.timestamp else []
        words += ["it has revocation data"] if self.revocation_data else []
        return ", ".join(words)

    def members(self) -> dict[str, Any]:
        """The JSON object in answers and logs."""
        return {
            "name": self.name.value,
            "digestAlgorithm": self.digest_algorithm,
            "signatureAlgorithm": self.signature_algorithm,
            "signingCertificate": self.signing_certificate,
            "signingTime": self.signing_time,
            "chain": self.chain,
            "timestamp": self.timestamp,
            "revocationData": self.revocation_data,
        }


def profile_of(content: Any, certificate: Any) -> CmsProfile:
    """The profile of a CMS.

    Args:
        content: asn1crypto's ContentInfo of a SignedData with one signer.
        certificate: asn1crypto's Certificate of that signer.
    """
    signed_data = content["content"]
    (signer,) = signed_data["signer_infos"]
    signed = {attribute["type"].dotted for attribute in signer["signed_attrs"]}
    names = {attribute["type"].native for attribute in signer["signed_attrs"]}
    unsigned = {attribute["type"].native for attribute in signer["unsigned_attrs"] or ()}
    issuer = certificate.issuer.dump()
    subjects = {choice.chosen.subject.dump() for choice in signed_data["certificates"]}
    scheme = signer["signature_algorithm"].signature_algo
    return CmsProfile(
        digest_algorithm=str(signer["digest_algorithm"]["algorithm"].native).upper(),
        signature_algorithm=_ALGORITHMS.get(scheme, str(scheme)),
        signing_certificate="signing_certificate_v2" in names,
        signing_time="signing_time" in names,
        chain=issuer in subjects,
        timestamp="signature_time_stamp_token" in unsigned,
        revocation_data=_REVOCATION_INFO_ARCHIVAL in signed or bool(signed_data["crls"]),
    )
