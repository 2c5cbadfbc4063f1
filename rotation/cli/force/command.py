"""``rotation force``: declare every key of a secret compromised, replace it, prove it dead."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import click
from rich.console import Console

from rotation.cli.force.leaked_pool import Teller, condemn_pool
from rotation.cli.force.records import closed_just_now, complete
from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.options import json_option, reconcile_function_option, refuse_arguments
from rotation.cli.shared.output import plain_console
from rotation.credential import iso_utc
from rotation.errors import RotationError
from rotation.incident.containment import Containment, WaitClock, contain
from rotation.incident.declaration import Declaration
from rotation.privacy.redaction import scrub

_AT_ONCE = 8
#: An action of the reconcile function, and the alias through which alone it may be asked for.
REVOKE_FIRST = "revoke-first"
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


@dataclass(frozen=True)
class _Order:
    """What is to be done for each secret, and who is told of it.

    Attributes:
        at_once: whether keys are revoked before there are new ones.
        again: whether to declare it although the same incident was closed, or one is open.
    """

    account: AwsAccount
    declaration: Declaration
    limit: timedelta
    teller: Teller
    at_once: bool
    again: bool

    def carry_out(self, name: str) -> _Ended:
        """Contain one secret; whatever goes wrong is its own end and nobody else's."""
        try:
            return _Ended(name, self._closed(name) or self._contained(name))
        except RotationError as error:
            problem = f"{error} [{error.code}]"
        except click.ClickException as error:
            problem = error.message
        self.teller.tell(name, problem)
        return _Ended(name, problem=problem)

    def _closed(self, name: str) -> Containment | None:
        if self.again:
            return None
        closed = closed_just_now(self.account, name, self.declaration)
        if closed is not None:
            told = "this incident is closed; --again declares another, for the new key"
            self.teller.tell(name, told)
        return closed

    def _contained(self, name: str) -> Containment:
        declaration = self._revoked_first(name) if self.at_once else self.declaration
        tell = partial(self.teller.tell, name)
        held = contain(
            self.account.secret(name),
            declaration,
            self._reconcile,
            tell=tell,
            limit=self.limit,
            clocks=WaitClock(),
            again=self.again,
        )
        complete(self.account, held, tell)
        return held

    def _reconcile(self, arn: str) -> dict[str, Any]:
        report: dict[str, Any] = self.account.ask("reconcile", [arn])["secrets"][0]
        return report

    def _revoked_first(self, name: str) -> Declaration:
        """Have the keys revoked before there are new ones; what was declared for it."""
        done = self.account.ask(
            REVOKE_FIRST,
            [self.account.secret(name).arn],
            alias=REVOKE_FIRST,
            reason=self.declaration.reason,
            actor=self.declaration.actor,
            again=self.again,
        )
        for one in done["revoked"]:
            self.teller.tell(name, f"key {one['keyId']}: {one['outcome']}, and not replaced yet")
        for one in done["failures"]:
            self.teller.tell(name, f"not revoked yet: {one['message']} [{one['code']}]")
        return Declaration.read(done["declared"])


def _no_key(_: click.Context, __: click.Parameter, value: str) -> str:
    """A reason is kept in tags and records for years: whoever pastes the leaked key is stopped."""
    if scrub(value) != value:
        refuse_arguments((value,))
    return value


@click.command()
@click.argument("secrets", nargs=-1)
@click.option("--tag", metavar="KEY=VALUE", help="Also every secret that bears this tag.")
@click.option(
    "--reason",
    required=True,
    callback=_no_key,
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
    "at_once",
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
    at_once: bool,
    again: bool,
    as_json: bool,
    reconcile_function: str,
) -> None:
    """Declare every key of SECRETS compromised, replace it, and prove the old ones dead.

    Current, previous and pending keys are declared compromised; a rotation is forced; once the new
    key is current the others are revoked at once, without grace, and proven dead. What is decided
    is written on the secret first: killed at any point, run it again and it goes on, or leave the
    rest to the hourly reconciliation. Run again within ten minutes of the end, by the same person
    for the same reason, it shows the record and declares nothing, unless --again. While an incident
    is open, keys that came after it are suspect only with --again. No right to read or put a
    secret's value is needed.

    With --pool the new keys have to come from a person: the command says when to add them with
    `rotation pool add`, in another terminal, and goes on when they are there.

    Exits 0 when every old key is proven dead, 3 when something is left to do about one, 1 when a
    secret could not be handled. One failing secret does not hold up the others.
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
    teller = Teller(console)
    limit = timedelta(seconds=timeout)
    leaked = condemn_pool(account, names, declaration, teller, again=again) if pool else None
    if leaked is not None:
        names = names or leaked.leased_to
        leaked.await_fresh_keys(names, limit)
    order = _Order(account, declaration, limit, teller, at_once, again)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        ended = list(threads.map(order.carry_out, dict.fromkeys(names)))
    if as_json:
        told = {} if leaked is None else {"pool": leaked.as_json()}
        click.echo(json.dumps({"secrets": [one.as_json() for one in ended], **told}))
    else:
        for one in ended:
            _conclude(console, one)
        if leaked is not None:
            leaked.conclude(console)
    if any(one.containment is None for one in ended):
        raise click.exceptions.Exit(1)
    contained = all(one.containment and one.containment.contained for one in ended)
    if not contained or (leaked is not None and leaked.condemned):
        raise click.exceptions.Exit(LEFT)


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
        console.print(
            "  The hourly reconciliation goes on with it; so does this command, run again."
        )
    if held.evidence:
        console.print(f"  evidence: {held.evidence}", markup=False)
