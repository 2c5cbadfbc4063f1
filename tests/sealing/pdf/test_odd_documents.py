"""Documents that viewers accept although they break a rule are sealed, byte for byte in place."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from io import BufferedReader, BytesIO, FileIO
from pathlib import Path
from typing import Any

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.signers.pdf_cms import SimpleSigner

from rotation.errors import DamagedPdfError
from rotation.sandbox.vendor import Pki
from rotation.sealing.pdf import prepare
from rotation.sealing.pdf.reader.document import PdfDocument
from rotation.sealing.request import SealOptions
from rotation.sealing.verify import verify
from tests.harness.corpus.classes import class_of
from tests.harness.corpus.trial import SEALED, Judges, attempt
from tests.sealing.pdf.encrypted_documents import without_a_key_length
from tests.sealing.pdf.odd_documents import ODD, moved, streamed, updated
from tests.sealing.pdf_tools import nss_database
from tests.sealing.pdfs import CATALOG, DATA, PAGE, cms_over, encrypted, pdf, signed_by_author

pytestmark = pytest.mark.slow

AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def anchors(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An NSS database that trusts the vendor's root."""
    return nss_database(tmp_path_factory.mktemp("anchors"), pki.root_pem)


def seal(document: bytes, signer: SimpleSigner) -> bytes:
    prepared = prepare(BytesIO(document), SealOptions(), AT)
    return prepared.embed(cms_over(prepared.digest, signer))


@pytest.mark.parametrize("document", ODD.values(), ids=ODD.keys())
def test_pdfsig_and_our_own_eyes_accept_the_seal(
    document: bytes, signer: SimpleSigner, pki: Pki, anchors: Path, tmp_path: Path
) -> None:
    """Poppler finds the seal valid, trusted and over the whole file; qpdf finds no new error."""
    path = tmp_path / "odd.pdf"
    path.write_bytes(document)
    judges = Judges(signer, pki.root_pem, anchors, tmp_path)
    outcome = attempt("odd", path, class_of(path), judges, repair=False)
    assert (outcome.result, outcome.code, outcome.reason) == (SEALED, None, None)
    assert outcome.judge == "pdfsig"
    (report,) = verify(seal(document, signer), pki.root_pem)
    assert (report.intact, report.trusted, report.covers_whole_file) == (True, True, True)


def test_positions_that_count_the_bytes_before_the_header_are_followed(
    signer: SimpleSigner, pki: Pki
) -> None:
    """Some writers count positions from the file's first byte, whatever stands there."""
    junk = b"From: scanner\n"
    (report,) = verify(seal(junk + moved(pdf(), len(junk)), signer), pki.root_pem)
    assert report.problem is None
    assert report.covers_whole_file


@pytest.mark.parametrize(
    "written",
    [b"/Stra#DFe", b"/#E9t#E9", b"/A#20b#09", b"/\xe5\xae\x8b", b"1.0000000001", b"0.00000001"],
)
def test_what_is_repeated_is_repeated_byte_for_byte(written: bytes, signer: SimpleSigner) -> None:
    """Names and numbers of a page that the update repeats are not rewritten."""
    document = pdf({3: PAGE.removesuffix(b">>") + b"/Note [" + written + b"] >>"})
    update = seal(document, signer)[len(document) :]
    assert update.count(written) == 1


def test_strings_keep_their_bytes(signer: SimpleSigner) -> None:
    """Text in every encoding and binary strings are read as they were written."""
    strings = [b"plain", b"\xfe\xff\0a", b"\xff\xfea\0", b"\xef\xbb\xbf\xc3\xa9", bytes(range(256))]
    listed = b" ".join(b"<" + content.hex().encode() + b">" for content in strings)
    sealed = seal(pdf({3: PAGE.removesuffix(b">>") + b"/Note [" + listed + b"] >>"}), signer)
    page = PdfDocument(BytesIO(sealed)).root["/Pages"]["/Kids"][0]
    assert [string.original_bytes for string in page["/Note"]] == strings


def test_the_version_is_left_as_it_is(signer: SimpleSigner) -> None:
    """A file of an older version, such as PDF/A-1, is not declared a newer one."""
    document = pdf().replace(b"%PDF-1.7", b"%PDF-1.4")
    assert b"/Version" not in seal(document, signer)


def test_a_recovered_document_gets_one_whole_table(signer: SimpleSigner) -> None:
    """The update of a document without usable tables names every object, and no older table."""
    document = ODD["no table where one should be"]
    update = seal(document, signer)[len(document) :]
    assert b"/Prev" not in update
    assert re.search(rb"^%010d 00000 n $" % document.index(b"4 0 obj"), update, re.MULTILINE)
    assert PdfFileReader(BytesIO(document + update)).root["/Pages"]["/Count"] == 1


def test_packed_objects_of_a_recovered_document_are_in_its_table(signer: SimpleSigner) -> None:
    """Objects in object streams are found without a table, too."""
    sealed = seal(streamed().replace(b"/W [1 2 1]", b"/W [0 0 0]"), signer)
    reader = PdfFileReader(BytesIO(sealed))
    assert reader.has_xref_stream
    assert reader.root["/Pages"]["/Kids"][0]["/Contents"].data.startswith(b"10 10")


def test_objects_inside_a_stream_are_not_taken_for_the_document_s(signer: SimpleSigner) -> None:
    """An attached PDF in the clear does not replace what it is attached to."""
    inner = pdf({3: PAGE.replace(b"200 200", b"999 999")})
    attached = b"<< /Length %d >>\nstream\n%b\nendstream" % (len(inner), inner)
    document = pdf({6: attached}).replace(b"xref\n0 7", b"xfer\n0 7")
    page = PdfFileReader(BytesIO(seal(document, signer))).root["/Pages"]["/Kids"][0]
    assert page["/MediaBox"] == [0, 0, 200, 200]


def test_a_signed_document_is_not_recovered(signer: SimpleSigner) -> None:
    """It is refused, because a new table would break the revision of the earlier signature."""
    signed = signed_by_author(pdf(), signer)
    damaged = re.sub(rb"startxref\n\d+\n%%EOF\n$", b"startxref\n5\n%%EOF\n", signed)
    with pytest.raises(DamagedPdfError, match="bears a signature"):
        prepare(BytesIO(damaged), SealOptions(), AT)


def test_an_update_that_was_not_finished_is_a_document_cut_off() -> None:
    """Objects after the last end mean that its author's latest version is incomplete."""
    with pytest.raises(DamagedPdfError, match="cut off"):
        prepare(BytesIO(pdf() + b"4 0 obj\n<< /Length 3000 >>\nstream\n"), SealOptions(), AT)


def test_the_right_length_of_the_key_is_stated_by_the_update(signer: SimpleSigner) -> None:
    """A reader that would guess 40 bits finds 128."""
    document = without_a_key_length()
    update = seal(document, signer)[len(document) :]
    assert b"/Length 128" in update


def test_an_encryption_that_viewers_do_not_know_is_damage() -> None:
    """Without its filter's name (ISO 32000-2, table 20) no viewer opens the document."""
    document = encrypted(user_password="").replace(b"/Filter /Standard", b"/Wilter /Standard")
    with pytest.raises(DamagedPdfError):
        prepare(BytesIO(document), SealOptions(), AT)


def test_earlier_signatures_stay_good(signer: SimpleSigner, pki: Pki) -> None:
    """Two signatures, then a seal: all three are valid, and only the seal covers the whole."""
    twice = signed_by_author(signed_by_author(pdf(), signer), signer, field="Second")
    reports = verify(seal(twice, signer), pki.root_pem)
    assert [report.problem for report in reports] == [None, None, None]
    assert [report.covers_whole_file for report in reports] == [False, False, True]


def test_nothing_is_written_to_the_source_and_it_is_read_once_through() -> None:
    """The whole source is read once, for the digest, since it may be large and remote."""

    class Source(BufferedReader):
        straight = 0

        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert size > 0, "never all at once"
            return super().read(size)

        def readinto(self, buffer: Any, /) -> int:
            count = super().readinto(buffer)
            self.straight += count
            return count

    path = DATA / "object-stream.pdf"
    with Source(FileIO(path)) as source:
        prepared = prepare(source, SealOptions(), AT)
        assert source.straight == 0
        assert prepared.digest == prepared.digest
        assert source.straight == path.stat().st_size
    assert (path.read_bytes() + prepared.update(b"")).count(b"/ByteRange") == 1


def test_an_update_of_an_author_is_kept(signer: SimpleSigner) -> None:
    """The latest revision is what is sealed."""
    document = updated(b"5 0 obj\n<< /Title (Second edition) >>\nendobj\n", b"/Info 5 0 R")
    reader = PdfFileReader(BytesIO(seal(document, signer)))
    assert reader.trailer["/Info"]["/Title"] == "Second edition"


def test_a_form_s_wish_for_appearances_is_kept(signer: SimpleSigner) -> None:
    """The seal does not change NeedAppearances, which decides how viewers show other fields."""
    catalog = CATALOG.replace(b">>", b"/AcroForm << /Fields [] /NeedAppearances true >> >>")
    form = PdfDocument(BytesIO(seal(pdf({1: catalog}), signer))).root["/AcroForm"]
    assert bool(form["/NeedAppearances"]) is True
    assert form["/SigFlags"] == 3
