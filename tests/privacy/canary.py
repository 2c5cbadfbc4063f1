"""Looks for planted key material in whatever a run produced. Shares no code with the scrubber."""

from __future__ import annotations

import base64
import io
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PIECE = 12


class Canary:
    """Knows what was planted; finds it whole or in pieces of twelve characters, in any rendering.

    Raw text, raw bytes as such and as Python prints them, hex, hex of the text, upper case,
    base64 of the bytes and of the text at each of the three alignments, URL-safe or not.
    """

    def __init__(self) -> None:
        self._pieces: dict[bytes, str] = {}
        self._printed: dict[bytes, str] = {}
        self.planted: list[str] = []

    def plant(self, secret: str, what: str) -> None:
        """Look for ``secret`` from now on; ``what`` names it in a finding."""
        if secret in self.planted:
            return
        self.planted.append(secret)
        for rendering in _renderings(secret):
            for start in range(len(rendering) - PIECE + 1):
                self._pieces[rendering[start : start + PIECE]] = what
        for printed in _as_python_prints(secret):
            self._printed[printed] = what

    def find(self, content: bytes) -> str | None:
        """What was found, and around which offset; None: nothing."""
        for start in range(len(content) - PIECE + 1):
            what = self._pieces.get(content[start : start + PIECE])
            if what is not None:
                return f"{what} at byte {start}"
        return next((what for printed, what in self._printed.items() if printed in content), None)

    def findings(self, folder: Path) -> list[str]:
        """Every file below ``folder`` that holds something planted."""
        return [
            f"{path}: {found}"
            for path in sorted(folder.rglob("*"))
            if path.is_file() and (found := self.find(path.read_bytes()))
        ]


@contextmanager
def debug_log() -> Iterator[io.StringIO]:
    """Everything that this process logs at DEBUG, whichever logger and handler."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield text
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def everything_said(error: BaseException) -> bytes:
    """An exception as the most talkative logger prints it: chain, locals, doc, notes, args."""
    said: list[str] = []
    for one in _chain(error):
        told = traceback.TracebackException.from_exception(one, capture_locals=True)
        said += told.format()
        said += [repr(one), repr(one.args), repr(vars(one)), str(getattr(one, "doc", ""))]
    return "\n".join(said).encode()


def _chain(error: BaseException) -> Iterator[BaseException]:
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        # __context__ is walked even where "from None" keeps it from being printed.
        waiting += [one.__cause__, one.__context__]


def text_renderings(secret: str) -> Iterator[bytes]:
    """Every form that is plain text: hex, hex of the text, base64 of the text and of the bytes."""
    text = secret.encode()
    yield from (text, text.upper(), text.hex().encode(), text.hex().upper().encode())
    yield from _base64(text)
    if raw := _raw(secret):
        yield from _base64(raw)


def _renderings(secret: str) -> Iterator[bytes]:
    yield from text_renderings(secret)
    yield _raw(secret)


def _raw(secret: str) -> bytes:
    """The bytes that a hex text stands for; none for any other text."""
    try:
        return bytes.fromhex(secret)
    except ValueError:
        return b""


def _as_python_prints(secret: str) -> Iterator[bytes]:
    """Eight bytes of the raw key at a time: twelve characters of a repr may be three bytes only."""
    raw = _raw(secret)
    for start in range(len(raw) - 7):
        yield repr(raw[start : start + 8])[2:-1].encode()


def _base64(content: bytes) -> Iterator[bytes]:
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(b"\0" * shift + content)
            first = -(-shift * 4 // 3)
            whole = (shift + len(content)) * 4 // 3
            yield encoded[first:whole]
