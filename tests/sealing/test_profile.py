"""The SubFilter follows the CMS that the vendor gives, as the setting says."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko_certvalidator import ValidationContext

from rotation.client.contract import Seal, read_answer
from rotation.errors import CmsProfileError
from rotation.sandbox.vendor import PADES, PKCS7, Algorithm, Pki, VendorFault, VendorProfile
from rotation.sealing.pdf import prepare
from rotation.sealing.pdf.signature_dictionary import SubFilter
from rotation.sealing.profile import ProfileChoice, SealProfile
from rotation.sealing.request import SealOptions
from rotation.sealing.verify import verify
from tests.sealing.conftest import SealerFixture, now
from tests.sealing.pdf_tools import trusted_by_pdfsig
from tests.sealing.pdfs import pdf, pdf_with_form

PROFILES = {
    "PAdES": (PADES, SubFilter.PADES),
    "PKCS #7": (PKCS7, SubFilter.PKCS7),
    "with a signing time": (VendorProfile(signing_time=True), SubFilter.PKCS7),
    "without a signing certificate": (VendorProfile(signing_certificate=False), SubFilter.PKCS7),
    "with revocation data": (
        VendorProfile(signing_time=True, revocation_data=True),
        SubFilter.PKCS7,
    ),
    "always with a timestamp": (VendorProfile(timestamp=True), SubFilter.PADES),
    "PAdES by RSA-PSS": (VendorProfile(algorithm=Algorithm.RSA_PSS), SubFilter.PADES),
    "PAdES by ECDSA": (VendorProfile(algorithm=Algorithm.ECDSA), SubFilter.PADES),
    "PKCS #7 by ECDSA": (
        VendorProfile(signing_certificate=False, algorithm=Algorithm.ECDSA),
        SubFilter.PKCS7,
    ),
}


def sub_filter(document: bytes) -> str:
    (found,) = re.findall(rb"/SubFilter */([A-Za-z0-9.]+)", document)
    return str(found, "ascii")


@pytest.mark.parametrize("name", PROFILES)
def test_the_sub_filter_follows_the_cms(
    sealer_fixture: SealerFixture, name: str, tmp_path: Path
) -> None:
    """Whatever the vendor gives, the sealed document announces it, and validators accept it."""
    profile, expected = PROFILES[name]
    sealer_fixture.emulator.profile = profile
    sealer_fixture.put("a.pdf", pdf())
    answer = sealer_fixture.sealer.seal(sealer_fixture.request()).answer()
    content = sealer_fixture.sealed()
    assert sub_filter(content) == expected == answer["profile"]["subFilter"]
    assert answer["profile"]["signingTime"] is profile.signing_time
    assert answer["profile"]["signingCertificate"] is profile.signing_certificate
    assert answer["profile"]["revocationData"] is profile.revocation_data
    assert answer["profile"]["timestamp"] is bool(profile.timestamp)
    assert answer["signatures"] == (1 if expected is SubFilter.PADES else 2)
    (report,) = verify(content, sealer_fixture.pki.root_pem)
    assert (report.problem, report.covers_whole_file) == (None, True)
    assert trusted_by_pyhanko(content, sealer_fixture.pki)
    assert trusted_by_pdfsig(content, sealer_fixture.pki.root_pem, tmp_path)


def test_a_cms_without_a_chain_is_accepted_by_the_issuers_anchor(
    sealer_fixture: SealerFixture,
) -> None:
    """The answer says that the chain is missing; the anchor must then be the issuer itself."""
    pki = sealer_fixture.pki
    sealer_fixture.emulator.profile = VendorProfile(chain=False)
    sealer_fixture.policy = type(sealer_fixture.policy)((pki.issuing.certificate,), None)
    sealer_fixture.put("a.pdf", pdf())
    answer = sealer_fixture.sealer.seal(sealer_fixture.request()).answer()
    assert answer["profile"]["chain"] is False
    assert answer["signer"]["chained"] is True


def test_a_second_signature_is_bought_once_in_a_process(sealer_fixture: SealerFixture) -> None:
    """The first CMS decides for the whole process, even where the vendor's servers differ."""
    choice = ProfileChoice()
    sealer_fixture.profile = choice
    sealer_fixture.put("a.pdf", pdf())
    request = sealer_fixture.request()
    bought = []
    for profile in (PADES, PKCS7, PADES, PKCS7):
        sealer_fixture.emulator.profile = profile
        bought.append(sealer_fixture.sealer.seal(request).signatures)
    assert bought == [1, 2, 1, 1]
    assert sub_filter(sealer_fixture.sealed()) == SubFilter.PKCS7


def test_where_pades_is_demanded_nothing_else_is_stored(sealer_fixture: SealerFixture) -> None:
    """The error names the rules that the CMS breaks; nothing appears at the destination."""
    sealer_fixture.profile = ProfileChoice(SealProfile.PADES)
    sealer_fixture.emulator.profile = PKCS7
    sealer_fixture.put("a.pdf", pdf())
    with pytest.raises(CmsProfileError, match=r"no signing-certificate-v2 .* signing-time") as told:
        sealer_fixture.sealer.seal(sealer_fixture.request())
    assert (told.value.code, told.value.retryable) == ("cms_profile", False)
    assert sealer_fixture.nothing_sealed()
    assert sealer_fixture.emulator.signatures[sealer_fixture.key.id] == 1
    sealer_fixture.emulator.profile = PADES
    assert sealer_fixture.sealer.seal(sealer_fixture.request()).sub_filter == SubFilter.PADES


def test_pkcs7_is_written_whatever_the_cms_is(sealer_fixture: SealerFixture) -> None:
    """With the setting pkcs7 no signature is ever bought twice for its profile."""
    sealer_fixture.profile = ProfileChoice(SealProfile.PKCS7)
    sealer_fixture.put("a.pdf", pdf())
    for profile in (PADES, PKCS7):
        sealer_fixture.emulator.profile = profile
        sealed = sealer_fixture.sealer.seal(sealer_fixture.request())
        assert (sealed.sub_filter, sealed.signatures) == (SubFilter.PKCS7, 1)
        assert sub_filter(sealer_fixture.sealed()) == SubFilter.PKCS7


def test_a_signature_that_is_large_and_of_another_profile_costs_two(
    sealer_fixture: SealerFixture,
) -> None:
    """Both reasons to prepare the document again are met by one second signature."""
    sealer_fixture.emulator.profile = PKCS7
    sealer_fixture.emulator.faults.next("sign", VendorFault.LARGE, times=2)
    sealer_fixture.put("a.pdf", pdf())
    assert sealer_fixture.sealer.seal(sealer_fixture.request()).signatures == 2
    assert sealer_fixture.whole(pdf())


def test_a_caller_learns_the_profile(sealer_fixture: SealerFixture) -> None:
    """The client reads profile, SubFilter and cost; an older function's answer has none of them."""
    sealer_fixture.put("a.pdf", pdf())
    request = sealer_fixture.request()
    answer = sealer_fixture.sealer.seal(request).answer()
    seal = read_answer(answer, request)
    assert isinstance(seal, Seal)
    assert (seal.profile, seal.sub_filter, seal.signatures) == ("pades", SubFilter.PADES, 1)
    older = {key: answer[key] for key in answer if key not in {"profile", "signatures"}}
    seal = read_answer(older, request)
    assert isinstance(seal, Seal)
    assert (seal.profile, seal.sub_filter, seal.signatures) == (None, None, 1)


CATALOG = b"<< /Type /Catalog /Pages 2 0 R %b >>"
ESIC = {"/BaseVersion": "/1.7", "/ExtensionLevel": 1}


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (b"", {"/ESIC": ESIC}),
        (b"/Version /1.4", {"/ESIC": ESIC}),
        (b"/Version [ 1 ]", {"/ESIC": ESIC}),
        (b"/Extensions null", {"/ESIC": ESIC}),
        (
            b"/Extensions << /ADBE << /BaseVersion /1.7 /ExtensionLevel 8 >> >>",
            {"/ADBE": {"/BaseVersion": "/1.7", "/ExtensionLevel": 8}, "/ESIC": ESIC},
        ),
        (
            b"/Extensions << /ESIC << /BaseVersion /1.7 /ExtensionLevel 2 >> >>",
            {"/ESIC": {"/BaseVersion": "/1.7", "/ExtensionLevel": 2}},
        ),
        (b"/Extensions 6 0 R", {"/X": 1, "/ESIC": ESIC}),
        (b"/Extensions (malformed)", "malformed"),
        (b"/Version /2.0", None),
    ],
)
def test_pades_is_declared_below_pdf_2(entries: bytes, expected: object) -> None:
    """The catalog gets the ESIC extension, unless it has it, is PDF 2.0, or is malformed there."""
    document = pdf({1: CATALOG % entries, 6: b"<< /X 1 >>"})
    assert extensions(document, SubFilter.PADES) == expected


def test_pkcs7_declares_no_extension() -> None:
    """adbe.pkcs7.detached is part of every version that can hold it."""
    assert extensions(pdf_with_form(), SubFilter.PKCS7) is None


def extensions(document: bytes, kind: SubFilter) -> object:
    prepared = prepare(BytesIO(document), SealOptions(), now(), sub_filter=kind)
    reader = PdfFileReader(BytesIO(prepared.embed(b"")), strict=False)
    return plain(reader.root["/Extensions"]) if "/Extensions" in reader.root else None


def plain(found: object) -> object:
    return {key: plain(found[key]) for key in found} if isinstance(found, dict) else found


def trusted_by_pyhanko(document: bytes, pki: Pki) -> bool:
    from asn1crypto import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    root = x509.Certificate.load(pki.root.certificate.public_bytes(Encoding.DER))
    (signature,) = PdfFileReader(BytesIO(document)).embedded_signatures
    status = validate_pdf_signature(
        signature,
        ValidationContext(trust_roots=[root], allow_fetching=False),
        key_usage_settings=KeyUsageConstraints(key_usage={"non_repudiation"}),
    )
    return bool(status.bottom_line)
