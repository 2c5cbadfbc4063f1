"""``rotation exposure``: who could read a secret, and who did."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console

from rotation.cli.exposure.sources import Sources, parse_since, progress_told
from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.errors import readable_errors
from rotation.cli.shared.options import json_option, reconcile_function_option
from rotation.cli.shared.output import plain_console
from rotation.cli.shared.times import moment
from rotation.exposure.examination import Exposure, Window, examine, lives_of
from rotation.incident.tag_text import actor_for_tag

#: How sure it is which key a reading got.
_HOW = {
    "event": "as the call names it",
    "time": "as its time tells",
    "one-of": "one of several, by its time",
    "unknown": "which key is not known",
}
_BY = {"identity": "its own policies", "resource-policy": "the secret's policy", "role": "a role"}


@click.command()
@click.argument("secret")
@click.option(
    "--since",
    metavar="DATE",
    callback=parse_since,
    help="Tell readings since then; else of the last 90 days. What is older is read from an event "
    "data store of CloudTrail Lake, which costs by what it scans, or from a trail's bucket.",
)
@click.option(
    "--known",
    multiple=True,
    metavar="PRINCIPAL",
    envvar="ROTATION_KNOWN_READERS",
    help="A user or role that is meant to read it: an ARN, user/NAME, role/NAME or "
    "permission-set/NAME. May be given several times.",
)
@click.option(
    "--incident",
    "of_incident",
    is_flag=True,
    help="Tell who read the suspect keys of the newest closed incident, from their making to their "
    "death, and have it kept as evidence beside its record.",
)
@json_option
@reconcile_function_option
def exposure(
    *,
    secret: str,
    since: datetime | None,
    known: tuple[str, ...],
    of_incident: bool,
    as_json: bool,
    reconcile_function: str,
) -> None:
    """Show who could read SECRET, who did, and what of that nobody can know.

    Who could is asked of IAM's policy simulator, for every user and role of the account, and of
    the policies of the secret, of its KMS key, and of the roles that somebody may assume. Who did
    is asked of CloudTrail's event history. The roles of the stack's functions and what --known
    names are marked as known.

    It changes nothing and reads no value. What this caller may not ask is said, and the rest is
    shown all the same. It takes a minute for some hundred principals, or some thousand calls.
    """
    with readable_errors():
        account = AwsAccount(reconcile_function)
        arn = account.arn(secret)
        with progress_told() as progress:
            found, incident = _examine(
                account, arn, progress, since=since, known=known, of_incident=of_incident
            )
        members = {**found.as_json(), "incident": None}
        if incident is not None:
            kept = account.ask(
                "note-readers",
                [arn],
                actor=actor_for_tag(account.actor()),
                found=found.as_evidence(),
            )
            suspects = sorted(incident["suspects"])
            members["incident"] = {
                "id": kept["incident"],
                "suspects": suspects,
                "where": kept["where"],
            }
    if as_json:
        click.echo(json.dumps(members))
    else:
        print_exposure(plain_console(), members, datetime.now(UTC))


def _examine(
    account: AwsAccount,
    arn: str,
    progress: Callable[[str], None],
    *,
    since: datetime | None,
    known: tuple[str, ...],
    of_incident: bool,
) -> tuple[Exposure, dict[str, Any] | None]:
    """The exposure of a secret, and the incident whose suspect keys it tells of, if any."""
    sources = Sources(account, progress, since)
    facts, gaps = sources.secret(arn)
    report, more = sources.report(arn)
    incident, window = None, sources.window
    if of_incident:
        incident = _newest_closed(arn, report)
        window = _life_of(incident, report or {}, window)
    functions = [account.reconcile_function, *filter(None, [facts.rotation_function])]
    roles, unknown = sources.functions_roles(functions)
    found = examine(
        facts,
        sources.iam,
        sources.history,
        sources.analyzer,
        lives=[] if report is None else lives_of(report),
        window=window,
        known={*known, *roles},
        progress=progress,
        suspects=None if incident is None else incident["suspects"].keys(),
    )
    found.gaps += [*gaps, *more, *unknown, sources.older()]
    return found, incident


def _newest_closed(arn: str, report: dict[str, Any] | None) -> dict[str, Any]:
    """The incident that was closed last."""
    closed = [one for one in (report or {}).get("incidents", ()) if one["closing"] is not None]
    if not closed:
        raise click.ClickException(
            f"{arn} has no incident that is closed, as far as the reconcile function says. See "
            f"how far it is: rotation status {arn}"
        )
    newest: dict[str, Any] = closed[-1]
    return newest


def _life_of(incident: dict[str, Any], report: dict[str, Any], most: Window) -> Window:
    """From the making of the first suspect key to the death of the last, as far as is known."""
    suspects = incident["suspects"].keys()
    keys = [one for one in report["keys"] if one["keyId"] in suspects]
    made = [one["createdAt"] for one in report["versions"] if one["keyId"] in suspects] + [
        one["firstSeenAt"] for one in keys
    ]
    died = [one["death"]["at"] for one in keys if one["death"] is not None]
    since = min((datetime.fromisoformat(one) for one in made if one), default=most.since)
    until = max(map(datetime.fromisoformat, died), default=most.until)
    return Window(max(since, most.since), min(until, most.until))


def print_exposure(console: Console, found: dict[str, Any], now: datetime) -> None:
    """Print the exposure of a secret in words.

    Args:
        console: where to.
        found: what ``--json`` prints.
        now: when it was found, aware UTC.
    """
    console.print(found["name"], style="bold", markup=False)
    if (incident := found["incident"]) is not None:
        console.print(f"of the suspect keys of incident {incident['id']}", markup=False)
        console.print(f"  evidence: {incident['where']}", markup=False)
    for line in (*_could_lines(found), *_finding_lines(found), *_did_lines(found, now)):
        console.print(line, markup=False)
    console.print("not known:", style="yellow")
    for gap in found["gaps"]:
        console.print(f"  {gap['code']}: {gap['message']}", markup=False)


def _could_lines(found: dict[str, Any]) -> Iterator[str]:
    could = found["could"]
    if could is None:
        return
    yield f"could read it: {len(could['readers'])} of {could['principals']} users and roles"
    for one in could["readers"]:
        sure = "" if one["answer"] == "yes" else "perhaps, "
        way = f"by {_BY[one['by']]}"
        if one["through"]:
            way = f"by assuming {', then '.join(map(short, one['through']))}"
        condition = f", depending on {', '.join(one['conditions'])}" if one["conditions"] else ""
        yield f"  {short(one['principal'])}{_mark(one)}  {sure}{way}{condition}"
    for one in could["outsiders"]:
        through = f", through {short(one['through'])}" if one["through"] else ""
        yield f"  outside of the account's users and roles: {one['name']}{through}"


def _finding_lines(found: dict[str, Any]) -> Iterator[str]:
    if found["findings"]:
        yield f"IAM Access Analyzer found: {len(found['findings'])}"
    for one in found["findings"]:
        what = "the secret" if one["resource"] == found["secret"] else "its KMS key"
        condition = f", depending on {', '.join(one['conditions'])}" if one["conditions"] else ""
        yield (
            f"  {', '.join(map(short, one['principals']))} may use {what} "
            f"({', '.join(one['actions'])}){condition}: finding {one['id']}"
        )


def _did_lines(found: dict[str, Any], now: datetime) -> Iterator[str]:
    if found["did"] is None:
        return
    yield f"did read it since {found['since']}: {sum(1 for one in found['did'] if one['reads'])}"
    for one in found["did"]:
        last = moment(datetime.fromisoformat(one["lastAt"]), now)
        through = f", assumed by {', '.join(map(short, one['through']))}" if one["through"] else ""
        refused = f", {one['refused']} refused" if one["refused"] else ""
        yield (
            f"  {short(one['principal'])}{_mark(one)}{through}  {_times(one['reads'])}{refused}, "
            f"last {last}"
        )
        for key in one["keys"]:
            named = f"key {key['keyId'][:8]}" if key["keyId"] else "a key"
            yield f"    {named}  {_times(key['reads'])}, {_HOW[key['how']]}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _mark(one: dict[str, Any]) -> str:
    return " (known)" if one["known"] else ""


def short(arn: str) -> str:
    """``user/NAME`` or ``role/NAME`` for an ARN of IAM, without its path; else all of it."""
    _, colons, rest = arn.partition(":iam::")
    kind, slash, _ = rest.partition(":")[2].partition("/")
    return f"{kind}/{arn.rpartition('/')[2]}" if colons and slash else arn
