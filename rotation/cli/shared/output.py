"""How the commands print: consoles, progress, and text from outside."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Final

from rich.console import Console
from rich.progress import Progress, ProgressColumn

_PROGRESS_DELAY: Final = 2.0  # seconds


def plain_console(*, stderr: bool = False) -> Console:
    """A console that wraps no line, highlights nothing, and leaves ``:secret:`` as it is."""
    return Console(stderr=stderr, highlight=False, soft_wrap=True, emoji=False)


@contextmanager
def progress_shown(*columns: str | ProgressColumn) -> Iterator[Progress]:
    """Show progress on a terminal's standard error, from two seconds on to the end of the block."""
    console = Console(file=sys.stderr, emoji=False)
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    timer = Timer(_PROGRESS_DELAY, progress.start)
    timer.daemon = True
    timer.start()
    try:
        yield progress
    finally:
        timer.cancel()
        timer.join()
        progress.stop()
