"""``rotation force``: the command, and its output for each secret."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import click
from rich.console import Console

from rotation.cli.force.leaked_pool import ActLog, declare_pool_leaked
from rotation.cli.force.records import add_recorded_deaths, closed_just_now
from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.errors import error_text
from rotation.cli.shared.options import json_option, reconcile_function_option, refuse_arguments
from rotation.cli.shared.output import plain_console
from rotation.credential import iso_utc
from rotation.errors import RotationError
from rotation.incident.containment import Containment, WaitClock, contain
from rotation.incident.declaration import Declaration
from rotation.privacy.redaction import scrub

_MAX_PARALLEL = 8
#: An action of the reconcile function, and the only alias that may ask for it.
REVOKE_FIRST = "revoke-first"
#: Exit code: the new key is current, but something is left to do about an old one.
EXIT_UNFINISHED = 3


@dataclass
class _ForceResult:
    name: str
    containment: Containment | None = None
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        if self.containment is None:
            return {"secret": self.name, "contained": False, "error": self.problem}
        containment = self.containment
        return {
            "secret": self.name,
            "arn": containment.arn,
            "contained": containment.contained,
            "declaredAt": iso_utc(containment.declaration.at),
            "reason": containment.declaration.reason,
            "actor": containment.declaration.actor,
            "suspects": list(containment.suspects),
            "current": containment.current,
            "provenDead": containment.proven_dead,
            "evidence": containment.evidence,
            "seconds": {
                part: round(took.total_seconds(), 1) for part, took in containment.parts.items()
            },
            "left": containment.unfinished,
            "error": None,
        }


@dataclass(frozen=True)
class _ForceRun:
    """Contains the leak of each secret, as the command line asks.

    Attributes:
        limit: how long to wait for the new key, and then for the deaths.
        act_log: prints each act.
        revoke_first: whether keys are revoked before there are new ones.
        again: whether an incident is declared although one is open, or the same one was closed a
            moment ago.
    """

    account: AwsAccount
    declaration: Declaration
    limit: timedelta
    act_log: ActLog
    revoke_first: bool
    again: bool

    def run(self, name: str) -> _ForceResult:
        """Contain the leak of one secret. An error ends this secret only, and not the others."""
        try:
            return _ForceResult(name, self._already_closed(name) or self._contain(name))
        except RotationError as error:
            problem = error_text(error)
        except click.ClickException as error:
            problem = error.message
        self.act_log.log(name, problem)
        return _ForceResult(name, problem=problem)

    def _already_closed(self, name: str) -> Containment | None:
        if self.again:
            return None
        closed = closed_just_now(self.account, name, self.declaration)
        if closed is not None:
            message = "this incident is closed; --again declares another, for the new key"
            self.act_log.log(name, message)
        return closed

    def _contain(self, name: str) -> Containment:
        declaration = self._revoked_first(name) if self.revoke_first else self.declaration
        log_act = partial(self.act_log.log, name)
        containment = contain(
            self.account.secret(name),
            declaration,
            self._reconcile,
            log_act=log_act,
            limit=self.limit,
            clocks=WaitClock(),
            again=self.again,
        )
        add_recorded_deaths(self.account, containment, log_act)
        return containment

    def _reconcile(self, arn: str) -> dict[str, Any]:
        report: dict[str, Any] = self.account.ask("reconcile", [arn])["secrets"][0]
        return report

    def _revoked_first(self, name: str) -> Declaration:
        """Have the keys revoked before there are new ones; returns what was declared."""
        done = self.account.ask(
            REVOKE_FIRST,
            [self.account.secret(name).arn],
            alias=REVOKE_FIRST,
            reason=self.declaration.reason,
            actor=self.declaration.actor,
            again=self.again,
        )
        for one in done["revoked"]:
            self.act_log.log(name, f"key {one['keyId']}: {one['outcome']}, and not replaced yet")
        for one in done["failures"]:
            self.act_log.log(name, f"not revoked yet: {one['message']} [{one['code']}]")
        return Declaration.read(done["declared"])


def _refuse_key(_: click.Context, __: click.Parameter, value: str) -> str:
    """Refuse a key as the reason: tags and records keep the reason for years."""
    if scrub(value) != value:
        refuse_arguments((value,))
    return value


@click.command()
@click.argument("secrets", nargs=-1)
@click.option("--tag", metavar="KEY=VALUE", help="Also every secret that bears this tag.")
@click.option(
    "--reason",
    required=True,
    callback=_refuse_key,
    help="Why, for the record: key-compromise, laptop-lost …",
)
@click.option(
    "--timeout", default=900, show_default=True, help="Seconds to wait for each of the two parts."
)
@click.option(
    "--pool",
    is_flag=True,
    help="The key pool leaked: its free keys are declared compromised too. "
    "Without SECRETS, all secrets that hold one of its keys.",
)
@click.option(
    "--revoke-first",
    "revoke_first",
    is_flag=True,
    help="Revoke before there is a new key. Nothing can be sealed until then. "
    "Only a break-glass role may.",
)
@click.option(
    "--again",
    is_flag=True,
    help="Declare another incident, although one is open, or the same one was closed a moment ago.",
)
@json_option
@reconcile_function_option
def force(
    *,
    secrets: tuple[str, ...],
    tag: str | None,
    reason: str,
    timeout: int,
    pool: bool,
    revoke_first: bool,
    again: bool,
    as_json: bool,
    reconcile_function: str,
) -> None:
    """Declare every key of SECRETS compromised, replace it, and prove the old keys dead.

    The command declares the current, previous and pending keys compromised and forces a rotation.
    Once the new key is current, it has the others revoked at once, without grace, and proven dead.
    Each decision is first written on the secret: if the command is killed, run it again and it
    goes on, or leave the rest to the hourly reconciliation. If the same person runs it again for
    the same reason within ten minutes of the end, it shows the record and declares nothing, unless
    --again is given. While an incident is open, keys that came after it are suspect only with
    --again. The command needs no right to read or write a secret's value.

    With --pool a person has to make the new keys: the command says when to add them with
    `rotation pool add`, in another terminal, and goes on when they are there.

    Exits 0 if every old key is proven dead, 3 if something is left to do about one, 1 if a secret
    could not be handled. A secret that fails does not stop the others.
    """
    account = AwsAccount(reconcile_function)
    names = list(secrets)
    if tag is not None:
        key, equals, value = tag.partition("=")
        if not equals:
            raise click.UsageError("--tag is KEY=VALUE.")
        names += account.tagged(key, value)
    if not names and not pool:
        raise click.UsageError("Name a secret, or give a --tag that some secret bears.")
    console = plain_console(stderr=as_json)
    declaration = Declaration.from_free_text(datetime.now(UTC), reason, account.actor())
    act_log = ActLog(console)
    limit = timedelta(seconds=timeout)
    leaked = (
        declare_pool_leaked(account, names, declaration, act_log, again=again) if pool else None
    )
    if leaked is not None:
        names = names or leaked.leased_to
        leaked.await_fresh_keys(names, limit)
    run = _ForceRun(account, declaration, limit, act_log, revoke_first, again)
    with ThreadPoolExecutor(_MAX_PARALLEL) as threads:
        results = list(threads.map(run.run, dict.fromkeys(names)))
    if as_json:
        pool_report = {} if leaked is None else {"pool": leaked.as_json()}
        click.echo(json.dumps({"secrets": [one.as_json() for one in results], **pool_report}))
    else:
        for one in results:
            _print_result(console, one)
        if leaked is not None:
            leaked.print_remaining_work(console)
    if any(one.containment is None for one in results):
        raise click.exceptions.Exit(1)
    contained = all(one.containment and one.containment.contained for one in results)
    if not contained or (leaked is not None and leaked.condemned):
        raise click.exceptions.Exit(EXIT_UNFINISHED)


def _print_result(console: Console, result: _ForceResult) -> None:
    containment = result.containment
    console.print()
    if containment is None:
        console.print(f"[bold red]{result.name}: failed.[/] Nothing is lost; run it again.")
        return
    parts = ", ".join(
        f"{part} {took.total_seconds():.1f} s" for part, took in containment.parts.items()
    )
    if containment.contained:
        console.print(f"[bold green]{result.name}: every old key is proven dead.[/] {parts}")
    else:
        console.print(f"[bold yellow]{result.name}: not over yet.[/] {parts}")
        for one in containment.unfinished:
            console.print(f"  left: {one}", markup=False)
        console.print(
            "  The hourly reconciliation goes on with it; so does this command, run again."
        )
    if containment.evidence:
        console.print(f"  evidence: {containment.evidence}", markup=False)
