"""The pages of a document, and how viewers show them: cropped and rotated."""

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
    array_at,
    dictionary_at,
    get_value,
    integer_at,
    is_dictionary,
    is_name,
)
from rotation.sealing.visible_seal import Box

#: The attributes that a page inherits (ISO 32000-2, table 31) and that are used here.
_INHERITED: Final = ("/MediaBox", "/CropBox", "/Rotate")
#: Viewers assume US Letter for a page without a size.
_LETTER: Final = (0.0, 0.0, 612.0, 792.0)


@dataclass(frozen=True)
class Page:
    """A page of the document.

    Attributes:
        entry: the reference to the page, or the page itself if it is a direct object.
        dictionary: the page itself.
        attributes: its inheritable attributes, its own or inherited.
    """

    entry: PdfObject
    dictionary: DictionaryObject
    attributes: Mapping[str, Any]

    @property
    def reference(self) -> IndirectObject | None:
        """The reference to the page, or None if the page is a direct object."""
        return self.entry if isinstance(self.entry, IndirectObject) else None

    @property
    def rotation(self) -> int:
        """By how many degrees viewers rotate the page clockwise: 0, 90, 180 or 270."""
        turned = self.attributes.get("/Rotate")
        return int(turned) % 360 if isinstance(turned, int) and turned % 90 == 0 else 0

    @property
    def corner(self) -> tuple[float, float]:
        """The lower left corner of what viewers show, in the page's own coordinates."""
        return self._shown()[:2]

    def rectangle(self, box: Box) -> Box:
        """``box`` in the page's own coordinates.

        Args:
            box: in points from the lower left corner of the page as viewers show it.

        Raises:
            InvalidRequestError: the box reaches outside of the page.
        """
        left, bottom, right, top = self._shown()
        width, height = right - left, top - bottom
        unit = _unit(self.dictionary)
        x1, y1, x2, y2 = (length / unit for length in box)
        shown = (height, width) if self.rotation % 180 else (width, height)
        # The size of a page is rarely a whole number of points, so a box may be one point larger.
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
        """The visible part of the page: where crop box and media box overlap (14.11.2)."""
        media = rectangle_in(self.attributes.get("/MediaBox")) or _LETTER
        crop = rectangle_in(self.attributes.get("/CropBox")) or media
        left, bottom = max(media[0], crop[0]), max(media[1], crop[1])
        right, top = min(media[2], crop[2]), min(media[3], crop[3])
        return (left, bottom, right, top) if left < right and bottom < top else media


def page_at(root: DictionaryObject, number: int) -> Page:
    """The page with that number: 1 is the first page, -1 the last.

    Raises:
        NoPagesError: the document has no pages.
        InvalidRequestError: the document has fewer pages.
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


def all_pages(root: DictionaryObject, most: int) -> list[Page]:
    """Every page once, in their order; one more than ``most`` if there are more."""
    found: dict[int, Page] = {}
    for page in _pages(root, backwards=False):
        found.setdefault(id(page.dictionary), page)
        if len(found) > most:
            break
    return list(found.values())


def _pages(root: DictionaryObject, *, backwards: bool) -> Iterator[Page]:
    top = dictionary_at(root, "/Pages")
    if top is None or ((integer_at(top, "/Count") or 0) < 1 and "/Kids" in top):
        return
    todo: list[tuple[PdfObject, Mapping[str, Any]]] = [(root.raw_get("/Pages"), {})]
    # A page may stand in the tree twice. A node of the tree is followed once, or a loop had no end.
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
        own = {key: found for key in _INHERITED if (found := get_value(node, key)) is not None}
        attributes = {**above, **own}
        leaf = "/Kids" not in node or is_name(get_value(node, "/Type"), "/Page")
        page = Page(entry, node, attributes) if leaf else None
        if place is not None:
            seen[place] = page
        if page is not None:
            yield page
            continue
        kids = array_at(node, "/Kids")
        todo += [(kid, attributes) for kid in (kids if backwards else reversed(kids))]


def _numbers(found: object) -> tuple[float, ...]:
    """The elements of an array of numbers; empty unless all are finite numbers."""
    array = found if isinstance(found, ArrayObject) else ArrayObject()
    elements = [element.get_object() for element in array]
    if not all(isinstance(element, (int, Decimal)) for element in elements):
        return ()
    # An integer may be too large for a float.
    floats = [float(element) if abs(element) < 10**9 else math.inf for element in elements]
    return tuple(floats) if all(map(math.isfinite, floats)) else ()


def rectangle_in(found: object) -> Box | None:
    """The rectangle that an array of two opposite corners gives (7.9.5); None without an area."""
    corners = _numbers(found)
    if len(corners) != 4:
        return None
    x1, y1, x2, y2 = corners
    if x1 == x2 or y1 == y2:
        return None
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def _unit(page: DictionaryObject) -> float:
    """Points per unit of the page's coordinates (UserUnit)."""
    found = get_value(page, "/UserUnit")
    return float(found) if isinstance(found, (int, Decimal)) and 0 < found < 10**6 else 1.0
