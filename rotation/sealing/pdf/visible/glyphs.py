"""The shapes of the letters that visible seals are written in, as PDF path operators.

Seals draw their text as filled outlines, so that the document needs no font. PDF/A would demand
that a font is embedded, and outlines look the same in every viewer.

`make glyphs` generates the outlines from Roboto Regular 2.138 by Christian Robertson, Copyright
2011 Google Inc., Apache License 2.0. The font has Latin, Greek and Cyrillic letters.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

#: Zlib-compressed text, one line for each character, with its code
#: point in hexadecimal, the advance width of its glyph, and the outline of its glyph.
OUTLINES: Final = Path(__file__).with_name("roboto.zlib")
UNITS_PER_EM: Final = 2048

_word = re.compile(r"-?\d+|[a-z]")


@dataclass(frozen=True)
class Glyph:
    """The shape of one character.

    Attributes:
        advance: how far the next glyph is from this one, in font units.
        outline: path operators whose points are relative to the point before; empty for a blank.
    """

    advance: int
    outline: str = field(repr=False)

    def path(self) -> str:
        """The outline in font units from the base line, ready to be filled; empty for a blank."""
        words: list[str] = []
        position = [0, 0]
        axis = 0
        for word in _word.findall(self.outline):
            if word.isalpha():
                words.append(word)
                continue
            position[axis] += int(word)
            words.append(str(position[axis]))
            axis = 1 - axis
        return " ".join(words)


def glyph_for(character: str) -> Glyph | None:
    """The glyph for a character, or None if the font has none that stands on its own."""
    found = _lines().get(f"{ord(character):X}")
    if found is None:
        return None
    advance, _, outline = found.partition(" ")
    return Glyph(int(advance), outline)


@cache
def _lines() -> dict[str, str]:
    """The rest of each line, by its code point; read when the first text is drawn."""
    content = zlib.decompress(OUTLINES.read_bytes()).decode("ascii")
    lines = (line.partition(" ") for line in content.splitlines())
    return {code: rest for code, _, rest in lines}
