"""What speaks against a signer is named, with trust anchors and without."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from asn1crypto import x509 as asn1_x509
from asn1crypto.keys import PrivateKeyInfo
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyhanko.sign.signers.pdf_cms import SimpleSigner
from pyhanko_certvalidator.registry import SimpleCertificateStore

from rotation.sandbox.vendor import Pki
from rotation.sandbox.vendor.cms import sign
from rotation.sealing.pdf import prepare
from rotation.sealing.request import SealOptions
from rotation.sealing.verification.report import FileVerdict, Problem, SealReport
from rotation.sealing.verify import examine
from tests.sealing.malformed_certificates import with_a_malformed_certificate
from tests.sealing.pdfs import pdf

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Signing = Callable[["Signer", bytes], bytes]


class Signer:
    """A certificate of the test's own making, under the vendor's root."""

    def __init__(
        self,
        pki: Pki,
        key: Key,
        *,
        ca: bool = False,
        until: datetime = NOW + DAY,
        purposes: list[x509.ObjectIdentifier] | None = None,
    ) -> None:
        self.key = key
        self.root = pki.root.certificate
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A signer")]))
            .issuer_name(self.root.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 9 * DAY)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
        )
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        self.certificate = builder.sign(pki.root.key, hashes.SHA256())


def by_openssl(signer: Signer, content: bytes) -> bytes:
    """A CMS with signed attributes, as most tools make it."""
    return _built(signer, content, [])


def without_attributes(signer: Signer, content: bytes) -> bytes:
    """A CMS whose signature is over the document itself (RFC 5652 section 5.4)."""
    return _built(signer, content, [pkcs7.PKCS7Options.NoAttributes])


def _built(signer: Signer, content: bytes, more: list[pkcs7.PKCS7Options]) -> bytes:
    builder = pkcs7.PKCS7SignatureBuilder().set_data(content)
    builder = builder.add_signer(signer.certificate, signer.key, hashes.SHA256())
    options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary, *more]
    return builder.sign(Encoding.DER, options)


def by_sha1(signer: Signer, content: bytes) -> bytes:
    """A CMS that relies on SHA-1."""
    private = signer.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    made = SimpleSigner(
        asn1_x509.Certificate.load(signer.certificate.public_bytes(Encoding.DER)),
        PrivateKeyInfo.load(private),
        SimpleCertificateStore(),  # type: ignore[no-untyped-call]
    )
    digest = hashlib.sha1(content).digest()
    return bytes(asyncio.run(made.async_sign(digest, "sha1")).dump())


def sealed(signer: Signer, signing: Signing) -> bytes:
    prepared = prepare(BytesIO(pdf()), SealOptions(), NOW)
    empty = prepared.embed(b"")
    [(_, end, start, _)] = [
        [int(number) for number in found.split()]
        for found in re.findall(rb"/ByteRange \[([\d ]+)\]", empty)
    ]
    return prepared.embed(signing(signer, empty[:end] + empty[start:]))


def report_of(document: bytes, anchors: bytes | None) -> tuple[SealReport, FileVerdict]:
    report = examine(BytesIO(document), anchors)
    return report.seals[0], report.verdict


RSA = rsa.generate_private_key(65537, 2048)
Unfit = tuple[str, Key, dict[str, Any], Signing, Problem]
UNFIT: list[Unfit] = [
    ("RSA 1024", rsa.generate_private_key(65537, 1024), {}, by_openssl, Problem.WEAK_ALGORITHM),
    ("P-192", ec.generate_private_key(ec.SECP192R1()), {}, by_openssl, Problem.WEAK_ALGORITHM),
    ("SHA-1", RSA, {}, by_sha1, Problem.WEAK_ALGORITHM),
    ("a CA", RSA, {"ca": True}, by_openssl, Problem.CA_SIGNER),
    ("expired", RSA, {"until": NOW - DAY}, by_openssl, Problem.EXPIRED),
    (
        "for web servers",
        RSA,
        {"purposes": [ExtendedKeyUsageOID.SERVER_AUTH]},
        by_openssl,
        Problem.PURPOSE,
    ),
]


@pytest.mark.parametrize(
    "row",
    UNFIT,
    ids=[row[0] for row in UNFIT],
)
@pytest.mark.parametrize("anchored", [True, False])
def test_what_speaks_against_a_signer_is_named(pki: Pki, row: Unfit, anchored: bool) -> None:
    """The signature is genuine, and the file is neither good nor merely unchecked."""
    _, key, made, signing, problem = row
    seal, verdict = report_of(
        sealed(Signer(pki, key, **made), signing), pki.root_pem if anchored else None
    )
    assert seal.intact
    assert problem in {finding.problem for finding in seal.findings}
    assert verdict is (FileVerdict.UNTRUSTED if problem.is_of_trust else FileVerdict.PROBLEM)


@pytest.mark.parametrize(
    "key", [RSA, ec.generate_private_key(ec.SECP256R1())], ids=["RSA", "P-256"]
)
@pytest.mark.parametrize("signing", [by_openssl, without_attributes])
def test_a_good_signer_is_trusted_by_its_anchor_alone(pki: Pki, key: Key, signing: Signing) -> None:
    """The same file is good, unchecked or a stranger's, as the anchors are."""
    document = sealed(Signer(pki, key), signing)
    assert report_of(document, pki.root_pem)[1] is FileVerdict.OK
    assert report_of(document, None)[1] is FileVerdict.UNCHECKED
    stranger = pki.stranger().chain[-1].public_bytes(Encoding.PEM)
    assert report_of(document, stranger)[1] is FileVerdict.UNTRUSTED


@pytest.mark.parametrize("signing", [by_openssl, without_attributes, by_sha1])
def test_a_damaged_seal_is_told_apart_from_a_stranger_s(pki: Pki, signing: Signing) -> None:
    """A changed document is a problem, whoever the signer is and whatever the anchors are."""
    document = sealed(Signer(pki, RSA), signing).replace(b"200 200", b"200 201")
    for anchors in (pki.root_pem, None):
        seal, verdict = report_of(document, anchors)
        assert (seal.intact, verdict) == (False, FileVerdict.PROBLEM)


def test_the_digest_of_the_file_may_be_what_is_signed(pki: Pki) -> None:
    """The form adbe.pkcs7.sha1 is verified, and its SHA-1 is named as weak."""
    signer = Signer(pki, RSA)
    prepared = prepare(BytesIO(pdf()), SealOptions(), NOW)
    empty = prepared.embed(b"").replace(b"/ETSI.CAdES.detached", b"/adbe.pkcs7.sha1    ")
    empty = empty.replace(b"/adbe.pkcs7.detached", b"/adbe.pkcs7.sha1    ")
    found = re.search(rb"/ByteRange \[([\d ]+)\]", empty)
    assert found
    _, end, start, _ = map(int, found[1].split())
    digest = hashlib.sha1(empty[:end] + empty[start:]).digest()
    builder = pkcs7.PKCS7SignatureBuilder().set_data(digest)
    builder = builder.add_signer(signer.certificate, signer.key, hashes.SHA256())
    cms = builder.sign(Encoding.DER, [pkcs7.PKCS7Options.Binary])
    placed = b"<" + cms.hex().encode().ljust(start - end - 2, b"0") + b">"
    seal, verdict = report_of(empty[:end] + placed + empty[start:], None)
    assert (seal.intact, verdict) == (True, FileVerdict.PROBLEM)
    assert [finding.problem for finding in seal.findings] == [Problem.WEAK_ALGORITHM]
    changed = (empty[:end] + placed + empty[start:]).replace(b"200 200", b"200 201")
    assert not report_of(changed, None)[0].intact


@pytest.mark.parametrize("timestamped", [False, True])
def test_a_malformed_certificate_that_nothing_needs_changes_no_verdict(
    pki: Pki, *, timestamped: bool
) -> None:
    """Whoever encloses one does not make the signer unknown, nor the timestamp unreadable."""
    prepared = prepare(BytesIO(pdf()), SealOptions(), NOW)
    plain = sign(prepared.digest, pki.signer, timestamp=(pki.tsa, NOW) if timestamped else None)
    [good] = examine(BytesIO(prepared.embed(plain)), pki.root_pem).seals
    odd = with_a_malformed_certificate(plain)
    [seal] = examine(BytesIO(prepared.embed(odd)), pki.root_pem).seals
    assert good.findings == ()
    assert seal == replace(good, digest=seal.digest)
