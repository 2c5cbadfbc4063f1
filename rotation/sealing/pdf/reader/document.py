"""A document opened: pyHanko's reader, over tables and objects that are read as viewers read them.

pyHanko 0.38 reads its tables in a constructor that cannot be changed, so this one sets what that
one would set. The tests open, seal and validate every kind of document with it.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final

from pyhanko.pdf_utils.crypt.api import SecurityHandler
from pyhanko.pdf_utils.decode_limits import DecodeContext, DecodePurpose
from pyhanko.pdf_utils.generic import (
    ArrayObject,
    ByteStringObject,
    DictionaryObject,
    IndirectObject,
    NullObject,
    NumberObject,
    PdfObject,
    Reference,
    TextStringObject,
    proxy_encrypted_obj,
)
from pyhanko.pdf_utils.misc import PdfDecodeLimitError, PdfReadError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.xref import ObjStreamRef, XRefCache

from rotation.errors import (
    DamagedPdfError,
    DocumentTooLargeError,
    RotationError,
    UnsupportedPdfError,
)
from rotation.sealing.pdf.limits import Effort, Limits, unpacks_too_much
from rotation.sealing.pdf.objects import integer_at, is_dictionary
from rotation.sealing.pdf.reader.encryption import unlocked
from rotation.sealing.pdf.reader.filters import Stream
from rotation.sealing.pdf.reader.parser import Parser, indirect_object
from rotation.sealing.pdf.reader.recovery import Recovered, recover
from rotation.sealing.pdf.reader.xref import TableReader, Tables, startxref_of

#: Where viewers look for %PDF- (PDF Reference 1.7, appendix H, note 13).
_EDGE: Final = 1024


class Document(PdfFileReader):
    """A document that can be read with the empty password or without any.

    Args:
        stream: the whole document, readable and seekable; nothing is written to it.
        limits: what it may cost.
        recovered: look for the objects themselves instead of reading the tables.
        extends: the document that this one begins with, whose tables are known.
        since: when the reading of it began, in monotonic seconds; None: now, or when that of
            ``extends`` did.

    Attributes:
        size: its length in bytes.
        base: where positions in its tables count from.
        tables: what its tables say.
        recovered: what was found without tables, or None.
        mended_encryption: the encryption dictionary with the length that its key really has, where
            it says something else; None where it is right.

    Raises:
        UnsupportedPdfError: it is no PDF, is cut off, or needs a password.
        DocumentTooLargeError: it exceeds the limits.
        PdfReadError: it is damaged, as `readable` translates.
    """

    effort: Effort
    tables: Tables

    def __init__(
        self,
        stream: BinaryIO,
        limits: Limits | None = None,
        *,
        recovered: bool = False,
        extends: Document | None = None,
        since: float | None = None,
    ) -> None:
        self.effort = Effort(limits or Limits(), since=extends.effort.since if extends else since)
        self.size = stream.seek(0, os.SEEK_END)
        header, version = _header(stream)
        startxref = _startxref(stream, self.size, needed=not recovered)
        self._security_handler: SecurityHandler | None = None
        self.strict = False
        self._decode_context = DecodeContext(self.effort.decode_limits(), input_size=self.size)
        self.resolved_objects: dict[tuple[int, int], PdfObject] = {}
        self._header_version = version
        self._input_version = None
        self._historical_resolver_cache = {}
        self._embedded_signatures = None
        self._unpacked: dict[int, _ObjectStream] = {}
        self._underway: set[tuple[int, int]] = set()
        self.stream = stream
        self.recovered: Recovered | None = None
        self.mended_encryption: DictionaryObject | None = None
        if recovered:
            self.recovered = recover(stream, self.size, self, self.effort)
            tables = self.recovered.tables
            tables.base = header
        else:
            known = extends.tables if extends else None
            tables = TableReader(stream, self, self.effort, known).read(header, startxref)
        self.tables = tables
        self.base = tables.base
        self.last_startxref = tables.startxref
        self.has_xref_stream = tables.streamed
        self.trailer = tables.trailer
        self.xrefs = XRefCache(self, tables.sections)
        self._mend_trailer(tables)
        self._unlock()
        if self.recovered:
            self.recovered.add_packed_objects(self._packed_in, self.effort)

    def _mend_trailer(self, tables: Tables) -> None:
        """A size that is too small, or an ID that is none, must not spoil the update."""
        highest = max(
            (number for section in tables.sections for number in _numbers(section.xref_data)),
            default=0,
        )
        size = self.trailer.flatten().get("/Size")
        if not isinstance(size, int) or size <= highest:
            self.trailer["/Size"] = NumberObject(highest + 1)
        if _document_id(self.trailer.flatten().get("/ID")) is None:
            # An arbitrary first part would be part of the key of an encrypted document.
            own = ByteStringObject(b"" if "/Encrypt" in self.trailer else os.urandom(16))
            self.trailer["/ID"] = ArrayObject([own, own])

    def _unlock(self) -> None:
        stated = self.encrypt_dict
        if not stated:
            return
        known: dict[tuple[int, int], PdfObject] = {}
        dictionary = self._in_the_clear(stated, known, 0)
        assert isinstance(dictionary, DictionaryObject)
        identifier = _document_id(self.trailer.flatten().get("/ID"))
        assert identifier is not None
        self._security_handler, self.mended_encryption = unlocked(
            dictionary, identifier[0].original_bytes, authenticated="/AuthCode" in self.trailer
        )

    def _in_the_clear(
        self, found: PdfObject, known: dict[tuple[int, int], PdfObject], depth: int
    ) -> PdfObject:
        """The encryption dictionary with all that it refers to, which is not encrypted itself."""
        self.effort.check_nesting(depth)
        if isinstance(found, IndirectObject):
            place = (found.idnum, found.generation)
            if place not in known:
                known[place] = NullObject()
                referred = self.get_object(found.reference, never_decrypt=True)
                known[place] = self._in_the_clear(referred, known, depth + 1)
            return known[place]
        if not is_dictionary(found):
            return found
        parts = {key: self._in_the_clear(found.raw_get(key), known, depth + 1) for key in found}
        whole = DictionaryObject(parts)
        whole.container_ref = found.container_ref
        return whole

    def _read_object(
        self,
        ref: Reference,
        marker: int | ObjStreamRef | None,
        never_decrypt: bool = False,
        as_metadata_stream: bool = False,  # noqa: ARG002 - XMP is never looked into
    ) -> Any:
        """As pyHanko's own, over our parser; what is not there is null."""
        self.effort.check_time()
        if marker is None:
            return _null(ref)
        place = (ref.idnum, ref.generation)
        if place in self._underway:
            raise PdfReadError(f"to read object {ref.idnum}, it must have been read")
        self._underway.add(place)
        try:
            found = self._read(ref, marker, never_decrypt=never_decrypt)
            if isinstance(found, IndirectObject):
                return self.get_object(found.reference)
            return found
        finally:
            self._underway.remove(place)

    def _read(self, ref: Reference, marker: int | ObjStreamRef, *, never_decrypt: bool) -> Any:
        if isinstance(marker, ObjStreamRef):
            return self._packed(ref, marker)
        found, value, _ = indirect_object(self.stream, marker, self, self.effort, self._length)
        if found.idnum != ref.idnum:
            raise PdfReadError(f"object {ref.idnum} is not where the tables say")
        value.container_ref = ref
        if never_decrypt or not self.encrypted:
            return value
        return proxy_encrypted_obj(value, self.security_handler)

    @staticmethod
    def _length(reference: IndirectObject) -> object:
        try:
            return reference.get_object()
        except PdfReadError:
            # Then the stream ends at its endstream.
            return None

    def _packed(self, ref: Reference, marker: ObjStreamRef) -> PdfObject:
        number = marker.obj_stream_id
        if number not in self._unpacked:
            stream = Reference(number, 0, self).get_object()
            if not isinstance(stream, Stream):
                return _null(ref)
            self._unpacked[number] = _ObjectStream(stream)
        return self._unpacked[number].object(ref, self.effort)

    def _packed_in(self, reference: Reference) -> Iterator[int]:
        stream = reference.get_object()
        if isinstance(stream, Stream):
            yield from _ObjectStream(stream).offsets


class _ObjectStream:
    """An object stream, unpacked once (ISO 32000-2, 7.5.7)."""

    def __init__(self, stream: Stream) -> None:
        self.data = stream.read_data(DecodePurpose.OBJECT_STREAM)
        first = integer_at(stream, "/First") or 0
        head = self.data[:first].split()[: 2 * (integer_at(stream, "/N") or 0)]
        numbers = [int(word) for word in head if word.isdigit()]
        self.offsets = {
            number: first + offset
            for number, offset in zip(numbers[::2], numbers[1::2], strict=False)
        }

    def object(self, reference: Reference, effort: Effort) -> PdfObject:
        """One object of it; null if it is not there."""
        offset = self.offsets.get(reference.idnum)
        if offset is None or offset >= len(self.data):
            return _null(reference)
        found, _ = Parser(self.data, reference, effort, final=True).value(offset)
        return found


@contextmanager
def readable(limits: Limits | None = None) -> Iterator[None]:
    """Turn whatever pyHanko raises over a document into one of our errors.

    Raises:
        DamagedPdfError: it cannot be read.
        DocumentTooLargeError: it cannot be read within the limits.
    """
    try:
        yield
    except RotationError:
        raise
    except RecursionError as error:
        raise DocumentTooLargeError(
            "The document's objects refer to one another too deeply."
        ) from error
    except (PdfDecodeLimitError, MemoryError) as error:
        raise unpacks_too_much(limits or Limits()) from error
    except Exception as error:
        raise DamagedPdfError(
            "The file is damaged, or built in a way that this function does not understand "
            f"({type(error).__name__}). Open it in a PDF editor and save it anew, or ask for a "
            "repair."
        ) from error


def _header(stream: BinaryIO) -> tuple[int, tuple[int, int]]:
    """The position of the header, and the version that it gives.

    Raises:
        DamagedPdfError: there is no header where viewers look for one.
        UnsupportedPdfError: nor is anything else of a PDF.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _EDGE))
    end = stream.read(_EDGE)
    stream.seek(0)
    start = stream.read(_EDGE + 8)
    if not start:
        raise UnsupportedPdfError("The file is empty.")
    found = re.search(rb"%PDF-(\d)?\.?(\d)?", start)
    if found is None and b"startxref" in end:
        raise DamagedPdfError("The file is damaged: there is no %PDF- at its beginning.")
    if found is None:
        raise UnsupportedPdfError("The file is not a PDF: there is no %PDF- at its beginning.")
    return found.start(), (int(found[1] or 1), int(found[2] or 4))


def _startxref(stream: BinaryIO, size: int, *, needed: bool) -> int:
    try:
        return startxref_of(stream, size)
    except PdfReadError:
        if needed:
            raise
        return 0


def _numbers(data: Any) -> Iterator[int]:
    yield max(data.standard_xrefs, default=0)
    yield max(data.xrefs_in_objstm, default=0)
    yield max(data.freed, default=0)
    if data.hybrid is not None:
        yield from _numbers(data.hybrid.xref_data)


def _document_id(found: object) -> ArrayObject | None:
    if isinstance(found, IndirectObject):
        found = found.get_object()
    if not isinstance(found, ArrayObject) or len(found) != 2:
        return None
    texts = all(isinstance(part, (ByteStringObject, TextStringObject)) for part in found)
    return found if texts else None


def _null(reference: Reference) -> NullObject:
    found = NullObject()
    found.container_ref = reference
    return found
