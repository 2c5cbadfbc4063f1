"""How a command waits: it shows where it is, and Ctrl-C ends it at once.

What a command waits for goes on in AWS, whether or not somebody looks on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread, current_thread, main_thread
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.text import Text

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

#: The exit code of a command that was interrupted, as a shell gives it: 128 and SIGINT.
EXIT_INTERRUPTED = 130


class Interrupted(click.ClickException):
    """Somebody pressed Ctrl-C; the message says what goes on without the command."""

    exit_code = EXIT_INTERRUPTED

    def show(self, file: Any = None) -> None:
        """Print the message on standard error."""
        click.echo(f"Interrupted. {self.message}".rstrip(), err=True, file=file)


@contextmanager
def told_when_interrupted(goes_on: str) -> Iterator[None]:
    """End the command with exit code 130 on Ctrl-C, and say what goes on without it.

    Args:
        goes_on: whole sentences: what goes on, and how to watch it.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(goes_on) from None


def in_background(work: Callable[[], _Result]) -> _Result:
    """The result of ``work``, which runs in a thread of its own: Ctrl-C does not wait for it.

    A call that waits for the name of a host, or for other threads, would hold Ctrl-C up.
    """
    if current_thread() is not main_thread():
        return work()
    outcome: list[_Result] = []
    errors: list[BaseException] = []
    done = Event()

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
            errors.append(error)
        finally:
            done.set()

    Thread(target=run, daemon=True).start()
    done.wait()
    if errors:
        raise errors[0]
    return outcome[0]


def in_parallel(
    work: Callable[[_Item], _Result], items: Sequence[_Item], at_once: int
) -> list[_Result]:
    """The result of ``work`` for each item, in their order, ``at_once`` at a time.

    The threads of a ThreadPoolExecutor hold up the end of the process, however long their calls
    wait; these do not.
    """
    left, results = SimpleQueue[int](), dict[int, _Result]()
    errors: list[BaseException] = []
    for number in range(len(items)):
        left.put(number)

    def run() -> None:
        try:
            while True:
                number = left.get_nowait()
                results[number] = work(items[number])
        except Empty:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised where the results are awaited
            errors.append(error)

    threads = [Thread(target=run, daemon=True) for _ in range(min(at_once, len(items)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [results[number] for number in range(len(items))]


class WaitLog:
    """Shows how far something is that takes a while.

    Each change is one line with the seconds since the start. On a terminal a line below them says
    what is waited for, and for how long.

    Args:
        console: where it is shown.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = time.monotonic()
        self._awaited = ""
        self._lock = Lock()
        self._closed = False

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._begun

    def log(self, name: str, act: str) -> None:
        """Print one line. May be called from any thread."""
        with self._lock:
            if not self._closed:
                self._console.print(f"{self.seconds:6.1f} s  {name}  {act}", markup=False)

    @contextmanager
    def waiting(self, awaited: str) -> Iterator[None]:
        """Show what is waited for, until the end of the block."""
        self._awaited = awaited
        try:
            if not self._console.is_terminal:
                yield
                return
            with self._console.status(_Live(self)):
                yield
        finally:
            # A thread that goes on must not print while the process ends.
            with self._lock:
                self._closed = True

    def now_waiting_for(self, awaited: str) -> None:
        """Change what is shown as waited for."""
        self._awaited = awaited

    def live_line(self) -> Text:
        """The line that a terminal shows below the others."""
        return Text(f"{self.seconds:.0f} s, waiting for {self._awaited}; Ctrl-C stops the waiting")


class _Live:
    """The live line, made anew whenever the terminal is drawn."""

    def __init__(self, log: WaitLog) -> None:
        self._log = log

    def __rich__(self) -> Text:
        return self._log.live_line()
