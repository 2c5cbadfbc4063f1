"""How the commands print: consoles, progress, and text from outside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Timer
from typing import Final

from rich.console import Console
from rich.progress import Progress, ProgressColumn

_PROGRESS_DELAY: Final = 2.0  # seconds


def plain_console(
    *, stderr: bool = False, width: int | None = None, quiet: bool = False, record: bool = False
) -> Console:
    """A console that wraps no line, highlights nothing, and leaves ``:secret:`` as it is.

    With NO_COLOR (https://no-color.org) nothing is bold or dim either: rich leaves that.
    """
    make = partial(
        Console,
        stderr=stderr,
        width=width,
        quiet=quiet,
        record=record,
        highlight=False,
        soft_wrap=True,
        emoji=False,
    )
    console = make()
    return make(color_system=None) if console.no_color else console


@contextmanager
def progress_shown(*columns: str | ProgressColumn) -> Iterator[Progress]:
    """Show progress on a terminal's standard error, from two seconds on to the end of the block."""
    console = plain_console(stderr=True)
    console.soft_wrap = False
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
