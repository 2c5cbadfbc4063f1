"""``rotation rollback``: makes the previous key of a secret current again."""

from __future__ import annotations

import click

from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.errors import readable_errors
from rotation.cli.shared.options import apply_option, reconcile_function_option
from rotation.secrets_manager.labels import AWSCURRENT, AWSPREVIOUS


@click.command()
@click.argument("secret")
@apply_option
@reconcile_function_option
def rollback(secret: str, apply_it: bool, reconcile_function: str) -> None:
    """Make the previous key of SECRET current again.

    The reconcile function proves that key with a test seal first, and refuses a key that is dead,
    compromised or about to be retired. The key that was current keeps working for the grace
    period. A record is kept beside the evidence of incidents.
    """
    account = AwsAccount(reconcile_function)
    with readable_errors():
        snapshot = account.secret(secret).snapshot()
    previous, current = snapshot.version_with(AWSPREVIOUS), snapshot.version_with(AWSCURRENT)
    click.echo(f"AWSCURRENT of {snapshot.arn} moves from version {current} to {previous}.")
    if not apply_it:
        click.echo("Nothing was done. Add --apply to do it.")
        return
    done = account.ask("rollback", [snapshot.arn])
    click.echo(
        f"Done: key {done['keyId']} is current, proven just before. Record: {done['evidence']}"
    )
