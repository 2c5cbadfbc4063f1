"""Who refers to an object, and through which entry: a census of a document's references.

An object may have more than one place in a document: the stream that the catalog calls metadata may
be a page's content as well. A rule about one place must not account for an object that has another.
The file is searched once for all references; only what may refer to an object that a rule asks
about is then parsed. A reference counts whatever its generation is, because
readers differ in what they make of generations.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple

from rotation.errors import RotationError
from rotation.sealing.pdf.reader.parser import SPACE
from rotation.sealing.verification.facts import Fact, Ref, StreamFact
from rotation.sealing.verification.history import History, Revision

#: Stands for the trailer among the objects that refer to another.
TRAILER: Final = Ref(0, 65535)
#: Stands for what cannot be parsed and may refer to an object all the same.
_UNPARSED: Final = Ref(0, 0)
#: The step of a path from an array to its element.
ELEMENT: Final = "[]"

_CHUNK: Final = 1024 * 1024
_LONGEST_REFERENCE: Final = 4096
_MOST_DIGITS: Final = 10
_OF_TABLES: Final = frozenset({"/Root", "/Info", "/Encrypt"})
_between = rb"(?:[%b]|%%[^\r\n]{0,%d}+[\r\n])++" % (SPACE, _LONGEST_REFERENCE)
_reference = re.compile(
    rb"(?<![\d.+])(\+*+)(\d++)(%b)(\+*+\d++)(%b)R(?![^%b()<>\[\]{}/%%])"
    % (_between, _between, SPACE)
)
# A comment that is too long to look for its end: what stands before it may be a reference.
_overlong = re.compile(
    rb"(?<![\d.+])\+*+(\d++)(?:%b\+*+\d++)?+[%b]*+%%[^\r\n]{%d}"
    % (_between, SPACE, _LONGEST_REFERENCE)
)


class Place(NamedTuple):
    """Where a reference stands.

    Attributes:
        referrer: the object, or `TRAILER`.
        path: the keys from it to the reference; `ELEMENT` for an element of an array.
    """

    referrer: Ref
    path: tuple[str, ...]

    @property
    def key(self) -> str:
        """The nearest key above the reference, arrays left out."""
        return next((step for step in reversed(self.path) if step != ELEMENT), "")


class Census:
    """The references of a document, in all its revisions.

    Args:
        history: the document.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        sections = history.document.tables.sections
        last = Revision(history, len(sections), history.document.size)
        #: For each number the objects that may refer to it, in any version of theirs.
        self._mentions: dict[int, list[Ref]] = {}
        self._walked: dict[int, tuple[Fact, dict[int, set[tuple[str, ...]]]]] = {}
        self._containers: dict[int, int] = {}
        for index, section in enumerate(sections):
            for number in section.xref_data.obj_streams_used:
                self._containers.setdefault(number, index)
        nothing = Revision(history, 0, 0)
        located = sorted(dict(history.located(nothing, last)).items())
        self._search_file(located)
        for position, ref in located:
            if ref.number in self._containers:
                self._search_object_stream(ref, position)

    def places(self, number: int, revision: Revision) -> set[Place]:
        """The places from which a revision refers to the number, indirect arrays seen through."""
        found: set[Place] = set()
        todo: list[tuple[Place, tuple[str, ...]]] = [
            (place, ()) for place in self._direct(number, revision)
        ]
        seen: set[Place] = set()
        while todo:
            place, more = todo.pop()
            if place in seen:
                continue
            seen.add(place)
            self._history.document.budget.check_time()
            if place.path and isinstance(revision.get(place.referrer), list):
                path = (*place.path, *more)
                todo += [(above, path) for above in self._direct(place.referrer.number, revision)]
            else:
                found.add(Place(place.referrer, (*place.path, *more)))
        return found

    def _direct(self, number: int, revision: Revision) -> Iterator[Place]:
        if self._containers.get(number, revision.sections) < revision.sections:
            yield Place(_UNPARSED, ())
        for path in _paths(revision.trailer).get(number, ()):
            yield Place(TRAILER, path)
        for ref in dict.fromkeys(self._mentions.get(number, ())):
            if ref == _UNPARSED:
                yield Place(ref, ())
                continue
            # The dictionary of encryption is not encrypted itself, and refers to nothing.
            if ref == revision.trailer.get("/Encrypt"):
                continue
            try:
                fact = revision.get(ref)
            except RotationError:
                raise
            except Exception:  # noqa: BLE001 - pyHanko raises any type over a damaged object
                yield Place(_UNPARSED, ())
                continue
            if id(fact) not in self._walked:
                self._walked[id(fact)] = (fact, _paths(fact))
            for path in self._walked[id(fact)][1].get(number, ()):
                yield Place(ref, path)

    def _search_file(self, located: list[tuple[int, Ref]]) -> None:
        starts = [position for position, _ in located]
        stream = self._history.document.stream
        for start in range(0, self._history.document.size, _CHUNK):
            self._history.document.budget.check_time()
            stream.seek(start)
            for at, number, plain in mentioned(stream.read(_CHUNK + 2 * _LONGEST_REFERENCE)):
                index = bisect_right(starts, start + at) - 1
                if index >= 0:
                    self._add(number, located[index][1] if plain else _UNPARSED)

    def _search_object_stream(self, ref: Ref, position: int) -> None:
        self._history.document.budget.check_time()
        stream, _ = self._history.read(ref, position)
        if not isinstance(stream, StreamFact):
            return
        data, first = stream.data, stream.entries.get("/First")
        head = data[: first if isinstance(first, int) else 0].split()
        numbers = [int(word) if word.isdigit() else 0 for word in head]
        held = sorted(zip(numbers[1::2], numbers[::2], strict=False))
        starts = [len(data[:first]) + offset for offset, _ in held]
        refs = [Ref(number, 0) for _, number in held]
        for at, number, plain in mentioned(data):
            index = bisect_right(starts, at) - 1
            if index >= 0:
                self._add(number, refs[index] if plain else _UNPARSED)

    def _add(self, number: int, referrer: Ref) -> None:
        mentions = self._mentions.setdefault(number, [])
        if mentions[-1:] != [referrer]:
            mentions.append(referrer)


def mentioned(data: bytes) -> Iterator[tuple[int, int, bool]]:
    """The position and number of each reference, and whether our parser reads it as one."""
    for found in _reference.finditer(data):
        sign, number, one, generation, other = found.groups()
        if len(digits := number.lstrip(b"0")) <= _MOST_DIGITS:
            odd = sign or b"%" in one + other or len(number) > _MOST_DIGITS
            plain = not odd and generation.isdigit() and len(generation) <= _MOST_DIGITS // 2
            yield found.start(2), int(digits or b"0"), plain
    for found in _overlong.finditer(data):
        if len(digits := found[1].lstrip(b"0")) <= _MOST_DIGITS:
            yield found.start(1), int(digits or b"0"), False


def _paths(fact: Fact) -> dict[int, set[tuple[str, ...]]]:
    """The paths to each number that a fact refers to."""
    found: dict[int, set[tuple[str, ...]]] = {}
    entries = fact.entries if isinstance(fact, StreamFact) else fact
    if isinstance(fact, StreamFact) and entries.get("/Type") == "/XRef":
        entries = {key: value for key, value in entries.items() if key not in _OF_TABLES}
    todo: list[tuple[Fact, tuple[str, ...]]] = [(entries, ())]
    while todo:
        value, path = todo.pop()
        if isinstance(value, Ref):
            found.setdefault(value.number, set()).add(path)
        elif isinstance(value, dict):
            todo += [(each, (*path, key)) for key, each in value.items()]
        elif isinstance(value, list):
            todo += [(each, (*path, ELEMENT)) for each in value]
    return found
