"""A terminal: runs a command line as a person types it, in a shell of its own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

_PATIENCE = 300.0


@dataclass
class Running:
    """A command that was started. What it prints and complains is one text, as on a screen."""

    process: subprocess.Popen[bytes]
    screen: IO[bytes]

    def shows(self) -> str:
        """What it printed so far."""
        self.screen.seek(0)
        return self.screen.read().decode()

    def wait_for(self, text: str) -> None:
        """Wait until it has printed ``text``."""
        ends = time.monotonic() + _PATIENCE
        while text not in self.shows():
            assert self.process.poll() is None, self.shows()
            assert time.monotonic() < ends, self.shows()
            time.sleep(0.05)

    def finish(self) -> tuple[str, int]:
        """Everything that it printed, and its exit code."""
        with self.screen:
            try:
                code = self.process.wait(_PATIENCE)
            finally:
                self.process.kill()
            return self.shows(), code


@dataclass(frozen=True)
class Terminal:
    """Where commands are typed.

    Attributes:
        folder: the working directory, and the home.
        commands: the folder of the `rotation` and `aws` commands.
        environment: the variables that somebody exported.
    """

    folder: Path
    commands: Path
    environment: Mapping[str, str]

    def start(self, command: str, typed: str = "") -> Running:
        """Start ``command``; ``typed`` is what it finds on its standard input."""
        screen = TemporaryFile()  # noqa: SIM115 - closed when the command is finished
        process = subprocess.Popen(
            ["bash", "-uo", "pipefail", "-c", command],
            cwd=self.folder,
            env={
                "PATH": f"{self.commands}:/usr/bin:/bin",
                "HOME": str(self.folder),
                "LANG": "C.UTF-8",
                **self.environment,
            },
            stdin=subprocess.PIPE,
            stdout=screen,
            stderr=subprocess.STDOUT,
        )
        assert process.stdin is not None
        # A command that reads nothing may have ended by now.
        with suppress(BrokenPipeError), process.stdin as keyboard:
            keyboard.write(typed.encode())
        return Running(process, screen)
