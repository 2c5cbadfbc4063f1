"""``rotation rollback``: makes the previous key of a secret current again."""

from __future__ import annotations

import json
from typing import Any

import click

from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.errors import readable_errors
from rotation.cli.shared.options import apply_option, json_option, reconcile_function_option
from rotation.cli.shared.output import plain_console
from rotation.cli.shared.waiting import WaitLog, told_when_interrupted
from rotation.secrets_manager.labels import AWSCURRENT, AWSPREVIOUS


@click.command()
@click.argument("secret")
@apply_option
@json_option
@reconcile_function_option
def rollback(secret: str, apply_it: bool, as_json: bool, reconcile_function: str) -> None:
    """Make the previous key of SECRET current again.

    The reconcile function proves that key with a test seal first, and refuses a key that is dead,
    compromised or about to be retired. The key that was current keeps working for the grace
    period. A record is kept beside the evidence of incidents.
    """
    account = AwsAccount(reconcile_function)
    with readable_errors():
        snapshot = account.secret(secret).snapshot()
    previous, current = snapshot.version_with(AWSPREVIOUS), snapshot.version_with(AWSCURRENT)
    if not as_json:
        click.echo(f"AWSCURRENT of {snapshot.arn} moves from version {current} to {previous}.")
    done: dict[str, Any] = {}
    if apply_it:
        goes_on = (
            "The reconcile function may go on with it. See which key is current: "
            f"rotation status {secret}"
        )
        log = WaitLog(plain_console(stderr=True))
        awaited = "the reconcile function, which has the previous key sign first"
        with told_when_interrupted(goes_on), log.waiting(awaited):
            log.log(secret, f"the reconcile function is asked to go back to version {previous}")
            done = account.ask("rollback", [snapshot.arn])
    if as_json:
        report = {"secret": snapshot.arn, "from": current, "to": previous, "applied": apply_it}
        facts = {name: done.get(name) for name in ("keyId", "evidence")}
        click.echo(json.dumps(report | facts))
    elif apply_it:
        click.echo(
            f"Done: key {done['keyId']} is current, proven just before. Record: {done['evidence']}"
        )
    else:
        click.echo("Nothing was done. Add --apply to do it.")
