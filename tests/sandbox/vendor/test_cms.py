from __future__ import annotations

import asyncio
import hashlib
import io
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError
from pyhanko.pdf_utils.generic import StreamObject
from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers.cms_embedder import PdfCMSEmbedder, SigIOSetup, SigObjSetup
from pyhanko.sign.signers.pdf_byterange import SignatureObject
from pyhanko.sign.validation.generic_cms import async_validate_detached_cms
from pyhanko_certvalidator import ValidationContext

from rotation.sandbox.vendor import Identity, Pki, VendorFault
from rotation.sandbox.vendor.cms import _sign, sign
from rotation.sandbox.vendor.pki import ORGANIZATION
from tests.sandbox.vendor.caller import DIGEST, STATEMENT, Caller, sign_body, signature_of


def test_a_signature_satisfies_openssl(signer: Caller, pki: Pki, tmp_path: Path) -> None:
    """OpenSSL finds the CMS detached over our bytes, CAdES, and chaining to the root."""
    result = openssl(signature_of(signer.sign()), STATEMENT, pki.root_pem, tmp_path)
    assert (result.returncode, result.stderr.strip()) == (0, "CAdES Verification successful")


def test_openssl_refuses_other_bytes_and_other_roots(
    signer: Caller, pki: Pki, tmp_path: Path
) -> None:
    """What the previous test accepts, it accepts for a reason."""
    der = signature_of(signer.sign())
    assert openssl(der, STATEMENT + b".", pki.root_pem, tmp_path).returncode != 0
    unknown = pki.stranger().chain[-1].public_bytes(Encoding.PEM)
    assert openssl(der, STATEMENT, unknown, tmp_path).returncode != 0


@pytest.mark.parametrize("path", ["/v1/sign", "/api/v1/sign"])
def test_a_signature_satisfies_pyhanko(signer: Caller, pki: Pki, path: str) -> None:
    """By pyHanko's judgement it is trusted and intact, and names our organisation."""
    status = judge(signature_of(signer.sign(path=path)), pki)
    assert (status.intact, status.valid, status.trusted) == (True, True, True)
    assert status.signing_cert.subject.native["organization_name"] == ORGANIZATION


def test_the_chain_is_enclosed_and_nothing_else(signer: Caller, pki: Pki) -> None:
    """Signer, issuing CA and root travel with the signature, which encloses no content."""
    signed = signed_data(signature_of(signer.sign()))
    enclosed = {choice.chosen.dump() for choice in signed["certificates"]}
    expected = (pki.signer.certificate, *pki.signer.chain)
    assert enclosed == {certificate.public_bytes(Encoding.DER) for certificate in expected}
    assert signed["encap_content_info"]["content"].native is None


def test_the_attributes_are_those_of_pades(signer: Caller) -> None:
    """The digest as it was sent, the signing certificate's hash, and no signing-time."""
    (info,) = signed_data(signature_of(signer.sign()))["signer_infos"]
    attributes = {each["type"].native: each["values"] for each in info["signed_attrs"]}
    assert attributes["message_digest"][0].native == DIGEST
    assert attributes.keys() == {"content_type", "message_digest", "signing_certificate_v2"}
    assert info["unsigned_attrs"].native is None


def test_a_timestamp_is_attested_on_request(signer: Caller, pki: Pki, tmp_path: Path) -> None:
    """With tsaTimestamp, OpenSSL and pyHanko find a token over the signature at vendor time."""
    signer.emulator.clock_offset = timedelta(seconds=20)
    der = signature_of(signer.sign(tsaTimestamp=True))
    assert openssl(der, STATEMENT, pki.root_pem, tmp_path).returncode == 0
    timestamp = judge(der, pki).timestamp_validity
    assert (timestamp.intact, timestamp.valid, timestamp.trusted) == (True, True, True)
    assert timestamp.timestamp == signer.emulator.now().replace(microsecond=0)

    (info,) = signed_data(der)["signer_infos"]
    (attribute,) = info["unsigned_attrs"]
    assert attribute["type"].native == "signature_time_stamp_token"
    (tmp_path / "token.der").write_bytes(attribute["values"][0].dump())
    imprint = hashlib.sha256(info["signature"].native).hexdigest()
    verified = run(
        f"openssl ts -verify -token_in -in token.der -CAfile root.pem -digest {imprint}", tmp_path
    )
    assert (verified.returncode, verified.stdout.strip()) == (0, "Verification: OK")
    token = attribute["values"][0]["content"]["encap_content_info"]["content"].parsed
    assert isinstance(token, tsp.TSTInfo)
    assert token["policy"].native == "2.999.1.2"


def test_without_tsatimestamp_there_is_none(signer: Caller) -> None:
    """False is as good as absent."""
    (info,) = signed_data(signature_of(signer.sign(tsaTimestamp=False)))["signer_infos"]
    assert info["unsigned_attrs"].native is None


@pytest.mark.parametrize("timestamp", [False, True])
def test_a_sealed_pdf_satisfies_pdfsig(
    signer: Caller, pki: Pki, tmp_path: Path, timestamp: bool
) -> None:
    """Poppler, told to trust our root, calls the seal valid and its certificate trusted."""
    (tmp_path / "root.pem").write_bytes(pki.root_pem)
    (tmp_path / "nss").mkdir()
    for command in (
        "certutil -N -d sql:nss --empty-password",
        "certutil -A -d sql:nss -n root -t CT,C,C -i root.pem",
    ):
        assert run(command, tmp_path).returncode == 0
    (tmp_path / "sealed.pdf").write_bytes(sealed_pdf(signer, timestamp=timestamp))
    report = run("pdfsig -nssdir sql:nss sealed.pdf", tmp_path).stdout
    assert "Signature is Valid." in report
    assert "Certificate is Trusted." in report
    assert "Total document signed" in report
    assert f"{ORGANIZATION} Seal" in report


def test_the_chain_satisfies_cryptography(pki: Pki) -> None:
    """The client verifier finds a path, with CAs by the book and any end entity."""
    for identity, intermediates in ((pki.signer, [pki.issuing.certificate]), (pki.tsa, [])):
        chain = verified_chain(identity, intermediates, pki)
        assert chain == [identity.certificate, *identity.chain]


@pytest.mark.parametrize(
    ("make", "organization", "chains"),
    [
        (Pki.neighbour, "Neighbouring Sandbox", True),
        (Pki.impostor, ORGANIZATION, False),
        (Pki.stranger, "Unrelated Sandbox", False),
    ],
)
def test_the_wrong_signers_are_wrong_in_different_ways(
    pki: Pki, make: Any, organization: str, chains: bool
) -> None:
    """A neighbour chains to our anchor, an impostor bears our name, a stranger does neither."""
    other: Identity = make(pki)
    assert named_organization(other.certificate) == organization
    assert other.certificate != pki.signer.certificate
    intermediates = list(other.chain[:1])
    if chains:
        assert verified_chain(other, intermediates, pki)[-1] == pki.root.certificate
    else:
        with pytest.raises(VerificationError):
            verified_chain(other, intermediates, pki)


def test_the_seal_is_shaped_like_an_electronic_seal(pki: Pki) -> None:
    """Key usages critical, identifiers linked, a policy named, and no extended key usage."""
    extensions = pki.signer.certificate.extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert usage.value.content_commitment
    issuer = pki.issuing.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    authority = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    assert authority.value.key_identifier == issuer.value.digest
    present = {extension.oid for extension in extensions}
    assert ExtensionOID.CERTIFICATE_POLICIES in present
    assert ExtensionOID.EXTENDED_KEY_USAGE not in present
    assert ExtensionOID.CRL_DISTRIBUTION_POINTS not in present


def test_private_keys_are_in_no_repr(pki: Pki) -> None:
    """A hierarchy may be printed."""
    assert "RSAPrivateKey" not in repr(pki)


@pytest.mark.parametrize(
    "fault", [VendorFault.STRANGER, VendorFault.IMPOSTOR, VendorFault.NEIGHBOUR]
)
def test_a_wrong_signer_signs_well(signer: Caller, pki: Pki, fault: VendorFault) -> None:
    """The signature itself is good; only who made it is wrong, and the same one each time."""
    signer.emulator.faults.next("sign", fault, times=2)
    first, second = (judge(signature_of(signer.sign()), pki) for _ in range(2))
    assert (first.intact, first.valid) == (True, True)
    assert first.trusted == (fault is VendorFault.NEIGHBOUR)
    assert first.signing_cert.dump() == second.signing_cert.dump()
    assert first.signing_cert.dump() != pki.signer.certificate.public_bytes(Encoding.DER)
    assert judge(signature_of(signer.sign()), pki).trusted


def test_a_signature_over_another_digest(signer: Caller, pki: Pki, tmp_path: Path) -> None:
    """The CMS is good, and not for our bytes."""
    signer.emulator.faults.next("sign", VendorFault.OTHER_DIGEST)
    der = signature_of(signer.sign())
    assert openssl(der, STATEMENT, pki.root_pem, tmp_path).returncode != 0
    assert openssl(der, DIGEST, pki.root_pem, tmp_path).returncode == 0


def test_a_corrupted_signature_value(signer: Caller, pki: Pki) -> None:
    """Digest and certificates are right, and the signature does not verify."""
    signer.emulator.faults.next("sign", VendorFault.CORRUPTED_SIGNATURE)
    status = judge(signature_of(signer.sign()), pki)
    assert (status.intact, status.valid) == (True, False)


@pytest.mark.parametrize("timestamp", [False, True])
def test_a_large_signature_is_a_good_one(signer: Caller, pki: Pki, timestamp: bool) -> None:
    """More than 48 KiB, timestamp and all, and valid."""
    signer.emulator.faults.next("sign", VendorFault.LARGE)
    der = signature_of(signer.sign(tsaTimestamp=timestamp))
    assert len(der) > 48 * 1024
    status = judge(der, pki)
    assert (status.valid, status.trusted) == (True, True)
    assert (status.timestamp_validity is not None) == timestamp


def test_every_signature_is_what_pyhanko_makes(pki: Pki) -> None:
    """It differs from an earlier one of its signer in nothing but the digest and the signature."""
    for signer in (pki.signer, pki.neighbour()):
        for digest in (DIGEST, bytes(32), hashlib.sha256(DIGEST).digest()):
            assert sign(digest, signer) == _sign(digest, signer, None)


def test_the_sizes_are_those_of_a_real_seal(pki: Pki) -> None:
    """A chain of three fills kilobytes, so that a placeholder has something to hold."""
    assert 4_000 < len(sign(DIGEST, pki.signer)) < 6_000
    assert 7_000 < len(sign(DIGEST, pki.signer, timestamp=(pki.tsa, pki.made_at))) < 10_000


def openssl(
    der: bytes, content: bytes, root: bytes, folder: Path
) -> subprocess.CompletedProcess[str]:
    for name, data in (("seal.der", der), ("content", content), ("root.pem", root)):
        (folder / name).write_bytes(data)
    return run(
        "openssl cms -verify -binary -cades -inform DER -in seal.der -content content"
        " -CAfile root.pem -out verified",
        folder,
    )


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command.split(), cwd=folder, capture_output=True, text=True, check=False)


def signed_data(der: bytes) -> Any:
    return cms.ContentInfo.load(der, strict=True)["content"]


def judge(der: bytes, pki: Pki) -> Any:
    root = asn1_x509.Certificate.load(pki.root.certificate.public_bytes(Encoding.DER))
    signers, stamps = (
        ValidationContext(trust_roots=[root], allow_fetching=False) for _ in range(2)
    )
    return asyncio.run(async_validate_detached_cms(STATEMENT, signed_data(der), signers, stamps))


def verified_chain(
    identity: Identity, intermediates: list[x509.Certificate], pki: Pki
) -> list[x509.Certificate]:
    verifier = (
        PolicyBuilder()
        .store(Store([pki.root.certificate]))
        .time(pki.made_at)
        .extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
        )
        .build_client_verifier()
    )
    return verifier.verify(identity.certificate, intermediates).chain


def named_organization(certificate: x509.Certificate) -> str:
    (attribute,) = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(attribute.value)


def sealed_pdf(signer: Caller, *, timestamp: bool) -> bytes:
    """A one-page PDF whose ByteRange digest the emulator has signed."""
    writer: Any = PdfFileWriter()  # type: ignore[no-untyped-call]
    contents = writer.add_object(StreamObject(stream_data=b"q Q"))
    page = PageObject(contents, (0, 0, 200, 200))  # type: ignore[no-untyped-call]
    writer.insert_page(page)
    embedding = PdfCMSEmbedder().write_cms(field_name="Seal", writer=writer)
    next(embedding)
    placeholder = SignatureObject(
        timestamp=signer.clock(), subfilter=SigSeedSubFilter.PADES, bytes_reserved=32_768
    )
    embedding.send(SigObjSetup(sig_placeholder=placeholder))
    output = io.BytesIO()
    prepared, _ = embedding.send(SigIOSetup(md_algorithm="sha256", output=output))
    body = sign_body(prepared.document_digest, tsaTimestamp=timestamp)
    embedding.send(signature_of(signer.call("POST", "/v1/sign", body)))
    return output.getvalue()
