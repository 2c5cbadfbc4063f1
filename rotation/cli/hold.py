"""``rotation hold``: pauses the ordinary retirement of a secret's keys."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click

from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.errors import readable_errors, replica_text
from rotation.cli.shared.options import json_option
from rotation.core.policy import LONGEST_KEY_LIFE
from rotation.credential import iso_utc
from rotation.secrets_manager.labels import HOLD_TAG


@click.command()
@click.argument("secret")
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]),
    help="No key is retired before this time, UTC.",
)
@click.option("--release", is_flag=True, help="End the hold.")
@json_option
def hold(secret: str, until: datetime | None, release: bool, as_json: bool) -> None:
    """Pause the ordinary retirement of SECRET's keys until a date.

    Use it if a deployment cannot take a new key in time. Keys that were declared compromised are
    revoked all the same.
    """
    if (until is None) == (not release):
        raise click.UsageError("Give either --until or --release.")
    end = None if until is None else until.replace(tzinfo=UTC)
    if end is not None and end <= datetime.now(UTC):
        raise click.UsageError(f"{iso_utc(end)} is over; a hold ends in the future.")
    if end is not None and end - datetime.now(UTC) > LONGEST_KEY_LIFE:
        raise click.UsageError("A hold of more than a year outlives every key.")
    with readable_errors():
        versions = AwsAccount().secret(secret)
        snapshot = versions.snapshot()
        if snapshot.replicated_from is not None:
            raise click.ClickException(replica_text(snapshot.arn, snapshot.replicated_from))
        if end is None:
            if HOLD_TAG not in snapshot.tags:
                raise click.ClickException(f"{versions.arn} is not on hold; nothing was released.")
            versions.untag(HOLD_TAG)
        else:
            versions.tag({HOLD_TAG: iso_utc(end)})
    if as_json:
        held = None if end is None else iso_utc(end)
        click.echo(json.dumps({"secret": versions.arn, "holdUntil": held}))
    elif end is None:
        click.echo("The hold is released; the next reconciliation retires what is due.")
    else:
        click.echo(f"No key of {versions.arn} is retired before {iso_utc(end)}.")
