"""What a sealed file is worth, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils.generic import NumberObject, pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.signers.pdf_cms import SimpleSigner
from pyhanko.sign.signers.pdf_signer import PdfTimeStamper
from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper

from rotation.errors import UnsupportedPdfError
from rotation.sandbox.vendor import Pki
from rotation.sealing.pdf import prepare
from rotation.sealing.request import SealOptions
from rotation.sealing.verify import SealReport, verify
from tests.sealing.pdfs import cms_over, encrypted, pdf, signed_by_author, signer_of

AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


def sealed_by(signer: SimpleSigner, document: bytes | None = None) -> bytes:
    prepared = prepare(BytesIO(document or pdf()), SealOptions(), AT)
    return prepared.embed(cms_over(prepared.digest, signer))


def test_a_good_seal_is_reported_whole(signer: SimpleSigner, pki: Pki) -> None:
    """Who sealed it, when they say so, and that nothing is wrong."""
    assert signer.signing_cert is not None
    assert verify(sealed_by(signer), pki.root_pem) == (
        SealReport(
            field="TrustedSignaturesSeal",
            intact=True,
            trusted=True,
            covers_whole_file=True,
            subject=signer.signing_cert.subject.human_friendly,
            organization="Trusted Signatures Sandbox",
            claimed_time=AT,
            problem=None,
        ),
    )


def test_a_document_without_a_seal_has_no_report(pki: Pki) -> None:
    """No signature, no report."""
    assert verify(pdf(), pki.root_pem) == ()


def test_one_changed_byte_is_told(signer: SimpleSigner, pki: Pki) -> None:
    """A change of what was sealed is not intact, and so not trusted."""
    forged = sealed_by(signer).replace(b"200 200", b"200 201")
    (report,) = verify(forged, pki.root_pem)
    assert not report.intact
    assert not report.trusted
    assert report.problem == "The document was changed after it was sealed."


def test_a_forged_signature_value_is_told(signer: SimpleSigner, pki: Pki) -> None:
    """The digest fits and the signature over it does not."""
    prepared = prepare(BytesIO(pdf()), SealOptions(), AT)
    cms = bytearray(cms_over(prepared.digest, signer))
    cms[-1] ^= 0x01
    (report,) = verify(prepared.embed(bytes(cms)), pki.root_pem)
    assert not report.intact
    assert report.problem == "The signature itself is damaged or forged."


def test_a_signer_of_another_root_is_not_trusted(signer: SimpleSigner, pki: Pki) -> None:
    """Intact and not trusted are two things, and both are told."""
    (report,) = verify(sealed_by(signer_of(pki.stranger())), pki.root_pem)
    assert report.intact
    assert not report.trusted
    assert report.problem == "The signer's certificate does not chain to a given trust anchor."


def test_trust_is_judged_at_the_given_time(signer: SimpleSigner, pki: Pki) -> None:
    """A certificate that has expired by then is not trusted."""
    document = sealed_by(signer)
    (then,) = verify(document, pki.root_pem, at=pki.made_at)
    (later,) = verify(document, pki.root_pem, at=pki.made_at + timedelta(days=365 * 9))
    assert (then.trusted, later.trusted) == (True, False)


def test_a_document_that_was_changed_by_an_update_is_told(signer: SimpleSigner, pki: Pki) -> None:
    """An update after the seal that turns the page is not one that a seal allows."""
    writer = IncrementalPdfFileWriter(BytesIO(sealed_by(signer)))
    page = writer.find_page_for_modification(0)[0]  # type: ignore[no-untyped-call]
    page.get_object()[pdf_name("/Rotate")] = NumberObject(90)  # type: ignore[no-untyped-call]
    writer.mark_update(page)
    output = BytesIO()
    writer.write(output)  # type: ignore[no-untyped-call]
    (report,) = verify(output.getvalue(), pki.root_pem)
    assert report.intact
    assert not report.covers_whole_file
    assert report.problem is not None
    assert report.problem.startswith("The document was extended after it was sealed")


def test_each_of_several_signatures_is_reported(signer: SimpleSigner, pki: Pki) -> None:
    """The author's signature and the seal, in the order of their fields."""
    stranger = signer_of(pki.stranger())
    authored = signed_by_author(pdf(), stranger, certify=MDPPerm.FILL_FORMS)
    author, ours = verify(sealed_by(signer, authored), pki.root_pem)
    assert (author.field, author.organization, author.trusted) == (
        "Author",
        "Unrelated Sandbox",
        False,
    )
    assert (ours.field, ours.trusted) == ("TrustedSignaturesSeal", True)


def test_one_unreadable_signature_does_not_hide_the_others(signer: SimpleSigner, pki: Pki) -> None:
    """A field filled with nonsense is reported as such; the seal beside it still counts."""
    nonsense = prepare(BytesIO(pdf()), SealOptions(field_name="Nonsense"), AT).embed(b"\x30\x03abc")
    first, second = verify(sealed_by(signer, nonsense), pki.root_pem)
    assert first.field == "Nonsense"
    assert first.problem is not None
    assert first.problem.startswith("The signature cannot be read")
    assert second.problem is None


def test_a_document_timestamp_is_not_a_seal(signer: SimpleSigner, pki: Pki) -> None:
    """A timestamp over the document, added later, is no report and no harm."""
    tsa = signer_of(pki.tsa)
    timestamper = DummyTimeStamper(tsa.signing_cert, tsa.signing_key, fixed_dt=AT)
    stamped = PdfTimeStamper(timestamper).timestamp_pdf(
        IncrementalPdfFileWriter(BytesIO(sealed_by(signer))), md_algorithm="sha256"
    )
    (report,) = verify(stamped.getvalue(), pki.root_pem)
    assert report.problem is None
    assert not report.covers_whole_file


def test_a_document_that_opens_without_a_password_is_verified(
    signer: SimpleSigner, pki: Pki
) -> None:
    """Encryption with an empty password does not stand in the way."""
    (report,) = verify(sealed_by(signer, encrypted(user_password="")), pki.root_pem)
    assert report.problem is None


@pytest.mark.parametrize("document", [b"", b"no PDF", pdf()[:100], encrypted(user_password="x")])
def test_what_cannot_be_read_is_an_error_in_words(document: bytes, pki: Pki) -> None:
    """No report is better than a wrong one."""
    with pytest.raises(UnsupportedPdfError):
        verify(document, pki.root_pem)


def test_anchors_that_are_no_certificates_are_refused(signer: SimpleSigner) -> None:
    """A trust anchor that cannot be read is a mistake of the caller's, told at once."""
    with pytest.raises(ValueError, match="PEM"):
        verify(sealed_by(signer), b"not a certificate")


SEALED: dict[Pki, bytes] = {}


@settings(deadline=None, max_examples=60)
@given(place=st.floats(0, 1), value=st.integers(1, 255))
def test_no_changed_byte_passes(place: float, value: int, pki: Pki) -> None:
    """Whichever byte outside the placeholder changes, the seal no longer passes."""
    document = SEALED.get(pki) or SEALED.setdefault(pki, sealed_by(signer_of(pki.signer)))
    start = document.index(b"/Contents <") + len(b"/Contents ")
    end = document.index(b">", start) + 1
    covered = [*range(start), *range(end, len(document))]
    at = covered[int(place * (len(covered) - 1))]
    forged = document[:at] + bytes([document[at] ^ value]) + document[at + 1 :]
    try:
        reports = verify(forged, pki.root_pem)
    except UnsupportedPdfError:
        reports = ()
    assert not [report for report in reports if report.intact and report.problem is None]
