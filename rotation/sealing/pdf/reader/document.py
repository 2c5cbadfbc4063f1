"""A pyHanko reader over cross-reference tables and objects that are read as viewers read them.

The constructor of pyHanko 0.38 reads the tables and cannot be told to read them differently, so the
constructor here replaces it and sets every attribute that it sets. `tests/sealing/pdf/reader` holds
this reader against pyHanko's own.
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
    DecryptedObjectProxy,
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
from pyhanko.pdf_utils.xref import ObjStreamRef, XRefCache, XRefSectionData

from rotation.errors import (
    DamagedPdfError,
    DocumentTooLargeError,
    RotationError,
    UnsupportedPdfError,
)
from rotation.sealing.pdf.limits import Limits, ReadBudget
from rotation.sealing.pdf.objects import integer_at, is_dictionary
from rotation.sealing.pdf.reader.encryption import decryption_for
from rotation.sealing.pdf.reader.filters import Stream
from rotation.sealing.pdf.reader.parser import Parser, indirect_object
from rotation.sealing.pdf.reader.recovery import RecoveredObjects, recover
from rotation.sealing.pdf.reader.strict import StrictParser, strict_object
from rotation.sealing.pdf.reader.xref import XRefReader, XRefTables, read_startxref

#: Viewers look for %PDF- in so many first bytes (PDF Reference 1.7, appendix H, note 13).
_SEARCHED_FOR_HEADER: Final = 1024
_SPACE: Final = b"\0\t\n\f\r "


class PdfDocument(PdfFileReader):
    """A document that can be read without a password or with the empty one.

    Args:
        stream: the whole document, readable and seekable; nothing is written to it.
        limits: what reading may cost.
        recovered: search for the objects instead of reading the tables.
        signed: the document is only read, and not written: a signed one may be recovered then, and
            one with an integrity code (ISO/TS 32004) be decrypted.
        extends: the document that this one begins with, whose tables are known.
        since: when reading began, in monotonic seconds; None means now, or when the reading of
            ``extends`` began.

    Attributes:
        size: the length of the document in bytes.
        base: the position in the file that positions in the tables count from.
        tables: the contents of the tables.
        recovered: the objects that were found without tables, or None.
        corrected_encryption: the encryption dictionary with the right length of the key, where the
            document gives a wrong one or none; else None.

    Raises:
        UnsupportedPdfError: the file is not a PDF, is cut off, or needs a password.
        DocumentTooLargeError: the document exceeds the limits.
        PdfReadError: the document is damaged; `readable` translates this error.
    """

    budget: ReadBudget
    tables: XRefTables

    def __init__(
        self,
        stream: BinaryIO,
        limits: Limits | None = None,
        *,
        recovered: bool = False,
        signed: bool = False,
        extends: PdfDocument | None = None,
        since: float | None = None,
    ) -> None:
        self.budget = ReadBudget(
            limits or Limits(), since=extends.budget.since if extends else since
        )
        self.size = stream.seek(0, os.SEEK_END)
        header, version = _header(stream)
        startxref = _startxref(stream, self.size, needed=not recovered)
        self._security_handler: SecurityHandler | None = None
        self.strict = False
        self._decode_context = DecodeContext(self.budget.decode_limits(), input_size=self.size)
        self.resolved_objects: dict[tuple[int, int], PdfObject] = {}
        self._header_version = version
        self._input_version = None
        self._historical_resolver_cache = {}
        self._embedded_signatures = None
        self._object_streams: dict[int, _ObjectStream] = {}
        self._streams_at: dict[int, _ObjectStream] = {}
        self._being_read: set[tuple[int, int]] = set()
        self.stream = stream
        self.recovered: RecoveredObjects | None = None
        self.corrected_encryption: DictionaryObject | None = None
        if recovered:
            self.recovered = recover(stream, self.size, self, self.budget, signed=signed)
            tables = self.recovered.tables
            tables.base = header
        else:
            known = extends.tables if extends else None
            tables = XRefReader(stream, self, self.budget, known).read(header, startxref)
        self.tables = tables
        self.base = tables.base
        self.last_startxref = tables.startxref
        self.has_xref_stream = tables.is_stream
        self.trailer = tables.trailer
        self.xrefs = XRefCache(self, tables.sections)
        self._correct_trailer(tables)
        self._set_up_decryption(read_only=signed)
        if self.recovered:
            self.recovered.add_objects_in_streams(self._numbers_in_stream, self.budget)

    @property
    def header_version(self) -> tuple[int, int]:
        """The version that the header gives."""
        assert self._header_version is not None
        return self._header_version

    def _correct_trailer(self, tables: XRefTables) -> None:
        """Correct a Size that is too small and a malformed ID, which the update would repeat."""
        highest = max(
            (_highest_number(section.xref_data) for section in tables.sections), default=0
        )
        size = self.trailer.flatten().get("/Size")
        if not isinstance(size, int) or size <= highest:
            self.trailer["/Size"] = NumberObject(highest + 1)
        if _document_id(self.trailer.flatten().get("/ID")) is None:
            # The key of an encrypted document depends on the ID, so its ID must not be random.
            own = ByteStringObject(b"" if "/Encrypt" in self.trailer else os.urandom(16))
            self.trailer["/ID"] = ArrayObject([own, own])

    def _set_up_decryption(self, *, read_only: bool) -> None:
        stated = self.encrypt_dict
        if not stated:
            return
        known: dict[tuple[int, int], PdfObject] = {}
        dictionary = self._resolved_encryption(stated, known, 0)
        assert isinstance(dictionary, DictionaryObject)
        identifier = _document_id(self.trailer.flatten().get("/ID"))
        assert identifier is not None
        self._security_handler, self.corrected_encryption = decryption_for(
            dictionary,
            identifier[0].original_bytes,
            authenticated="/AuthCode" in self.trailer,
            read_only=read_only,
        )

    def _resolved_encryption(
        self, found: PdfObject, known: dict[tuple[int, int], PdfObject], depth: int
    ) -> PdfObject:
        """The encryption dictionary with all that it refers to, which is not encrypted itself."""
        self.budget.check_nesting(depth)
        if isinstance(found, IndirectObject):
            place = (found.idnum, found.generation)
            if place not in known:
                known[place] = NullObject()
                referred = self.get_object(found.reference, never_decrypt=True)
                known[place] = self._resolved_encryption(referred, known, depth + 1)
            return known[place]
        if not is_dictionary(found):
            return found
        parts = {
            key: self._resolved_encryption(found.raw_get(key), known, depth + 1) for key in found
        }
        whole = DictionaryObject(parts)
        whole.container_ref = found.container_ref
        return whole

    def _read_object(
        self,
        ref: Reference,
        marker: int | ObjStreamRef | None,
        never_decrypt: bool = False,
        as_metadata_stream: bool = False,  # noqa: ARG002 - XMP is never parsed
    ) -> Any:
        """Like pyHanko's method, with our parser. An object that is missing is null."""
        self.budget.check_time()
        if marker is None:
            return _null(ref)
        place = (ref.idnum, ref.generation)
        if place in self._being_read:
            raise PdfReadError(f"object {ref.idnum} depends on itself")
        self._being_read.add(place)
        try:
            found = self._read(ref, marker, never_decrypt=never_decrypt)
            if isinstance(found, IndirectObject):
                return self.get_object(found.reference)
            return found
        finally:
            self._being_read.remove(place)

    def _read(self, ref: Reference, marker: int | ObjStreamRef, *, never_decrypt: bool) -> Any:
        if isinstance(marker, ObjStreamRef):
            return self._object_in_stream(ref, marker)
        found, value, _ = indirect_object(self.stream, marker, self, self.budget, self._length)
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
            # The parser then looks for endstream.
            return None

    def _object_in_stream(self, ref: Reference, marker: ObjStreamRef) -> PdfObject:
        number = marker.obj_stream_id
        if number not in self._object_streams:
            stream = Reference(number, 0, self).get_object()
            if not isinstance(stream, Stream):
                return _null(ref)
            self._object_streams[number] = _ObjectStream(stream)
        return self._object_streams[number].object(ref, marker.ix_in_stream, self.budget)

    def object_at(self, number: int, generation: int, position: int) -> tuple[PdfObject, int]:
        """The object that was written at ``position``, and where its value ends.

        It may be an older version than the one that the tables name.

        Raises:
            PdfReadError: there is no object with that number.
        """
        self.budget.check_time()
        found, value, end = indirect_object(self.stream, position, self, self.budget, self._length)
        if found.idnum != number:
            raise PdfReadError(f"object {number} is not where the tables say")
        value.container_ref = Reference(number, generation, self)
        is_table = value.container_ref in self.xrefs.xref_stream_refs
        if is_table or not self.encrypted:
            return value, end
        return proxy_encrypted_obj(value, self.security_handler), end

    def check_object(
        self, number: int, generation: int, position: int
    ) -> tuple[DictionaryObject | None, int]:
        """Check that the object at ``position`` is written exactly as the standard has it.

        Returns:
            Its dictionary, if it is one or a stream, and the position after its endobj.

        Raises:
            PdfReadError: viewers may read it differently, each in its own way.
        """
        self.budget.check_time()
        reference = Reference(number, generation, self)
        value, end = strict_object(self.stream, position, reference, self.budget, self._length)
        return (value if isinstance(value, DictionaryObject) else None), end

    def check_object_stream(self, container: int, position: int) -> list[int]:
        """The numbers of the objects in the object stream at ``position``, in their order.

        Raises:
            PdfReadError: viewers may read one of them differently, each in its own way.
        """
        stream = self._stream_at(container, position)
        if stream is None:
            raise PdfReadError(f"object {container} is no stream")
        return stream.check(Reference(container, 0, self), self.budget)

    def table_data(self, position: int) -> bytes:
        """The rows of the cross-reference stream at ``position``, decoded."""
        _, found, _ = indirect_object(self.stream, position, self, self.budget, self._length)
        return (
            bytes(found.read_data(DecodePurpose.XREF_STREAM)) if isinstance(found, Stream) else b""
        )

    def compressed_object(
        self, ref: Reference, container: int, position: int, index: int
    ) -> PdfObject:
        """The object in the object stream ``container`` that was written at ``position``.

        Args:
            ref: the object's reference.
            container: the number of the object stream.
            position: where it was written.
            index: the place of the object in it, as the tables give it.
        """
        stream = self._stream_at(container, position)
        return _null(ref) if stream is None else stream.object(ref, index, self.budget)

    def _stream_at(self, container: int, position: int) -> _ObjectStream | None:
        if position not in self._streams_at:
            stream, _ = self.object_at(container, 0, position)
            if isinstance(stream, DecryptedObjectProxy):
                stream = stream.decrypted
            if not isinstance(stream, Stream):
                return None
            self._streams_at[position] = _ObjectStream(stream)
        return self._streams_at[position]

    def _numbers_in_stream(self, reference: Reference) -> Iterator[int]:
        stream = reference.get_object()
        if isinstance(stream, Stream):
            yield from dict(_ObjectStream(stream).objects)


class _ObjectStream:
    """The objects of an object stream, which is decoded once (ISO 32000-2, 7.5.7).

    Attributes:
        objects: the number of each object, and where it begins in the data.
    """

    def __init__(self, stream: Stream) -> None:
        self.data = stream.read_data(DecodePurpose.OBJECT_STREAM)
        self._first = integer_at(stream, "/First") or 0
        self._count = integer_at(stream, "/N") or 0
        head = self.data[: self._first].split()[: 2 * self._count]
        numbers = [int(word) for word in head if word.isdigit()]
        self.objects = [
            (number, self._first + offset)
            for number, offset in zip(numbers[::2], numbers[1::2], strict=False)
        ]
        self._offsets = dict(self.objects)

    def object(self, reference: Reference, index: int, budget: ReadBudget) -> PdfObject:
        """The object with the number of ``reference``; null if the stream does not have it.

        Args:
            reference: the object's reference.
            index: its place, as the tables give it; where another object stands there, the number
                alone counts.
            budget: what reading may cost.
        """
        offset = self._offsets.get(reference.idnum)
        if index < len(self.objects) and self.objects[index][0] == reference.idnum:
            offset = self.objects[index][1]
        if offset is None or offset >= len(self.data):
            return _null(reference)
        found, _ = Parser(self.data, reference, budget, final=True).read_object(offset)
        return found

    def check(self, container: Reference, budget: ReadBudget) -> list[int]:
        """The numbers of the objects, if all is written as the standard has it.

        Raises:
            PdfReadError: a number stands twice, or something else is there than the objects.
        """
        head = self.data[: self._first].split()
        if len(head) != 2 * self._count or not all(map(bytes.isdigit, head)):
            raise PdfReadError(f"the object stream {container.idnum} has a malformed head")
        numbers = [number for number, _ in self.objects]
        starts = [start for _, start in self.objects]
        if len(set(numbers)) != len(numbers) or starts != sorted(starts):
            raise PdfReadError(f"the object stream {container.idnum} has a number twice")
        # White space before, between and after the objects, and nothing else.
        at = self._first
        for start in starts:
            if self.data[at:start].strip(_SPACE):
                raise PdfReadError(f"the object stream {container.idnum} has more than objects")
            parser = StrictParser(self.data, container, budget, final=True)
            _, at = parser.read_object(start)
        if self.data[at:].strip(_SPACE):
            raise PdfReadError(f"the object stream {container.idnum} has more than objects")
        return numbers


@contextmanager
def readable(limits: Limits | None = None) -> Iterator[None]:
    """Translate every exception that pyHanko raises about a document into one of our errors.

    Raises:
        DamagedPdfError: the document cannot be read.
        DocumentTooLargeError: the document cannot be read within the limits.
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
        limit = (limits or Limits()).decoded_bytes
        raise DocumentTooLargeError(
            f"The document's structure unpacks to more than {limit} bytes."
        ) from error
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
        UnsupportedPdfError: the file is empty, or nothing in it looks like a PDF.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _SEARCHED_FOR_HEADER))
    end = stream.read(_SEARCHED_FOR_HEADER)
    stream.seek(0)
    start = stream.read(_SEARCHED_FOR_HEADER + 8)
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
        return read_startxref(stream, size)
    except PdfReadError:
        if needed:
            raise
        return 0


def _highest_number(data: XRefSectionData) -> int:
    entries = (data.standard_xrefs, data.xrefs_in_objstm, data.freed)
    highest = max(max(numbers, default=0) for numbers in entries)
    if data.hybrid is not None:
        highest = max(highest, _highest_number(data.hybrid.xref_data))
    return highest


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
