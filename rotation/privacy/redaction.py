"""Scrubs key material from text.

This is the second line of defence. The first keeps secrets out of messages altogether
(`rotation.credential`). What a library prints all the same is scrubbed here:

- known key material, in every form that a log could show it (hex, base64, base64 of the hex text),
  whole or in pieces of at least twelve characters;
- the values of fields whose name says that they hold a secret, and long runs of hex digits, even
  if the value was never seen before.

It does NOT scrub text that other code writes to a file or a socket by itself.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections import OrderedDict
from collections.abc import Iterator
from threading import Lock

HIDDEN = "<hidden>"

_PIECE = 12
_REMEMBERED = 32

_run_of_key_characters = re.compile(r"[A-Za-z0-9+/=_-]{12,}")
_long_hex = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{40,}(?![0-9A-Fa-f])")
_hidden_fields = {"apiKey", "key", "material", "SecretString", "SecretBinary", "RotationToken"}


def _hidden_field_pattern() -> re.Pattern[str]:
    """``"apiKey": "…"`` in JSON, ``'SecretString': '…'`` in a repr, and with escaped quotes."""
    names = "|".join(map(re.escape, sorted(_hidden_fields)))
    return re.compile(
        rf"""(?ix) ( \\*["'] (?: {names} ) \\*["'] \s* : \s* b? ) ( \\*["'] ) .*? (?<!\\) \2""",
        re.DOTALL,
    )


_secret_field = _hidden_field_pattern()

_known: OrderedDict[str, frozenset[str]] = OrderedDict()
_lock = Lock()


def _forked() -> None:
    """Make a new lock in a forked process, where no thread is left to release the old one."""
    global _lock  # noqa: PLW0603 - a lock cannot be freed by another thread
    _lock = Lock()


os.register_at_fork(after_in_child=_forked)


def hide_field(name: str) -> None:
    """From now on, scrub the text of every field called ``name``."""
    global _secret_field  # noqa: PLW0603 - a pattern is compiled once for each new name
    with _lock:
        if name not in _hidden_fields:
            _hidden_fields.add(name)
            _secret_field = _hidden_field_pattern()


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
    text = _secret_field.sub(rf"\1\2{HIDDEN}\2", text)
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
    # Inside a larger base64 text the same bytes have three forms, one for each alignment.
    for shift in range(3):
        yield base64.b64encode(b"\0" * shift + encoded).decode().rstrip("=")[2 * shift :]
    try:
        raw = bytes.fromhex(secret)
    except ValueError:
        return
    yield secret.lower()
    yield secret.upper()
    yield base64.b64encode(raw).decode()
    yield base64.urlsafe_b64encode(raw).decode()


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
