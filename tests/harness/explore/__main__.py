"""``python -m tests.harness.explore``: schedules of several hands, or one of them again."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import click

from tests.harness.explore.runner import SHORT, Counts, Size, explore
from tests.harness.explore.schedule import Schedule
from tests.harness.explore.search import PairSize
from tests.harness.explore.trial import Laboratory

_PROGRESS_EVERY = 2_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 if an invariant was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.harness.explore", description=__doc__)
    parser.add_argument("schedule", nargs="?", help="one schedule, as a violation prints it")
    parser.add_argument("--short", action="store_true", help="a sample, for every change")
    parser.add_argument("--processes", type=int, default=2, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="draws other schedules")
    parser.add_argument("--complete", action="store_true", help="every place of every pair")
    parser.add_argument("--seconds", type=int, metavar="N", help="one in N with two preemptions")
    parser.add_argument("--draws", type=int, metavar="N", help="triples, and failures, each")
    parser.add_argument("--starts", metavar="A,B", help="only these starts")
    parser.add_argument("--actors", metavar="A,B", help="only these actors")
    chosen = parser.parse_args(arguments)
    if chosen.schedule:
        return _replay(chosen.schedule)
    pairs = PairSize(seed=chosen.seed)
    if chosen.complete:
        pairs = replace(pairs, complete=sys.maxsize)
    if chosen.seconds is not None:
        pairs = replace(pairs, second_one_in=chosen.seconds)
    size = replace(SHORT if chosen.short else Size(pairs), seed=chosen.seed)
    if chosen.starts:
        size = replace(size, starts=tuple(chosen.starts.split(",")))
    if chosen.actors:
        size = replace(size, actors=tuple(chosen.actors.split(",")))
    if chosen.draws is not None:
        size = replace(size, triples=chosen.draws, failures=chosen.draws)
    return _explore(size, chosen.processes)


def _explore(size: Size, processes: int) -> int:
    begun, printed, next_line = time.monotonic(), 0, _PROGRESS_EVERY

    def progress(counts: Counts) -> None:
        nonlocal printed, next_line
        for line in counts.violated[printed:]:
            click.echo(line)
        printed = len(counts.violated)
        if counts.schedules >= next_line:
            next_line = counts.schedules - counts.schedules % _PROGRESS_EVERY + _PROGRESS_EVERY
            rate = counts.schedules / (time.monotonic() - begun)
            click.echo(
                f"{counts.schedules} schedules, {printed} violations, {rate:.0f}/s", err=True
            )

    counts = explore(size, processes, progress)
    took = timedelta(seconds=round(time.monotonic() - begun))
    for line in _told(size, counts):
        click.echo(line)
    click.echo(f"{counts.steps / max(1, counts.schedules):.0f} steps a schedule, in {took}")
    click.echo(
        f"{len(size.actors)} actors, {len(size.starts)} starts, {counts.schedules} schedules, "
        f"{len(counts.violated)} violations"
    )
    return bool(counts.violated)


def _told(size: Size, counts: Counts) -> list[str]:
    """What was complete and what was drawn."""
    if size.pairs is None:
        return [f"all of them drawn evenly, with seed {size.seed}"]
    pairs = (
        f"every pair from every start with at most one preemption: {counts.of_pairs} schedules; "
        f"complete for {counts.complete} of {counts.pairs} pairs, drawn evenly for the others"
    )
    return [
        pairs,
        f"two preemptions: {counts.seconds}, drawn evenly",
        f"three actors: {counts.triples}; one call that fails: {counts.failures}; drawn evenly",
        f"drawn with seed {size.seed}",
    ]


def _replay(text: str) -> int:
    schedule = Schedule.parse(text)
    laboratory = Laboratory()
    with laboratory.open():
        outcome = laboratory.run(schedule, log=True)
    for number, step in enumerate(outcome.steps):
        if step.footprint is None:
            click.echo(f"{number:4} task {step.task} pauses")
    for line in outcome.log:
        click.echo(line)
    if outcome.missed:
        click.echo(f"{outcome.missed} preemptions named a task that could not go on")
    click.echo(outcome.told() if outcome.violations else f"{schedule}: nothing is violated")
    return bool(outcome.violations)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets of texts would differ from run to run, and a schedule with it.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.harness.explore", *sys.argv[1:]])
    sys.exit(main())
