"""``rotation force``: the command, and its output for each secret."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import click
from rich.console import Console

from rotation.cli.force.leaked_pool import LeakedPool, declare_pool_leaked
from rotation.cli.shared.account import AwsAccount, NotAskedError
from rotation.cli.shared.errors import error_text
from rotation.cli.shared.options import (
    json_option,
    reason_option,
    reconcile_function_option,
    timeout_option,
)
from rotation.cli.shared.output import plain_console
from rotation.cli.shared.waiting import WaitLog, in_background, in_parallel, told_when_interrupted
from rotation.errors import RotationError
from rotation.incident.containment import Containment, WaitClock, contain
from rotation.incident.declaration import from_free_text
from rotation.journal.model import Declaration

_MAX_PARALLEL = 8
#: An action of the reconcile function, and the only alias that may ask for it.
REVOKE_FIRST = "revoke-first"
#: Exit code: the new key is current, but something is left to do about an old one.
EXIT_UNFINISHED = 3


@dataclass
class ForceResult:
    """What became of one secret; ``problem`` says why nothing did."""

    name: str
    containment: Containment | None = None
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The members that ``--json`` prints for a secret."""
        if self.containment is None:
            return {"secret": self.name, "contained": False, "error": self.problem}
        containment = self.containment
        return {
            "secret": self.name,
            "arn": containment.arn,
            "contained": containment.contained,
            "declaredAt": containment.declared_at,
            "reason": containment.declaration.reason,
            "actor": containment.declaration.actor,
            "suspects": list(containment.suspects),
            "current": containment.current,
            "provenDead": containment.proven_dead,
            "attested": containment.attested,
            "evidence": containment.evidence,
            "setAside": dict(containment.set_aside),
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
        log: shows each act.
        revoke_first: whether keys are revoked before there are new ones.
        again: whether the keys that came after an open incident are suspect too.
    """

    account: AwsAccount
    declaration: Declaration
    limit: timedelta
    log: WaitLog
    revoke_first: bool
    again: bool

    def run(self, name: str) -> ForceResult:
        """Contain the leak of one secret. An error ends this secret only, and not the others."""
        try:
            return ForceResult(name, self._contain(name))
        except NotAskedError as error:
            problem = str(error)
        except RotationError as error:
            problem = error_text(error)
        except click.ClickException as error:
            problem = error.message
        self.log.log(name, problem)
        return ForceResult(name, problem=problem)

    def _contain(self, name: str) -> Containment:
        arn = self.account.arn(name)
        declaration = replace(self.declaration, id=str(uuid.uuid4()))
        if self.revoke_first:
            self._revoke_first(name, arn, declaration)
        return contain(
            arn,
            declaration,
            self.account.ask_about,
            log_act=partial(self.log.log, name),
            limit=self.limit,
            clocks=WaitClock(),
            again=self.again,
        )

    def _revoke_first(self, name: str, arn: str, declaration: Declaration) -> None:
        """Have the keys declared compromised and revoked before there are new ones."""
        done = self.account.ask(
            REVOKE_FIRST,
            [arn],
            alias=REVOKE_FIRST,
            reason=declaration.reason,
            actor=declaration.actor,
            declaration=declaration.id,
            again=self.again,
        )
        for one in done["revoked"]:
            self.log.log(name, f"key {one['keyId']}: {one['outcome']}, and not replaced yet")
        for one in done["failures"]:
            self.log.log(name, f"not revoked yet: {one['message']} [{one['code']}]")


def _force(
    run: _ForceRun, names: list[str], *, pool: bool
) -> tuple[LeakedPool | None, list[ForceResult]]:
    """Contain the leaks of all secrets, several at a time, and that of the pool before them."""
    leaked = None
    if pool:
        leaked = declare_pool_leaked(run.account, names, run.declaration, run.log, again=run.again)
        names = names or leaked.leased_to
        leaked.await_fresh_keys(names, run.limit)
    return leaked, in_parallel(run.run, _without_duplicates(run.account, names), _MAX_PARALLEL)


def _without_duplicates(account: AwsAccount, names: Sequence[str]) -> list[str]:
    """One name of each secret: it may have been named by its name, by its ARN and by a tag."""
    found: dict[str, str] = {}
    for name in names:
        arn = name
        # What cannot be found is said when its turn comes.
        with suppress(RotationError, click.ClickException):
            arn = account.arn(name)
        found.setdefault(arn, name)
    return list(found.values())


@click.command()
@click.argument("secrets", nargs=-1)
@click.option("--tag", metavar="KEY=VALUE", help="Also every secret that bears this tag.")
@reason_option("Why, for the record: key-compromise, laptop-lost …")
@timeout_option(900, "Seconds to wait for the new key, and then for the deaths.")
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
    help="Keys leaked once more: those that came after an open incident are suspect too.",
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

    The command declares every key of a secret compromised, wherever it is held, and has a new one
    made. Once that is current, the others are revoked at once, without grace, and proven dead. The
    reconcile function does all of it and writes it in the journal: if the command is killed, run it
    again, or leave the rest to the hourly reconciliation. While an incident is open, keys that came
    after it are suspect only with --again. The command needs no right to read or change a secret.

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
    declaration = from_free_text(datetime.now(UTC), reason, account.actor())
    log = WaitLog(console)
    limit = timedelta(seconds=timeout)
    run = _ForceRun(account, declaration, limit, log, revoke_first, again)
    goes_on = (
        "What is declared stays declared, and the hourly reconciliation goes on with it; so does "
        "this command, run again. A secret that was not declared yet is untouched. See how far it "
        f"is: rotation status {' '.join(names or ['SECRET'])}"
    )
    with (
        told_when_interrupted(goes_on),
        log.waiting("the new keys, and then the deaths of the old ones"),
    ):
        leaked, results = in_background(lambda: _force(run, names, pool=pool))
    if as_json:
        pool_report = {} if leaked is None else {"pool": leaked.as_json()}
        click.echo(json.dumps({"secrets": [one.as_json() for one in results], **pool_report}))
    else:
        for one in results:
            print_result(console, one)
        if leaked is not None:
            leaked.print_remaining_work(console)
    if any(one.containment is None for one in results):
        raise click.exceptions.Exit(1)
    contained = all(one.containment and one.containment.contained for one in results)
    if not contained or (leaked is not None and leaked.condemned):
        raise click.exceptions.Exit(EXIT_UNFINISHED)


def print_result(console: Console, result: ForceResult) -> None:
    """Print what became of one secret, for people."""
    containment = result.containment
    console.print()
    if containment is None:
        console.print(f"[bold red]{result.name}: failed.[/] Nothing is lost; run it again.")
        return
    parts = ", ".join(
        f"{part} {took.total_seconds():.1f} s" for part, took in containment.parts.items()
    )
    if containment.contained and containment.attested:
        console.print(f"[bold green]{result.name}: over.[/] {parts}")
    elif containment.contained:
        console.print(f"[bold green]{result.name}: every old key is proven dead.[/] {parts}")
    else:
        console.print(f"[bold yellow]{result.name}: not over yet.[/] {parts}")
        for one in containment.unfinished:
            console.print(f"  left: {one}", markup=False)
        console.print(
            "  The hourly reconciliation goes on with it; so does this command, run again."
        )
    for key_id in containment.attested:
        console.print(f"  not proven: key {key_id} is dead as a person attests", markup=False)
    for version, cause in containment.set_aside.items():
        console.print(
            f"  not known: the key of version {version}, if it has one, which may still be alive: "
            f"{cause}",
            markup=False,
        )
    if containment.evidence:
        console.print(f"  evidence: {containment.evidence}", markup=False)
