"""A terminal's screen: what somebody sees of the characters that a program sent to it."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"\x1b\[(?P<number>\d*)(?P<letter>[AK])|\x1b\[[?\d;]*[a-zA-Z]")


def screen(sent: str, columns: int) -> list[str]:
    """The lines of a screen so many columns wide, without blanks at their ends.

    Knows what our commands send: text, line ends, "up" and "erase the line"; colours and the
    cursor's looks are skipped. What is longer than a line goes on in the next one.
    """
    lines: list[list[str]] = [[]]
    row = column = at = 0

    def down() -> None:
        nonlocal row
        row += 1
        if row == len(lines):
            lines.append([])

    while at < len(sent):
        control = _CONTROL.match(sent, at)
        if control is not None:
            at = control.end()
            if control["letter"] == "A":
                row = max(0, row - int(control["number"] or 1))
            elif control["letter"] == "K":
                lines[row] = []
            continue
        character = sent[at]
        at += 1
        if character == "\r":
            column = 0
        elif character == "\n":
            down()
        else:
            # The last column is filled first; the next character goes on below.
            if column == columns:
                down()
                column = 0
            line = lines[row]
            line += [" "] * (column + 1 - len(line))
            line[column] = character
            column += 1
    return ["".join(line).rstrip() for line in lines]
