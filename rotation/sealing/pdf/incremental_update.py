"""What is appended to a document (ISO 32000-2, 7.5.6): what a signature needs, and no more."""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import io
import os
from io import SEEK_SET, BytesIO
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final

from pyhanko.pdf_utils.generic import DictionaryObject, IndirectObject
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from rotation.errors import DocumentTooLargeError
from rotation.sealing.pdf.reader.document import Document
from rotation.sealing.pdf.signature_dictionary import Signature

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

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


class Joined(io.RawIOBase):
    """``size`` bytes of ``source``, then ``tail``; raw, for a buffered reader."""

    def __init__(self, source: BinaryIO, size: int, tail: bytes) -> None:
        self._source = source
        self._size = size
        self._tail = tail
        self._position = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """As any file's."""
        end = self._size + len(self._tail)
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: end}[whence]
        if base + offset < 0:
            raise ValueError(f"there is no position {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read from either, up to its end."""
        view = memoryview(buffer).cast("B")
        if self._position < self._size:
            self._source.seek(self._position)
            part = self._source.read(min(len(view), self._size - self._position))
        else:
            start = self._position - self._size
            part = self._tail[start : start + len(view)]
        view[: len(part)] = part
        self._position += len(part)
        return len(part)
