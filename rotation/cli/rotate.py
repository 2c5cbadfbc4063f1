"""``rotation rotate``: rotates a secret and waits for its new key."""

from __future__ import annotations

import json
import time
import uuid

import click
from rich.console import Console

from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.errors import (
    deletion_text,
    error_text,
    no_function_text,
    readable_errors,
    replica_text,
)
from rotation.cli.shared.options import json_option
from rotation.errors import SecretStoreError
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING
from rotation.secrets_manager.snapshot import Snapshot
from rotation.secrets_manager.versions import SecretVersions


@click.command()
@click.argument("secret")
@click.option("--timeout", default=300, show_default=True, help="Seconds to wait for the new key.")
@json_option
def rotate(secret: str, timeout: int, as_json: bool) -> None:
    """Rotate SECRET now and wait until its new key is current.

    The old key keeps working for the grace period. Exits 1 if the new key is not current in time;
    the rotation function's log says why.
    """
    with readable_errors():
        versions = AwsAccount().secret(secret)
        snapshot = versions.snapshot()
        _refuse_unrotatable(snapshot)
        previous = snapshot.version_with(AWSCURRENT)
        token = str(uuid.uuid4())
        _begin(versions, token, secret)
        begun = time.monotonic()
        with Console(stderr=True).status(f"waiting for version {token}"):
            while not versions.snapshot().has(token, AWSCURRENT):
                if time.monotonic() - begun > timeout:
                    raise click.ClickException(
                        f"Version {token} is not current after {timeout} s; {previous} still is. "
                        "The rotation function's log says why. When that is repaired: rotation "
                        f"unstick {secret} --apply"
                    )
                time.sleep(1)
    seconds = round(time.monotonic() - begun, 1)
    if as_json:
        report = {"secret": versions.arn, "previous": previous, "current": token}
        click.echo(json.dumps({**report, "seconds": seconds}))
    else:
        click.echo(f"Version {token} is current after {seconds} s.")


def _refuse_unrotatable(snapshot: Snapshot) -> None:
    """Refuse what AWS would refuse too, with advice that fits.

    Raises:
        click.ClickException: it is a replica, is to be deleted, or has no rotation function.
    """
    if snapshot.replicated_from is not None:
        raise click.ClickException(replica_text(snapshot.arn, snapshot.replicated_from))
    if snapshot.deleted_at is not None:
        raise click.ClickException(deletion_text(snapshot.arn))
    if snapshot.rotation_function is None:
        raise click.ClickException(no_function_text(snapshot.arn))


def _begin(versions: SecretVersions, token: str, name: str) -> None:
    """Begin the rotation, or explain why AWS refuses it."""
    try:
        versions.rotate(token)
    except SecretStoreError as error:
        snapshot = versions.snapshot()
        pending = snapshot.version_with(AWSPENDING)
        message = error_text(error)
        _refuse_unrotatable(snapshot)
        if pending is not None and not snapshot.has(pending, AWSCURRENT):
            message = (
                f"{name} cannot be rotated: an earlier rotation has left AWSPENDING on version "
                f"{pending}, or is still running. If it has failed for good: rotation unstick "
                f"{name} --apply"
            )
        raise click.ClickException(message) from None
