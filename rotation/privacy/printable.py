"""Makes text from outside safe to show.

A terminal obeys some characters, and what follows a line break in a log looks like another entry.
"""

from __future__ import annotations


def printable(text: str) -> str:
    """``text`` with every character that does not print, such as a line break, as an escape."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )
