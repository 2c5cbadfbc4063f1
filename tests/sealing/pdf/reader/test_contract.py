"""The contract of our reader: it reads what pyHanko's own reader reads, in uv.lock's release.

Our reader exists because pyHanko does not read all documents that viewers read. Where pyHanko reads
a document, both must find the same. Where pyHanko learns to read one, our reader can shrink.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

from io import BytesIO
from typing import Any

import pikepdf
import pytest
from pyhanko.pdf_utils.generic import (
    ArrayObject,
    BooleanObject,
    ByteStringObject,
    DecryptedObjectProxy,
    DictionaryObject,
    IndirectObject,
    NameObject,
    NullObject,
    PdfObject,
    Reference,
    StreamObject,
    TextStringObject,
)
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import copy_into_new_writer

from rotation.sealing.pdf.reader.document import PdfDocument
from tests.sealing.pdf.odd_documents import ODD
from tests.sealing.pdfs import DATA, encrypted, pdf, pdf_with_form

#: The odd documents that pyHanko does not read as viewers do. They are why we have a reader. When a
#: newer pyHanko reads one, remove its name here, and from our reader what only that one needed.
NOT_READ_BY_PYHANKO = {
    "bytes before the header, positions from the header",
    "a byte order mark before the header",
    "bytes before the header, streams",
    "bytes after the end",
    "zeros after the end",
    "a TIFF predictor",
    "every PNG predictor",
    "a stream without its checksum",
    "a stream length that is too small",
    "a stream length that is too large",
    "rows without a space",
    "rows padded with blanks",
    "a table that begins at 1 with the free object",
    "no Size",
    "stray delimiters in the trailer",
    "no table where one should be",
    "a table that claims rows by the million",
    "malformed rows",
    "bytes before the header, and no table",
    "bytes before the header, and no columns",
    "positions that are wrong",
    "no startxref",
    "tables in a circle",
    "a damaged object stream's table",
    "names that are not UTF-8",
    "a name with a lone number sign",
    "malformed numbers",
    "an object stream that is its own length",
    "an object stream that contains its own length",
    "an encryption without the length of the key",
    "an encryption from before PDF 2.0",
    "an encryption from before PDF 2.0, opened by its owner",
    "an encryption described by references",
}


def rewritten_by_pikepdf(**how: Any) -> bytes:
    """A document in the form that qpdf writes."""
    out = BytesIO()
    with pikepdf.open(BytesIO(pdf_with_form())) as opened:
        opened.save(out, **how)
    return out.getvalue()


def rewritten_by_pyhanko() -> bytes:
    """A document in the form that pyHanko writes."""
    out = BytesIO()
    copy_into_new_writer(PdfFileReader(BytesIO(pdf_with_form()))).write(out)
    return out.getvalue()


DOCUMENTS = {
    "classic": pdf(),
    "form": pdf_with_form(),
    "empty password": encrypted(user_password=""),
    "pyHanko": rewritten_by_pyhanko(),
    "qpdf": rewritten_by_pikepdf(),
    "qpdf, packed": rewritten_by_pikepdf(
        object_stream_mode=pikepdf.ObjectStreamMode.generate, recompress_flate=True
    ),
    "qpdf, linearized": rewritten_by_pikepdf(linearize=True),
    **{path.name: path.read_bytes() for path in sorted(DATA.glob("*.pdf"))},
}


def plain(found: PdfObject) -> Any:
    """An object as plain Python values that can be compared; references are not followed."""
    found = found.decrypted if isinstance(found, DecryptedObjectProxy) else found
    if isinstance(found, IndirectObject):
        return "reference", found.idnum, found.generation
    if isinstance(found, DictionaryObject):
        data = (found.encoded_data, found.data) if isinstance(found, StreamObject) else None
        return {str(key): plain(found.raw_get(key)) for key in found}, data
    if isinstance(found, ArrayObject):
        return [plain(found.raw_get(index)) for index in range(len(found))]
    if isinstance(found, (TextStringObject, ByteStringObject)):
        return "string", found.original_bytes
    if isinstance(found, (NullObject, BooleanObject)):
        return getattr(found, "value", None)
    return "name" if isinstance(found, NameObject) else "number", str(found)


def contents(reader: PdfFileReader) -> tuple[Any, dict[tuple[int, int], Any]]:
    """The trailer and all objects. Our reader adds an ID, and corrects a Size that is too small."""
    numbers = sorted(
        {
            (reference.idnum, reference.generation)
            for revision in range(reader.xrefs.total_revisions)
            for reference in reader.xrefs.explicit_refs_in_revision(revision)
        }
    )
    trailer = reader.trailer.flatten()
    return (
        {str(key): plain(trailer.raw_get(key)) for key in trailer if key not in {"/ID", "/Size"}},
        {place: plain(reader.get_object(Reference(*place, reader))) for place in numbers},
    )


def read_by_pyhanko(document: bytes) -> PdfFileReader:
    reader = PdfFileReader(BytesIO(document), strict=False)
    if reader.encrypted:
        reader.decrypt("")
    return reader


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_both_readers_find_the_same_objects(document: bytes) -> None:
    """Each object and each entry of the trailer, of documents by several writers."""
    ours, theirs = contents(PdfDocument(BytesIO(document))), contents(read_by_pyhanko(document))
    assert ours == theirs
    assert len(ours[1]) > 4


def is_read_by_pyhanko(document: bytes) -> bool:
    """Whether pyHanko finds in an odd document what our reader finds."""
    try:
        theirs = contents(read_by_pyhanko(document))
        return contents(PdfDocument(BytesIO(document))) == theirs
    except Exception:  # noqa: BLE001 - pyHanko raises any type over a document
        return False


def test_our_reader_is_needed_for_what_pyhanko_does_not_read() -> None:
    """A newer pyHanko that reads one more odd document is noticed here."""
    unread = {name for name, document in ODD.items() if not is_read_by_pyhanko(document)}
    assert unread == NOT_READ_BY_PYHANKO


def test_our_constructor_sets_what_pyhanko_s_sets() -> None:
    """No attribute of pyHanko's reader is missing, in whatever release."""
    theirs, ours = PdfFileReader(BytesIO(pdf())), PdfDocument(BytesIO(pdf()))
    assert vars(theirs).keys() <= vars(ours).keys()
