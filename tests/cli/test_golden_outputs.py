"""What people see, letter by letter, in terminals of 60, 80 and 120 columns, and in a pipe."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from contextlib import redirect_stdout, suppress
from fcntl import ioctl
from io import StringIO
from pathlib import Path
from struct import pack
from termios import TIOCSWINSZ

import pytest

from rotation.cli.commands import rotation
from rotation.cli.shared.output import plain_console
from rotation.cli.status import print_report
from tests.cli.golden_outputs import print_all
from tests.cli.operator_terminal import ROTATION
from tests.cli.screen import screen
from tests.paths import ROOT

GOLDEN = Path(__file__).with_name("golden")
WIDTHS = (60, 80, 120)
ANSI = re.compile(r"\x1b\[[0-9;]*m")
#: The sign of a live line, of which there are many.
SPINNER = re.compile(r"(?m)^[\u2800-\u28ff]")


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The columns of the terminal."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(request.param))
    columns: int = request.param
    return columns


def status() -> str:
    """What `rotation status` prints of the report in the golden files."""
    with redirect_stdout(StringIO()) as printed:
        print_report(plain_console(), json.loads((GOLDEN / "report.json").read_text()))
    return printed.getvalue()


def printed_help(*names: str) -> str:
    """What ``--help`` prints; for click's own runner every terminal has 80 columns."""
    with redirect_stdout(StringIO()) as printed:
        rotation.main([*names, "--help"], prog_name="rotation", standalone_mode=False)
    return printed.getvalue()


def help_of(width: int) -> str:
    return (GOLDEN / f"help-{min(width, 80)}.txt").read_text()


def test_the_commands_are_listed_by_what_people_need(width: int) -> None:
    """Every summary is whole, on one line."""
    printed = printed_help()
    assert printed == help_of(width)
    assert "..." not in printed.partition("Every day")[2]
    assert max(map(len, printed.splitlines())) <= width


def test_every_command_s_help_fits(width: int) -> None:
    """No line of it is wider than the terminal."""
    for name in ("status", "rotate", "force", "hold", "unstick", "rollback", "pool", "sandbox"):
        printed = printed_help(name)
        assert max(map(len, printed.splitlines())) <= width, name


@pytest.mark.usefixtures("width")
def test_keys_are_told_in_words() -> None:
    """In a pipe; a terminal breaks no line, since people copy what they find."""
    assert status() == (GOLDEN / "status.txt").read_text()


@pytest.mark.usefixtures("width")
def test_a_terminal_shows_the_same_words_in_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR nothing is bold or dim either."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = status()
    assert "\x1b[1m" in coloured
    assert ANSI.sub("", coloured) == (GOLDEN / "status.txt").read_text()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in status()


@pytest.mark.usefixtures("width")
def test_what_commands_print_is_as_it_was() -> None:
    """In a pipe, the same at every width: no line is broken, since people copy what they find."""
    with redirect_stdout(StringIO()) as printed:
        print_all()
    assert moments(printed.getvalue()) == (GOLDEN / "outputs.txt").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("columns", WIDTHS)
def test_a_terminal_shows_them_too(columns: int) -> None:
    """The same letters, in colours; and below them what is waited for, which leaves nothing."""
    sent = on_a_terminal(columns, [sys.executable, "-m", "tests.cli.golden_outputs"])
    assert "\x1b[1;32m" in sent
    outputs = (GOLDEN / "outputs.txt").read_text()
    waiting = (GOLDEN / f"waiting-{columns}.txt").read_text()
    before, cursor, _ = sent.rpartition("\x1b[?25h")
    assert cursor
    plain = screen(outputs.replace("\n", "\r\n"), columns)[:-1]
    shown = moments("\n".join(screen(before, columns))).splitlines()
    assert shown[: len(plain)] == moments("\n".join(plain)).splitlines()
    assert SPINNER.sub("*", "\n".join(shown[len(plain) :])) == waiting.rstrip("\n")
    left = moments("\n".join(screen(sent, columns))).rstrip().splitlines()
    line = next(at for at, text in enumerate(waiting.splitlines()) if text.startswith("*"))
    assert left[len(plain) :] == waiting.splitlines()[:line]


def moments(printed: str) -> str:
    """What was printed, as if it had taken no time; as wide as it was."""
    at_once = re.sub(r"(?m)^ *\d+\.\d s  ", "   0.0 s  ", printed)
    return re.sub(r"(?m)^(\S) \d+ s, waiting", r"\1 0 s, waiting", at_once)


@pytest.mark.slow
def test_a_real_terminal_gives_its_own_width() -> None:
    """A pty of 60 columns, and no variable that says so."""
    assert on_a_terminal(60, [ROTATION, "--help"]).replace("\r\n", "\n") == help_of(60)


def on_a_terminal(columns: int, command: list[str]) -> str:
    """What a command sends to a pty that is so many columns wide."""
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8"},
    )
    os.close(theirs)
    shown = b""
    # Linux says EIO when the other end is closed.
    with suppress(OSError):
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert process.wait(120) == 0, shown.decode()
    return shown.decode()
