"""Accounts for every byte after a seal: does it belong to an update, as viewers read it?

An update is objects, each of them in its table, then the table, a trailer and the end (ISO 32000-2,
7.5.6). A comment, an object that no table names, or bytes after the end belong to none. Viewers
that repair a document read them all the same. They also read what is malformed, each in its own
way, so nothing malformed is what it seems to be.
"""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import re
from io import BufferedReader
from typing import BinaryIO, Final, NoReturn, cast

from pyhanko.pdf_utils.generic import DictionaryObject
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.pdf_utils.xref import XRefSection, XRefSectionMetaInfo

from rotation.sealing.pdf.objects import array_at, integer_at
from rotation.sealing.pdf.reader.parser import SPACE
from rotation.sealing.pdf.reader.strict import disjoint, strict_table
from rotation.sealing.pdf.reader.xref import read_startxref
from rotation.sealing.verification.changes import Change, ChangeKind
from rotation.sealing.verification.facts import Ref
from rotation.sealing.verification.history import FilePrefix, History, Revision, parts

_WINDOW: Final = 1024
#: The highest type of a row in a cross-reference stream (table 18).
_COMPRESSED: Final = 2
# Between the parts of an update there are line ends, and not pages of white space.
_space = re.compile(rb"[%b]{0,64}" % SPACE)
_end_of_update = re.compile(
    rb"[%b]{0,64}startxref[%b]{1,64}(\d{1,20})[%b]{1,64}%%%%EOF(?:\r\n|\n|\r)?" % ((SPACE,) * 3)
)


def malformed_part(history: History, old: Revision, new: Revision) -> Change | None:
    """The first thing between two revisions that belongs to no update or is malformed, or None."""
    try:
        _Updates(history, old, new).check()
    except _MalformedError as error:
        return error.change
    return None


class _MalformedError(Exception):
    def __init__(self, change: Change) -> None:
        super().__init__(change.text)
        self.change = change


class _Updates:
    """What was appended between two revisions."""

    def __init__(self, history: History, old: Revision, new: Revision) -> None:
        self._document = history.document
        self._stream = history.document.stream
        self._old, self._new = old, new
        sections = history.document.tables.sections
        first, last = old.sections, new.sections
        self._sections = sections[first:last]
        self._tables = {section.meta_info.start_location: section for section in self._sections}
        self._before = sections[first - 1] if first else None
        # By position: the objects that are not in object streams, and the streams of hybrid tables.
        self._objects: dict[int, Ref] = {}
        self._hybrids: set[int] = set()
        # By the number of an object stream: the numbers of its objects by their places.
        self._compressed: dict[int, dict[int, int]] = {}
        for section in self._sections:
            self._add(section)
        self._containers = history.containers(first)

    def _add(self, section: XRefSection) -> None:
        in_use = section.xref_data.standard_xrefs
        for data in parts(section.xref_data):
            # Where a hybrid table names an object itself, its stream does not count (7.5.8.4).
            hidden = in_use.keys() if data is not section.xref_data else ()
            for number, (generation, position) in data.standard_xrefs.items():
                if number not in hidden:
                    self._objects[position] = Ref(number, generation)
            for number, where in data.xrefs_in_objstm.items():
                if number not in hidden:
                    named = self._compressed.setdefault(where.obj_stream_id, {})
                    if named.setdefault(where.ix_in_stream, number) != number:
                        self._ambiguous(section.meta_info.start_location, "its table")
        hybrid = section.xref_data.hybrid
        if hybrid is not None and (stream := hybrid.meta_info.stream_ref) is not None:
            at = hybrid.meta_info.start_location
            self._objects[at] = Ref(stream.idnum, stream.generation)
            self._hybrids.add(at)

    def check(self) -> None:
        """Raise _MalformedError over the first thing that is not as it must be."""
        self._check_chain()
        at = self._old.end
        complete = True
        while at < self._new.end:
            at = self._skip(at)
            if section := self._tables.pop(at, None):
                at, complete = self._table(at, section), True
            elif ref := self._objects.pop(at, None):
                at, complete = self._object(at, ref), False
            else:
                # White space alone leads to the end.
                self._stray(at)
        if at != self._new.end or not complete or self._objects or self._tables:
            self._stray(at)
        if self._compressed:
            self._ambiguous(at, "a table names objects in streams that are not there")

    def _check_chain(self) -> None:
        """Each table is exactly where the next one, or startxref, says that it is."""
        positions = [section.meta_info.start_location for section in self._sections]
        if positions != sorted(positions):
            self._stray(min(positions))
        for section in self._sections:
            if not self._is_exact(section.meta_info):
                self._stray(section.meta_info.start_location)
        if self._sections and self._before is not None:
            meta = self._before.meta_info
            if not self._is_exact(meta):
                # What was signed may say it wrongly, and the update then repeats that.
                signed = BufferedReader(FilePrefix(self._stream, self._old.end))
                if read_startxref(cast(BinaryIO, signed), self._old.end) != meta.declared_startxref:
                    self._stray(self._old.end)

    def _is_exact(self, meta: XRefSectionMetaInfo) -> bool:
        return bool(self._document.base + meta.declared_startxref == meta.start_location)

    def _object(self, at: int, ref: Ref) -> int:
        """The position after the object."""
        if ref.number in self._containers:
            self._ambiguous(at, f"the object stream {ref.number} is exchanged")
        try:
            dictionary, end = self._document.check_object(ref.number, ref.generation, at)
            if at in self._hybrids:
                self._check_stream_table(at, dictionary)
            elif dictionary is not None and dictionary.get("/Type") == "/ObjStm":
                numbers = self._document.check_object_stream(ref.number, at)
                if self._compressed.pop(ref.number, {}) != dict(enumerate(numbers)):
                    self._ambiguous(at, f"the object stream {ref.number} has other objects")
        except PdfReadError as error:
            self._ambiguous(at, str(error))
        return end

    def _table(self, at: int, section: XRefSection) -> int:
        """The position after the table, its trailer and the end of the update."""
        stream = section.meta_info.stream_ref
        is_table = self._first_byte(at) == b"x"
        try:
            if is_table or stream is None:
                trailer, numbers, end = strict_table(
                    self._stream, at, self._document, self._document.budget
                )
                if not disjoint(numbers) or end != section.meta_info.end_location:
                    self._stray(at)
            else:
                self._objects.pop(at, None)
                found, end = self._document.check_object(stream.idnum, stream.generation, at)
                self._check_stream_table(at, found)
                assert found is not None
                trailer = found
        except PdfReadError:
            self._stray(at)
        self._check_trailer(at, trailer, section)
        self._stream.seek(end)
        ended = _end_of_update.match(self._stream.read(_WINDOW))
        if ended is None or self._document.base + int(ended[1]) != at:
            self._stray(at)
        return end + ended.end()

    def _check_stream_table(self, at: int, dictionary: DictionaryObject | None) -> None:
        """The rows of a cross-reference stream are as many as it says (7.5.8.2)."""
        if dictionary is None or dictionary.get("/Type") != "/XRef":
            self._stray(at)
        pairs = [*array_at(dictionary, "/Index")] or [0, integer_at(dictionary, "/Size") or 0]
        widths = [*array_at(dictionary, "/W")]
        if not all(isinstance(each, int) and each >= 0 for each in (*pairs, *widths)):
            self._stray(at)
        numbers = [
            range(first, first + count)
            for first, count in zip(pairs[::2], pairs[1::2], strict=False)
        ]
        data, width = self._document.table_data(at), sum(widths)
        rows = sum(map(len, numbers))
        if len(pairs) % 2 or len(widths) != 3 or not disjoint(numbers) or len(data) != rows * width:
            self._stray(at)
        # Types of rows that do not exist yet stand for null (7.5.8.3), and for some viewers do not.
        kinds = {data[row : row + widths[0]] for row in range(0, len(data), width)}
        if any(int.from_bytes(kind, "big") > _COMPRESSED for kind in kinds):
            self._stray(at)

    def _check_trailer(self, at: int, trailer: DictionaryObject, section: XRefSection) -> None:
        """A trailer repeats what the one before it says, but for Prev (7.5.6)."""
        size, before = integer_at(trailer, "/Size") or 0, self._old.trailer
        highest = max(
            max(numbers, default=0)
            for data in parts(section.xref_data)
            for numbers in (data.standard_xrefs, data.xrefs_in_objstm, data.freed)
        )
        old_size = before.get("/Size")
        repeated = ["/Root", "/Info", "/Encrypt", *(["/ID"] if "/Encrypt" in before else [])]
        if (
            size <= highest
            or size < (old_size if isinstance(old_size, int) else 0)
            or any(before.get(key) is not None and key not in trailer for key in repeated)
        ):
            self._stray(at)

    def _first_byte(self, at: int) -> bytes:
        self._stream.seek(at)
        return bytes(self._stream.read(1))

    def _skip(self, at: int) -> int:
        self._stream.seek(at)
        found = _space.match(self._stream.read(_WINDOW))
        return at + found.end() if found else at

    def _stray(self, at: int) -> NoReturn:
        at = min(at, self._new.end - 1)
        raise _MalformedError(Change(ChangeKind.STRAY, f"bytes at {at} that belong to no update"))

    def _ambiguous(self, at: int, text: str) -> NoReturn:
        raise _MalformedError(
            Change(ChangeKind.OTHER, f"something at {at} that viewers read differently: {text}")
        )
