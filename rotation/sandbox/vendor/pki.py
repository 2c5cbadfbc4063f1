"""The certificates of the emulated vendor: a root, an issuing CA, a seal, a time-stamping unit.

Shaped like the certificates of a European electronic seal (ETSI EN 319 412-3: a legal person with
an organizationIdentifier, key usage digitalSignature and nonRepudiation), so that code which
judges a chain meets here what it will meet outside. Everything is made in memory and private keys
never leave it. Policy identifiers lie under 2.999, the arc that ITU-T X.660 sets aside for
examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import (
    AuthorityInformationAccessOID,
    ExtendedKeyUsageOID,
    NameOID,
)

ORGANIZATION: Final = "Trusted Signatures Sandbox"
SEAL_POLICY: Final = x509.ObjectIdentifier("2.999.1.1")
TIMESTAMP_POLICY: Final = x509.ObjectIdentifier("2.999.1.2")

_YEAR = timedelta(days=365)


class ServicePaths:
    """Where the validation services are found at their origin."""

    OCSP: Final = "/ocsp"
    TSA: Final = "/tsa"


PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True)
class Identity:
    """A certificate, its private key, and the issuers above it.

    Attributes:
        certificate: the certificate itself.
        key: its RSA key.
        chain: the issuers, nearest first, the root last; empty for a root.
    """

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True)
class EcdsaIdentity:
    """As `Identity`, with an elliptic key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True)
class Pki:
    """The vendor's hierarchy: ``root`` → ``issuing`` → ``signer``, and ``root`` → ``tsa``.

    Attributes:
        made_at: the time it was made for, aware UTC; every certificate is valid then and for
            three years after.
    """

    made_at: datetime
    root: Identity
    issuing: Identity
    signer: Identity
    tsa: Identity

    @classmethod
    def create(cls, now: datetime, *, organization: str = ORGANIZATION) -> Pki:
        """New keys and certificates, about half a second of work."""
        root = _root(organization, now)
        issuing = _issuing(organization, root, now)
        return cls(
            made_at=now,
            root=root,
            issuing=issuing,
            signer=_seal(organization, issuing, now),
            tsa=_timestamping(organization, root, now),
        )

    def with_services(self, url: str) -> Pki:
        """The same keys and names, in certificates that name validation services.

        Args:
            url: the origin of `rotation.sandbox.vendor.validation_services`.
        """

        def again(identity: Identity, issuer: Identity, name: str, *, responds: bool) -> Identity:
            builder = _copied(identity.certificate, issuer.certificate)
            access = [(AuthorityInformationAccessOID.CA_ISSUERS, f"{url}/{name}.cer")]
            if responds:
                access.append((AuthorityInformationAccessOID.OCSP, url + ServicePaths.OCSP))
            listed = x509.DistributionPoint(
                [x509.UniformResourceIdentifier(f"{url}/{name}.crl")], None, None, None
            )
            builder = builder.add_extension(
                x509.AuthorityInformationAccess(
                    [
                        x509.AccessDescription(method, x509.UniformResourceIdentifier(at))
                        for method, at in access
                    ]
                ),
                critical=False,
            ).add_extension(x509.CRLDistributionPoints([listed]), critical=False)
            certificate = builder.sign(issuer.key, hashes.SHA256())
            return Identity(certificate, identity.key, (issuer.certificate, *issuer.chain))

        issuing = again(self.issuing, self.root, "root", responds=False)
        return replace(
            self,
            issuing=issuing,
            signer=again(self.signer, issuing, "issuing", responds=True),
            tsa=again(self.tsa, self.root, "root", responds=False),
        )

    @property
    def root_pem(self) -> bytes:
        """The trust anchor, as PEM."""
        return self.root.certificate.public_bytes(Encoding.PEM)

    def ecdsa_signer(self) -> EcdsaIdentity:
        """A seal with the signer's names and an elliptic key."""
        key = ec.generate_private_key(ec.SECP256R1())
        (organization,) = self.signer.certificate.subject.get_attributes_for_oid(
            NameOID.ORGANIZATION_NAME
        )
        builder = _seal_builder(
            str(organization.value), self.issuing, key.public_key(), self.made_at
        )
        return EcdsaIdentity(
            _signed_by(builder, self.issuing),
            key,
            (self.issuing.certificate, *self.issuing.chain),
        )

    def crl(
        self,
        issuer: Identity,
        at: datetime,
        revoked: Mapping[int, datetime] | None = None,
        *,
        valid: timedelta = timedelta(days=7),
    ) -> bytes:
        """The CRL of a CA (RFC 5280, 5), DER.

        Args:
            issuer: ``root`` or ``issuing``.
            at: when it is issued, aware UTC.
            revoked: since when certificates are revoked, by serial number.
            valid: how long until the next one.
        """
        identifier = issuer.certificate.extensions.get_extension_for_class(
            x509.SubjectKeyIdentifier
        ).value
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.certificate.subject)
            .last_update(at)
            .next_update(at + valid)
            .add_extension(x509.CRLNumber(int(at.timestamp())), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False
            )
        )
        for serial, since in (revoked or {}).items():
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def neighbour(self) -> Identity:
        """A seal of another organisation from the same issuing CA: it chains to our anchor."""
        return _seal("Neighbouring Sandbox", self.issuing, self.made_at)

    def impostor(self) -> Identity:
        """A seal with the signer's very names under a root of its own: no anchor knows it."""
        (organization,) = self.signer.certificate.subject.get_attributes_for_oid(
            NameOID.ORGANIZATION_NAME
        )
        return _elsewhere(str(organization.value), self.made_at)

    def stranger(self) -> Identity:
        """A seal that shares neither names nor root with the signer."""
        return _elsewhere("Unrelated Sandbox", self.made_at)


def _elsewhere(organization: str, now: datetime) -> Identity:
    """A seal under a root of its own."""
    return _seal(organization, _issuing(organization, _root(organization, now), now), now)


def _root(organization: str, now: datetime) -> Identity:
    key = rsa.generate_private_key(65537, 3072)
    name = _name(organization, f"{organization} Root CA")
    builder = _builder(name, name, key.public_key(), now - 5 * _YEAR, now + 15 * _YEAR)
    builder = _as_ca(builder, key.public_key(), path_length=1)
    return Identity(builder.sign(key, hashes.SHA384()), key)


def _issuing(organization: str, root: Identity, now: datetime) -> Identity:
    key = rsa.generate_private_key(65537, 3072)
    name = _name(organization, f"{organization} Issuing CA 1")
    builder = _builder(
        name, root.certificate.subject, key.public_key(), now - 2 * _YEAR, now + 8 * _YEAR
    )
    builder = _as_ca(builder, key.public_key(), path_length=0)
    builder = builder.add_extension(_policies(SEAL_POLICY), critical=False)
    return _issued(builder, key, root)


def _seal(organization: str, issuer: Identity, now: datetime) -> Identity:
    key = rsa.generate_private_key(65537, 2048)
    return _issued(_seal_builder(organization, issuer, key.public_key(), now), key, issuer)


def _seal_builder(
    organization: str, issuer: Identity, key: PublicKey, now: datetime
) -> x509.CertificateBuilder:
    builder = _builder(
        _name(organization, f"{organization} Seal"),
        issuer.certificate.subject,
        key,
        now - timedelta(days=30),
        now + 3 * _YEAR,
    )
    builder = _as_end_entity(builder, key, non_repudiation=True)
    return builder.add_extension(_policies(SEAL_POLICY), critical=False)


def _timestamping(organization: str, root: Identity, now: datetime) -> Identity:
    key = rsa.generate_private_key(65537, 2048)
    builder = _builder(
        _name(organization, f"{organization} Time-stamping Unit"),
        root.certificate.subject,
        key.public_key(),
        now - _YEAR,
        now + 9 * _YEAR,
    )
    builder = _as_end_entity(builder, key.public_key(), non_repudiation=False)
    builder = builder.add_extension(_policies(TIMESTAMP_POLICY), critical=False)
    # RFC 3161 section 2.3: this one usage, critical, and no other.
    builder = builder.add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True
    )
    return _issued(builder, key, root)


def _name(organization: str, common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "XX"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.ORGANIZATION_IDENTIFIER, "NTRXX-000000"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: PublicKey,
    not_before: datetime,
    not_after: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before.replace(microsecond=0))
        .not_valid_after(not_after.replace(microsecond=0))
    )


def _copied(certificate: x509.Certificate, issuer: x509.Certificate) -> x509.CertificateBuilder:
    builder = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(issuer.subject)
        .public_key(certificate.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
    )
    for extension in certificate.extensions:
        # The services of another address are not taken over.
        if not isinstance(
            extension.value, x509.AuthorityInformationAccess | x509.CRLDistributionPoints
        ):
            builder = builder.add_extension(extension.value, extension.critical)
    return builder


def _as_ca(
    builder: x509.CertificateBuilder, key: rsa.RSAPublicKey, *, path_length: int
) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), True)
        .add_extension(_usage(certificates=True), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
    )


def _as_end_entity(
    builder: x509.CertificateBuilder, key: PublicKey, *, non_repudiation: bool
) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(_usage(signature=True, non_repudiation=non_repudiation), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
    )


def _issued(builder: x509.CertificateBuilder, key: rsa.RSAPrivateKey, issuer: Identity) -> Identity:
    return Identity(_signed_by(builder, issuer), key, (issuer.certificate, *issuer.chain))


def _signed_by(builder: x509.CertificateBuilder, issuer: Identity) -> x509.Certificate:
    identifier = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier.value), False
    )
    return builder.sign(issuer.key, hashes.SHA256())


def _policies(policy: x509.ObjectIdentifier) -> x509.CertificatePolicies:
    return x509.CertificatePolicies([x509.PolicyInformation(policy, None)])


def _usage(
    *, signature: bool = False, non_repudiation: bool = False, certificates: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signature,
        content_commitment=non_repudiation,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )
