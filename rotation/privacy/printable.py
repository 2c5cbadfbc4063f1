"""Makes text from outside safe to show.

A terminal obeys some characters, and what follows a line break in a log looks like another entry.
Nobody reads a name of a hundred thousand characters, and a log, an answer or a queue refuses it.
"""

from __future__ import annotations

from typing import Final

from rotation.privacy.redaction import scrub

#: How many characters of one text from outside stand in a message or a field of the log at most.
LONGEST_SHOWN: Final = 300

# Each part is scrubbed before it is cut, with as much around it as a key has.
_AROUND: Final = 4096
_MOST_LINES: Final = 400
_LONGEST_LINE: Final = 1000


def printable(text: str) -> str:
    """``text`` with every character that does not print, such as a line break, as an escape.

    For text that somebody here has typed or chosen: it stays whole.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def printable_lines(text: str) -> str:
    """A text of many lines, such as a traceback, without what is too long and what must be hidden.

    A traceback holds the messages of exceptions, and they may quote a whole document.
    """
    lines = text.split("\n")
    if len(lines) > _MOST_LINES:
        half = _MOST_LINES // 2
        lines = [*lines[:half], f"…[{len(lines)} lines]…", *lines[-half:]]
    return scrub("\n".join(outside_text(line, _LONGEST_LINE) for line in lines))


def outside_text(value: object, most: int = LONGEST_SHOWN) -> str:
    """What others wrote, as a message or a log shows it: printable, on one line, and short.

    Each text that was not written here goes through this function before it enters an error, a log
    line or an answer: the names in a document, the subject of a certificate, a header, the code of
    an error of AWS, the key of an object. Of a longer text the beginning and the end are shown,
    without what `rotation.privacy.redaction` finds in them, and its length.

    Args:
        value: the text; of anything else, its ``str``.
        most: how many characters are returned at most.
    """
    text = value if isinstance(value, str) else str(value)
    if len(text) <= most:
        shown = printable(text)
        if len(shown) <= most:
            return shown
    mark = f"…[{len(text)} characters]…"
    room = max(most - len(mark), 0)
    tail = room // 3
    begin = printable(scrub(text[: room + _AROUND])[: room - tail])
    end = printable(scrub(text[-(tail + _AROUND) :])[-tail:]) if tail else ""
    return begin[: room - tail] + mark + end[-tail:] if tail else begin[:room] + mark
