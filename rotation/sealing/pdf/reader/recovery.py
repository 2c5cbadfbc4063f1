"""Recovers a document whose cross-reference tables are damaged: searches the file for its objects.

Viewers show such a document in the same way. The seal then adds one whole table, which refers to no
older one, and every byte of the source stays where it was. A document with a signature is not
recovered, because its signatures depend on the tables that are there.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from pyhanko.pdf_utils.generic import (
    DictionaryObject,
    IndirectObject,
    PdfObject,
    Reference,
    TrailerReference,
)
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.pdf_utils.rw_common import PdfHandler
from pyhanko.pdf_utils.xref import (
    ObjStreamRef,
    TrailerDictionary,
    XRefSection,
    XRefSectionData,
    XRefSectionMetaInfo,
    XRefSectionType,
)

from rotation.errors import DamagedPdfError, DocumentTooLargeError
from rotation.sealing.pdf.limits import ReadBudget
from rotation.sealing.pdf.objects import is_name
from rotation.sealing.pdf.reader.parser import SPACE, Parser, indirect_object
from rotation.sealing.pdf.reader.xref import XRefTables

_object_or_trailer = re.compile(
    rb"(?<![0-9])(?P<number>\d{1,10})[%b]+(?P<generation>\d{1,5})[%b]*obj\b|\btrailer\b"
    % (SPACE, SPACE)
)
#: The largest document that is searched, because all of it is held in memory.
_LARGEST_DOCUMENT: Final = 64 * 1024 * 1024


@dataclass
class RecoveredObjects:
    """The objects that were found in a document.

    Attributes:
        tables: the tables that the document should have: one section, and all trailers.
        data: the entries of that section.
        object_streams: the references of the object streams, by their position.
    """

    tables: XRefTables
    data: XRefSectionData = field(default_factory=XRefSectionData)
    object_streams: dict[int, Reference] = field(default_factory=dict)

    def add_objects_in_streams(
        self, numbers_in_stream: Callable[[Reference], Iterable[int]], budget: ReadBudget
    ) -> None:
        """Add the objects in object streams, once these can be decrypted; a later object wins.

        Args:
            numbers_in_stream: returns the numbers of the objects in an object stream, in order.
            budget: what reading may cost.
        """
        for position, reference in sorted(self.object_streams.items()):
            if self.data.standard_xrefs.get(reference.idnum, (0, -1))[1] != position:
                continue
            for index, number in enumerate(numbers_in_stream(reference)):
                standing = self.data.standard_xrefs.get(number)
                if standing is not None and standing[1] > position:
                    continue
                self.data.standard_xrefs.pop(number, None)
                self.data.xrefs_in_objstm[number] = ObjStreamRef(reference.idnum, index)
                budget.count_objects(1)


def recover(
    stream: BinaryIO, size: int, handler: PdfHandler, budget: ReadBudget, *, signed: bool = False
) -> RecoveredObjects:
    """Search the whole document for its objects.

    Args:
        stream: the document.
        size: its length in bytes.
        handler: the reader that references in the document belong to.
        budget: what reading may cost.
        signed: whether the document may bear a signature.

    Raises:
        PdfReadError: no catalog was found.
        DamagedPdfError: the document bears a signature and may not, or has no trailer.
        DocumentTooLargeError: the document is too large to be searched.
    """
    if size > _LARGEST_DOCUMENT:
        raise DocumentTooLargeError(
            f"The document's cross-reference tables are damaged, and only documents of at most "
            f"{_LARGEST_DOCUMENT} bytes are searched for their objects."
        )
    trailer = TrailerDictionary()
    trailer.container_ref = TrailerReference(handler)
    found = RecoveredObjects(XRefTables(trailer))
    trailers: list[DictionaryObject] = []
    catalog: Reference | None = None
    for position, reference, value in _objects(stream, handler, budget):
        if reference is None:
            if isinstance(value, DictionaryObject):
                trailers.append(value)
            continue
        budget.count_objects(1)
        if not signed:
            _refuse_signature(value)
        found.data.standard_xrefs[reference.idnum] = (reference.generation, position)
        found.data.explicit_refs_in_revision.add((reference.idnum, reference.generation))
        if not isinstance(value, DictionaryObject):
            continue
        kind = value.get("/Type")
        if is_name(kind, "/Catalog"):
            catalog = reference
        elif is_name(kind, "/XRef"):
            trailers.append(value)
        elif is_name(kind, "/ObjStm"):
            found.object_streams[position] = reference
    _add_trailers(trailer, trailers, catalog, handler)
    meta = XRefSectionMetaInfo(XRefSectionType.STANDARD, 0, 0, 0, 0, None)
    found.tables.sections.append(XRefSection(meta, found.data))
    found.tables.is_stream = bool(found.object_streams)
    return found


def _objects(
    stream: BinaryIO, handler: PdfHandler, budget: ReadBudget
) -> Iterator[tuple[int, Reference | None, PdfObject]]:
    """Every object outside of object streams, and every trailer, in order.

    Yields the position, the reference (None for a trailer) and the value.
    """
    stream.seek(0)
    content = stream.read()
    starts_with = [match.start() for match in _object_or_trailer.finditer(content)]
    at = 0
    while (index := bisect_right(starts_with, at - 1)) < len(starts_with):
        position = starts_with[index]
        at = position + 1
        budget.check_time()
        try:
            if content.startswith(b"trailer", position):
                parser = Parser(content, TrailerReference(handler), budget, final=True)
                value, at = parser.read_object(position + len(b"trailer"))
                yield position, None, value
                continue
            reference, value, at = indirect_object(
                stream, position, handler, budget, lambda _: None
            )
        except PdfReadError:
            continue
        if reference.idnum:
            yield position, reference, value


def _refuse_signature(value: PdfObject) -> None:
    if isinstance(value, DictionaryObject) and "/ByteRange" in value:
        raise DamagedPdfError(
            "The file is damaged, and it bears a signature that recovering it could break."
        )


def _add_trailers(
    trailer: TrailerDictionary,
    found: list[DictionaryObject],
    catalog: Reference | None,
    handler: PdfHandler,
) -> None:
    # A trailer comes last: without one, an unknown part of the document is missing.
    if not found:
        raise DamagedPdfError("The file is cut off: it has no trailer.")
    for revision in reversed(found):
        trailer.add_trailer_revision(revision)
    if not isinstance(trailer.flatten().get("/Root"), IndirectObject):
        if catalog is None:
            raise PdfReadError("no catalog")
        trailer["/Root"] = IndirectObject(catalog.idnum, catalog.generation, handler)
