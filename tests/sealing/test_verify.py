"""What a sealed file is worth, in words."""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
from freezegun import freeze_time
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils.generic import NumberObject, Reference, TextStringObject, pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.signers.pdf_cms import SimpleSigner
from pyhanko.sign.signers.pdf_signer import PdfTimeStamper
from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper

from rotation.errors import UnsupportedPdfError
from rotation.sandbox.vendor import Pki
from rotation.sealing.pdf import prepare
from rotation.sealing.request import Certification, SealOptions
from rotation.sealing.verification.report import AddedContent, SealReport
from rotation.sealing.verify import examine, verify
from tests.sealing.pdfs import (
    cms_over,
    encrypted,
    pdf,
    pdf_with_form,
    signed_by_author,
    signer_of,
)

AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


def sealed_by(signer: SimpleSigner, document: bytes | None = None) -> bytes:
    prepared = prepare(BytesIO(document or pdf()), SealOptions(), AT)
    return prepared.embed(cms_over(prepared.digest, signer))


def test_a_good_seal_is_reported_whole(signer: SimpleSigner, pki: Pki) -> None:
    """Who sealed it, when they say so, and that nothing is wrong."""
    assert signer.signing_cert is not None
    document = sealed_by(signer)
    (report,) = verify(document, pki.root_pem)
    found = re.search(rb"/ByteRange \[0 (\d+) (\d+) (\d+) *\]", document)
    assert found is not None
    start, end, _ = map(int, found.groups())
    assert report.digest == hashlib.sha256(document[:start] + document[end:]).digest()
    assert (replace(report, digest=None),) == (
        SealReport(
            field="TrustedSignaturesSeal",
            intact=True,
            trusted=True,
            covers_whole_file=True,
            subject=signer.signing_cert.subject.human_friendly,
            organization="Trusted Signatures Sandbox",
            claimed_time=AT,
            covered=len(document),
        ),
    )


@pytest.fixture(scope="module")
def elsewhere(pki: Pki) -> Pki:
    """A vendor and an authority that share neither names nor root with ours."""
    return Pki.create(pki.made_at, organization="Unrelated Sandbox")


def timestamper(pki: Pki, at: datetime = AT) -> DummyTimeStamper:
    """The authority of ``pki``, at that time."""
    tsa = signer_of(pki.tsa)
    return DummyTimeStamper(tsa.signing_cert, tsa.signing_key, tsa.cert_registry, fixed_dt=at)


def stamped_by(signer: SimpleSigner, authority: DummyTimeStamper) -> bytes:
    """A sealed document whose signature encloses a timestamp."""
    prepared = prepare(BytesIO(pdf()), SealOptions(timestamp=True), AT)
    content = asyncio.run(
        signer.async_sign(prepared.digest, "sha256", use_pades=True, timestamper=authority)
    )
    return prepared.embed(content.dump())


def test_without_anchors_a_name_is_held_against_nothing(signer: SimpleSigner, pki: Pki) -> None:
    """Nothing is wrong, and nobody is trusted: both are told."""
    report = examine(BytesIO(stamped_by(signer, timestamper(pki))), None)
    [seal] = report.seals
    assert (report.problem, seal.intact, seal.trusted) == (None, True, None)
    assert seal.timestamp is not None
    assert (seal.timestamp.trusted, seal.timestamp.proven) == (None, False)


def test_a_proven_time_is_told_apart_from_the_claimed_one(signer: SimpleSigner, pki: Pki) -> None:
    """The signer says one thing, the authority another."""
    later = pki.made_at.replace(microsecond=0) - timedelta(minutes=7)
    [seal] = verify(stamped_by(signer, timestamper(pki, later)), pki.root_pem)
    assert seal.claimed_time == AT
    assert seal.timestamp is not None
    assert (seal.timestamp.time, seal.timestamp.proven) == (later, True)
    assert "Time-stamping Unit" in seal.timestamp.authority


def test_a_timestamp_of_an_unknown_authority_proves_nothing(
    signer: SimpleSigner, pki: Pki, elsewhere: Pki
) -> None:
    """It is genuine, its authority is not trusted; the seal itself is as good as without it."""
    [seal] = verify(stamped_by(signer, timestamper(elsewhere)), pki.root_pem)
    assert seal.timestamp is not None
    assert (seal.timestamp.intact, seal.timestamp.trusted, seal.timestamp.proven) == (
        *(True, False, False),
    )
    assert (seal.problem, seal.trusted) == (None, True)


def test_a_timestamp_of_another_signature_is_a_problem(signer: SimpleSigner, pki: Pki) -> None:
    """Taken from one seal and put into another: it does not fit, and that is told."""
    prepared = prepare(BytesIO(pdf()), SealOptions(timestamp=True), AT)
    authority = timestamper(pki)
    ours, theirs = (
        asyncio.run(signer.async_sign(digest, "sha256", use_pades=True, timestamper=authority))
        for digest in (prepared.digest, bytes(32))
    )
    signers = [content["content"]["signer_infos"][0] for content in (ours, theirs)]
    signers[0]["unsigned_attrs"] = signers[1]["unsigned_attrs"]
    [seal] = verify(prepared.embed(ours.dump(force=True)), pki.root_pem)
    assert seal.timestamp is not None
    assert (seal.intact, seal.timestamp.intact, seal.timestamp.proven) == (True, False, False)
    assert seal.problem == "The timestamp is damaged, forged, or of another signature."


def test_a_proven_time_outlives_the_signer_s_certificate(signer: SimpleSigner, pki: Pki) -> None:
    """Years later the seal is trusted by its timestamp, and not trusted without one."""
    stamped, plain = stamped_by(signer, timestamper(pki, pki.made_at)), sealed_by(signer)
    with freeze_time(pki.made_at + timedelta(days=365 * 5)):
        [proven] = verify(stamped, pki.root_pem)
        [claimed] = verify(plain, pki.root_pem)
    assert (proven.trusted, proven.problem) == (True, None)
    assert claimed.problem is not None
    assert claimed.problem.startswith("The signer's certificate is valid from ")


def test_what_nobody_has_signed_is_told_of_the_file(signer: SimpleSigner, pki: Pki) -> None:
    """A form that was filled in after the seal: the seal allows it, and nobody stands for it."""
    sealed = sealed_by(signer, pdf_with_form())
    writer = IncrementalPdfFileWriter(BytesIO(sealed))
    field = writer.get_object(Reference(7, 0, writer))
    field[pdf_name("/V")] = TextStringObject("somebody else")
    writer.mark_update(field.container_ref)
    output = BytesIO()
    writer.write(output)  # type: ignore[no-untyped-call]
    report = examine(BytesIO(output.getvalue()), pki.root_pem)
    [seal] = report.seals
    assert (seal.problem, seal.added) == (None, AddedContent.FORM)
    assert report.problem is not None
    assert f"{report.size - len(sealed)} bytes were added that nobody has signed" in report.problem


def test_a_byte_range_beyond_the_file_is_not_followed(signer: SimpleSigner, pki: Pki) -> None:
    """It would be read for ever: it is told instead."""
    sealed = sealed_by(signer)
    found = re.search(rb"/ByteRange \[0 (\d+) (\d+) (\d+) *\]", sealed)
    assert found is not None
    absurd = (b"/ByteRange [" + b" ".join([b"0 99999"] * 3)).ljust(len(found[0]) - 1)[
        : len(found[0]) - 1
    ] + b"]"
    [seal] = verify(sealed.replace(found[0], absurd), pki.root_pem)
    assert seal.problem == "The signature is of another file, or this one is cut off."


def test_a_document_without_a_seal_has_no_report(pki: Pki) -> None:
    """No signature, no report, and a file that nobody stands for."""
    assert verify(pdf(), pki.root_pem) == ()
    assert examine(BytesIO(pdf()), pki.root_pem).problem == "The file bears no signature."


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


def test_a_signer_of_another_root_is_not_trusted(
    signer: SimpleSigner, pki: Pki, elsewhere: Pki
) -> None:
    """Intact and not trusted are two things, and both are told."""
    (report,) = verify(sealed_by(signer_of(elsewhere.signer)), pki.root_pem)
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


def test_each_of_several_signatures_is_reported(
    signer: SimpleSigner, pki: Pki, elsewhere: Pki
) -> None:
    """The author's signature and the seal, in the order in which they were made."""
    stranger = signer_of(elsewhere.signer)
    authored = signed_by_author(pdf(), stranger, certify=MDPPerm.FILL_FORMS)
    author, ours = verify(sealed_by(signer, authored), pki.root_pem)
    assert (author.field, author.organization, author.trusted) == (
        "Author",
        "Unrelated Sandbox",
        False,
    )
    assert (author.allows, author.added) == (Certification.FORM_FILLING, AddedContent.FORM)
    assert author.covered < ours.covered
    assert (ours.field, ours.trusted) == ("TrustedSignaturesSeal", True)
    assert (ours.allows, ours.added) == (None, AddedContent.NOTHING)


def test_one_unreadable_signature_does_not_hide_the_others(signer: SimpleSigner, pki: Pki) -> None:
    """A field filled with nonsense is reported as such; the seal beside it still counts."""
    nonsense = prepare(BytesIO(pdf()), SealOptions(field_name="Nonsense"), AT).embed(b"\x30\x03abc")
    first, second = verify(sealed_by(signer, nonsense), pki.root_pem)
    assert first.field == "Nonsense"
    assert first.problem is not None
    assert first.problem.startswith("The signature cannot be read")
    assert second.problem is None


def test_a_document_timestamp_is_not_a_seal(signer: SimpleSigner, pki: Pki) -> None:
    """A timestamp over the document, added later, is told apart and no harm."""
    stamped = PdfTimeStamper(timestamper(pki)).timestamp_pdf(
        IncrementalPdfFileWriter(BytesIO(sealed_by(signer))), md_algorithm="sha256"
    )
    report = examine(BytesIO(stamped.getvalue()), pki.root_pem)
    [seal], [stamp] = report.seals, report.document_timestamps
    assert (seal.problem, seal.covers_whole_file, seal.added) == (None, False, AddedContent.PROOF)
    assert stamp.timestamp is not None
    assert (stamp.problem, stamp.timestamp.time, stamp.timestamp.proven) == (None, AT, True)
    assert (stamp.covered, report.problem) == (report.size, None)
    assert verify(stamped.getvalue(), pki.root_pem) == (seal,)


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


@settings(max_examples=60)
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
