"""A run of ``rotation seal`` from its beginning to its exit code, told as it goes."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from rotation.cli.seal.run import IN_A_ROW, Run, look
from rotation.cli.seal.work import Document, Outcome, Places, Result
from rotation.cli.shared.output import plain_console, printable, progress_shown
from rotation.client.contract import Seal

INTERRUPTED: Final = 130

_LABELS: Final = {
    Result.SEALED: ("sealed", "green"),
    Result.SKIPPED: ("before", "green"),
    Result.FAILED: ("not sealed", "red"),
    Result.EXISTS: ("exists", "yellow"),
    Result.PLANNED: ("would seal", "green"),
}
_REPAIRED: Final = ("repaired", "yellow")
# Of many documents these are only counted.
_DONE: Final = frozenset({Result.SEALED, Result.SKIPPED})


@dataclass(frozen=True)
class Manner:
    """How a run is made and told.

    Attributes:
        jobs: how many documents at a time.
        overwrite: whether a seal may replace something else.
        as_json: whether each document is one line of JSON.
    """

    jobs: int
    overwrite: bool
    as_json: bool


def show_plan(places: Places, documents: list[Document], manner: Manner) -> None:
    """What a run would do."""
    outcomes = (look(places, one, overwrite=manner.overwrite) for one in documents)
    tally = _Tally(manner.as_json, len(documents))
    for outcome in _watched(outcomes, documents):
        tally.add(outcome)
    _end(tally)


@contextmanager
def looking() -> Iterator[None]:
    """Tell that documents are being looked for, where that takes longer than a moment."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with progress_shown(*columns) as progress:
        progress.add_task("Looking for documents", total=None)
        yield


@contextmanager
def ending_when_interrupted() -> Iterator[None]:
    """An interrupt while nothing is under way ends the command, with an exit code of its own."""
    try:
        yield
    except KeyboardInterrupt:
        Console(stderr=True).print("Interrupted.")
        raise click.exceptions.Exit(INTERRUPTED) from None


def show_run(
    places: Places,
    documents: list[Document],
    seal: Callable[[Document], Seal],
    manner: Manner,
    stop: Event,
) -> None:
    """Seal the documents; ends with the exit code that the command's help promises."""
    run = Run(places, seal, jobs=manner.jobs, overwrite=manner.overwrite, stop=stop)
    tally = _Tally(manner.as_json, len(documents))
    with _interrupts(stop):
        for outcome in _watched(run.outcomes(documents), documents):
            tally.add(outcome)
    _end(tally, interrupted=stop.is_set(), gave_up=run.gave_up)


def _watched(outcomes: Iterable[Outcome], documents: list[Document]) -> Iterator[Outcome]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TimeElapsedColumn(),
    )
    alone = len(documents) == 1
    size = sum(document.size for document in documents)
    with progress_shown(*columns) as progress:
        task = progress.add_task("0 done", total=None if alone else size)
        for count, outcome in enumerate(outcomes, start=1):
            progress.update(
                task,
                advance=outcome.document.size,
                description=f"{count} of {len(documents)} documents",
            )
            yield outcome


class _Tally:
    """What became of the documents so far; a line of JSON is told at once, the rest at the end."""

    def __init__(self, as_json: bool, total: int) -> None:
        self.as_json = as_json
        self.total = total
        self.counted: Counter[Result] = Counter()
        self.told_later: list[Outcome] = []
        self._begun = time.monotonic()

    def add(self, outcome: Outcome) -> None:
        self.counted[outcome.result] += 1
        if self.as_json:
            click.echo(json.dumps(outcome.as_json()))
        elif self.total == 1 or outcome.result not in _DONE or _repaired(outcome):
            self.told_later.append(outcome)

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self._begun, 1)

    @property
    def not_begun(self) -> int:
        return self.total - self.counted.total()

    @property
    def well(self) -> bool:
        return not (self.counted[Result.FAILED] or self.counted[Result.EXISTS] or self.not_begun)

    def summary(self) -> dict[str, Any]:
        return {
            "status": "summary",
            **{result.value: self.counted[result] for result in Result},
            "notBegun": self.not_begun,
            "seconds": self.seconds,
        }


def _end(tally: _Tally, *, interrupted: bool = False, gave_up: bool = False) -> None:
    if tally.as_json:
        click.echo(json.dumps(tally.summary()))
    else:
        console = plain_console()
        for outcome in sorted(tally.told_later, key=lambda one: one.document.read_from):
            _tell(console, outcome)
        console.print(_in_words(tally), markup=False)
        if gave_up:
            console.print(
                f"{IN_A_ROW} in a row failed for a reason that is not their own. Mend it, and run "
                "this again: it goes on with what is left.",
                markup=False,
            )
        elif interrupted:
            console.print("Interrupted. Run this again: it goes on with what is left.")
    if interrupted:
        sys.exit(INTERRUPTED)
    if not tally.well:
        raise click.exceptions.Exit(1)


def _repaired(outcome: Outcome) -> bool:
    return outcome.seal is not None and outcome.seal.repaired


def _tell(console: Console, outcome: Outcome) -> None:
    label, style = _REPAIRED if _repaired(outcome) else _LABELS[outcome.result]
    document = outcome.document
    told = printable(document.read_from)
    if outcome.well:
        told += f" as {printable(document.written_to)}"
    console.print(Text.assemble((f"{label:<12}", style), f" {told}"))
    if outcome.error is not None:
        why = f"{outcome.error.code}: {outcome.why}"
    elif _repaired(outcome):
        why = "It was damaged, and was rewritten before it was sealed: see that all of it is there."
    elif outcome.result is Result.EXISTS:
        why = (
            f"{document.written_to} is there already, and is no seal of this document. It is left "
            "alone; --overwrite replaces it."
        )
    else:
        return
    console.print(f"{'':<13}{printable(why)}", markup=False)


def _in_words(tally: _Tally) -> str:
    counted = tally.counted
    parts = [
        (counted[Result.PLANNED], "would be sealed"),
        (counted[Result.SEALED], "sealed"),
        (counted[Result.SKIPPED], "sealed before"),
        (counted[Result.FAILED] + counted[Result.EXISTS], "not sealed"),
        (tally.not_begun, "not begun"),
    ]
    told = ", ".join(f"{count} {what}" for count, what in parts if count)
    return f"{told}; {tally.seconds} s." if told else "There is nothing to seal."


@contextmanager
def _interrupts(stop: Event) -> Iterator[None]:
    """The first interrupt lets what is under way end, and begins nothing; a second one ends all."""

    def interrupt(*_: object) -> None:
        console = Console(stderr=True)
        if stop.is_set():
            console.show_cursor()
            os._exit(INTERRUPTED)
        stop.set()
        console.print("\nFinishing what is under way; once more ends at once.")

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
