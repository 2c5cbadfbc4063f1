"""``python -m tests.harness.soak``: thousands of seals through a hundred rotations."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from tests.harness.soak.settings import SHORT, SoakSettings
from tests.harness.soak.soak import Soak
from tests.paths import ROOT

RESULTS = ROOT / ".bench" / "soak.json"


def main() -> int:
    """Run it; 1 if a bar was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.harness.soak", description=__doc__)
    parser.add_argument("--short", action="store_true", help="some twenty seconds of it")
    parser.add_argument("--seals", type=int, metavar="N")
    parser.add_argument("--rotations", type=int, metavar="N")
    parser.add_argument("--logs", type=Path, metavar="FOLDER", help="keep the logs here")
    chosen = parser.parse_args()
    settings = SHORT if chosen.short else SoakSettings()
    asked = {name: getattr(chosen, name) for name in ("seals", "rotations")}
    settings = replace(
        settings, **{name: value for name, value in asked.items() if value is not None}
    )
    with TemporaryDirectory() as folder:
        result = Soak(chosen.logs or Path(folder), settings).run(_progress)
    if sys.stderr.isatty():
        click.echo(err=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result.as_json(), indent=2) + "\n")
    for missed in result.missed:
        click.echo(f"missed: {missed}")
    for failure in result.beside["failures"]:
        click.echo(f"failed: {failure}")
    click.echo(result.summary())
    return bool(result.missed)


def _progress(told: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{told} ", nl=False, err=True)


if __name__ == "__main__":
    sys.exit(main())
