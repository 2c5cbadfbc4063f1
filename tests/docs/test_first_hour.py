"""The first hour of a new user: docs/first-hour.md is followed in a home in which nothing is."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.docs.runbooks.page import Command, Page, difference, planted
from tests.paths import ROOT

PAGE = ROOT / "docs" / "first-hour.md"
#: Set by `make first-hour`: follow the page with every supported Python that is found.
EVERY_PYTHON = "FIRST_HOUR_EVERY_PYTHON"
SUPPORTED = ("3.11", "3.12", "3.13")
PATIENCE = 600.0
#: What somebody's machine says about where libraries come from, and what it has of them already.
DOWNLOADS = re.compile(r"(PIP|UV|SSL)_\w+|(?i:https?_proxy|no_proxy)")
RUNS = "Rotation steps as they happen:"
NOT_IN_A_CHECKOUT = shutil.ignore_patterns(
    *(".git", ".venv*", ".sandbox", ".bench", ".hypothesis", ".*_cache", "__pycache__", "build")
)


def pythons() -> dict[str, str]:
    """The interpreters to follow the page with, by their versions: the running one at least."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = {running: sys._base_executable}  # type: ignore[attr-defined]
    for version in SUPPORTED if os.environ.get(EVERY_PYTHON) else ():
        places = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python3"))
        on_path = shutil.which(f"python{version}")
        for place in [*map(str, reversed(places)), *([on_path] if on_path else [])]:
            if version not in found and is_version(place, version):
                found[version] = place
    return found


def is_version(python: str, version: str) -> bool:
    """Whether it is an interpreter of that version that can make environments."""
    code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() == version


PYTHONS = pythons()


@dataclass
class NewUser:
    """Somebody with a checkout in an empty home, no other command than the machine's, and a shell.

    Attributes:
        checkout: the folder in which the commands are typed.
        python: the interpreter, as the Makefile takes it from the environment.
        sourced: the files that were sourced in the shell so far.
    """

    checkout: Path
    python: str
    sourced: list[str] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        downloads = {name: value for name, value in os.environ.items() if DOWNLOADS.fullmatch(name)}
        caches = {"UV_CACHE_DIR": str(Path.home() / ".cache" / "uv")}
        caches["PIP_CACHE_DIR"] = str(Path.home() / ".cache" / "pip")
        return {
            **caches,
            **downloads,
            "HOME": str(self.checkout.parent),
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PYTHON": self.python,
        }

    def type(self, command: Command) -> None:
        """Type a command, and see that what is printed stands on the page."""
        if command.text.startswith("source "):
            self.sourced.append(command.text)
        script = "\n".join([*self.sourced, command.text])
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.checkout,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"$ {command.text}\n{done.stdout}"
        compare(command, done.stdout)

    @contextmanager
    def sandbox(self, command: Command) -> Iterator[None]:
        """The command of the first terminal, which Ctrl-C ends."""
        screen = self.checkout.parent / "first-terminal"
        with screen.open("w") as shown:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command.text}"],
                cwd=self.checkout,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=shown,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            ends = time.monotonic() + PATIENCE
            while RUNS not in screen.read_text():
                assert process.poll() is None, screen.read_text()
                assert time.monotonic() < ends, screen.read_text()
                time.sleep(0.1)
            yield
        finally:
            # As a terminal does it: everything that runs in it gets the signal.
            os.killpg(process.pid, signal.SIGINT)
            process.wait(PATIENCE)
        # `make` adds a line of its own about the signal, after or before those of the sandbox.
        printed = [line for line in screen.read_text().splitlines() if not line.startswith("make:")]
        compare(command, "\n".join(printed))


def compare(command: Command, printed: str) -> None:
    """What is printed stands on the page, and each word that stands there is compared."""
    told = f"$ {command.text}\n{printed}"
    wrong = difference(command.prints, printed)
    assert wrong is None, f"The page has: {wrong}\nThis is so:\n{told}"
    assert [text for text in planted(command.prints) if difference(text, printed) is None] == []


@pytest.mark.slow
@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS.keys())
def test_the_first_hour_is_as_printed(python: str, tmp_path: Path) -> None:
    """From nothing to a leaked key that is proven dead, each command as it stands there."""
    user = NewUser(tmp_path / "checkout", python)
    shutil.copytree(ROOT, user.checkout, ignore=NOT_IN_A_CHECKOUT)
    first, second, *others = Page.parse(PAGE.read_text()).steps
    [demo], [sandbox] = first.commands, second.commands
    user.type(demo)
    with user.sandbox(sandbox):
        for step in others:
            for command in step.commands:
                user.type(command)
    assert len(others) >= 5


def test_it_begins_with_the_command_of_readme() -> None:
    """And with what README says is needed."""
    [demo] = Page.parse(PAGE.read_text()).steps[0].commands
    readme = (ROOT / "README.md").read_text()
    assert re.findall(r"^\$ (.*)$", readme, re.MULTILINE)[0] == demo.text
    assert "(docs/first-hour.md)" in readme
    for needed in ("Python 3.11 or newer", "`venv`", "`make`"):
        assert needed in readme
        assert needed in PAGE.read_text()
