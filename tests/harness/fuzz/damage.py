"""What happens to files: bytes flipped, lost, doubled and moved, and tables that tell lies."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Final

TOKENS: Final = (
    *(b"<<", b">>", b"[", b"]", b"(", b")", b"<", b">", b"/", b"#", b"%", b"{", b"\\"),
    *(b"null", b"true", b"-1", b"99999999999", b"0.0", b"1 0 R", b"3 0 R", b"obj", b"endobj"),
    *(b"stream", b"endstream", b"xref", b"trailer", b"startxref", b"%%EOF", b"\0", b"\r"),
)
_row = re.compile(rb"\d{10} \d{5} [nf]")
_token = re.compile(rb"/[A-Za-z]+|\d+ \d+ R|\d+|<<|>>|\[|\]|endobj|stream|obj")


def damaged(content: bytes, chance: random.Random) -> bytes:
    """A copy of ``content`` with one to six damages."""
    copy = bytearray(content)
    for _ in range(chance.randint(1, 6)):
        if copy:
            chance.choice(_WAYS)(copy, chance)
    return bytes(copy)


def _place(copy: bytearray, chance: random.Random) -> int:
    # Structure is at the end of a document more often than anywhere else.
    first = max(0, len(copy) - 600) if chance.random() < 0.5 else 0
    return chance.randrange(first, len(copy))


def _flip(copy: bytearray, chance: random.Random) -> None:
    copy[_place(copy, chance)] ^= 1 << chance.randrange(8)


def _put(copy: bytearray, chance: random.Random) -> None:
    copy[_place(copy, chance)] = chance.randrange(256)


def _lose(copy: bytearray, chance: random.Random) -> None:
    at = _place(copy, chance)
    del copy[at : at + chance.choice((1, 2, 8, 64, 512))]


def _cut_off(copy: bytearray, chance: random.Random) -> None:
    if chance.random() < 0.2:
        del copy[_place(copy, chance) :]


def _double(copy: bytearray, chance: random.Random) -> None:
    start, to = _place(copy, chance), _place(copy, chance)
    copy[to:to] = copy[start : start + chance.choice((1, 8, 64, 512))]


def _insert(copy: bytearray, chance: random.Random) -> None:
    at = _place(copy, chance)
    copy[at:at] = chance.choice(TOKENS)


def _swap_tokens(copy: bytearray, chance: random.Random) -> None:
    start = max(0, _place(copy, chance) - 1000)
    found = list(_token.finditer(bytes(copy[start : start + 4000])))
    if len(found) >= 2:
        first, second = sorted(chance.sample(range(len(found)), 2))
        one, other = found[first], found[second]
        copy[start + other.start() : start + other.end()] = one[0]
        copy[start + one.start() : start + one.end()] = other[0]


def _edit_a_row(copy: bytearray, chance: random.Random) -> None:
    found = list(_row.finditer(bytes(copy)))
    if found:
        row = chance.choice(found)
        position = chance.choice((0, 9, len(copy), 9_999_999_999, chance.randrange(len(copy))))
        kind = chance.choice((b"n", b"f"))
        generation = chance.choice((0, 1, 65535))
        copy[row.start() : row.end()] = b"%010d %05d %b" % (position, generation, kind)


_WAYS: Final[tuple[Callable[[bytearray, random.Random], None], ...]] = (
    *(_flip, _put, _lose, _cut_off, _double, _insert, _swap_tokens, _edit_a_row),
)
