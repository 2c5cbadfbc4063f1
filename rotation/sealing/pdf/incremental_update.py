"""Writes the incremental update that adds a signature to a document (ISO 32000-2, 7.5.6)."""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import io
import os
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final

from pyhanko.pdf_utils.generic import DictionaryObject, IndirectObject
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from rotation.errors import DocumentTooLargeError, UnsupportedPdfError
from rotation.sealing.pdf.reader.document import PdfDocument
from rotation.sealing.pdf.signature_dictionary import SignatureDictionary, TimestampDictionary

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# A row of a classic table has ten digits for a position (ISO 32000-2, 7.5.4).
_LAST_POSITION: Final = 9_999_999_999
_HEADROOM: Final = 1024 * 1024
# Acrobat's limit (ISO 32000-1, annex C), which MuPDF enforces: beyond it, it drops the tables.
_LAST_OBJECT_NUMBER: Final = 8_388_607


class IncrementalUpdate(IncrementalPdfFileWriter):
    """Collects changed and new objects, and writes them with their cross-reference table."""

    prev: PdfDocument

    def __init__(self, document: PdfDocument) -> None:
        super().__init__(document.stream, prev=document)
        # Without the corrected length of the key, other readers would guess a wrong one.
        encryption: Any = document.corrected_encryption or self._encrypt
        if encryption is not None and not isinstance(encryption, IndirectObject):
            # pyHanko recognises the encryption dictionary, which is not encrypted, by its number.
            self._encrypt = self.add_object(encryption)

    def ensure_output_version(self, version: tuple[int, int]) -> None:
        """Does NOT change the version, so that PDF/A-1 stays PDF 1.4."""

    def written(self, signature: SignatureDictionary | TimestampDictionary | None) -> UpdateBytes:
        """The bytes to append to the document, with the ByteRange filled in.

        Raises:
            DocumentTooLargeError: a classic table cannot give positions that large.
            UnsupportedPdfError: viewers would not accept the numbers of the objects.
        """
        self._refuse_numbers()
        document = self.prev
        document.stream.seek(document.size - 1)
        ended = document.stream.read(1) in {b"\n", b"\r"}
        if not self.stream_xrefs and document.size > _LAST_POSITION - _HEADROOM:
            raise DocumentTooLargeError(
                "The document has a classic cross-reference table, which cannot point beyond "
                f"{_LAST_POSITION} bytes."
            )
        written = UpdateBytes(document.size - document.base)
        written.write(b"" if ended else b"\n")
        self.digest_aware_write = True
        self._write(written, skip_header=True)
        if signature is None:
            return written
        end = written.tell()
        start_of_cms, end_of_cms = signature.contents.offsets
        written.contents_span = start_of_cms - written.start, end_of_cms - written.start
        # Positions in tables count from the header, those in a ByteRange from the first byte.
        base = document.base
        signature.byte_range.fill(written, start_of_cms + base, end_of_cms + base, end + base)
        return written

    def _refuse_numbers(self) -> None:
        last = self._lastobj_id + (1 if self.stream_xrefs else 0)
        if last > _LAST_OBJECT_NUMBER:
            raise UnsupportedPdfError(
                f"The file numbers its objects so high that the seal's would be {last}, and "
                f"viewers take numbers up to {_LAST_OBJECT_NUMBER}. Have a PDF editor save it anew."
            )

    def _update_meta(self) -> None:
        # Info and XMP belong to the author of the document, and rewriting some real XMP fails.
        pass

    def _populate_trailer(self, trailer: DictionaryObject) -> None:
        super()._populate_trailer(trailer)
        if self.prev.recovered:
            del trailer["/Prev"]

    def _write_objects(self, stream: IO[bytes], positions: dict[tuple[int, int], Any]) -> None:
        super()._write_objects(stream, positions)
        if self.prev.recovered:
            found = self.prev.recovered.data
            for number, (generation, position) in found.standard_xrefs.items():
                positions.setdefault((generation, number), position - self.prev.base)
            for number, place in found.xrefs_in_objstm.items():
                positions.setdefault((0, number), (place.obj_stream_id, place.ix_in_stream))


class UpdateBytes(io.BytesIO):
    """The bytes of an update, as a file whose positions count on from those of the document.

    Attributes:
        start: the position of the first byte.
        contents_span: where the signature's hexadecimal string begins and ends, brackets included,
            counted from the first byte of the update.
    """

    def __init__(self, start: int) -> None:
        super().__init__()
        self.start = start
        self.contents_span = 0, 0

    def tell(self) -> int:
        """The position, which is ``start`` at the first byte."""
        return super().tell() + self.start

    def seek(self, position: int, whence: int = os.SEEK_SET, /) -> int:
        """Like the method of every file."""
        return super().seek(position - self.start if whence == os.SEEK_SET else position, whence)


class ConcatenatedFile(io.RawIOBase):
    """A raw file that holds ``size`` bytes of ``source`` and then the bytes of an update."""

    def __init__(self, source: BinaryIO, size: int, update: bytes) -> None:
        self._source = source
        self._size = size
        self._update = update
        self._position = 0

    def readable(self) -> bool:
        """Always true."""
        return True

    def seekable(self) -> bool:
        """Always true."""
        return True

    def tell(self) -> int:
        """The position in the concatenation."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Like the method of every file."""
        end = self._size + len(self._update)
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: end}[whence]
        if base + offset < 0:
            raise ValueError(f"there is no position {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read from the source or from the update, up to the end of either."""
        view = memoryview(buffer).cast("B")
        if self._position < self._size:
            self._source.seek(self._position)
            part = self._source.read(min(len(view), self._size - self._position))
        else:
            start = self._position - self._size
            part = self._update[start : start + len(view)]
        view[: len(part)] = part
        self._position += len(part)
        return len(part)
