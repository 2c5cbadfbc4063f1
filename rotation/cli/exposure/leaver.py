"""``rotation leaver``: rotates what somebody knew who leaves."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from rotation.cli.exposure.command import short
from rotation.cli.exposure.plan_file import SCHEMA, PlanFile
from rotation.cli.exposure.sources import Sources, parse_since, progress_told
from rotation.cli.rotate import RotationWait
from rotation.cli.shared.account import AwsAccount, NotAskedError
from rotation.cli.shared.errors import error_text, readable_errors
from rotation.cli.shared.options import (
    apply_option,
    json_option,
    reconcile_function_option,
    timeout_option,
)
from rotation.cli.shared.output import plain_console
from rotation.cli.shared.waiting import WaitLog, in_background, in_parallel, told_when_interrupted
from rotation.credential import iso_utc
from rotation.errors import RotationError
from rotation.exposure.access import SecretFacts
from rotation.exposure.leaver import Knowledge, departure
from rotation.incident.containment import WaitClock, contain
from rotation.incident.tag_text import actor_for_tag, reason_for_tag
from rotation.journal.model import Declaration
from rotation.secrets_manager.labels import AWSCURRENT

_MAX_PARALLEL: Final = 8
#: Exit code: something is left for a person to do.
EXIT_UNFINISHED: Final = 3


@click.command()
@click.argument("principals", nargs=-1, required=True)
@click.option(
    "--since",
    metavar="DATE",
    callback=parse_since,
    help="Count readings since then; else those of the last 90 days.",
)
@click.option(
    "--plan",
    "path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file of the plan. It is made if it does not exist, and says what was done.",
)
@apply_option
@click.option(
    "--compromised",
    is_flag=True,
    help="The leaver is a danger: replace the keys as after a leak, without grace.",
)
@timeout_option(900, "Seconds to wait for each new key, and with --compromised for each death.")
@json_option
@reconcile_function_option
def leaver(
    *,
    principals: tuple[str, ...],
    since: datetime | None,
    path: Path,
    apply_it: bool,
    compromised: bool,
    timeout: int,
    as_json: bool,
    reconcile_function: str,
) -> None:
    """Rotate every secret that PRINCIPALS could read, or did.

    A principal is an ARN, user/NAME, role/NAME or permission-set/NAME. Make the plan first, while
    they still have their rights; then take the rights away; then run the command again with
    --apply. Secrets that this installation rotates are rotated, and their journals say why. For
    each of the others the plan says what a person has to do.

    If it is interrupted or killed, run it again with the same file: what is done is not done twice.
    A secret that fails does not stop the others. Exits 1 if one failed, 3 if a person has something
    to do, 0 otherwise.
    """
    console = plain_console(stderr=as_json)
    with readable_errors():
        account = AwsAccount(reconcile_function)
        held = PlanFile.read(path, principals)
        if held is None:
            if apply_it:
                raise click.UsageError(
                    f"There is no plan in {path}. Make it first: run this without --apply."
                )
            held = _made(account, path, principals, since)
            held.write()
        if apply_it:
            _apply(account, held, compromised=compromised, timeout=timeout, console=console)
    if as_json:
        click.echo(json.dumps(held.plan))
    else:
        print_plan(console, held.plan)
        if not apply_it:
            console.print(
                f"Nothing was done. {path} holds the plan. Take their rights away, and then add "
                "--apply.",
                markup=False,
            )
    if not apply_it:
        return
    results = [one["result"] for one in held.plan["secrets"] if one["action"] == "rotate"]
    if any(one["error"] is not None for one in results):
        raise click.exceptions.Exit(1)
    if len(results) < len(held.plan["secrets"]):
        raise click.exceptions.Exit(EXIT_UNFINISHED)


def _made(
    account: AwsAccount, path: Path, principals: Sequence[str], since: datetime | None
) -> PlanFile:
    """A new plan for the principals."""
    gaps: list[dict[str, str]] = []
    with progress_told() as progress:
        sources = Sources(account, progress, since)
        window = sources.window
        secrets: list[SecretFacts] = []
        for described in sources.policies.list_secrets():
            facts, missing = sources.facts(described)
            secrets.append(facts)
            gaps += [{**one.as_json(), "secret": facts.arn} for one in missing]
            progress(f"{len(secrets)} secrets")
        found = departure(
            principals, secrets, sources.iam, sources.history, window=window, progress=progress
        )
        planned = [_planned(account, one) for one in found.known]
    general = [*found.gaps, sources.older()]
    plan = {
        "schema": SCHEMA,
        "id": str(uuid.uuid4()),
        "principals": list(principals),
        "reach": list(dict.fromkeys(found.arns)),
        "since": iso_utc(window.since),
        "until": iso_utc(window.until),
        "secretsSeen": len(secrets),
        "secrets": planned,
        "gaps": [{**one.as_json(), "secret": None} for one in general] + gaps,
    }
    return PlanFile(path, plan)


def _planned(account: AwsAccount, known: Knowledge) -> dict[str, Any]:
    """What is to be done about one secret, and by whom."""
    secret = known.secret
    action, advice = "rotate", None
    if secret.rotation_function is None:
        action = "person"
        advice = (
            "No function rotates it. Make a new value where it is used, store it in this secret "
            "(PutSecretValue), and end the old one."
        )
    else:
        try:
            account.ask("watch", [secret.arn])
        except click.ClickException as error:
            action = "person"
            advice = (
                f"This installation does not rotate it; {secret.rotation_function} does: `aws "
                f"secretsmanager rotate-secret --secret-id {secret.arn}`. {error.message}"
            )
    return {
        "arn": secret.arn,
        "name": secret.name,
        "action": action,
        "advice": advice,
        **known.as_json(),
        "result": None,
    }


def _apply(
    account: AwsAccount, held: PlanFile, *, compromised: bool, timeout: int, console: Console
) -> None:
    """Rotate what the plan says and was not rotated yet, several secrets at a time."""
    left = [
        one
        for one in held.plan["secrets"]
        if one["action"] == "rotate" and (one["result"] is None or one["result"]["error"])
    ]
    log = WaitLog(console)
    run = _Application(
        account,
        held,
        log,
        timedelta(seconds=timeout),
        compromised=compromised,
        reason=reason_for_tag(f"left: {' '.join(held.plan['principals'])}"),
        actor=actor_for_tag(account.actor()),
    )
    goes_on = (
        "What was begun goes on in AWS. Run the same command again: it goes on with the plan in "
        f"{held.path}."
    )
    with told_when_interrupted(goes_on), log.waiting("the new keys"):
        in_background(lambda: in_parallel(run.secret, left, _MAX_PARALLEL))


@dataclass(frozen=True)
class _Application:
    """Rotates the secrets of a plan.

    Attributes:
        limit: how long to wait for one new key.
        compromised: whether the keys are replaced as after a leak.
        reason: why, for the journal.
        actor: who does it.
    """

    account: AwsAccount
    held: PlanFile
    log: WaitLog
    limit: timedelta
    compromised: bool
    reason: str
    actor: str
    clocks: WaitClock = field(default_factory=WaitClock)

    def secret(self, one: dict[str, Any]) -> None:
        """Rotate one secret, and write down how it ended. An error ends this secret only."""
        act: Callable[[dict[str, Any]], str] = self._force if self.compromised else self._rotate
        done: str | None = None
        problem: str | None = None
        try:
            done = act(one)
        except NotAskedError as error:
            problem = str(error)
        except RotationError as error:
            problem = error_text(error)
        except click.ClickException as error:
            problem = error.message
        self.log.log(one["name"], done or problem or "")
        ended = {"at": iso_utc(datetime.now(UTC)), "done": done, "error": problem}
        self.held.note(one, ended)

    def _rotate(self, one: dict[str, Any]) -> str:
        arn, token = one["arn"], self.held.token(one["arn"])
        noted = self.account.ask(
            "note-departure", [arn], token=token, reason=self.reason, actor=self.actor
        )
        if noted["wasCurrent"]:
            return f"version {token} became current"
        versions = self.account.secret(arn)
        if token not in versions.snapshot().labels:
            versions.rotate(token)
        wait = RotationWait(
            one["name"],
            token,
            look=versions.snapshot,
            failures=lambda: self.account.ask("watch", [arn])["stepFailures"],
            log=self.log,
        )
        problem = wait.run(self.limit)
        if problem is not None:
            raise click.ClickException(f"Version {token} is not current. {problem}")
        if AWSCURRENT not in versions.snapshot().labels.get(token, frozenset()):
            raise click.ClickException(f"Version {token} was current, and is not any more.")
        return f"version {token} is current; the old key dies after its grace"

    def _force(self, one: dict[str, Any]) -> str:
        at = datetime.now(UTC).replace(microsecond=0)
        declaration = Declaration(self.held.token(one["arn"]), at, self.reason, self.actor)
        contained = contain(
            one["arn"],
            declaration,
            self.account.ask_about,
            log_act=lambda act: self.log.log(one["name"], act),
            limit=self.limit,
            clocks=self.clocks,
        )
        if not contained.contained:
            raise click.ClickException(
                f"Not over yet: {'; '.join(contained.unfinished)}. The hourly reconciliation goes "
                "on with it."
            )
        return f"every old key is dead; {contained.evidence}"


def print_plan(console: Console, plan: dict[str, Any]) -> None:
    """Print a plan, and what was done so far, in words."""
    console.print(
        f"{', '.join(plan['principals'])} knew {len(plan['secrets'])} of {plan['secretsSeen']} "
        f"secrets, counting readings since {plan['since']}",
        markup=False,
    )
    for one in plan["secrets"]:
        console.print(f"{one['name']}  {_state(one)}", markup=False)
        for access in one["could"]:
            way = f" by assuming {', then '.join(map(short, access['through']))}"
            sure = "" if access["answer"] == "yes" else "perhaps "
            told = f"{sure}could read it{way if access['through'] else ''}"
            console.print(f"  {short(access['principal'])} {told}", markup=False)
        for reader in one["did"]:
            by = f", assumed by {', '.join(map(short, reader['through']))}"
            through = by if reader["through"] else ""
            console.print(
                f"  {short(reader['principal'])}{through} read it, last {reader['lastAt']}",
                markup=False,
            )
    console.print("not known:", style="yellow")
    for gap in plan["gaps"]:
        where = "" if gap["secret"] is None else f"{gap['secret']}: "
        console.print(f"  {gap['code']}: {where}{gap['message']}", markup=False)


def _state(one: dict[str, Any]) -> str:
    if one["action"] == "person":
        return f"a person has to rotate it. {one['advice']}"
    if one["result"] is None:
        return "is to be rotated"
    return str(one["result"]["done"] or f"failed: {one['result']['error']}")
