"""``rotation unstick``: frees a secret that a failed rotation blocks."""

from __future__ import annotations

import click

from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.errors import deletion_text, readable_errors
from rotation.cli.shared.options import apply_option
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING


@click.command()
@click.argument("secret")
@apply_option
def unstick(secret: str, apply_it: bool) -> None:
    """Remove AWSPENDING from a version of SECRET that is not current, so that it can rotate again.

    A rotation that failed for good leaves AWSPENDING behind, and Secrets Manager then refuses the
    next rotation. Repair the cause first. The command does not revoke the key of that version;
    reconciliation does.
    """
    with readable_errors():
        versions = AwsAccount().secret(secret)
        snapshot = versions.snapshot()
        pending = snapshot.version_with(AWSPENDING)
        if snapshot.deleted_at is not None:
            raise click.ClickException(deletion_text(secret))
        if pending is None or snapshot.has(pending, AWSCURRENT):
            click.echo("Nothing is stuck: no version but the current one bears AWSPENDING.")
            return
        click.echo(f"AWSPENDING is taken off version {pending} of {versions.arn}.")
        if not apply_it:
            click.echo("Nothing was done. Add --apply to do it.")
            return
        versions.unstage_pending(pending)
    click.echo("Done. The secret can be rotated again.")
