"""Preparing documents: the placeholder, the digest, the embedding, and which files are refused."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import FieldMDPAction, MDPPerm
from pyhanko.sign.signers.pdf_cms import SimpleSigner

from rotation.errors import (
    InvalidRequestError,
    RotationError,
    SignatureTooLargeError,
    UnsupportedPdfError,
)
from rotation.sandbox.vendor import Pki
from rotation.sealing.pdf import prepare
from rotation.sealing.request import SealOptions
from rotation.sealing.verify import verify
from tests.sealing.pdfs import (
    CATALOG,
    DATA,
    PAGE,
    PAGES,
    cms_over,
    encrypted,
    encrypted_for,
    pdf,
    pdf_with_form,
    signed_by_author,
)

AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
PLAIN = SealOptions()


def seal(document: bytes, signer: SimpleSigner, options: SealOptions = PLAIN) -> bytes:
    prepared = prepare(BytesIO(document), options, AT)
    return prepared.embed(cms_over(prepared.digest, signer))


def signature_in(document: bytes, field: str = "TrustedSignaturesSeal") -> dict[str, object]:
    (found,) = [
        signature
        for signature in PdfFileReader(BytesIO(document)).embedded_signatures
        if signature.field_name == field
    ]
    return dict(found.sig_object)


def good_documents() -> list[tuple[str, bytes]]:
    own = {
        "classic": pdf(),
        "no end of line": pdf(ending=b""),
        "carriage return": pdf(ending=b"\r"),
        "empty user password": encrypted(user_password=""),
    }
    return [*own.items(), *((path.name, path.read_bytes()) for path in sorted(DATA.glob("*.pdf")))]


GOOD = good_documents()


@pytest.mark.parametrize(
    "document", [content for _, content in GOOD], ids=[name for name, _ in GOOD]
)
def test_the_seal_is_whole_and_the_source_its_prefix(
    document: bytes, signer: SimpleSigner, pki: Pki
) -> None:
    """The result begins with the source, and the seal covers the whole file."""
    sealed = seal(document, signer)
    assert sealed.startswith(document)
    (report,) = verify(sealed, pki.root_pem)
    assert report.problem is None
    assert report.intact
    assert report.trusted
    assert report.covers_whole_file


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r", b"\r\n", b" "])
def test_the_update_begins_on_a_line_of_its_own(ending: bytes, signer: SimpleSigner) -> None:
    """A line feed is added only to a source that does not end with a line ending."""
    document = pdf(ending=ending)
    update = seal(document, signer)[len(document) :]
    assert update.startswith(b"\n") is (ending in {b"", b" "})
    assert re.match(rb"\n?\d+ 0 obj\n", update)


def test_the_digest_is_the_sha256_of_the_byte_range(signer: SimpleSigner) -> None:
    """The digest is that of all bytes of the result but the placeholder."""
    prepared = prepare(BytesIO(pdf()), PLAIN, AT)
    sealed = prepared.embed(cms_over(prepared.digest, signer))
    found = re.search(rb"/ByteRange \[(\d+) (\d+) (\d+) (\d+)\]", sealed)
    assert found
    start, length, start2, length2 = map(int, found.groups())
    covered = sealed[start : start + length] + sealed[start2 : start2 + length2]
    assert hashlib.sha256(covered).digest() == prepared.digest
    assert start2 + length2 == len(sealed)
    assert sealed[length : length + 1] == b"<"
    assert sealed[start2 - 1 : start2] == b">"


def test_the_signature_dictionary_says_what_was_asked() -> None:
    """It has the reason, location and contact of the request, and the given time."""
    options = SealOptions(reason="Prüfung (final)", location="日本", contact="qa@example.org")
    sealed = prepare(BytesIO(pdf()), options, AT).embed(b"")
    signature = PdfFileReader(BytesIO(sealed)).root["/AcroForm"]["/Fields"][0]["/V"]
    assert signature["/SubFilter"] == "/ETSI.CAdES.detached"
    assert signature["/Reason"] == "Prüfung (final)"
    assert signature["/Location"] == "日本"
    assert signature["/ContactInfo"] == "qa@example.org"
    assert signature["/M"] == "D:20260504030201Z"


def test_what_was_not_asked_is_not_said(signer: SimpleSigner) -> None:
    """Without options, no reason, location or contact is written."""
    signature = signature_in(seal(pdf(), signer))
    assert not {"/Reason", "/Location", "/ContactInfo", "/Name"} & signature.keys()


@pytest.mark.parametrize("name", ["verapdf-6-6-2-3-1-t01-pass-k.pdf", "fields-split-1.pdf"])
def test_metadata_stays_as_it_is(name: str, signer: SimpleSigner) -> None:
    """Info and XMP belong to the author: the update repeats neither."""
    document = (DATA / name).read_bytes()
    update = seal(document, signer)[len(document) :]
    assert b"/ModDate" not in update
    assert b"xpacket" not in update
    assert b"/Type /Metadata" not in update


def test_info_is_still_referred_to(signer: SimpleSigner) -> None:
    """The new trailer names the Info dictionary of the old one."""
    reader = PdfFileReader(BytesIO(seal(pdf(), signer)))
    assert reader.trailer["/Info"]["/Title"] == "An inspection"
    assert reader.trailer["/Info"]["/ModDate"] == "D:20200101000000Z"


def test_a_second_seal_takes_the_next_name_and_spares_the_first(
    signer: SimpleSigner, pki: Pki
) -> None:
    """Sealing twice gives two fields, and the first seal stays good."""
    sealed = seal(seal(pdf(), signer), signer)
    first, second = verify(sealed, pki.root_pem)
    assert (first.field, second.field) == ("TrustedSignaturesSeal", "TrustedSignaturesSeal2")
    assert first.problem is None
    assert not first.covers_whole_file
    assert second.covers_whole_file


def test_a_taken_name_is_avoided_whatever_holds_it(signer: SimpleSigner) -> None:
    """A text field of our name is left alone."""
    form = b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [6 0 R] >> >>"
    document = pdf({1: form, 6: b"<< /FT /Tx /T (TrustedSignaturesSeal) >>"})
    assert signature_in(seal(document, signer), "TrustedSignaturesSeal2")


def test_a_named_empty_field_is_filled(signer: SimpleSigner) -> None:
    """A field that the form keeps for the seal is used, and no other is made."""
    sealed = seal(pdf_with_form(), signer, SealOptions(field_name="Here"))
    form = PdfFileReader(BytesIO(sealed)).root["/AcroForm"]
    assert [field.get_object()["/T"] for field in form["/Fields"]] == ["Here", "Name"]
    assert signature_in(sealed, "Here")


def test_a_named_field_that_does_not_exist_is_made(signer: SimpleSigner) -> None:
    """A free name is given to a new field."""
    assert signature_in(seal(pdf(), signer, SealOptions(field_name="Ours")), "Ours")


@pytest.mark.parametrize(
    ("name", "problem"),
    [("Name", "not a signature field"), ("Form.Here", "cannot have a dot")],
)
def test_a_name_that_cannot_be_used_is_refused(name: str, problem: str) -> None:
    """A text field is not signed, and no hierarchy of fields is invented."""
    with pytest.raises(InvalidRequestError, match=problem):
        prepare(BytesIO(pdf_with_form()), SealOptions(field_name=name), AT)


def test_a_field_that_is_signed_is_not_signed_again(signer: SimpleSigner) -> None:
    """A request that names a signed field is refused."""
    sealed = seal(pdf(), signer, SealOptions(field_name="Ours"))
    with pytest.raises(InvalidRequestError, match="signed already"):
        prepare(BytesIO(sealed), SealOptions(field_name="Ours"), AT)


@pytest.mark.parametrize(
    "entry",
    [b"/SV << /Ff 1 /Filter /Adobe.PPKLite >>", b"/Lock << /Action /All >>"],
)
def test_a_field_with_orders_of_its_own_is_refused(entry: bytes) -> None:
    """A field with seed values or a lock is refused, because they are not carried out."""
    document = pdf_with_form(entry)
    with pytest.raises(UnsupportedPdfError, match="prescribes how it is to be signed"):
        prepare(BytesIO(document), SealOptions(field_name="Here"), AT)
    assert prepare(BytesIO(document), PLAIN, AT).digest, (
        "another field of the same document is fine"
    )


def test_a_document_that_allows_no_changes_is_refused(signer: SimpleSigner) -> None:
    """A certification with P=1 forbids a seal after it."""
    certified = signed_by_author(pdf(), signer, certify=MDPPerm.NO_CHANGES)
    with pytest.raises(UnsupportedPdfError, match="allows no changes"):
        prepare(BytesIO(certified), PLAIN, AT)


def test_a_lock_on_the_document_is_a_prohibition_too(signer: SimpleSigner) -> None:
    """An ordinary signature whose field locks the document (PDF 2.0) forbids a seal after it."""
    locked = signed_by_author(
        pdf(), signer, locks=FieldMDPAction.ALL, lock_document=MDPPerm.NO_CHANGES
    )
    with pytest.raises(UnsupportedPdfError, match="allows no changes"):
        prepare(BytesIO(locked), PLAIN, AT)


@pytest.mark.parametrize("allowed", [MDPPerm.FILL_FORMS, MDPPerm.ANNOTATE])
def test_a_certified_document_that_allows_signing_is_sealed(
    allowed: MDPPerm, signer: SimpleSigner, pki: Pki
) -> None:
    """With P=2 or P=3 the seal is added, and the certification stays good."""
    sealed = seal(signed_by_author(pdf(), signer, certify=allowed), signer)
    author, ours = verify(sealed, pki.root_pem)
    assert author.field == "Author"
    assert (author.problem, ours.problem) == (None, None)


def test_a_lock_on_every_field_is_a_prohibition(signer: SimpleSigner) -> None:
    """It is refused, because a seal would break the signature that locks all fields."""
    locked = signed_by_author(pdf(), signer, locks=FieldMDPAction.ALL)
    with pytest.raises(UnsupportedPdfError, match="locks the field TrustedSignaturesSeal"):
        prepare(BytesIO(locked), PLAIN, AT)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "empty"),
        (b"GIF89a and so on", "not a PDF"),
        (b"<html>%PDF</html>", "not a PDF"),
        (pdf()[:-40], "cut off"),
        (pdf()[:60], "cut off"),
        (pdf()[: len(pdf()) // 2] + b"\n%%EOF\n", "cut off"),
        (pdf({1: b"<< /Type /Catalog >>"}), "no pages"),
        (pdf({2: b"<< /Type /Pages /Kids [] /Count 0 >>"}), "no pages"),
        (pdf({2: PAGES.replace(b"Count 1", b"Count 0")}), "no pages"),
        (pdf({2: b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>"}), "no pages"),
        (pdf({2: PAGES.replace(b"3 0 R", b"4 0 R")}), "no pages"),
        (pdf({1: CATALOG.replace(b"2 0 R", b"4 0 R")}), "no pages"),
        (encrypted(user_password="secret"), "encrypted with a password"),
        (encrypted(user_password="", integrity_code=True), "integrity code"),
    ],
)
def test_a_file_that_cannot_be_sealed_honestly_is_refused(document: bytes, reason: str) -> None:
    """Every such file is refused with a reason that a person understands."""
    with pytest.raises(UnsupportedPdfError, match=reason):
        prepare(BytesIO(document), PLAIN, AT)


def test_a_file_for_certain_recipients_is_refused(pki: Pki) -> None:
    """A document that only a private key opens is refused."""
    with pytest.raises(UnsupportedPdfError, match="encrypted for certain recipients"):
        prepare(BytesIO(encrypted_for(pki.tsa)), PLAIN, AT)


def test_names_beyond_latin_1_are_repeated_as_they_were(signer: SimpleSigner) -> None:
    """A page whose resources have UTF-8 names keeps them byte for byte."""
    name = b"/F#E5#AE#8B"
    document = pdf({3: PAGE.replace(b"/Contents", b"/Note " + name + b" /Contents")})
    assert seal(document, signer)[len(document) :].count(name) == 1


def test_a_signature_that_does_not_fit_is_refused(signer: SimpleSigner) -> None:
    """A signature that is one byte too large is an error, and no damaged file."""
    prepared = prepare(BytesIO(pdf()), PLAIN, AT, reserve=1024)
    assert prepared.reserved == 1024
    with pytest.raises(SignatureTooLargeError, match=r"1025 bytes and its placeholder 1024"):
        prepared.embed(b"\x30" * 1025)
    assert len(prepared.embed(b"\x30" * 1024)) == len(prepared.embed(b""))


def test_room_for_a_timestamp_is_reserved_when_one_is_asked_for() -> None:
    """16 KiB of DER without one, and with one as much as a string in a PDF/A may have."""
    assert prepare(BytesIO(pdf()), PLAIN, AT).reserved == 16 * 1024
    assert prepare(BytesIO(pdf()), SealOptions(timestamp=True), AT).reserved == 32_767


def mutations() -> st.SearchStrategy[Callable[[bytes], bytes]]:
    def flip(place: float, value: int) -> Callable[[bytes], bytes]:
        def mutate(content: bytes) -> bytes:
            at = int(place * (len(content) - 1))
            return content[:at] + bytes([value]) + content[at + 1 :]

        return mutate

    def cut(start: float, length: int) -> Callable[[bytes], bytes]:
        def mutate(content: bytes) -> bytes:
            at = int(start * len(content))
            return content[:at] + content[at + length :]

        return mutate

    def insert(place: float, junk: bytes) -> Callable[[bytes], bytes]:
        def mutate(content: bytes) -> bytes:
            at = int(place * len(content))
            return content[:at] + junk + content[at:]

        return mutate

    places = st.floats(0, 1)
    tokens = st.sampled_from(
        [b"<<", b">>", b"[", b"]", b"(", b"/", b"null", b"9 0 R", b"-1", b"obj"]
    )
    return (
        st.builds(flip, places, st.integers(0, 255))
        | st.builds(cut, places, st.integers(1, 64))
        | st.builds(insert, places, tokens | st.binary(min_size=1, max_size=8))
    )


DOCUMENTS = [
    pdf(),
    pdf_with_form(b"/Lock << /Action /All >>"),
    *((DATA / name).read_bytes() for name in ("object-stream.pdf", "empty-password.pdf")),
]


@settings(max_examples=300)
@given(st.sampled_from(DOCUMENTS), st.lists(mutations(), min_size=1, max_size=4))
def test_no_damage_raises_anything_but_a_typed_error(
    document: bytes, damage: list[Callable[[bytes], bytes]]
) -> None:
    """A damaged file is sealed with its bytes intact or refused with a message."""
    for mutate in damage:
        document = mutate(document)
    try:
        sealed = prepare(BytesIO(document), PLAIN, AT).embed(b"")
    except RotationError as error:
        assert isinstance(error, UnsupportedPdfError)  # noqa: PT017 - either outcome is right
    else:
        assert sealed.startswith(document)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_typed_error(document: bytes) -> None:
    """Bytes that only look like a PDF are refused with a message."""
    with pytest.raises(UnsupportedPdfError):
        prepare(BytesIO(b"%PDF-1.7\n" + document + b"\nstartxref\n9\n%%EOF\n"), PLAIN, AT)
