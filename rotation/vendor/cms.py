"""Does this CMS cover that digest, and who signed it?

A detached CMS SignedData (RFC 5652) with one signer, CAdES attributes (ETSI EN 319 122-1) and the
certificate chain inside, as the vendor documents. Path validation is `cryptography`'s; revocation
of the signer's certificate is NOT checked: that is for whoever validates the sealed document.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from asn1crypto import cms as asn1_cms
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from rotation.errors import ConfigurationError, SealVerificationError

_HASHES: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
# What asn1crypto, cryptography and our own unpacking raise on bytes that are no such structure.
_NOT_CMS: Final = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


@dataclass(frozen=True)
class SignerPolicy:
    """Whose signature is accepted.

    Attributes:
        anchors: certificates that the signer must chain to; empty: any signer, and the answer says
            that no chain was held against anything.
        organization: the organisation (O) that its certificate must name, or None for any.
    """

    anchors: tuple[x509.Certificate, ...] = ()
    organization: str | None = None

    @classmethod
    def from_pem(cls, pem: bytes | None, organization: str | None) -> SignerPolicy:
        """A policy from PEM text with one certificate or more.

        Raises:
            ConfigurationError: the text is no PEM certificate.
        """
        if pem is None:
            return cls((), organization)
        try:
            anchors = tuple(x509.load_pem_x509_certificates(pem))
        except ValueError as error:
            raise ConfigurationError(
                "SIGNER_TRUST_ANCHORS is not PEM text with certificates."
            ) from error
        return cls(anchors, organization)


@dataclass(frozen=True)
class Signer:
    """Who signed.

    Attributes:
        subject: the certificate's subject, RFC 4514.
        organization: its organisation (O), where it names one.
        chained: whether it was held against trust anchors, and chains to one.
    """

    subject: str
    organization: str | None
    chained: bool


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
    except _NOT_CMS as error:
        raise SealVerificationError(
            "The vendor's signature is not a detached CMS SignedData with one signer."
        ) from error
    if not hmac.compare_digest(signed.message_digest, digest):
        raise SealVerificationError(
            "The vendor's signature covers another digest than the one that was sent."
        )
    _check_signature(signed)
    return _check_signer(signed, policy, at)


@dataclass(frozen=True)
class _Signed:
    certificate: x509.Certificate
    others: tuple[x509.Certificate, ...]
    message_digest: bytes
    attributes: bytes
    signature: bytes
    signature_algorithm: Any
    digest_algorithm: str


def _open(der: bytes) -> _Signed:
    content = asn1_cms.ContentInfo.load(der, strict=True)
    if content["content_type"].native != "signed_data":
        raise ValueError("not SignedData")
    signed_data = content["content"]
    encapsulated = signed_data["encap_content_info"]
    if encapsulated["content_type"].native != "data" or encapsulated["content"].native is not None:
        raise ValueError("not detached")
    (signer,) = signed_data["signer_infos"]
    if signer["digest_algorithm"]["algorithm"].native != "sha256":
        raise ValueError("another digest algorithm")
    attributes: dict[str, Any] = {}
    for attribute in signer["signed_attrs"]:
        name = attribute["type"].native
        if name in attributes:
            raise ValueError("a repeated attribute")
        attributes[name] = attribute["values"]
    (content_type,) = attributes["content_type"]
    if content_type.native != "data":
        raise ValueError("another content type")
    (message_digest,) = attributes["message_digest"]
    certificates = [choice.chosen for choice in signed_data["certificates"]]
    (own,) = [found for found in certificates if _identifies(signer["sid"], found)]
    _check_signing_certificate(attributes, own.dump())
    return _Signed(
        certificate=x509.load_der_x509_certificate(own.dump()),
        others=tuple(
            x509.load_der_x509_certificate(other.dump())
            for other in certificates
            if other is not own
        ),
        message_digest=message_digest.native,
        # RFC 5652 section 5.4: what is signed is the DER of the SET OF, not of the [0] tag.
        attributes=signer["signed_attrs"].untag().dump(),
        signature=signer["signature"].native,
        signature_algorithm=signer["signature_algorithm"],
        digest_algorithm="sha256",
    )


def _identifies(sid: Any, certificate: Any) -> bool:
    if sid.name == "issuer_and_serial_number":
        return bool(
            sid.chosen["serial_number"].native == certificate.serial_number
            and sid.chosen["issuer"] == certificate.issuer
        )
    return bool(sid.native == certificate.key_identifier)


def _check_signing_certificate(attributes: dict[str, Any], certificate: bytes) -> None:
    """The signing-certificate-v2 attribute (RFC 5035), where present, names this certificate."""
    values = attributes.get("signing_certificate_v2")
    if values is None:
        return
    (value,) = values
    first = value["certs"][0]
    algorithm = first["hash_algorithm"]["algorithm"].native
    if hashlib.new(algorithm, certificate).digest() != first["cert_hash"].native:
        raise ValueError("the attributes name another certificate")


def _check_signature(signed: _Signed) -> None:
    algorithm = signed.signature_algorithm
    key = signed.certificate.public_key()
    try:
        scheme = algorithm.signature_algo
        name = signed.digest_algorithm if scheme == "rsassa_pkcs1v15" else algorithm.hash_algo
        if algorithm["algorithm"].native not in {"rsassa_pkcs1v15", "rsassa_pss", "ecdsa"}:
            name = algorithm.hash_algo
        hash_algorithm = _HASHES[name]()
        if isinstance(key, rsa.RSAPublicKey) and scheme == "rsassa_pkcs1v15":
            key.verify(signed.signature, signed.attributes, padding.PKCS1v15(), hash_algorithm)
        elif isinstance(key, rsa.RSAPublicKey) and scheme == "rsassa_pss":
            salt = algorithm["parameters"]["salt_length"].native
            pss = padding.PSS(padding.MGF1(hash_algorithm), salt)
            key.verify(signed.signature, signed.attributes, pss, hash_algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and scheme == "ecdsa":
            key.verify(signed.signature, signed.attributes, ec.ECDSA(hash_algorithm))
        else:
            raise UnsupportedAlgorithm("neither RSA nor ECDSA")
    except InvalidSignature as error:
        raise SealVerificationError(
            "The vendor's signature does not verify with its own certificate."
        ) from error
    except (UnsupportedAlgorithm, *_NOT_CMS) as error:
        raise SealVerificationError(
            "The vendor's signature uses an algorithm that is not accepted "
            "(RSA or ECDSA with SHA-256, SHA-384 or SHA-512)."
        ) from error


def _check_signer(signed: _Signed, policy: SignerPolicy, at: datetime) -> Signer:
    certificate = signed.certificate
    subject = certificate.subject.rfc4514_string()
    names = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    organization = str(names[0].value) if names else None
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise SealVerificationError(f"The certificate of {subject} is not valid at this time.")
    if policy.anchors:
        _check_chain(signed, policy.anchors, at, subject)
    if policy.organization is not None and organization != policy.organization:
        raise SealVerificationError(
            f"The signer {subject} is not of the organisation {policy.organization!r}. "
            "If the vendor changed its certificate, change SIGNER_ORGANIZATION."
        )
    return Signer(subject, organization, chained=bool(policy.anchors))


def _check_chain(
    signed: _Signed, anchors: tuple[x509.Certificate, ...], at: datetime, subject: str
) -> None:
    # The rules for CAs are the web's (basicConstraints, keyUsage); those for a server's leaf
    # (subjectAltName, serverAuth) do not apply to a seal's certificate.
    builder = (
        PolicyBuilder()
        .store(Store(list(anchors)))
        .time(at)
        .extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
        )
    )
    try:
        builder.build_client_verifier().verify(signed.certificate, list(signed.others))
    except (VerificationError, x509.UnsupportedGeneralNameType, ValueError) as error:
        raise SealVerificationError(
            f"The signer {subject} does not chain to a configured trust anchor. If the vendor "
            "changed its CA, change SIGNER_TRUST_ANCHORS."
        ) from error
