"""Progress on a terminal, for whatever takes longer than a moment. Nothing of it is in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Final

from rich.console import Console
from rich.progress import Progress, ProgressColumn

_MOMENT: Final = 2.0  # seconds


@contextmanager
def progress_shown(*columns: str | ProgressColumn) -> Iterator[Progress]:
    """Progress on standard error, shown after two seconds and gone at the end of the block."""
    console = Console(file=sys.stderr, emoji=False)
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    timer = Timer(_MOMENT, progress.start)
    timer.daemon = True
    timer.start()
    try:
        yield progress
    finally:
        timer.cancel()
        timer.join()
        progress.stop()


def printable(text: str) -> str:
    """``text`` from a file or of its name, without what could steer a terminal."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )
