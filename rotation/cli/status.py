"""``rotation status``: the keys of secrets, as the reconcile function reports them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.options import json_option, reconcile_function_option
from rotation.cli.shared.output import plain_console
from rotation.incident.containment import failure_text


@click.command()
@click.argument("secrets", nargs=-1, required=True)
@json_option
@reconcile_function_option
def status(secrets: tuple[str, ...], as_json: bool, reconcile_function: str) -> None:
    """Show the keys of SECRETS: ages, expiries, what will be revoked and when, and warnings.

    The command asks the reconcile function, so it needs no right to read a secret's value. It
    changes nothing. Exits 1 if a secret could not be examined.
    """
    report = AwsAccount(reconcile_function).ask("report", secrets)
    if as_json:
        click.echo(json.dumps(report))
    else:
        console = plain_console()
        for secret in report["secrets"]:
            _print_secret(console, secret)
        for warning in report["warnings"]:
            _print_warning(console, warning)
    if any(secret["failures"] for secret in report["secrets"]):
        raise click.exceptions.Exit(1)


def _print_secret(console: Console, secret: dict[str, Any]) -> None:
    console.print(secret.get("name", secret["arn"]), style="bold", markup=False)
    for notice in _notices(secret):
        console.print(notice, style="yellow", markup=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("version", "key", "state", "expires", "retired after"):
        table.add_column(column)
    for version in secret.get("versions", ()):
        table.add_row(
            version["versionId"][:8],
            (version["keyId"] or "-")[:8],
            version["state"],
            (version["expiresAt"] or "-")[:10],
            (version["retireAfter"] or "-")[:16],
        )
    console.print(table)
    for line in _failure_lines(secret):
        console.print(line, style="yellow", markup=False)
    if secret.get("incident"):
        console.print(Text("incident", style="red"), secret["incident"], markup=False)
    for one in secret.get("retirements", ()):
        console.print(
            f"key {one['keyId'][:8]}: {one['reason']}, {one['state']}, after {one['after']}",
            markup=False,
        )
    for warning in (*secret["warnings"], *secret["failures"]):
        _print_warning(console, warning)
    console.print()


def _notices(secret: dict[str, Any]) -> Iterator[str]:
    """Lines above the table: why a secret's keys are not replaced or retired."""
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
