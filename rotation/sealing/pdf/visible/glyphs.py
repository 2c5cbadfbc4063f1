"""The shapes of letters, read from a TrueType font (OpenType 1.9), as PDF path operators.

A seal's text is drawn and not set: the document then needs no font, which PDF/A would demand to be
embedded, and what is drawn looks the same in every viewer. The font is Roboto Regular 2.138 by
Christian Robertson, Copyright 2011 Google Inc., Apache License 2.0, unchanged. It has Latin, Greek
and Cyrillic letters. Only what its tables use is read here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from typing import Final

Point = tuple[float, float]
#: The points of a closed line, and whether each is on it or draws it towards itself.
Contour = list[tuple[Point, bool]]

# Flags of a simple glyph's points (glyf, "Simple Glyph Description").
_ON_CURVE: Final = 0x01
_REPEATED: Final = 0x08
# For x and for y: the coordinate is a byte; that byte is positive, or there is none and no change.
_SHORT: Final = (0x02, 0x04)
_SAME: Final = (0x10, 0x20)
# Flags of a composite glyph's parts ("Composite Glyph Description").
_WORDS: Final = 0x0001
_SCALED: Final = 0x0008
_SCALED_APART: Final = 0x0040
_MORE: Final = 0x0020


@cache
def typeface() -> Typeface:
    """The font that seals are written in."""
    return Typeface((resources.files(__package__) / "Roboto-Regular.ttf").read_bytes())


class Typeface:
    """A TrueType font.

    Attributes:
        units: of its coordinates, in one em.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        (count,) = struct.unpack_from(">H", content, 4)
        records = struct.iter_unpack(">4sIII", content[12 : 12 + 16 * count])
        self._tables = {tag.decode(): offset for tag, _, offset, _ in records}
        (self.units,) = self._numbers("head", 18, "H")
        (self._wide,) = self._numbers("hhea", 34, "H")
        (count,) = self._numbers("maxp", 4, "H")
        self._places = [2 * place for place in self._numbers("loca", 0, f"{count + 1}H")]
        (long,) = self._numbers("head", 50, "h")
        if long:
            self._places = list(self._numbers("loca", 0, f"{count + 1}I"))
        self._glyphs = dict(self._mapped())

    def glyph(self, character: str) -> int | None:
        """The number of the glyph for a character; None if the font has none."""
        return self._glyphs.get(ord(character))

    def advance(self, glyph: int) -> int:
        """How far the next glyph is from this one, in units."""
        (found,) = self._numbers("hmtx", 4 * min(glyph, self._wide - 1), "H")
        return int(found)

    def path(self, glyph: int) -> str:
        """Its outline in units from the base line, ready to be filled; empty for a blank."""
        return "".join(map(_drawn, self._contours(glyph)))

    def _numbers(self, table: str, at: int, form: str) -> tuple[int, ...]:
        return struct.unpack_from(f">{form}", self._content, self._tables[table] + at)

    def _mapped(self) -> Iterator[tuple[int, int]]:
        (count,) = self._numbers("cmap", 2, "H")
        for number in range(count):
            *_, start = self._numbers("cmap", 4 + 8 * number, "HHI")
            if self._numbers("cmap", start, "H") != (12,):  # segmented coverage
                continue
            (groups,) = self._numbers("cmap", start + 12, "I")
            for group in range(groups):
                first, last, glyph = self._numbers("cmap", start + 16 + 12 * group, "3I")
                yield from ((code, glyph + code - first) for code in range(first, last + 1))

    def _contours(self, glyph: int) -> list[Contour]:
        """The points of each contour, and whether they are on the curve."""
        start, end = self._places[glyph : glyph + 2]
        if start == end:
            return []
        (number,) = self._numbers("glyf", start, "h")
        start += 10
        return self._simple(start, number) if number >= 0 else self._composite(start)

    def _simple(self, at: int, number: int) -> list[Contour]:
        ends = self._numbers("glyf", at, f"{number}H")
        at += 2 * number
        (instructions,) = self._numbers("glyf", at, "H")
        at += 2 + instructions
        flags: list[int] = []
        while len(flags) <= ends[-1]:
            (flag,) = self._numbers("glyf", at, "B")
            at += 1
            repeats = 0
            if flag & _REPEATED:
                (repeats,) = self._numbers("glyf", at, "B")
                at += 1
            flags += [flag] * (1 + repeats)
        xs, at = self._coordinates(at, flags, 0)
        ys, at = self._coordinates(at, flags, 1)
        on = [bool(flag & _ON_CURVE) for flag in flags]
        points = list(zip(zip(xs, ys, strict=True), on, strict=True))
        starts = [0, *(end + 1 for end in ends)]
        return [points[start : end + 1] for start, end in zip(starts, ends, strict=False)]

    def _coordinates(self, at: int, flags: Sequence[int], axis: int) -> tuple[list[float], int]:
        found: list[float] = []
        here = 0
        for flag in flags:
            if flag & _SHORT[axis]:
                (step,) = self._numbers("glyf", at, "B")
                here += step if flag & _SAME[axis] else -step
                at += 1
            elif not flag & _SAME[axis]:
                (step,) = self._numbers("glyf", at, "h")
                here += step
                at += 2
            found.append(here)
        return found, at

    def _composite(self, at: int) -> list[Contour]:
        found: list[Contour] = []
        flags = _MORE
        while flags & _MORE:
            flags, glyph = self._numbers("glyf", at, "HH")
            words = bool(flags & _WORDS)
            dx, dy = self._numbers("glyf", at + 4, "hh" if words else "bb")
            at += 8 if words else 6
            scales = 1 if flags & _SCALED else 2 if flags & _SCALED_APART else 0
            scaled = self._numbers("glyf", at, f"{scales}h") or (2**14,)
            at += 2 * scales
            sx, sy = scaled[0] / 2**14, scaled[-1] / 2**14
            found += [
                [((x * sx + dx, y * sy + dy), on) for (x, y), on in contour]
                for contour in self._contours(glyph)
            ]
        return found


def _drawn(contour: Contour) -> str:
    """A closed contour of quadratic curves in PDF's cubic ones."""
    points: Contour = []
    # Between two points off the curve lies one on it, which is not written.
    for (before, was_on), (point, on) in zip([contour[-1], *contour], contour, strict=False):
        if not was_on and not on:
            points.append((_between(before, point, 1 / 2), True))
        points.append((point, on))
    first = next(index for index, (_, on) in enumerate(points) if on)
    here, _ = points[first]
    operators = [f"{_text(here)} m"]
    control: Point | None = None
    for point, on in [*points[first + 1 :], *points[: first + 1]]:
        if not on:
            control = point
            continue
        if control:
            curve = _between(here, control, 2 / 3), _between(point, control, 2 / 3), point
            operators.append(f"{' '.join(map(_text, curve))} c")
        else:
            operators.append(f"{_text(point)} l")
        here, control = point, None
    return " ".join(operators) + " h\n"


def _between(one: Point, other: Point, share: float) -> Point:
    return one[0] + (other[0] - one[0]) * share, one[1] + (other[1] - one[1]) * share


def _text(point: Point) -> str:
    return f"{round(point[0])} {round(point[1])}"
