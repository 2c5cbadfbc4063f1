"""A document opened: pyHanko's reader, over tables and objects that are read as viewers read them.

pyHanko 0.38 reads its tables in a constructor that cannot be changed, so this one sets what that
one would set. The tests open, seal and validate every kind of document with it.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final

from pyhanko.pdf_utils.crypt import AuthStatus, StandardSecurityHandler
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
    pdf_name,
    proxy_encrypted_obj,
)
from pyhanko.pdf_utils.misc import PdfDecodeLimitError, PdfReadError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.xref import ObjStreamRef, XRefCache

from rotation.errors import DamagedPdfError, EncryptedPdfError, RotationError, UnsupportedPdfError
from rotation.sealing.pdf.edges import header_of, startxref_of
from rotation.sealing.pdf.filters import Stream
from rotation.sealing.pdf.limits import Effort, Limits, unpacks_too_much
from rotation.sealing.pdf.objects import integer_at, same, value
from rotation.sealing.pdf.parsing import Parser
from rotation.sealing.pdf.recovery import Recovered, recover
from rotation.sealing.pdf.streams import indirect_object
from rotation.sealing.pdf.tables import TableReader, Tables

_KEY_LENGTHS: Final = (128, 40)


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
        header, version = header_of(stream)
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
        handler = self.security_handler
        if handler is None:
            return
        if not isinstance(handler, StandardSecurityHandler):
            raise EncryptedPdfError(
                "The file is encrypted for certain recipients. Store it without encryption."
            )
        dictionary = self.encrypt_dict
        if dictionary is None or not same(value(dictionary, "/Filter"), "/Standard"):
            raise PdfReadError("an encryption that does not say what it is")
        if handler.pdf_mac_enabled:
            raise UnsupportedPdfError(
                "The file is encrypted with an integrity code over all of it (ISO/TS 32004), which "
                "a seal would break. Store it without encryption."
            )
        if self._opens():
            return
        # Writers that leave out or misstate the length of the key mean one of these.
        for length in _KEY_LENGTHS:
            if self._with_key_length(length) and self._opens():
                return
        raise EncryptedPdfError(
            "The file is encrypted with a password. Store it without encryption."
        )

    def _opens(self) -> bool:
        return self.decrypt("").status is not AuthStatus.FAILED

    def _with_key_length(self, bits: int) -> bool:
        dictionary = self.encrypt_dict
        if dictionary is None or integer_at(dictionary, "/V") not in {1, 2, 3, 4}:
            return False
        changed = DictionaryObject(dict(dictionary.items()))
        changed.container_ref = dictionary.container_ref
        changed[pdf_name("/Length")] = NumberObject(bits)
        self._security_handler = SecurityHandler.build(changed)
        self.mended_encryption = changed
        return True

    def _read_object(
        self,
        ref: Reference,
        marker: int | ObjStreamRef | None,
        never_decrypt: bool = False,
        as_metadata_stream: bool = False,  # noqa: ARG002 - XMP is never looked into
    ) -> Any:
        """As pyHanko's own, over our parser; what is not there is null."""
        self.effort.check_time()
        if isinstance(marker, ObjStreamRef):
            return self._packed(ref, marker)
        if marker is None:
            return _null(ref)
        found, value, _ = indirect_object(
            self.stream, marker, self, self.effort, lambda length: length.get_object()
        )
        if found.idnum != ref.idnum:
            raise PdfReadError(f"object {ref.idnum} is not where the tables say")
        value.container_ref = ref
        if never_decrypt or not self.encrypted:
            return value
        return proxy_encrypted_obj(value, self.security_handler)

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
    except (PdfDecodeLimitError, RecursionError, MemoryError) as error:
        raise unpacks_too_much(limits or Limits()) from error
    except Exception as error:
        raise DamagedPdfError(
            "The file is damaged, or built in a way that this function does not understand "
            f"({type(error).__name__}). Open it in a PDF editor and save it anew, or ask for a "
            "repair."
        ) from error


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
