"""``rotation drill``: the command, and its output."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import click
from rich.console import Console

from rotation.cli.drill.rehearsal import CLEAN_UP, DrillResult, Rehearsal
from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.errors import readable_errors
from rotation.cli.shared.options import (
    json_option,
    reconcile_function_option,
    secret_argument,
    timeout_option,
)
from rotation.cli.shared.output import plain_console
from rotation.cli.shared.waiting import WaitLog, in_background, told_when_interrupted

#: Exit code: something of a drill is left, or it took longer than it should.
EXIT_UNFINISHED = 3
_ENDS = {
    "current": "new key current",
    "refused": "leaked key refused",
    "contained": "incident over",
}


@click.command()
@secret_argument
@click.option(
    "--clean-up",
    "clean_up",
    is_flag=True,
    help="Rehearse nothing: delete the secrets of drills, and have their keys revoked.",
)
@timeout_option(900, "Seconds to wait for each step.")
@json_option
@reconcile_function_option
def drill(
    *, secret: str, clean_up: bool, timeout: int, as_json: bool, reconcile_function: str
) -> None:
    """Rehearse a leak in this account, on a secret and keys that are thrown away.

    Makes a secret that is rotated as SECRET is, rotates it, declares its key leaked, has it
    replaced, revoked and proven dead, and cleans up: the secret is scheduled for deletion, and no
    key of it is left at the vendor. Nothing is done to SECRET. The times are kept beside the
    evidence of incidents, and compared with their targets. If the command is cut off, run it again.
    The alarms of an incident sound: tell whoever hears them.

    Exits 0 if all of that is done in time, 3 if something is left to do or a target was missed, 1
    if a step failed.
    """
    console = plain_console(stderr=as_json)
    goes_on = (
        "What was begun goes on in AWS, and the hourly reconciliation with the incident. To go on "
        f"with the drill: rotation drill {secret}; to give it up: {CLEAN_UP}"
    )
    with readable_errors():
        account = AwsAccount(reconcile_function)
        log = WaitLog(console)
        actor = account.actor()
        rehearsal = Rehearsal(account, actor, secret, timedelta(seconds=timeout), log)
        with told_when_interrupted(goes_on), log.waiting("the list of secrets of drills"):
            results = in_background(lambda: rehearsal.clean_up() if clean_up else [rehearsal.run()])
    if as_json:
        click.echo(json.dumps({"drills": [one.as_json() for one in results]}))
    else:
        print_results(console, results)
    if not all(one.is_over for one in results):
        raise click.exceptions.Exit(EXIT_UNFINISHED)


def print_results(console: Console, results: Sequence[DrillResult]) -> None:
    """Print what became of each drill, for people."""
    if not results:
        console.print("Nothing of a drill is here.")
    for one in results:
        console.print()
        console.print(_headline(one))
        for line in _times(one.times or {}):
            console.print(f"  {line}")
        for line in one.left:
            console.print(f"  left: {line}", markup=False)
        for name, place in (("evidence", one.evidence), ("record", one.record)):
            if place is not None:
                console.print(f"  {name}: {place}", markup=False)


def _headline(one: DrillResult) -> str:
    if one.left:
        return f"[bold yellow]{one.name}: something is left.[/]"
    if not one.is_over:
        return f"[bold yellow]{one.name}: over, and slower than it should be.[/]"
    if one.contained:
        return f"[bold green]{one.name}: over, and nothing of it is left.[/]"
    return f"[bold green]{one.name}: given up, and nothing of it is left.[/]"


def _times(times: Mapping[str, Any]) -> Iterator[str]:
    for name, end in _ENDS.items() if times else ():
        took, target = times["seconds"][name], times["targets"][name]
        late = "NOT " if took is None or took > target else ""
        after = "not seen" if took is None else f"after {took:.1f} s"
        yield f"{end:<18}  {after}, {late}within {target:.0f} s"
