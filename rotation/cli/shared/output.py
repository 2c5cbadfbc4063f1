"""How the commands print."""

from __future__ import annotations

from rich.console import Console


def plain_console(*, stderr: bool = False) -> Console:
    """A console for facts: nothing is wrapped, guessed at or made a picture, as in ``:secret:``."""
    return Console(stderr=stderr, highlight=False, soft_wrap=True, emoji=False)
