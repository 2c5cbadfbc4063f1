"""Which processes are running."""

from __future__ import annotations

from pathlib import Path


def commands_below(mark: str) -> list[str]:
    """The command lines of processes that name ``mark`` in their arguments or environment."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if mark.encode() in command + environment:
            found.append(command.replace(b"\0", b" ").decode())
    return found
