"""``python -m tests.harness.faults``: every single fault, then thousands of pairs."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from tests.harness.faults.runner import SHORT, ScenarioCounts, Size, run_all, tally
from tests.harness.faults.sigkill import deployed, kills


def main() -> int:
    """Run it; 1 if an invariant was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.harness.faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a sample, for every change")
    parser.add_argument("--processes", type=int, default=2, metavar="N")
    parser.add_argument("--pairs", type=int, default=Size.pairs, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="draws other pairs")
    chosen = parser.parse_args()
    size = SHORT if chosen.short else Size(pairs=chosen.pairs, seed=chosen.seed)
    begun, so_far = time.monotonic(), ScenarioCounts()
    printed = 0
    for so_far in tally(run_all(size, chosen.processes)):
        for violation in so_far.violated[printed:]:
            click.echo(f"{violation}\n")
        printed = len(so_far.violated)
        if sys.stderr.isatty() and so_far.scenarios % 10 == 0:
            click.echo(f"\r{_told(so_far)}", nl=False, err=True)
    _kill(so_far, 3 if chosen.short else 12)
    if sys.stderr.isatty():
        click.echo(err=True)
    took = timedelta(seconds=round(time.monotonic() - begun))
    click.echo(f"{_told(so_far)}, in {took}")
    click.echo(f"{so_far.scenarios} scenarios, {len(so_far.violated)} violations")
    return bool(so_far.violated)


def _kill(so_far: ScenarioCounts, number: int) -> None:
    with TemporaryDirectory() as folder, deployed(Path(folder)) as deployment:
        for kill in kills(deployment, number):
            violations = deployment.run(kill)
            so_far.kills += 1
            if violations:
                so_far.violated.append("\n".join([f"VIOLATION {kill}", *violations]))
                click.echo(f"{so_far.violated[-1]}\n")


def _told(so_far: ScenarioCounts) -> str:
    return (
        f"{so_far.singles} singles in process, {so_far.singles_over_sockets} singles over sockets, "
        f"{so_far.pairs} pairs, {so_far.kills} with SIGKILL"
    )


if __name__ == "__main__":
    sys.exit(main())
