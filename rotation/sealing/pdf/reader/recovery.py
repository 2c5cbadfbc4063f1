"""A document whose tables are damaged: its objects are looked for, as viewers do.

Viewers show such a document by searching the file for objects and trailers. What they find is what
is sealed; the seal brings one whole table with it, which refers to no older one, and every byte of
the source stays where it was. A document that has been signed is not recovered: its signatures
depend on the tables that are there.
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
from rotation.sealing.pdf.limits import Effort
from rotation.sealing.pdf.objects import same
from rotation.sealing.pdf.reader.parser import SPACE, Parser, indirect_object
from rotation.sealing.pdf.reader.xref import Tables

_landmark = re.compile(
    rb"(?<![0-9])(?P<number>\d{1,10})[%b]+(?P<generation>\d{1,5})[%b]*obj\b|\btrailer\b"
    % (SPACE, SPACE)
)
#: The largest document that is searched: all of it is held.
_LARGEST: Final = 64 * 1024 * 1024


@dataclass
class Recovered:
    """What was found.

    Attributes:
        tables: as if they had been in the file: one section, all trailers.
        object_streams: the references of the object streams, by their position.
    """

    tables: Tables
    data: XRefSectionData = field(default_factory=XRefSectionData)
    object_streams: dict[int, Reference] = field(default_factory=dict)

    def add_packed_objects(
        self, packed_in: Callable[[Reference], Iterable[int]], effort: Effort
    ) -> None:
        """Add what lies in object streams, once they can be decrypted; a later object wins.

        Args:
            packed_in: the numbers of the objects in an object stream, in order.
            effort: what it may cost.
        """
        for position, reference in sorted(self.object_streams.items()):
            if self.data.standard_xrefs.get(reference.idnum, (0, -1))[1] != position:
                continue
            for index, number in enumerate(packed_in(reference)):
                standing = self.data.standard_xrefs.get(number)
                if standing is not None and standing[1] > position:
                    continue
                self.data.standard_xrefs.pop(number, None)
                self.data.xrefs_in_objstm[number] = ObjStreamRef(reference.idnum, index)
                effort.count_objects(1)


def recover(stream: BinaryIO, size: int, handler: PdfHandler, effort: Effort) -> Recovered:
    """Search the whole document.

    Raises:
        PdfReadError: no catalog was found.
        DamagedPdfError: it bears a signature.
        DocumentTooLargeError: it is too large to be searched.
    """
    if size > _LARGEST:
        raise DocumentTooLargeError(
            f"The document's cross-reference tables are damaged, and only documents of at most "
            f"{_LARGEST} bytes are searched for their objects."
        )
    trailer = TrailerDictionary()
    trailer.container_ref = TrailerReference(handler)
    found = Recovered(Tables(trailer))
    trailers: list[DictionaryObject] = []
    catalog: Reference | None = None
    for position, reference, value in _objects(stream, handler, effort):
        if reference is None:
            if isinstance(value, DictionaryObject):
                trailers.append(value)
            continue
        effort.count_objects(1)
        _refuse_signature(value)
        found.data.standard_xrefs[reference.idnum] = (reference.generation, position)
        found.data.explicit_refs_in_revision.add((reference.idnum, reference.generation))
        if not isinstance(value, DictionaryObject):
            continue
        kind = value.get("/Type")
        if same(kind, "/Catalog"):
            catalog = reference
        elif same(kind, "/XRef"):
            trailers.append(value)
        elif same(kind, "/ObjStm"):
            found.object_streams[position] = reference
    _add_trailers(trailer, trailers, catalog, handler)
    meta = XRefSectionMetaInfo(XRefSectionType.STANDARD, 0, 0, 0, 0, None)
    found.tables.sections.append(XRefSection(meta, found.data))
    found.tables.streamed = bool(found.object_streams)
    return found


def _objects(
    stream: BinaryIO, handler: PdfHandler, effort: Effort
) -> Iterator[tuple[int, Reference | None, PdfObject]]:
    """Every object outside of streams, and every trailer (without a reference), in order."""
    stream.seek(0)
    content = stream.read()
    starts = [match.start() for match in _landmark.finditer(content)]
    at = 0
    while (index := bisect_right(starts, at - 1)) < len(starts):
        position = starts[index]
        at = position + 1
        effort.check_time()
        try:
            if content.startswith(b"trailer", position):
                parser = Parser(content, TrailerReference(handler), effort, final=True)
                value, at = parser.value(position + len(b"trailer"))
                yield position, None, value
                continue
            reference, value, at = indirect_object(
                stream, position, handler, effort, lambda _: None
            )
        except PdfReadError:
            continue
        if reference.idnum:
            yield position, reference, value


def _refuse_signature(value: PdfObject) -> None:
    if isinstance(value, DictionaryObject) and "/ByteRange" in value:
        raise DamagedPdfError(
            "The file is damaged, and it bears a signature that mending it could break."
        )


def _add_trailers(
    trailer: TrailerDictionary,
    found: list[DictionaryObject],
    catalog: Reference | None,
    handler: PdfHandler,
) -> None:
    # A trailer comes last. Without any, nobody knows how much of the document is missing.
    if not found:
        raise DamagedPdfError("The file is cut off: it has no trailer.")
    for revision in reversed(found):
        trailer.add_trailer_revision(revision)
    if not isinstance(trailer.flatten().get("/Root"), IndirectObject):
        if catalog is None:
            raise PdfReadError("no catalog")
        trailer["/Root"] = IndirectObject(catalog.idnum, catalog.generation, handler)
