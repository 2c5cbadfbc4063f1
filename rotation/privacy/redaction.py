"""Scrubs key material from text.

This is the second line of defence. The first keeps secrets out of messages altogether
(`rotation.credential`). What a library prints all the same is scrubbed here:

- known key material, in every form that a log could show it (hex, base64, base64 of the hex text),
  whole or in pieces of at least twelve characters;
- the values of fields whose name says that they hold a secret, and long runs of hex digits, even
  if the value was never seen before.

Its work grows with the length of the text and no faster, whatever the text: it is run on what
others wrote. No pattern goes back over characters that it has passed, and none looks for an end
that may be missing.

It does NOT scrub text that other code writes to a file or a socket by itself.
"""

from __future__ import annotations

import base64
import json
import os
import re
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator
from math import inf
from threading import Lock
from typing import Final

HIDDEN = "<hidden>"

_PIECE = 12
_REMEMBERED = 32

_run_of_key_characters = re.compile(r"[A-Za-z0-9+/=_-]{12,}")
_long_hex = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{40,}(?![0-9A-Fa-f])")
_hidden_fields = {"apiKey", "key", "material", "SecretString", "SecretBinary", "RotationToken"}


# A quote with all the backslashes before it; in a text within a text they are more.
_quote: Final = re.compile(r"""(?<!\\)(\\*+)(["'])""")


def _field_start_pattern() -> re.Pattern[str]:
    """``"apiKey": "…`` in JSON, ``'SecretString': '…`` in a repr, and with escaped quotes."""
    names = "|".join(map(re.escape, sorted(_hidden_fields)))
    return re.compile(rf"""(?ix) ["'] (?: {names} ) \\*+ ["'] \s*+ : \s*+ b?+ ( \\*+ ) ( ["'] )""")


_field_start = _field_start_pattern()

_known: OrderedDict[str, frozenset[str]] = OrderedDict()
_lock = Lock()


def _forked() -> None:
    """Make a new lock in a forked process, where no thread is left to release the old one."""
    global _lock  # noqa: PLW0603 - a lock cannot be freed by another thread
    _lock = Lock()


os.register_at_fork(after_in_child=_forked)


def hide_field(name: str) -> None:
    """From now on, scrub the text of every field called ``name``."""
    global _field_start  # noqa: PLW0603 - a pattern is compiled once for each new name
    with _lock:
        if name not in _hidden_fields:
            _hidden_fields.add(name)
            _field_start = _field_start_pattern()


def hide_value(secret: str) -> None:
    """From now on, scrub ``secret``; the last 32 values are remembered."""
    if len(secret) < _PIECE:
        return
    # Made before the lock is taken, so that the lock is held for a moment only.
    pieces = _known.get(secret) or frozenset(_pieces(secret))
    with _lock:
        _known[secret] = pieces
        _known.move_to_end(secret)
        while len(_known) > _REMEMBERED:
            _known.popitem(last=False)


def scrub(text: str) -> str:
    """``text`` without key material; text without any is returned unchanged."""
    return hide_keys(_hide_fields(text))


def is_hidden_field(name: str) -> bool:
    """Whether a field of this name holds a secret."""
    return name.lower() in {hidden.lower() for hidden in _hidden_fields}


def hide_keys(text: str) -> str:
    """``text`` without known key material and without long runs of hex digits, wherever they are.

    It looks at no quotes, so that JSON remains JSON.
    """
    text = _long_hex.sub(HIDDEN, text)
    with _lock:
        secrets, known = tuple(_known), tuple(_known.values())
    for secret in secrets:
        if _run_of_key_characters.fullmatch(secret) is None:
            # Its parts may be too short to be found below. JSON and repr escape some characters.
            for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]):
                text = text.replace(form, HIDDEN)
    if known:
        text = _run_of_key_characters.sub(lambda run: _hide_pieces(run.group(), known), text)
    return text


def renderings(secret: str) -> Iterator[str]:
    """The forms in which ``secret`` could appear in text, the secret itself first."""
    yield secret
    encoded = secret.encode()
    yield encoded.hex()
    yield from _in_base64(encoded, base64.b64encode)
    try:
        raw = bytes.fromhex(secret)
    except ValueError:
        return
    yield secret.lower()
    yield secret.upper()
    yield from _in_base64(raw, base64.b64encode)
    yield from _in_base64(raw, base64.urlsafe_b64encode)


def _in_base64(content: bytes, encode: Callable[[bytes], bytes]) -> Iterator[str]:
    """Inside a larger base64 text the same bytes have three forms, one for each alignment."""
    for shift in range(3):
        yield encode(b"\0" * shift + content).decode().rstrip("=")[2 * shift :]


def _hide_fields(text: str) -> str:
    """``text`` without the values of fields whose name says that they hold a secret."""
    found = _field_start.search(text)
    if found is None:
        return text
    quotes = _Quotes(text)
    kept: list[str] = []
    end = 0
    while found is not None:
        kept += [text[end : found.end()], HIDDEN]
        end = quotes.end_of_value(found.end(), len(found[1]), found[2])
        found = _field_start.search(text, end)
    return "".join(kept) + text[end:]


class _Quotes:
    """The quotes of a text, from left to right, each with the number of backslashes before it."""

    def __init__(self, text: str) -> None:
        self._quotes = [(one.start(), len(one[1]), one[2]) for one in _quote.finditer(text)]
        self._starts = [*(start for start, _, _ in self._quotes), len(text)]
        # For each kind: the fewest backslashes before one, from each quote on to the end.
        self._fewest = {mark: self._fewest_before(mark) for mark in "\"'"}

    def _fewest_before(self, mark: str) -> list[float]:
        fewest = [inf]
        for _, depth, kind in reversed(self._quotes):
            fewest.append(min(fewest[-1], depth) if kind == mark else fewest[-1])
        return fewest[::-1]

    def end_of_value(self, start: int, depth: int, mark: str) -> int:
        """Where the value ends that begins at ``start``, after ``depth`` backslashes and ``mark``.

        It ends at the next quote of its kind with as many backslashes. One with fewer ends a text
        that holds the value. Where neither comes, the value was cut off: it ends at any quote, or
        with the text.
        """
        index = bisect_left(self._starts, start)
        if self._fewest[mark][index] <= depth:
            while self._quotes[index][2] != mark or self._quotes[index][1] > depth:
                index += 1
        return self._starts[index]


def _pieces(secret: str) -> Iterator[str]:
    for form in renderings(secret):
        for start in range(len(form) - _PIECE + 1):
            yield form[start : start + _PIECE]


def _hide_pieces(run: str, known: tuple[frozenset[str], ...]) -> str:
    starts = range(len(run) - _PIECE + 1)
    windows = {run[start : start + _PIECE] for start in starts}
    # Sets are compared as a whole: a log line has many windows, and nearly none of them matches.
    found = {window for pieces in known for window in windows & pieces}
    if not found:
        return run
    hits = [start for start in starts if run[start : start + _PIECE] in found]
    kept: list[str] = []
    end = 0
    for start in hits:
        if start > end or not kept:
            kept.append(run[end:start] + HIDDEN)
        end = start + _PIECE
    return "".join(kept) + run[end:]
