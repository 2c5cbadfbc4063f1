"""The revisions of a document, and every object as each revision has it (ISO 32000-2, 7.5.6).

A revision ends where a signature's ByteRange ends, or where the file does. What is read for one
revision is kept for the others, so that each version of an object is read once.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from io import SEEK_CUR, SEEK_END, SEEK_SET, BufferedReader, RawIOBase
from operator import itemgetter
from typing import Any, BinaryIO, cast

from pyhanko.pdf_utils.generic import Reference
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.pdf_utils.xref import ObjStreamRef, XRefSectionData

from rotation.sealing.pdf.reader.document import PdfDocument
from rotation.sealing.pdf.reader.xref import SEARCH_DISTANCE, read_startxref
from rotation.sealing.verification.facts import Fact, Ref, StreamFact, fact_of

_Location = int | ObjStreamRef | None


@dataclass(frozen=True)
class Revision:
    """The document as it was at one time.

    Attributes:
        history: the history that it is a part of.
        sections: how many of the document's cross-reference sections it has.
        end: its length in bytes.
    """

    history: History
    sections: int
    end: int

    @property
    def trailer(self) -> dict[str, Fact]:
        """The entries of the trailer, those of older sections included."""
        return self.history.trailers[self.sections - 1]

    def get(self, ref: Ref) -> Fact:
        """The object, or None if the revision does not have it."""
        return self.history.object_at(ref, self)

    def resolve(self, fact: Fact) -> Fact:
        """The value itself, or what it refers to."""
        for _ in range(32):
            if not isinstance(fact, Ref):
                return fact
            fact = self.get(fact)
        raise PdfReadError("references refer to one another without end")

    def has(self, number: int) -> bool:
        """Whether the revision has an object with that number."""
        return any(
            self.history.location(Ref(number, generation), self.sections) is not None
            for generation in self.history.generations(number, self.sections)
        )

    def entry(self, dictionary: Fact, key: str) -> Fact:
        """The value of an entry, followed; None where there is none."""
        return self.resolve(dictionary.get(key)) if isinstance(dictionary, dict) else None


class History:
    """Every version of every object of a document.

    Attributes:
        document: the document.
        trailers: the entries of the trailer after each section.
        reads: how many objects were read so far.
    """

    def __init__(self, document: PdfDocument) -> None:
        self.document = document
        self.reads = 0
        self._versions: dict[tuple[int, int], list[tuple[int, _Location]]] = {}
        self._generations: dict[int, dict[int, int]] = {}
        self._written: list[set[int]] = []
        self._facts: dict[tuple[int, ...], tuple[Fact, int]] = {}
        self._rows: list[set[Ref]] = []
        self._by_startxref: dict[int, int] = {}
        for index, section in enumerate(document.tables.sections):
            self._add_section(index, section.xref_data)
            self._by_startxref[section.meta_info.declared_startxref] = index + 1
        self.trailers = self._all_trailers()

    def revision(self, end: int) -> Revision | None:
        """The revision that ends at ``end``; None if no section of the document belongs to it."""
        sections = self.document.tables.sections
        if end >= self.document.size:
            return Revision(self, len(sections), end)
        if self.document.recovered is not None:
            return None
        try:
            prefix = BufferedReader(FilePrefix(self.document.stream, end))
            startxref = read_startxref(cast(BinaryIO, prefix), end)
        except Exception:  # noqa: BLE001 - then nothing says what the revision was
            return None
        if startxref not in self._by_startxref:
            # Viewers find a table that is a few bytes away from its stated position.
            near = [
                position
                for position, count in self._by_startxref.items()
                if abs(position - startxref) <= SEARCH_DISTANCE
            ]
            startxref = min(near, default=-1)
        count = self._by_startxref.get(startxref)
        return None if count is None else Revision(self, count, end)

    def written(self, old: Revision, new: Revision) -> set[int]:
        """The numbers of all objects that the sections between two revisions speak of."""
        return set().union(*self._written[old.sections : new.sections])

    def containers(self, sections: int) -> set[int]:
        """The numbers of all object streams that the first sections name."""
        return {
            where.obj_stream_id
            for section in self.document.tables.sections[:sections]
            for part in parts(section.xref_data)
            for where in part.xrefs_in_objstm.values()
        }

    def rows(self, old: Revision, new: Revision) -> set[Ref]:
        """Each number and generation that the sections between two revisions write or free."""
        return set().union(*self._rows[old.sections : new.sections])

    def located(self, old: Revision, new: Revision) -> Iterator[tuple[int, Ref]]:
        """The position and reference of every object outside of object streams, in between."""
        for section in self.document.tables.sections[old.sections : new.sections]:
            for data in parts(section.xref_data):
                for number, (generation, position) in data.standard_xrefs.items():
                    yield position, Ref(number, generation)
            hybrid = section.xref_data.hybrid
            if hybrid is not None and (stream := hybrid.meta_info.stream_ref) is not None:
                yield hybrid.meta_info.start_location, Ref(stream.idnum, stream.generation)

    def generations(self, number: int, sections: int) -> list[int]:
        """The generations under which the object was written in so many sections."""
        return [one for one, index in self._generations.get(number, {}).items() if index < sections]

    def location(self, ref: Ref, sections: int) -> _Location:
        """Where the object is, after so many sections; None if it is free or missing."""
        versions = self._versions.get(ref, [])
        newest = bisect_left(versions, sections, key=itemgetter(0)) - 1
        return versions[newest][1] if newest >= 0 else None

    def object_at(self, ref: Ref, revision: Revision) -> Fact:
        """The object as that revision has it; None if it does not."""
        location = self.location(ref, revision.sections)
        if location is None:
            return None
        if isinstance(location, ObjStreamRef):
            return self._compressed(ref, location, revision)
        fact, end = self.read(ref, location)
        # An object beyond the end was not there yet, whatever the table promised.
        return fact if end <= revision.end else None

    def read(self, ref: Ref, position: int) -> tuple[Fact, int]:
        """The object at a position, and where it ends."""
        if (position, ref.number) not in self._facts:
            self.reads += 1
            value, end = self.document.object_at(ref.number, ref.generation, position)
            self._facts[position, ref.number] = fact_of(value), end
        return self._facts[position, ref.number]

    def _compressed(self, ref: Ref, location: ObjStreamRef, revision: Revision) -> Fact:
        # Whatever the stream's number stands for in that revision holds the object.
        container = Ref(location.obj_stream_id, 0)
        position = self.location(container, revision.sections)
        if not isinstance(position, int) or not isinstance(
            self.object_at(container, revision), StreamFact
        ):
            return None
        index = location.ix_in_stream
        key = (position, ref.number, index)
        if key not in self._facts:
            self.reads += 1
            value = self.document.compressed_object(
                Reference(ref.number, ref.generation, self.document),
                container.number,
                position,
                index,
            )
            self._facts[key] = fact_of(value), 0
        return self._facts[key][0]

    def _add_section(self, index: int, data: XRefSectionData) -> None:
        numbers: set[int] = set()
        rows: set[Ref] = set()
        seen: set[tuple[int, int]] = set()

        def add(number: int, generation: int, location: _Location) -> None:
            numbers.add(number)
            rows.add(Ref(number, generation))
            if (number, generation) not in seen:
                seen.add((number, generation))
                self._versions.setdefault((number, generation), []).append((index, location))
                self._generations.setdefault(number, {}).setdefault(generation, index)

        for part in parts(data):
            for number, where in part.xrefs_in_objstm.items():
                add(number, 0, where)
            for number, (generation, position) in part.standard_xrefs.items():
                add(number, generation, position)
            for number, generation in part.freed.items():
                add(number, max(generation - 1, 0), None)
        self._written.append(numbers)
        self._rows.append(rows)

    def _all_trailers(self) -> list[dict[str, Fact]]:
        found: list[dict[str, Fact]] = []
        merged: dict[str, Fact] = {}
        tables = self.document.tables
        # A document whose tables were not found has one section, and the trailers as one.
        for trailer in tables.trailers or [tables.trailer.flatten()]:
            merged = merged | fact_of_trailer(trailer)
            found.append(merged)
        return found


def fact_of_trailer(trailer: object) -> dict[str, Fact]:
    """The entries of a trailer, which may be the dictionary of a cross-reference stream."""
    fact = fact_of(trailer)
    return fact.entries if isinstance(fact, StreamFact) else dict(fact)


def parts(data: XRefSectionData) -> Iterator[XRefSectionData]:
    """The rows of a section, and those of the stream that a hybrid one names (7.5.8.4)."""
    yield data
    if data.hybrid is not None:
        yield data.hybrid.xref_data


class FilePrefix(RawIOBase):
    """The beginning of a file, to read from."""

    def __init__(self, file: BinaryIO, end: int) -> None:
        self._file = file
        self._end = end
        self._at = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """As of any file."""
        self._at = offset + {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: self._end}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        """As of any file."""
        self._file.seek(self._at)
        found = self._file.read(max(0, min(len(buffer), self._end - self._at)))
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)
