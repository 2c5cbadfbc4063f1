"""The last lines of the functions' log files, short enough to be read on a page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rotation.privacy.redaction import hide_keys

#: How much of the end of each file is read, in bytes.
_READ: Final = 64 * 1024
#: Members of a line that are told apart from its message, in this order.
_FACTS: Final = ("step", "code", "reason", "outcome", "key_id", "version")
#: How the lines of a traceback begin, below the line that names the error.
_FRAMES: Final = (" ", "Traceback ")
_IDS: Final = frozenset({"key_id", "version"})
#: How many characters of a line are shown.
_LONGEST: Final = 300


@dataclass(frozen=True)
class LogLine:
    """One line of a log.

    Attributes:
        time: the time of day, as the function wrote it; empty where it wrote none.
        function: the last word of the function's name.
        level: such as ``INFO``; empty where the line names none.
        text: its message and the most important facts.
    """

    time: str
    function: str
    level: str
    text: str


class LogFiles:
    """The logs of some functions. What their files hold when this is made is never shown.

    Args:
        folder: where each function has a file NAME.log.
        functions: their names.
    """

    def __init__(self, folder: Path, functions: Iterable[str]) -> None:
        paths = {name: folder / f"{name}.log" for name in functions}
        self._files = {name: (path, _size(path)) for name, path in paths.items()}

    def newest(self, most: int) -> list[LogLine]:
        """Up to ``most`` lines of all functions, the newest first."""
        found: list[tuple[str, LogLine]] = []
        for name, (path, start) in self._files.items():
            found += _lines(name.rpartition("-")[2], _tail(path, start))
        found.sort(key=lambda one: one[0])
        return [line for _, line in found[-most:]][::-1]


def _tail(path: Path, start: int) -> list[str]:
    size = _size(path)
    begin = max(start, size - _READ)
    if size <= begin:
        return []
    with path.open("rb") as log:
        log.seek(begin)
        text = log.read(_READ).decode(errors="replace")
    lines = text.splitlines()
    return lines[1:] if begin > start else lines


def _lines(function: str, lines: Iterable[str]) -> Iterator[tuple[str, LogLine]]:
    """Each line with what it is sorted by: its time, or that of the line before it.

    Metrics and the frames of tracebacks are left out.
    """
    time = ""
    for line in lines:
        record = _record(line)
        if "_aws" in record or (not record and line.startswith(_FRAMES)):
            continue
        time = str(record.get("timestamp") or time)
        text = " ".join([str(record.get("message", line)), *_facts(record)])
        yield (
            time,
            LogLine(
                time=str(record.get("timestamp", ""))[11:19],
                function=function,
                level=str(record.get("level", "ERROR" if line.startswith("[ERROR]") else "")),
                text=hide_keys(text)[:_LONGEST],
            ),
        )


def _record(line: str) -> dict[str, object]:
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _facts(record: dict[str, object]) -> Iterator[str]:
    for name in _FACTS:
        if record.get(name) is not None:
            text = str(record[name])
            yield f"{name.removesuffix('_id')} {text[:8] if name in _IDS else text}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
