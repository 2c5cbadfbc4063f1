"""``rotation demo``: prints the demo's timeline, or one JSON object."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Event

import click
from rich.console import Console
from rich.text import Text

from rotation.cli.shared.output import plain_console
from rotation.cli.shared.waiting import EXIT_INTERRUPTED
from rotation.sandbox.demo import Demo, DemoFailedError, DemoResult, Moment
from rotation.sandbox.deployment import Deployment
from rotation.sandbox.folder_lock import FolderInUseError, folder_held

WIDTH = 110
#: Rich has viewers fetch its font from the internet; a local one does.
_FETCHED_FONTS = re.compile(r"^ *@font-face {[^{}]*}\n", re.MULTILINE)
_WHO = 17
#: How wide the other columns and the spaces between them are.
_OTHERS = 8 + 2 + _WHO + 2 + 9


def run_demo(
    folder: Path,
    *,
    as_json: bool,
    svg: Path | None,
    deploy: Callable[[Path], Deployment] = Deployment,
) -> None:
    """Run the demo and print it; exits 1 if it fails."""
    try:
        with folder_held(folder):
            _run(folder, as_json=as_json, svg=svg, deploy=deploy)
    except FolderInUseError as error:
        raise click.ClickException(str(error)) from None


def _run(
    folder: Path, *, as_json: bool, svg: Path | None, deploy: Callable[[Path], Deployment]
) -> None:
    terminal = plain_console()
    width = min(WIDTH, terminal.width) if terminal.is_terminal and svg is None else WIDTH
    console = plain_console(width=width, quiet=as_json, record=svg is not None)
    console.print(Text("Trusted Signatures: one key rotated, on this machine alone", style="bold"))
    console.print()
    interrupted = _remember_interrupts()

    def print_moment(moment: Moment) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        console.print(line(moment, width))

    try:
        result = Demo(folder, print_moment, deploy).run()
    except (DemoFailedError, KeyboardInterrupt) as error:
        if interrupted.is_set() or isinstance(error, KeyboardInterrupt):
            sys.exit(EXIT_INTERRUPTED)
        _fail(error)
    _print_files(console, result, folder)
    if svg is not None:
        drawn = console.export_svg(title="rotation demo")
        svg.write_text(_FETCHED_FONTS.sub("", drawn))
    if as_json:
        click.echo(json.dumps(result.as_json()))


def _remember_interrupts() -> Event:
    """The first Ctrl-C ends the demo at its next moment, the second one at once.

    A KeyboardInterrupt that is raised in a destructor is printed and lost; an Event is not.
    """
    interrupted = Event()

    def interrupt(*_: object) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()
        # A console holds locks, which whoever was interrupted may hold too.
        os.write(2, b"\nEnding the demo; once more ends it at once.\n")

    signal.signal(signal.SIGINT, interrupt)
    return interrupted


def line(moment: Moment, width: int = WIDTH) -> Text:
    """A line of fixed columns for one moment: when, who, what, how long."""
    return Text.assemble(
        (f"{moment.at.total_seconds():6.2f} s", "dim"),
        "  ",
        (f"{moment.who:<{_WHO}}", _style(moment.who)),
        "  ",
        f"{moment.what:<{max(width - _OTHERS, 0)}}",
        (f"{_duration(moment.took):>9}", "dim"),
    )


def _style(who: str) -> str:
    return "cyan" if who.endswith("Secret") else "green" if who == "verifier" else "bold"


def _duration(took: timedelta | None) -> str:
    return "" if took is None else f"{took / timedelta(milliseconds=1):.0f} ms"


def _print_files(console: Console, result: DemoResult, folder: Path) -> None:
    console.print()
    files = {
        "sealed PDF": result.sealed_pdf,
        "trust root": result.trust_root,
        "logs": folder.resolve() / "logs",
    }
    for name, path in files.items():
        console.print(Text.assemble((f"{name:<12}", "dim"), _short(path)))
    command = Path(sys.executable).parent / "rotation"
    if shutil.which("rotation") is None and command.exists():
        # After `make demo` it is in the virtual environment alone.
        console.print(Text.assemble((f"{'rotation':<12}", "dim"), _short(command)))


def _short(path: Path) -> str:
    """The path as a person would type it here."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _fail(error: DemoFailedError) -> None:
    console = plain_console(stderr=True)
    console.print(Text.assemble(("The demo failed. ", "bold red"), str(error)))
    console.print(f"Log:  {error.log}")
    logs = error.log if error.log.suffix else f"{error.log}/*.log"
    console.print(f"Next: tail -n 20 {logs}")
    sys.exit(1)
