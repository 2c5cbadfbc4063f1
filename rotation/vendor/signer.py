"""Decides whether a certificate may sign: its trust anchor, its organisation and its purpose.

`cryptography` validates the path. Its rules are those for web servers. They are relaxed where CAs
for documents differ: such a CA may have an extended key usage, and old roots lack extensions that
RFC 5280 asks of newer ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from rotation.cms.profile import CmsProfile
from rotation.cms.timestamps import PathCheck, Timestamp
from rotation.errors import ConfigurationError, SealVerificationError
from rotation.privacy.observability import logger
from rotation.privacy.printable import outside_text

# A certificate that has no other purpose than these was not issued to sign documents.
_OTHER_PURPOSES: Final = frozenset(
    {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.TIME_STAMPING,
        ExtendedKeyUsageOID.OCSP_SIGNING,
    }
)


@dataclass(frozen=True)
class SignerPolicy:
    """Whose signature is accepted.

    Attributes:
        anchors: certificates that the signer must chain to; empty: any signer is accepted, and the
            answer says that no chain was checked.
        organization: the organisation (O) that its certificate must name, or None for any.
    """

    anchors: tuple[x509.Certificate, ...] = ()
    organization: str | None = None

    @classmethod
    def from_pem(cls, pem: bytes | None, organization: str | None) -> SignerPolicy:
        """A policy from PEM text with one certificate or more.

        An organisation without trust anchors is accepted, with a warning in the log.

        Raises:
            ConfigurationError: the text is not PEM text with certificates.
        """
        if pem is None:
            if organization:
                logger.warning(
                    "SIGNER_ORGANIZATION without SIGNER_TRUST_ANCHORS proves little: any "
                    "certificate can bear a name"
                )
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
        subject: the certificate's subject, RFC 4514, as a message shows it.
        organization: its organisation (O), where it names one.
        chained: whether trust anchors are configured; then it chains to one of them.
        timestamp: the enclosed timestamp, and whether it is proven; None where there is none.
        profile: what kind of CMS it is.
    """

    subject: str
    organization: str | None
    chained: bool
    timestamp: Timestamp | None
    profile: CmsProfile

    @property
    def timestamped_at(self) -> datetime | None:
        """The time that the enclosed timestamp gives, aware UTC, proven or not."""
        return self.timestamp.time if self.timestamp else None


def check_signer(
    certificate: x509.Certificate,
    others: tuple[x509.Certificate, ...],
    policy: SignerPolicy,
    at: datetime,
    timestamp: Timestamp | None,
    *,
    profile: CmsProfile,
) -> Signer:
    """The signer, if the policy accepts it.

    Args:
        certificate: the signer's.
        others: the other certificates in the signature, with those of intermediate CAs.
        policy: whose signature is accepted.
        at: the time at which certificates must be valid, aware UTC.
        timestamp: the enclosed timestamp, for the answer.
        profile: what kind of CMS it is, for the answer.

    Raises:
        SealVerificationError: the policy does not accept the signer.
    """
    subject = outside_text(certificate.subject.rfc4514_string())
    names = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    organization = str(names[0].value) if names else None
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise SealVerificationError(f"The certificate of {subject} is not valid at this time.")
    _check_purpose(certificate, subject)
    if policy.anchors:
        _check_chain(certificate, others, policy.anchors, at, subject)
    if policy.organization is not None and organization != policy.organization:
        raise SealVerificationError(
            f"The signer {subject} is not of the organisation {policy.organization!r}. "
            "If the vendor changed its certificate, change SIGNER_ORGANIZATION."
        )
    named = outside_text(organization) if organization else None
    return Signer(subject, named, bool(policy.anchors), timestamp, profile)


def _check_purpose(certificate: x509.Certificate, subject: str) -> None:
    """RFC 5280 sections 4.2.1.3, 4.2.1.9 and 4.2.1.12: no CA, and issued to sign documents."""
    extensions = certificate.extensions
    try:
        if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            raise SealVerificationError(f"The signer {subject} is a CA, not a signer.")
    except x509.ExtensionNotFound:
        pass
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        if not (usage.digital_signature or usage.content_commitment):
            raise SealVerificationError(f"The certificate of {subject} may not sign documents.")
    except x509.ExtensionNotFound:
        pass
    try:
        purposes = set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        if purposes <= _OTHER_PURPOSES:
            raise SealVerificationError(f"The certificate of {subject} is for another purpose.")
    except x509.ExtensionNotFound:
        pass


def authority_paths(policy: SignerPolicy) -> PathCheck | None:
    """Checks whether a time-stamping authority chains to the policy's anchors; None without any."""
    if not policy.anchors:
        return None

    def chains(
        certificate: asn1_x509.Certificate,
        others: Sequence[asn1_x509.Certificate],
        at: datetime,
    ) -> bool:
        enclosed = [x509.load_der_x509_certificate(other.dump()) for other in others]
        own = x509.load_der_x509_certificate(certificate.dump())
        return _chain_problem(own, enclosed, policy.anchors, at) is None

    return chains


def _check_chain(
    certificate: x509.Certificate,
    others: tuple[x509.Certificate, ...],
    anchors: tuple[x509.Certificate, ...],
    at: datetime,
    subject: str,
) -> None:
    problem = _chain_problem(certificate, others, anchors, at)
    if problem is not None:
        raise SealVerificationError(
            f"The signer {subject} does not chain to a configured trust anchor ({problem}). If the "
            "vendor changed its CA, change SIGNER_TRUST_ANCHORS."
        ) from problem


def _chain_problem(
    certificate: x509.Certificate,
    others: Sequence[x509.Certificate],
    anchors: tuple[x509.Certificate, ...],
    at: datetime,
) -> VerificationError | None:
    any_criticality = Criticality.AGNOSTIC
    for_cas = (
        ExtensionPolicy.webpki_defaults_ca()
        .may_be_present(x509.ExtendedKeyUsage, any_criticality, None)
        .require_present(x509.BasicConstraints, any_criticality, _is_ca)
        .may_be_present(x509.KeyUsage, any_criticality, _may_sign_certificates)
    )
    builder = (
        PolicyBuilder()
        .store(Store(list(anchors)))
        .time(at)
        .extension_policies(ca_policy=for_cas, ee_policy=ExtensionPolicy.permit_all())
    )
    try:
        builder.build_client_verifier().verify(certificate, list(others))
    except VerificationError as error:
        return error
    return None


def _is_ca(_: Policy, __: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("not a CA")


def _may_sign_certificates(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("may not sign certificates")
