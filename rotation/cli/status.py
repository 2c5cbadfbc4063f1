"""``rotation status``: the keys of secrets, as the reconcile function reports them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import click
from rich.console import Console
from rich.text import Text

from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.options import json_option, reconcile_function_option
from rotation.cli.shared.output import plain_console
from rotation.cli.shared.times import distance, moment
from rotation.incident.containment import failure_text

#: What becomes of a key whose version has this state; ``docs/reconciliation.md`` explains each.
_STATES: Final = {
    "current": "current",
    "dead": "dead",
    "compromised": "compromised, and is revoked",
    "in_flight": "in flight: a rotation makes it current",
    "unreadable": "cannot be read",
    "in_use": "in use elsewhere",
    "displaced": "displaced",
    "deprecated": "deprecated",
}
_REASONS: Final = {
    "grace_over": "its grace is over",
    "stray": "no version holds it",
    "compromised": "it was declared compromised",
}


@click.command()
@click.argument("secrets", nargs=-1, required=True)
@json_option
@reconcile_function_option
def status(secrets: tuple[str, ...], as_json: bool, reconcile_function: str) -> None:
    """Show the keys of SECRETS: expiries, what will be revoked and when, and warnings.

    The command asks the reconcile function, so it needs no right to read a secret's value. It
    changes nothing. Exits 1 if a secret could not be examined.
    """
    report = AwsAccount(reconcile_function).ask("report", secrets)
    if as_json:
        click.echo(json.dumps(report))
    else:
        print_report(plain_console(), report)
    if any(secret["failures"] for secret in report["secrets"]):
        raise click.exceptions.Exit(1)


def print_report(console: Console, report: dict[str, Any]) -> None:
    """Print a report in words."""
    now = datetime.fromisoformat(report["finishedAt"])
    for secret in report["secrets"]:
        _print_secret(console, secret, now)
    for warning in report["warnings"]:
        _print_warning(console, warning)


def _print_secret(console: Console, secret: dict[str, Any], now: datetime) -> None:
    console.print(secret.get("name", secret["arn"]), style="bold", markup=False)
    for notice in _notices(secret):
        console.print(notice, style="yellow", markup=False)
    for version in secret.get("versions", ()):
        console.print(f"  {version_text(version, now)}", markup=False)
    for line in _failure_lines(secret):
        console.print(f"  {line}", style="yellow", markup=False)
    if secret.get("incident"):
        console.print(Text("incident", style="red"), secret["incident"], markup=False)
    retiring = {one["keyId"] for one in secret.get("versions", ()) if one["state"] == "retiring"}
    for one in secret.get("retirements", ()):
        if one["keyId"] not in retiring or one["state"] != "waiting":
            console.print(f"  {retirement_text(one, now)}", markup=False)
    for warning in (*secret["warnings"], *secret["failures"]):
        _print_warning(console, warning)
    console.print()


def version_text(version: dict[str, Any], now: datetime) -> str:
    """A version of the report in words, by its key.

    Args:
        version: a member of ``versions``.
        now: when the report was made, aware UTC.
    """
    key = version["keyId"]
    subject = f"key {key[:8]}" if key else f"version {version['versionId'][:8]}, no key"
    if version["state"] == "retiring":
        return f"{subject}  retires {_moment(version['retireAfter'], now)}"
    text = f"{subject}  {_STATES[version['state']]}"
    if version["expiresAt"] is None or version["state"] == "dead":
        return text
    expires = datetime.fromisoformat(version["expiresAt"])
    verb = "expires" if expires > now else "expired"
    return f"{text}, {verb} {expires:%Y-%m-%d}, {distance(expires, now)}"


def retirement_text(retirement: dict[str, Any], now: datetime) -> str:
    """A key that is to be revoked, in words.

    Args:
        retirement: a member of ``retirements``.
        now: when the report was made, aware UTC.
    """
    what = "proven dead" if retirement["revoked"] else "revoked"
    why = _REASONS[retirement["reason"]]
    subject = f"key {retirement['keyId'][:8]}"
    if retirement["state"] == "waiting":
        return f"{subject}  is to be {what} {_moment(retirement['after'], now)}: {why} then"
    refused = "; refused, since they are too many" if retirement["state"] == "refused" else ""
    return f"{subject}  is due to be {what}: {why}{refused}"


def _moment(time: str | None, now: datetime) -> str:
    return "at no known time" if time is None else moment(datetime.fromisoformat(time), now)


def _notices(secret: dict[str, Any]) -> Iterator[str]:
    """Lines above the keys: why they are not replaced or retired."""
    if secret.get("deletedAt"):
        yield f"scheduled for deletion since {secret['deletedAt']}"
    elif secret.get("rotationEnabled") is False:
        yield "rotation is turned off"
    if secret.get("suspended"):
        yield f"no key is retired: {secret['suspended']}"


def _failure_lines(secret: dict[str, Any]) -> Iterator[str]:
    """Why the pending version is not current yet, if a step of its rotation failed."""
    failures = secret.get("stepFailures") or [{"token": None}]
    pending = [one for one in secret.get("versions", ()) if one["state"] == "in_flight"]
    if any(one["versionId"] == failures[-1]["token"] for one in pending):
        yield (
            f"rotation to version {failures[-1]['token'][:8]}, {len(failures)} failed so far: "
            f"{failure_text(failures[-1])}"
        )


def _print_warning(console: Console, warning: dict[str, Any]) -> None:
    console.print(Text(warning["code"], style="yellow"), warning["message"], markup=False)
