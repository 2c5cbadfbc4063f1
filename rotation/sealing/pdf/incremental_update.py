"""What is appended to a document (ISO 32000-2, 7.5.6): what a signature needs, and no more."""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

from io import SEEK_SET, BytesIO
from typing import IO, Any, Final

from pyhanko.pdf_utils.generic import DictionaryObject, IndirectObject
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from rotation.errors import DocumentTooLargeError
from rotation.sealing.pdf.reader.document import Document
from rotation.sealing.pdf.signature_dictionary import Signature

# A row of a classic table has ten digits for a position (ISO 32000-2, 7.5.4).
_LAST_POSITION: Final = 9_999_999_999
_HEADROOM: Final = 1024 * 1024


class Update(IncrementalPdfFileWriter):
    """Collects changed and new objects, and writes them with their table."""

    prev: Document

    def __init__(self, document: Document) -> None:
        super().__init__(document.stream, prev=document)
        # Other readers would guess the length of the key, and guess wrong.
        encryption: Any = document.mended_encryption or self._encrypt
        if encryption is not None and not isinstance(encryption, IndirectObject):
            # pyHanko tells the dictionary, which stays in the clear, by its number.
            self._encrypt = self.add_object(encryption)

    def ensure_output_version(self, version: tuple[int, int]) -> None:
        """Leave the version as it is: PDF/A-1 stays PDF 1.4."""

    def tail(self, signature: Signature) -> Tail:
        """The bytes that come after the document's own, with the ByteRange filled in.

        Raises:
            DocumentTooLargeError: a classic table cannot point as far as that.
        """
        document = self.prev
        document.stream.seek(document.size - 1)
        ended = document.stream.read(1) in {b"\n", b"\r"}
        if not self.stream_xrefs and document.size > _LAST_POSITION - _HEADROOM:
            raise DocumentTooLargeError(
                "The document has a classic cross-reference table, which cannot point beyond "
                f"{_LAST_POSITION} bytes."
            )
        tail = Tail(document.size - document.base)
        tail.write(b"" if ended else b"\n")
        self.digest_aware_write = True
        self._write(tail, skip_header=True)
        end = tail.tell()
        start_of_cms, end_of_cms = signature.contents.offsets
        tail.cms = start_of_cms - tail.start, end_of_cms - tail.start
        # Positions in tables count from the header, those of a ByteRange from the first byte.
        base = document.base
        signature.byte_range.fill(tail, start_of_cms + base, end_of_cms + base, end + base)
        return tail

    def _update_meta(self) -> None:
        # The document's Info and XMP are its author's, and rewriting some real XMP fails.
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


class Tail(BytesIO):
    """A file whose first byte has a position of its own.

    Attributes:
        start: that position.
        cms: where the signature's hexadecimal string begins and ends in it, brackets included.
    """

    def __init__(self, start: int) -> None:
        super().__init__()
        self.start = start
        self.cms = 0, 0

    def tell(self) -> int:
        """The position, counted from that of the first byte."""
        return super().tell() + self.start

    def seek(self, position: int, whence: int = SEEK_SET, /) -> int:
        """As any file's."""
        return super().seek(position - self.start if whence == SEEK_SET else position, whence)
