"""``rotation unstick``: frees a secret that a failed rotation blocks."""

from __future__ import annotations

import json

import click

from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.errors import deletion_text, readable_errors
from rotation.cli.shared.options import apply_option, json_option
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING


@click.command()
@click.argument("secret")
@apply_option
@json_option
def unstick(secret: str, apply_it: bool, as_json: bool) -> None:
    """Free a SECRET whose rotation failed for good, so that it can rotate again.

    A rotation that failed for good leaves AWSPENDING behind, and Secrets Manager then refuses the
    next rotation. The command takes the label off a version that is not current. Repair the cause
    first. The command does not revoke the key of that version; reconciliation does.
    """
    with readable_errors():
        versions = AwsAccount().secret(secret)
        snapshot = versions.snapshot()
        if snapshot.deleted_at is not None:
            raise click.ClickException(deletion_text(secret))
        pending = snapshot.version_with(AWSPENDING)
        stuck = pending if pending is not None and not snapshot.has(pending, AWSCURRENT) else None
        if stuck is not None and apply_it:
            versions.unstage_pending(stuck)
    if as_json:
        click.echo(json.dumps({"secret": versions.arn, "version": stuck, "applied": apply_it}))
    elif stuck is None:
        click.echo("Nothing is stuck: no version but the current one bears AWSPENDING.")
    else:
        click.echo(f"AWSPENDING is taken off version {stuck} of {versions.arn}.")
        click.echo(
            "Done. The secret can be rotated again."
            if apply_it
            else "Nothing was done. Add --apply to do it."
        )
