"""``rotation force``: declare every key of a secret compromised, replace it, prove it dead."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

import click
from rich.console import Console

from rotation.cli.account import Account
from rotation.cli.operate import as_json_option, reconcile_function
from rotation.credential import iso_utc
from rotation.errors import RotationError
from rotation.incident.containment import Clocks, Containment, contain
from rotation.incident.declaration import Declaration

_AT_ONCE = 8
#: Exit code: the new key is current, and something is left to do about an old one.
LEFT = 3


@dataclass
class _Ended:
    name: str
    containment: Containment | None = None
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        if self.containment is None:
            return {"secret": self.name, "contained": False, "error": self.problem}
        held = self.containment
        return {
            "secret": self.name,
            "arn": held.arn,
            "contained": held.contained,
            "declaredAt": iso_utc(held.declaration.at),
            "reason": held.declaration.reason,
            "actor": held.declaration.actor,
            "suspects": list(held.suspects),
            "current": held.current,
            "provenDead": held.proven_dead,
            "evidence": held.evidence,
            "seconds": {part: round(took.total_seconds(), 1) for part, took in held.parts.items()},
            "left": held.left,
            "error": None,
        }


@click.command()
@click.argument("secrets", nargs=-1)
@click.option("--tag", metavar="KEY=VALUE", help="Also every secret that bears this tag.")
@click.option("--reason", required=True, help="Why, for the record: key-compromise, laptop-lost …")
@click.option(
    "--timeout", default=900, show_default=True, help="Seconds to wait for each of the two parts."
)
@as_json_option
@reconcile_function
def force(
    *,
    secrets: tuple[str, ...],
    tag: str | None,
    reason: str,
    timeout: int,
    as_json: bool,
    reconcile_function: str,
) -> None:
    """Declare every key of SECRETS compromised, replace it, and prove the old ones dead.

    Current, previous and pending keys are declared compromised; a rotation is forced; once the new
    key is current the others are revoked at once, without grace, and proven dead. What is decided
    is written on the secret first: killed at any point, run it again and it goes on, or leave the
    rest to the hourly reconciliation. No right to read or put a secret's value is needed.

    Exits 0 when every old key is proven dead, 3 when something is left to do about one, 1 when a
    secret could not be handled. One failing secret does not hold up the others.
    """
    account = Account(reconcile_function)
    names = list(secrets)
    if tag is not None:
        key, equals, value = tag.partition("=")
        if not equals:
            raise click.UsageError("--tag is KEY=VALUE.")
        names += account.tagged(key, value)
    if not names:
        raise click.UsageError("Name a secret, or give a --tag that some secret bears.")
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    declaration = Declaration(datetime.now(UTC), reason, account.actor())
    teller = _Teller(console)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        ended = list(
            threads.map(
                lambda name: _contain(
                    account, name, declaration, timedelta(seconds=timeout), teller
                ),
                dict.fromkeys(names),
            )
        )
    if as_json:
        click.echo(json.dumps({"secrets": [one.as_json() for one in ended]}))
    else:
        for one in ended:
            _conclude(console, one)
    if any(one.containment is None for one in ended):
        raise click.exceptions.Exit(1)
    if not all(one.containment and one.containment.contained for one in ended):
        raise click.exceptions.Exit(LEFT)


class _Teller:
    """Tells acts as they happen, a line each, with the time since the beginning."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = datetime.now(UTC)
        self._lock = Lock()

    def tell(self, name: str, act: str) -> None:
        seconds = (datetime.now(UTC) - self._begun).total_seconds()
        with self._lock:
            self._console.print(f"{seconds:6.1f} s  {name}  {act}", markup=False)


def _contain(
    account: Account, name: str, declaration: Declaration, limit: timedelta, teller: _Teller
) -> _Ended:
    def reconcile(arn: str) -> dict[str, Any]:
        report: dict[str, Any] = account.ask("reconcile", [arn])["secrets"][0]
        return report

    try:
        held = contain(
            account.secret(name),
            declaration,
            reconcile,
            tell=lambda act: teller.tell(name, act),
            limit=limit,
            clocks=Clocks(),
        )
    except RotationError as error:
        problem = f"{error} [{error.code}]"
    except click.ClickException as error:
        problem = error.message
    else:
        return _Ended(name, held)
    teller.tell(name, problem)
    return _Ended(name, problem=problem)


def _conclude(console: Console, ended: _Ended) -> None:
    held = ended.containment
    console.print()
    if held is None:
        console.print(f"[bold red]{ended.name}: failed.[/] Nothing is lost; run it again.")
        return
    parts = ", ".join(f"{part} {took.total_seconds():.1f} s" for part, took in held.parts.items())
    if held.contained:
        console.print(f"[bold green]{ended.name}: every old key is proven dead.[/] {parts}")
    else:
        console.print(f"[bold yellow]{ended.name}: not over yet.[/] {parts}")
        for one in held.left:
            console.print(f"  left: {one}", markup=False)
        console.print("  Run the same command again, or leave it to the hourly reconciliation.")
    if held.evidence:
        console.print(f"  evidence: {held.evidence}", markup=False)
