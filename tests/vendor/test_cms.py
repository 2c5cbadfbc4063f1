"""CMS verification: whose signature is accepted, and that damage never is."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import cms as asn1_cms
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from rotation.errors import ConfigurationError, SealVerificationError
from rotation.sandbox.vendor import Identity, Pki
from rotation.sandbox.vendor.cms import sign
from rotation.vendor.cms import verify_cms
from rotation.vendor.signer import SignerPolicy

DIGEST = hashlib.sha256(b"a document").digest()
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def der(pki: Pki) -> bytes:
    """One good signature."""
    return sign(DIGEST, pki.signer)


def test_without_anchors_any_signer_is_accepted_and_said_to_be_unchained(der: bytes) -> None:
    """Nothing configured: the signer is recorded, and nobody is told that it was trusted."""
    signer = verify_cms(der, DIGEST, SignerPolicy(), NOW)
    assert not signer.chained
    assert "Trusted Signatures Sandbox" in signer.subject


def test_the_configured_organisation_is_required_exactly(pki: Pki, der: bytes) -> None:
    """Another organisation under the same root does not sign for us."""
    policy = SignerPolicy.from_pem(pki.root_pem, "Trusted Signatures")
    with pytest.raises(SealVerificationError, match="SIGNER_ORGANIZATION"):
        verify_cms(der, DIGEST, policy, NOW)


@pytest.mark.parametrize("days", [-3650, 36500])
def test_a_signer_is_accepted_only_while_its_certificate_is_valid(der: bytes, days: int) -> None:
    """Before and after its validity a certificate proves nothing, anchors or not."""
    with pytest.raises(SealVerificationError, match="not valid at this time"):
        verify_cms(der, DIGEST, SignerPolicy(), NOW + timedelta(days=days))


def test_another_digest_is_refused(der: bytes) -> None:
    """The signature must cover what was sent, not merely verify."""
    with pytest.raises(SealVerificationError, match="another digest"):
        verify_cms(der, hashlib.sha256(b"another").digest(), SignerPolicy(), NOW)


def identity(
    pki: Pki,
    *extensions: x509.ExtensionType,
    issuer: Identity | None = None,
    bits: int = 2048,
    ca: bool = False,
    critical: bool = True,
) -> Identity:
    """A signer (or a CA) of the test's own making, under the vendor's root or ``issuer``."""
    issuer = issuer or pki.issuing
    key = rsa.generate_private_key(65537, bits)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Trusted Signatures Sandbox"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"made for a test, CA: {ca}"),
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca, None), critical=critical)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()),
            critical=False,
        )
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.KeyUsage))
    certificate = builder.sign(issuer.key, hashes.SHA256())
    return Identity(certificate, key, (issuer.certificate, *issuer.chain))


def usage(**allowed: bool) -> x509.KeyUsage:
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in names})


def purpose(*purposes: x509.ObjectIdentifier) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage(purposes)


@pytest.mark.parametrize(
    ("extensions", "complaint"),
    [
        ([usage(key_encipherment=True)], "may not sign documents"),
        ([purpose(ExtendedKeyUsageOID.SERVER_AUTH)], "another purpose"),
        ([purpose(ExtendedKeyUsageOID.TIME_STAMPING)], "another purpose"),
        ([purpose(ExtendedKeyUsageOID.OCSP_SIGNING)], "another purpose"),
    ],
)
def test_a_certificate_for_something_else_does_not_sign_for_us(
    pki: Pki, extensions: list[x509.ExtensionType], complaint: str
) -> None:
    """Right root, right organisation, wrong purpose: refused."""
    policy = SignerPolicy.from_pem(pki.root_pem, "Trusted Signatures Sandbox")
    der = sign(DIGEST, identity(pki, *extensions))
    with pytest.raises(SealVerificationError, match=complaint):
        verify_cms(der, DIGEST, policy, NOW)


@pytest.mark.parametrize(
    "extensions",
    [
        [],
        [usage(content_commitment=True)],
        [usage(digital_signature=True), purpose(ExtendedKeyUsageOID.EMAIL_PROTECTION)],
        [purpose(ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.EMAIL_PROTECTION)],
    ],
)
def test_a_certificate_for_documents_signs_for_us(
    pki: Pki, extensions: list[x509.ExtensionType]
) -> None:
    """Whatever else it may do, and whichever of the two usages it names."""
    policy = SignerPolicy.from_pem(pki.root_pem, "Trusted Signatures Sandbox")
    assert verify_cms(sign(DIGEST, identity(pki, *extensions)), DIGEST, policy, NOW).chained


def test_a_ca_is_no_signer(pki: Pki) -> None:
    """Neither the issuing CA nor a short key signs documents for us."""
    policy = SignerPolicy.from_pem(pki.root_pem, None)
    with pytest.raises(SealVerificationError, match="is a CA"):
        verify_cms(sign(DIGEST, pki.issuing), DIGEST, policy, NOW)
    with pytest.raises(SealVerificationError, match="1024 bits"):
        verify_cms(sign(DIGEST, identity(pki, bits=1024)), DIGEST, policy, NOW)


@pytest.mark.parametrize(
    ("extensions", "critical"),
    [
        ([usage(key_cert_sign=True), purpose(ExtendedKeyUsageOID.EMAIL_PROTECTION)], True),
        ([usage(key_cert_sign=True)], False),
        ([], True),
    ],
)
def test_a_ca_that_issues_for_documents_is_accepted(
    pki: Pki, extensions: list[x509.ExtensionType], critical: bool
) -> None:
    """Its own extended key usage, or what an old CA leaves out, does not break the chain."""
    policy = SignerPolicy.from_pem(pki.root_pem, None)
    ca = identity(pki, *extensions, issuer=pki.root, ca=True, critical=critical)
    assert verify_cms(sign(DIGEST, identity(pki, issuer=ca)), DIGEST, policy, NOW).chained


def test_a_leaf_issues_nothing(pki: Pki) -> None:
    """A certificate that is no CA cannot vouch for another."""
    policy = SignerPolicy.from_pem(pki.root_pem, None)
    leaf = identity(pki, usage(digital_signature=True))
    with pytest.raises(SealVerificationError, match="does not chain"):
        verify_cms(sign(DIGEST, identity(pki, issuer=leaf)), DIGEST, policy, NOW)


def resigned(pki: Pki, der: bytes, attributes: bytes) -> bytes:
    """``der`` with other signed attributes of the same length, signed by the same signer."""
    signer = asn1_cms.ContentInfo.load(der)["content"]["signer_infos"][0]
    before = bytes(signer["signed_attrs"].contents)
    assert len(attributes) == len(before)
    head = b"\x31" + bytes(signer["signed_attrs"].dump())[1 : -len(before)]
    signature = pki.signer.key.sign(head + attributes, padding.PKCS1v15(), hashes.SHA256())
    return der.replace(before, attributes).replace(signer["signature"].native, signature)


def test_attributes_that_are_not_in_der_are_refused(pki: Pki, der: bytes) -> None:
    """Signed in the wrong order: other validators would reject the document."""
    signer = asn1_cms.ContentInfo.load(der)["content"]["signer_infos"][0]
    attributes = [attribute.dump() for attribute in signer["signed_attrs"]]
    with pytest.raises(SealVerificationError):
        verify_cms(resigned(pki, der, b"".join(reversed(attributes))), DIGEST, SignerPolicy(), NOW)
    same = resigned(pki, der, b"".join(attributes))
    assert not verify_cms(same, DIGEST, SignerPolicy(), NOW).chained


def test_more_attributes_than_a_signature_has_are_refused(der: bytes) -> None:
    """Reading them one by one takes longer with each, so that a megabyte of them is not read."""
    content = asn1_cms.ContentInfo.load(der)
    (signer,) = content["content"]["signer_infos"]
    for number in range(200):
        signer["signed_attrs"].append({"type": f"1.3.6.1.4.1.{number + 1}", "values": []})
    with pytest.raises(SealVerificationError, match="is not a detached CMS") as refused:
        verify_cms(content.dump(force=True), DIGEST, SignerPolicy(), NOW)
    assert "more than 100 attributes" in str(refused.value.__cause__)


@pytest.mark.slow
def test_the_rotation_function_s_own_imports_check_the_signing_certificate(
    pki: Pki, der: bytes
) -> None:
    """An attribute that names another certificate is refused without pyHanko in the process."""
    fingerprint = pki.signer.certificate.fingerprint(hashes.SHA256())
    signer = asn1_cms.ContentInfo.load(der)["content"]["signer_infos"][0]
    attributes = bytes(signer["signed_attrs"].contents)
    assert fingerprint in attributes
    wrong = resigned(pki, der, attributes.replace(fingerprint, bytes(32)))
    program = (
        "import sys, datetime as d; from rotation.vendor.cms import *; "
        "assert not any(m.startswith('pyhanko') for m in sys.modules); "
        "der, digest = (bytes.fromhex(t) for t in sys.stdin.read().split()); "
        "verify_cms(der, digest, SignerPolicy(), d.datetime.now(d.UTC))"
    )
    ran = {
        name: subprocess.run(
            [sys.executable, "-c", program],
            input=f"{content.hex()} {DIGEST.hex()}",
            capture_output=True,
            text=True,
            check=False,
        )
        for name, content in {"good": der, "wrong": wrong}.items()
    }
    assert ran["good"].returncode == 0, ran["good"].stderr
    assert "names another signing certificate" in ran["wrong"].stderr


def test_a_timestamp_is_told_and_must_be_this_signature_s(pki: Pki, der: bytes) -> None:
    """Its time is in the answer; one that was made for something else is refused."""
    stamped = sign(DIGEST, pki.signer, timestamp=(pki.tsa, NOW))
    told = verify_cms(stamped, DIGEST, SignerPolicy(), NOW).timestamped_at
    assert told is not None
    assert abs(told - NOW) < timedelta(seconds=2)
    assert verify_cms(der, DIGEST, SignerPolicy(), NOW).timestamped_at is None
    content = asn1_cms.ContentInfo.load(stamped)
    imprint = hashlib.sha256(content["content"]["signer_infos"][0]["signature"].native).digest()
    assert stamped.count(imprint) == 1
    with pytest.raises(SealVerificationError, match="timestamp was made for something else"):
        verify_cms(stamped.replace(imprint, bytes(32)), DIGEST, SignerPolicy(), NOW)


@given(data=st.data())
def test_damaged_bytes_raise_the_typed_error_and_nothing_else(
    pki: Pki, der: bytes, data: st.DataObject
) -> None:
    """Whatever byte is changed or cut: refused, or a change that no check depends on."""
    policy = SignerPolicy.from_pem(pki.root_pem, None)
    at = data.draw(st.integers(0, len(der) - 1))
    flipped = bytearray(der)
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    for damaged in (bytes(flipped), der[:at], der + der[:1]):
        try:
            signer = verify_cms(damaged, DIGEST, policy, NOW)
        except SealVerificationError:
            continue
        assert damaged == bytes(flipped)
        assert signer.organization == "Trusted Signatures Sandbox"


@given(st.binary(max_size=300))
def test_random_bytes_are_no_signature(data: bytes) -> None:
    """Nothing but a CMS SignedData gets past the first check."""
    with pytest.raises(SealVerificationError):
        verify_cms(data, DIGEST, SignerPolicy(), NOW)


def test_a_trust_anchor_that_is_no_certificate_is_a_wrong_setting() -> None:
    """The complaint names the setting."""
    with pytest.raises(ConfigurationError, match="SIGNER_TRUST_ANCHORS"):
        SignerPolicy.from_pem(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", None)
