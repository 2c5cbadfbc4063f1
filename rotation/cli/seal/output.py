"""The output of ``rotation seal``: plan, progress, results, summary and exit code."""

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

from rotation.cli.seal.run import (
    MAX_FAILURES_IN_A_ROW,
    DocumentResult,
    DocumentStatus,
    DocumentToSeal,
    SealLocations,
    SealRun,
    planned_result,
)
from rotation.cli.shared.output import plain_console, progress_shown
from rotation.client.contract import Seal
from rotation.privacy.printable import printable

INTERRUPTED: Final = 130

_LABELS: Final = {
    DocumentStatus.SEALED: ("sealed", "green"),
    DocumentStatus.SKIPPED: ("before", "green"),
    DocumentStatus.FAILED: ("not sealed", "red"),
    DocumentStatus.EXISTS: ("exists", "yellow"),
    DocumentStatus.PLANNED: ("would seal", "green"),
}
_REPAIRED: Final = ("repaired", "yellow")
# If there are many documents, these are counted and not listed.
_DONE: Final = frozenset({DocumentStatus.SEALED, DocumentStatus.SKIPPED})


@dataclass(frozen=True)
class SealRunOptions:
    """What the command line says about a run.

    Attributes:
        jobs: how many documents are sealed at a time.
        overwrite: whether a seal may replace something else at the destination.
        as_json: whether one line of JSON is printed for each document.
    """

    jobs: int
    overwrite: bool
    as_json: bool


def print_plan(
    locations: SealLocations,
    documents: list[DocumentToSeal],
    run_options: SealRunOptions,
    check: Callable[[DocumentToSeal], None] | None,
) -> None:
    """Print what a run would do; ``check`` raises RotationError for what cannot be sealed."""
    results = (
        planned_result(locations, one, overwrite=run_options.overwrite, check=check)
        for one in documents
    )
    summary = _Summary(run_options.as_json, len(documents))
    for result in _with_progress(results, documents):
        summary.add(result)
    _end(summary)


@contextmanager
def search_shown() -> Iterator[None]:
    """Show a spinner if the search for documents takes longer than a moment."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with progress_shown(*columns) as progress:
        progress.add_task("Looking for documents", total=None)
        yield


@contextmanager
def exit_when_interrupted() -> Iterator[None]:
    """End the command with exit code 130 if it is interrupted while nothing is being sealed."""
    try:
        yield
    except KeyboardInterrupt:
        plain_console(stderr=True).print("Interrupted.")
        raise click.exceptions.Exit(INTERRUPTED) from None


def run_and_report(
    locations: SealLocations,
    documents: list[DocumentToSeal],
    seal: Callable[[DocumentToSeal], Seal],
    run_options: SealRunOptions,
    stop: Event,
) -> None:
    """Seal the documents and print the results; exits as the command's help says."""
    run = SealRun(
        locations, seal, jobs=run_options.jobs, overwrite=run_options.overwrite, stop=stop
    )
    summary = _Summary(run_options.as_json, len(documents))
    with _stop_on_interrupt(stop):
        for result in _with_progress(run.results(documents), documents):
            summary.add(result)
    _end(summary, interrupted=stop.is_set(), gave_up=run.gave_up)


def _with_progress(
    results: Iterable[DocumentResult], documents: list[DocumentToSeal]
) -> Iterator[DocumentResult]:
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
        for count, result in enumerate(results, start=1):
            progress.update(
                task,
                advance=result.document.size,
                description=f"{count} of {len(documents)} documents",
            )
            yield result


class _Summary:
    """Counts results. A line of JSON is printed at once, lines for people at the end."""

    def __init__(self, as_json: bool, total: int) -> None:
        self.as_json = as_json
        self.total = total
        self.counted: Counter[DocumentStatus] = Counter()
        self.to_print: list[DocumentResult] = []
        self._begun = time.monotonic()

    def add(self, result: DocumentResult) -> None:
        self.counted[result.status] += 1
        if self.as_json:
            click.echo(json.dumps(result.as_json()))
        elif self.total == 1 or result.status not in _DONE or _noteworthy(result):
            self.to_print.append(result)

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self._begun, 1)

    @property
    def not_begun(self) -> int:
        return self.total - self.counted.total()

    @property
    def succeeded(self) -> bool:
        bad = self.counted[DocumentStatus.FAILED] + self.counted[DocumentStatus.EXISTS]
        return not (bad or self.not_begun)

    def as_json_line(self) -> dict[str, Any]:
        return {
            "status": "summary",
            **{status.value: self.counted[status] for status in DocumentStatus},
            "notBegun": self.not_begun,
            "seconds": self.seconds,
        }


def _end(summary: _Summary, *, interrupted: bool = False, gave_up: bool = False) -> None:
    if summary.as_json:
        click.echo(json.dumps(summary.as_json_line()))
    else:
        console = plain_console()
        for result in sorted(summary.to_print, key=lambda one: one.document.read_from):
            print_result(console, result)
        console.print(_summary_text(summary), markup=False)
        if gave_up:
            console.print(
                f"{MAX_FAILURES_IN_A_ROW} in a row failed for a reason that is not their own. "
                "Repair it, and run this again: it goes on with what is left.",
                markup=False,
            )
        elif interrupted:
            console.print("Interrupted. Run this again: it goes on with what is left.")
    if interrupted:
        sys.exit(INTERRUPTED)
    if not summary.succeeded:
        raise click.exceptions.Exit(1)


def _noteworthy(result: DocumentResult) -> bool:
    return result.seal is not None and (result.seal.repaired or bool(result.seal.notices))


def _repaired(result: DocumentResult) -> bool:
    return result.seal is not None and result.seal.repaired


def print_result(console: Console, result: DocumentResult) -> None:
    """Print what happened to one document, for people."""
    label, style = _REPAIRED if _repaired(result) else _LABELS[result.status]
    document = result.document
    names = printable(document.read_from)
    if result.succeeded:
        names += f" as {printable(document.written_to)}"
    console.print(Text.assemble((f"{label:<12}", style), f" {names}"))
    for line in _explanations(result):
        console.print(f"{'':<13}{printable(line)}", markup=False)


def _explanations(result: DocumentResult) -> Iterator[str]:
    if result.error is not None:
        yield f"{result.error.code}: {result.error_text}"
    if _repaired(result):
        yield "It was damaged, and was rewritten before it was sealed: see that all of it is there."
    if result.status is DocumentStatus.EXISTS:
        yield (
            f"{result.document.written_to} is there already, and is no seal of this document. It "
            "is left alone; --overwrite replaces it."
        )
    for notice in result.seal.notices if result.seal else ():
        yield f"{notice.code}: {notice.message}"


def _summary_text(summary: _Summary) -> str:
    counted = summary.counted
    parts = [
        (counted[DocumentStatus.PLANNED], "would be sealed"),
        (counted[DocumentStatus.SEALED], "sealed"),
        (counted[DocumentStatus.SKIPPED], "sealed before"),
        (counted[DocumentStatus.FAILED] + counted[DocumentStatus.EXISTS], "not sealed"),
        (summary.not_begun, "not begun"),
    ]
    counts = ", ".join(f"{count} {what}" for count, what in parts if count)
    return f"{counts}; {summary.seconds} s." if counts else "There is nothing to seal."


@contextmanager
def _stop_on_interrupt(stop: Event) -> Iterator[None]:
    """The first interrupt begins no further document; the second ends the process at once."""

    def interrupt(*_: object) -> None:
        console = plain_console(stderr=True)
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
