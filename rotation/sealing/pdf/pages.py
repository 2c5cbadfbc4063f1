"""The pages of a document, and how viewers show them: cropped and turned."""

# pyHanko annotates only some of what it calls its own.
# mypy: allow-untyped-calls
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from pyhanko.pdf_utils.generic import ArrayObject, DictionaryObject, IndirectObject, PdfObject

from rotation.errors import InvalidRequestError, NoPagesError
from rotation.sealing.pdf.objects import (
    dictionary_at,
    entries,
    integer_at,
    is_dictionary,
    same,
    value,
)
from rotation.sealing.visible_seal import Box

#: What a page has from the nodes above it (ISO 32000-2, table 31), as far as it is asked for here.
_INHERITED: Final = ("/MediaBox", "/CropBox", "/Rotate")
#: What viewers take for the size of a page that does not say: US Letter.
_LETTER: Final = (0.0, 0.0, 612.0, 792.0)


@dataclass(frozen=True)
class Page:
    """A page of the document.

    Attributes:
        entry: the page, or the reference to it.
        dictionary: the page itself.
        attributes: those that it has of its own or from above.
    """

    entry: PdfObject
    dictionary: DictionaryObject
    attributes: Mapping[str, Any]

    @property
    def reference(self) -> IndirectObject | None:
        """Where it is; None if it is no object of its own."""
        return self.entry if isinstance(self.entry, IndirectObject) else None

    @property
    def rotation(self) -> int:
        """By how many degrees viewers turn it clockwise: 0, 90, 180 or 270."""
        turned = self.attributes.get("/Rotate")
        return int(turned) % 360 if isinstance(turned, int) and turned % 90 == 0 else 0

    def rectangle(self, box: Box) -> Box:
        """Where ``box`` is in the page's own space.

        Args:
            box: in points from the lower left corner of the page as it is shown.

        Raises:
            InvalidRequestError: it reaches outside of the page.
        """
        left, bottom, right, top = self._shown()
        width, height = right - left, top - bottom
        unit = _unit(self.dictionary)
        x1, y1, x2, y2 = (length / unit for length in box)
        shown = (height, width) if self.rotation % 180 else (width, height)
        # Pages are cut in other units than points: the last one is rarely whole.
        if x2 > shown[0] + 1 or y2 > shown[1] + 1:
            raise InvalidRequestError(
                field="options.visible.box",
                problem=f"reaches outside of the page, which is {shown[0] * unit:g} points wide "
                f"and {shown[1] * unit:g} high as it is shown.",
            )
        turned = {
            0: (x1, y1, x2, y2),
            90: (width - y2, x1, width - y1, x2),
            180: (width - x2, height - y2, width - x1, height - y1),
            270: (y1, height - x2, y2, height - x1),
        }[self.rotation]
        return left + turned[0], bottom + turned[1], left + turned[2], bottom + turned[3]

    def _shown(self) -> Box:
        """What is shown of it: the crop box, as far as it lies in the media box (14.11.2)."""
        media = rectangle_in(self.attributes.get("/MediaBox")) or _LETTER
        crop = rectangle_in(self.attributes.get("/CropBox")) or media
        left, bottom = max(media[0], crop[0]), max(media[1], crop[1])
        right, top = min(media[2], crop[2]), min(media[3], crop[3])
        return (left, bottom, right, top) if left < right and bottom < top else media


def page_at(root: DictionaryObject, number: int) -> Page:
    """One page: 1 is the first, -1 the last.

    Raises:
        NoPagesError: there is none at all.
        InvalidRequestError: there are fewer.
    """
    found = 0
    for page in _pages(root, backwards=number < 0):
        found += 1
        if found == abs(number):
            return page
    if not found:
        raise NoPagesError("The file has no pages.")
    raise InvalidRequestError(
        field="options.visible.page",
        problem=f"is {number}, and the document has only {found} pages.",
    )


def _pages(root: DictionaryObject, *, backwards: bool) -> Iterator[Page]:
    top = dictionary_at(root, "/Pages")
    if top is None or ((integer_at(top, "/Count") or 0) < 1 and "/Kids" in top):
        return
    todo: list[tuple[PdfObject, Mapping[str, Any]]] = [(root.raw_get("/Pages"), {})]
    # A page may stand in a tree twice; what holds pages, followed twice, may have no end.
    seen: dict[tuple[int, int] | None, Page | None] = {}
    while todo:
        entry, above = todo.pop()
        place = (entry.idnum, entry.generation) if isinstance(entry, IndirectObject) else None
        if place in seen:
            if (again := seen[place]) is not None:
                yield again
            continue
        node = entry.get_object()
        if not is_dictionary(node):
            continue
        own = {key: found for key in _INHERITED if (found := value(node, key)) is not None}
        attributes = {**above, **own}
        leaf = "/Kids" not in node or same(value(node, "/Type"), "/Page")
        page = Page(entry, node, attributes) if leaf else None
        if place is not None:
            seen[place] = page
        if page is not None:
            yield page
            continue
        kids = list(entries(node, "/Kids"))
        todo += [(kid, attributes) for kid in (kids if backwards else reversed(kids))]


def _numbers(found: object) -> tuple[float, ...]:
    """The numbers of an array; none if one of its elements is none, or not finite."""
    array = found if isinstance(found, ArrayObject) else ArrayObject()
    elements = [array[index] for index in range(len(array))]
    if not all(isinstance(element, (int, Decimal)) for element in elements):
        return ()
    # An integer that no float can hold is no length.
    floats = [float(element) if abs(element) < 10**9 else math.inf for element in elements]
    return tuple(floats) if all(map(math.isfinite, floats)) else ()


def rectangle_in(found: object) -> Box | None:
    """A rectangle, whichever of its corners are given (7.9.5); None if it has no area."""
    corners = _numbers(found)
    if len(corners) != 4:
        return None
    x1, y1, x2, y2 = corners
    if x1 == x2 or y1 == y2:
        return None
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def _unit(page: DictionaryObject) -> float:
    """Points per unit of the page's space (UserUnit)."""
    found = value(page, "/UserUnit")
    return float(found) if isinstance(found, (int, Decimal)) and 0 < found < 10**6 else 1.0
