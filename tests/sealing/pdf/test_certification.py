"""Certifying seals: what validators read from them, and which documents are refused."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from asn1crypto import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import FieldMDPAction, MDPPerm
from pyhanko.sign.signers.pdf_cms import SimpleSigner
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from rotation.errors import CertifiedPdfError, InvalidRequestError, UnsupportedPdfError
from rotation.sandbox.vendor import Pki
from rotation.sealing.pdf import prepare
from rotation.sealing.request import Certification, SealOptions
from rotation.sealing.verify import verify
from tests.sealing.pdf.odd_documents import ODD
from tests.sealing.pdf_tools import nss_database, pdfsig, qpdf_check
from tests.sealing.pdfs import CATALOG, DATA, cms_over, encrypted, pdf, pdf_with_form
from tests.sealing.pdfs import signed_by_author as signed

pytestmark = pytest.mark.slow

AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
FORM_FILLING = SealOptions(certify=Certification.FORM_FILLING)
LEVELS = {
    Certification.NO_CHANGES: MDPPerm.NO_CHANGES,
    Certification.FORM_FILLING: MDPPerm.FILL_FORMS,
    Certification.ANNOTATIONS: MDPPerm.ANNOTATE,
}
PERMISSIONS = {
    "none": CATALOG,
    "empty": CATALOG.replace(b">>", b"/Perms << >> >>"),
    "an object of their own": CATALOG.replace(b">>", b"/Perms 5 0 R >>"),
    "no dictionary": CATALOG.replace(b">>", b"/Perms [1 2] >>"),
    "of nothing": CATALOG.replace(b">>", b"/Perms << /DocMDP null >> >>"),
    "of what is not there": CATALOG.replace(b">>", b"/Perms << /DocMDP 77 0 R >> >>"),
}


def seal(document: bytes, signer: SimpleSigner, options: SealOptions = FORM_FILLING) -> bytes:
    prepared = prepare(BytesIO(document), options, AT)
    return prepared.embed(cms_over(prepared.digest, signer))


@pytest.mark.parametrize("certification", Certification)
@pytest.mark.parametrize(
    "document",
    [pdf(), pdf_with_form(), encrypted(user_password=""), *ODD.values()]
    + [path.read_bytes() for path in sorted(DATA.glob("*.pdf"))],
)
def test_pyhanko_s_validator_reads_the_certification(
    document: bytes, certification: Certification, signer: SimpleSigner, pki: Pki
) -> None:
    """The only signature has the requested level, is valid, and covers the whole file."""
    sealed = seal(document, signer, SealOptions(certify=certification))
    assert sealed.startswith(document)
    (report,) = verify(sealed, pki.root_pem)
    assert (report.problem, report.covers_whole_file) == (None, True)
    assert sealed.count(b"/TransformMethod /DocMDP") == 1


@pytest.mark.parametrize("certification", Certification)
def test_the_level_is_the_one_that_was_asked_for(
    certification: Certification, signer: SimpleSigner, pki: Pki
) -> None:
    """DocMDP's P is 1, 2 or 3, for pyHanko's own reader."""
    sealed = seal(pdf(), signer, SealOptions(certify=certification))
    reader = PdfFileReader(BytesIO(sealed))
    (found,) = reader.embedded_signatures
    assert found.docmdp_level is LEVELS[certification]
    root = x509.Certificate.load(pki.root.certificate.public_bytes(Encoding.DER))
    status = validate_pdf_signature(found, ValidationContext(trust_roots=[root]))
    assert (status.intact, status.trusted, status.docmdp_ok) == (True, True, True)
    named = reader.root["/Perms"].raw_get("/DocMDP")
    assert named.reference == reader.root["/AcroForm"]["/Fields"][0].raw_get("/V").reference


def test_poppler_and_qpdf_find_nothing_wrong(
    signer: SimpleSigner, pki: Pki, tmp_path: Path
) -> None:
    """They find the signature valid, trusted and over the whole file, and the file sound."""
    sealed = seal(pdf(), signer)
    said = pdfsig(sealed, tmp_path, anchors=nss_database(tmp_path, pki.root_pem))
    for words in ("Signature is Valid.", "Certificate is Trusted.", "Total document signed"):
        assert words in said
    assert "No syntax or stream encoding errors found" in qpdf_check(sealed, tmp_path)


@pytest.mark.parametrize("catalog", PERMISSIONS.values(), ids=PERMISSIONS.keys())
def test_permissions_that_grant_nothing_are_no_obstacle(
    catalog: bytes, signer: SimpleSigner
) -> None:
    """An entry without a signature is replaced, and others of the same dictionary stay."""
    document = pdf({1: catalog, 5: b"<< /Other (kept) >>"})
    reader = PdfFileReader(BytesIO(seal(document, signer)))
    assert reader.root["/Perms"]["/DocMDP"]["/Type"] == "/Sig"
    assert b"5 0 R" not in catalog or reader.root["/Perms"]["/Other"] == "kept"


def test_without_the_option_a_seal_certifies_nothing(signer: SimpleSigner) -> None:
    """Without the option the seal is an ordinary approval signature."""
    assert b"/DocMDP" not in seal(pdf(), signer, SealOptions())


@pytest.mark.parametrize(
    ("certification", "refused"),
    [
        (Certification.NO_CHANGES, True),
        (Certification.FORM_FILLING, False),
        (Certification.ANNOTATIONS, False),
    ],
)
def test_what_is_certified_can_be_sealed_again_if_it_allows_that(
    certification: Certification, refused: bool, signer: SimpleSigner, pki: Pki
) -> None:
    """After NO_CHANGES no seal can be added; after the others one can, and both are valid."""
    certified = seal(pdf(), signer, SealOptions(certify=certification))
    if refused:
        with pytest.raises(CertifiedPdfError):
            prepare(BytesIO(certified), SealOptions(), AT)
        return
    reports = verify(seal(certified, signer, SealOptions()), pki.root_pem)
    assert [report.problem for report in reports] == [None, None]


def signatures(signer: SimpleSigner) -> dict[str, tuple[bytes, str]]:
    """Documents with a signature of some kind, and how the refusal names it."""
    rights = b"/Perms << /UR3 << /Type /Sig /ByteRange [0 1 2 3] >> >> >>"
    loose = b"/Perms << /DocMDP << /Type /Sig /ByteRange [0 1 2 3] >> >> >>"
    return {
        "an approval": (signed(pdf(), signer), "Author"),
        "a certification": (signed(pdf(), signer, certify=MDPPerm.FILL_FORMS), "Author"),
        "a seal of ours": (seal(pdf(), signer, SealOptions()), "TrustedSignaturesSeal"),
        "usage rights": (pdf({1: CATALOG.replace(b">>", rights)}), "/UR3"),
        "a certification of no field": (pdf({1: CATALOG.replace(b">>", loose)}), "/DocMDP"),
    }


@pytest.mark.parametrize(
    "kind",
    [
        *("an approval", "a certification", "a seal of ours", "usage rights"),
        "a certification of no field",
    ],
)
def test_a_signed_document_is_not_certified(kind: str, signer: SimpleSigner) -> None:
    """It is refused with advice, because only the first signature may certify a document."""
    document, name = signatures(signer)[kind]
    with pytest.raises(InvalidRequestError) as refused:
        prepare(BytesIO(document), FORM_FILLING, AT)
    assert str(refused.value).startswith("options.certify: the document bears a signature already")
    assert f"({name})" in str(refused.value)
    assert "certify a copy that nobody has signed" in str(refused.value)


def test_an_empty_signature_field_is_no_signature(signer: SimpleSigner) -> None:
    """A form with an empty signature field can be certified, in that field or in a new one."""
    for name in (None, "Here"):
        options = SealOptions(field_name=name, certify=Certification.FORM_FILLING)
        (found,) = PdfFileReader(
            BytesIO(seal(pdf_with_form(), signer, options))
        ).embedded_signatures
        assert found.docmdp_level is MDPPerm.FILL_FORMS


@pytest.mark.parametrize("character", ["\\", '"', "[", "\x1b", "\u2028", "0", "="])
def test_a_field_with_an_endless_name_is_named_in_short(
    character: str, signer: SimpleSigner
) -> None:
    """What an error repeats of the document is one short line that a terminal can show."""
    document = signed(pdf(), signer, field=character * 160_000)
    with pytest.raises(InvalidRequestError, match="bears a signature already") as refused:
        seal(document, signer)
    locked = signed(pdf(), signer, field=character * 160_000, locks=FieldMDPAction.ALL)
    with pytest.raises(UnsupportedPdfError, match="FieldMDP") as refused_lock:
        seal(locked, signer, SealOptions())
    for error in (refused.value, refused_lock.value):
        assert len(str(error)) < 700
        assert str(error).isprintable()
