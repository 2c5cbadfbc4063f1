"""``rotation release``: has keys retired that were too many for one run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.errors import readable_errors
from rotation.cli.shared.options import apply_option, json_option, reconcile_function_option


@click.command()
@click.argument("secret")
@apply_option
@json_option
@reconcile_function_option
def release(secret: str, apply_it: bool, as_json: bool, reconcile_function: str) -> None:
    """Have the keys of SECRET retired that reconciliation refused because they are too many.

    Reconciliation revokes no more than three displaced keys of one secret in one run, and warns
    with too_many_retirements: more at once may be a mistake. The command lists the keys that were
    refused. If they are right, --apply has them revoked in a run over all secrets. Each is still
    checked: its grace must be over, no secret may use it, and the current key must sign.

    Exits 3 if --apply left a key that is still refused or not proven dead.
    """
    account = AwsAccount(reconcile_function)
    with readable_errors():
        arn = account.secret(secret).arn
    # Only a report on all secrets sees which keys other secrets use.
    report = _of(account.ask("report"), arn)
    refused = _refused(report)
    done: Mapping[str, Any] = {}
    if apply_it and refused:
        report = _of(account.ask("reconcile", [arn], release=True), arn)
        done = report.get("done", {})
    dead = [key for key in refused if key in done.get("provenDead", ())]
    left = [key for key in refused if key not in dead]
    if as_json:
        facts = {"secret": arn, "refused": refused, "applied": apply_it, "provenDead": dead}
        click.echo(json.dumps({**facts, "failures": report["failures"]}))
    else:
        _print(arn, refused, report, apply_it=apply_it, dead=dead)
    if apply_it and left:
        raise click.exceptions.Exit(3)


def _of(report: Mapping[str, Any], arn: str) -> Mapping[str, Any]:
    """What a report says of one secret."""
    found = [one for one in report["secrets"] if one["arn"] == arn]
    if not found:
        raise click.ClickException(f"{arn} is not rotated by this deployment's rotation function.")
    return dict(found[0])


def _refused(report: Mapping[str, Any]) -> list[str]:
    """The ids of the keys that reconciliation refused to revoke."""
    if report.get("retirements") is None:
        problem = "; ".join(one["message"] for one in report["failures"])
        raise click.ClickException(f"{report['arn']} could not be examined: {problem}")
    return [one["keyId"] for one in report["retirements"] if one["state"] == "refused"]


def _print(
    arn: str,
    refused: Sequence[str],
    report: Mapping[str, Any],
    *,
    apply_it: bool,
    dead: Sequence[str],
) -> None:
    if not refused:
        click.echo(f"No retirement of a key of {arn} was refused.")
        return
    if not apply_it:
        click.echo(f"{len(refused)} keys of {arn} are due to be revoked, and were refused:")
        for key in refused:
            click.echo(f"  {key}")
        click.echo("Nothing was done. Add --apply to do it.")
        return
    for key in refused:
        click.echo(f"key {key}: {'proven dead' if key in dead else 'not proven dead yet'}")
    for one in report["failures"]:
        click.echo(f"  {one['message']} [{one['code']}]")
    if len(dead) < len(refused):
        click.echo("The hourly reconciliation goes on with the keys that were asked about.")
