"""Checks that a CMS covers a digest, and tells who signed it.

A detached CMS SignedData (RFC 5652) with one signer and the certificate chain inside, as the vendor
documents; `rotation.cms.profile` tells which attributes it has. `rotation.vendor.signer` decides
whose certificate it may be, and `rotation.cms.timestamps` judges an enclosed timestamp. Whether a
certificate was revoked is NOT checked: whoever validates the sealed document does that.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from asn1crypto import cms as asn1_cms
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from rotation.cms.algorithms import weak_algorithm
from rotation.cms.profile import CmsProfile, profile_of
from rotation.cms.signature_value import verifies
from rotation.cms.signed_data import (
    UNREADABLE,
    attribute_encodings,
    attributes_by_name,
    identifies,
)
from rotation.cms.timestamps import Timestamp, Unproven, judge_timestamp
from rotation.errors import SealVerificationError
from rotation.vendor.signer import Signer, SignerPolicy, authority_paths, check_signer

# The digest algorithms that a signature itself may use.
_HASHES: Final = frozenset({"sha256", "sha384", "sha512"})
# What is raised on bytes that have another structure.
_UNREADABLE: Final = (
    *UNREADABLE,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def verify_cms(der: bytes, digest: bytes, policy: SignerPolicy, at: datetime) -> Signer:
    """The signer of ``der``, once everything about it has been checked.

    Args:
        der: a DER-encoded CMS ContentInfo.
        digest: the SHA-256 digest that it must cover, 32 bytes.
        policy: whose signature is accepted.
        at: the time at which certificates must be valid, aware UTC.

    Raises:
        SealVerificationError: it is damaged, covers something else, or is not our signer's.
    """
    try:
        signed = _open(der)
        if not hmac.compare_digest(signed.message_digest, digest):
            raise SealVerificationError(
                "The vendor's signature covers another digest than the one that was sent."
            )
        _check_signature(signed)
        timestamp = _timestamp(signed, policy, at)
        return check_signer(
            signed.certificate, signed.others, policy, at, timestamp, profile=signed.profile
        )
    except _UNREADABLE as error:
        raise SealVerificationError(
            "The vendor's signature is not a detached CMS SignedData in DER with one signer, "
            f"or uses what is not supported ({type(error).__name__})."
        ) from error


@dataclass(frozen=True)
class _Signed:
    certificate: x509.Certificate
    asn1_certificate: Any
    others: tuple[x509.Certificate, ...]
    message_digest: bytes
    attributes: bytes
    signature: bytes
    signature_algorithm: Any
    unsigned: dict[str, Any]
    profile: CmsProfile


def _open(der: bytes) -> _Signed:
    content = asn1_cms.ContentInfo.load(der, strict=True)
    if der[1:2] == b"\x80" or content["content_type"].native != "signed_data":
        raise ValueError("not SignedData in DER")
    signed_data = content["content"]
    encapsulated = signed_data["encap_content_info"]
    if encapsulated["content_type"].native != "data" or encapsulated["content"].native is not None:
        raise ValueError("not detached")
    (signer,) = signed_data["signer_infos"]
    if signer["digest_algorithm"]["algorithm"].native != "sha256":
        raise ValueError("another digest algorithm")
    signed = _what_is_signed(signer["signed_attrs"])
    attributes = attributes_by_name(signer["signed_attrs"])
    (content_type,) = attributes["content_type"]
    if content_type.native != "data":
        raise ValueError("another content type")
    (message_digest,) = attributes["message_digest"]
    # The same certificate may be enclosed twice.
    enclosed = {choice.chosen.dump(): choice.chosen for choice in signed_data["certificates"]}
    (own,) = [raw for raw, found in enclosed.items() if identifies(signer["sid"], found)]
    _check_signing_certificate(attributes, own)
    return _Signed(
        certificate=x509.load_der_x509_certificate(own),
        asn1_certificate=enclosed[own],
        others=tuple(x509.load_der_x509_certificate(raw) for raw in enclosed if raw != own),
        message_digest=message_digest.native,
        attributes=signed,
        signature=signer["signature"].native,
        signature_algorithm=signer["signature_algorithm"],
        unsigned=attributes_by_name(signer["unsigned_attrs"]),
        profile=profile_of(content, enclosed[own]),
    )


def _what_is_signed(attributes: Any) -> bytes:
    """The DER of the SET OF, which RFC 5652 section 5.4 says is signed in place of the [0] tag.

    Attributes that were not sorted on the wire, or whose length is spelled out in more bytes than
    it needs, are no DER: other validators would reject the document that they end up in.
    """
    (der,) = attribute_encodings(attributes)
    if bytes(attributes.dump())[1:] != der[1:]:
        raise ValueError("the signed attributes are not in DER")
    return der


def _check_signing_certificate(attributes: dict[str, Any], certificate: bytes) -> None:
    """The signing-certificate-v2 attribute (RFC 5035), where present, names this certificate."""
    values = attributes.get("signing_certificate_v2")
    if values is None:
        return
    (value,) = values
    first = value["certs"][0]
    algorithm = first["hash_algorithm"]["algorithm"].native
    if hashlib.new(algorithm, certificate).digest() != first["cert_hash"].native:
        raise SealVerificationError(
            "The vendor's signature names another signing certificate than the enclosed one."
        )


def _check_signature(signed: _Signed) -> None:
    algorithm = signed.signature_algorithm
    key = signed.certificate.public_key()
    # RFC 5754 section 3.2: with plain rsaEncryption the digest algorithm is the signer's.
    plain = algorithm["algorithm"].native == "rsassa_pkcs1v15"
    hash_name = "sha256" if plain else algorithm.hash_algo
    if hash_name not in _HASHES:
        raise UnsupportedAlgorithm(hash_name)
    weak = weak_algorithm((hash_name,), key)
    if weak:
        raise SealVerificationError(f"The signer's key is too weak: {weak}.")
    if not verifies(key, algorithm, hash_name, signed.signature, signed.attributes):
        raise SealVerificationError(
            "The vendor's signature does not verify with its own certificate."
        )


def _timestamp(signed: _Signed, policy: SignerPolicy, at: datetime) -> Timestamp | None:
    """The enclosed timestamp, or None if there is none.

    RFC 3161 appendix A: the token's imprint is the hash of the signature value. A timestamp that is
    not proven is no reason to refuse the signature, and one that is damaged is.
    """
    values = signed.unsigned.get("signature_time_stamp_token")
    if values is None:
        return None
    (token,) = values
    timestamp = judge_timestamp(
        token.dump(),
        lambda algorithm: hashlib.new(algorithm, signed.signature).digest(),
        chains=authority_paths(policy),
        at=at,
        signer=signed.asn1_certificate,
    )
    if timestamp.unproven is Unproven.OTHER_CONTENT:
        raise SealVerificationError("The signature's timestamp was made for something else.")
    if not timestamp.intact:
        raise SealVerificationError("The signature's timestamp is damaged or forged.")
    return timestamp
