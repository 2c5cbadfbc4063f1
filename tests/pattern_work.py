"""Counts the work of a regular expression: how many characters a backtracking engine looks at.

CPython's own engine cannot be counted, and a time depends on the machine. This one reads what
`re._parser` makes of a pattern, which is what CPython's engine runs, and tries the same ways in the
same order. It has none of CPython's shortcuts, so it counts no less. It is slow, so it is for short
texts, and takes a limit of hundreds or thousands (``{4096}``) for one of twelve.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from re import _compiler, _constants, _parser  # type: ignore[attr-defined]
from typing import Any

Text = str | bytes
#: Where counting ends: a pattern may take exponential time.
MOST_WORK = 100_000
#: A limit of hundreds shows only in texts that are longer, so it counts as one of this many.
_HUNDREDS, _LOW_LIMIT = 100, 12
_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)
_ONE_CHARACTER = (_constants.LITERAL, _constants.NOT_LITERAL, _constants.ANY, _constants.IN)


class CountingPattern:
    """A pattern of which each attempt is counted.

    Attributes:
        work: how many items of the pattern were tried, and how many characters were looked at.
    """

    def __init__(self, pattern: re.Pattern[Any]) -> None:
        self.work = 0
        self._tree = _parser.parse(pattern.pattern, pattern.flags)
        self._text: Text = ""
        self._groups: dict[int, tuple[int, int]] = {}
        self._compiled: dict[int, re.Pattern[Any]] = {}
        self._ways: dict[Any, Callable[[Any, int], Iterator[int]]] = {
            **dict.fromkeys(_ONE_CHARACTER, self._character),
            **dict.fromkeys(_REPEATS, self._repeat),
            _constants.SUBPATTERN: self._group,
            _constants.BRANCH: self._branch,
            _constants.ATOMIC_GROUP: self._atomic,
            _constants.ASSERT: self._assertion,
            _constants.ASSERT_NOT: self._assertion,
            _constants.AT: self._place,
            _constants.GROUPREF: self._same_again,
        }

    def scan(self, text: Text) -> int:
        """The work of finding every match, as ``sub`` and ``finditer`` do."""
        self._text, self.work, at = text, 0, 0
        while at <= len(text) and self.work < MOST_WORK:
            end = next(self._sequence(self._tree, 0, at), None)
            at = at + 1 if end is None or end == at else end
        return self.work

    def match(self, text: Text) -> int:
        """The work of matching the text from its beginning to its end, as ``fullmatch`` does."""
        self._text, self.work = text, 0
        any(end == len(text) for end in self._sequence(self._tree, 0, 0))
        return self.work

    def _sequence(self, items: Any, index: int, at: int) -> Iterator[int]:
        """Where a match of the items from ``index`` on may end, in the engine's order."""
        if index == len(items):
            yield at
            return
        self.work += 1
        if self.work > MOST_WORK:
            return
        item = items[index]
        for end in self._ways[item[0]](item, at):
            yield from self._sequence(items, index + 1, end)

    def _character(self, item: Any, at: int) -> Iterator[int]:
        if self._accepts(item, at):
            yield at + 1

    def _group(self, item: Any, at: int) -> Iterator[int]:
        number, _, _, inner = item[1]
        for end in self._sequence(inner, 0, at):
            self._groups[number] = (at, end)
            yield end

    def _branch(self, item: Any, at: int) -> Iterator[int]:
        for inner in item[1][1]:
            yield from self._sequence(inner, 0, at)

    def _atomic(self, item: Any, at: int) -> Iterator[int]:
        yield from islice(self._sequence(item[1], 0, at), 1)

    def _assertion(self, item: Any, at: int) -> Iterator[int]:
        direction, inner = item[1]
        if direction < 0:
            self.work += inner.getwidth()[1]
            holds = self._accepts(item, at)
        else:
            found = next(self._sequence(inner, 0, at), None) is not None
            holds = found == (item[0] is _constants.ASSERT)
        if holds:
            yield at

    def _place(self, item: Any, at: int) -> Iterator[int]:
        if self._accepts(item, at):
            yield at

    def _same_again(self, item: Any, at: int) -> Iterator[int]:
        begin, end = self._groups[item[1]]
        self.work += end - begin
        if self._text[at : at + end - begin] == self._text[begin:end]:
            yield at + end - begin

    def _repeat(self, item: Any, at: int) -> Iterator[int]:
        operator, (least, most, inner) = item[0], _limited(item[1])
        lazy = operator is _constants.MIN_REPEAT
        if len(inner) == 1 and inner[0][0] in _ONE_CHARACTER:
            run = self._run(inner[0], int(most), at)
            lengths = range(int(least), run + 1)
            ends: Iterator[int] = (at + n for n in (lengths if lazy else reversed(lengths)))
        else:
            ends = self._times(inner, (int(least), int(most)), at, lazy=lazy)
        yield from islice(ends, 1) if operator is _constants.POSSESSIVE_REPEAT else ends

    def _run(self, item: Any, most: int, at: int) -> int:
        """How many characters from ``at`` on the item accepts."""
        length, limit = 0, min(len(self._text) - at, most)
        while length < limit and self._accepts(item, at + length):
            length += 1
        self.work += length
        return length

    def _times(self, inner: Any, times: tuple[int, int], at: int, *, lazy: bool) -> Iterator[int]:
        least, most = times
        if least <= 0 and lazy:
            yield at
        if most > 0:
            for end in self._sequence(inner, 0, at):
                if end > at:
                    yield from self._times(inner, (least - 1, most - 1), end, lazy=lazy)
        if least <= 0 and not lazy:
            yield at

    def _accepts(self, item: Any, at: int) -> bool:
        """What CPython says of one item that looks at a character, or at none."""
        if id(item) not in self._compiled:
            tree = _parser.SubPattern(self._tree.state, [item])
            self._compiled[id(item)] = _compiler.compile(tree, self._tree.state.flags)
        return self._compiled[id(item)].match(self._text, at) is not None


def _limited(repeat: Any) -> tuple[int, int, Any]:
    """How often something is repeated at least and at most, and what."""
    least, most, inner = repeat
    if most >= _HUNDREDS and most is not _constants.MAXREPEAT:
        least, most = min(least, _LOW_LIMIT), _LOW_LIMIT
    return least, most, inner


def hostile_texts(pattern: re.Pattern[Any], length: int) -> Iterator[Text]:
    """Texts of about ``length`` characters that begin as a match does and never become one.

    Each repeats a character, or the beginning of a match, after every beginning of a match.
    """
    tree = _parser.parse(pattern.pattern, pattern.flags)
    characters = sorted({*"\\\"' \n09aF=%/-<([", *_characters_of(tree)})
    sample = _sample(tree)
    beginnings = sorted({sample[:end] for end in range(len(sample) + 1)}, key=len)
    if len(beginnings) > 12:
        beginnings = beginnings[:: len(beginnings) // 12 + 1] + beginnings[-2:]
    for beginning in beginnings:
        for character in characters:
            yield _like(pattern, beginning + character * (length - len(beginning)))
        if beginning:
            for character in ("", " ", "\\", '"'):
                unit = beginning + character
                yield _like(pattern, unit * (length // len(unit)))


def _like(pattern: re.Pattern[Any], text: str) -> Text:
    return text.encode("latin-1") if isinstance(pattern.pattern, bytes) else text


def _characters_of(tree: Any) -> Iterator[str]:
    """Characters that the pattern treats differently."""
    for operator, argument in tree:
        if operator in _ONE_CHARACTER:
            yield _one(operator, argument)
        elif operator is _constants.SUBPATTERN:
            yield from _characters_of(argument[3])
        elif operator is _constants.BRANCH:
            for inner in argument[1]:
                yield from _characters_of(inner)
        elif operator in _REPEATS:
            yield from _characters_of(argument[2])


def _sample(tree: Any) -> str:
    """A text that matches, with every repeat twice where it may be."""
    text = ""
    for operator, argument in tree:
        if operator in _ONE_CHARACTER:
            text += _one(operator, argument)
        elif operator is _constants.SUBPATTERN:
            text += _sample(argument[3])
        elif operator is _constants.BRANCH:
            text += _sample(argument[1][0])
        elif operator is _constants.ATOMIC_GROUP:
            text += _sample(argument)
        elif operator in _REPEATS:
            least, most, inner = _limited(argument)
            text += _sample(inner) * min(max(least, 2), int(most))
    return text


def _one(operator: Any, argument: Any) -> str:
    """A character that the item accepts."""
    if operator is _constants.LITERAL:
        return chr(argument)
    if operator is _constants.NOT_LITERAL or operator is _constants.ANY:
        return "x" if argument != ord("x") else "y"
    members = [one for one in argument if one[0] is not _constants.NEGATE]
    if len(members) < len(argument):
        return "x"
    kind, value = members[0]
    if kind is _constants.LITERAL:
        return chr(value)
    if kind is _constants.RANGE:
        return chr(value[0])
    return {
        _constants.CATEGORY_DIGIT: "7",
        _constants.CATEGORY_SPACE: " ",
    }.get(value, "w")
