"""The outlines of a TrueType font as text, in the form that `visible.glyphs` reads."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

from fontTools.pens.basePen import BasePen
from fontTools.ttLib import TTFont

from rotation.sealing.pdf.visible.glyphs import UNITS_PER_EM

FONT = Path(__file__).with_name("Roboto-Regular.ttf")

Point = tuple[float, float]


class OutlinePen(BasePen):  # type: ignore[misc]
    """Collects PDF path operators with relative coordinates; fontTools makes the curves cubic."""

    def __init__(self, glyphs: Any) -> None:
        super().__init__(glyphs)
        self.words: list[str] = []
        self._position = 0, 0

    def _add(self, operator: str, *points: Point) -> None:
        for point in points:
            x, y = round(point[0]), round(point[1])
            self.words += [str(x - self._position[0]), str(y - self._position[1])]
            self._position = x, y
        self.words.append(operator)

    def _moveTo(self, point: Point) -> None:  # noqa: N802 - fontTools gives the names
        self._add("m", point)

    def _lineTo(self, point: Point) -> None:  # noqa: N802
        self._add("l", point)

    def _curveToOne(self, first: Point, second: Point, end: Point) -> None:  # noqa: N802
        self._add("c", first, second, end)

    def _closePath(self) -> None:  # noqa: N802
        self._add("h")


def outlines(font_file: Path = FONT) -> bytes:
    """One line for each character of the font that can be drawn on its own.

    Combining marks are left out: they would have to be put over their letters, which takes more
    than outlines. Letters with the same base stand together, because that compresses better.
    """
    font = TTFont(font_file)
    assert font["head"].unitsPerEm == UNITS_PER_EM
    glyphs = font.getGlyphSet()
    lines = []
    characters = font.getBestCmap()
    for code in sorted(characters, key=lambda code: unicodedata.normalize("NFD", chr(code))):
        if unicodedata.combining(chr(code)):
            continue
        glyph = glyphs[characters[code]]
        pen = OutlinePen(glyphs)
        glyph.draw(pen)
        # A sign or a letter ends a number, so most spaces can be left out.
        outline = re.sub(r" (?=[-a-z])|(?<=[a-z]) ", "", " ".join(pen.words))
        lines.append(f"{code:X} {glyph.width} {outline}\n")
    return "".join(lines).encode()
