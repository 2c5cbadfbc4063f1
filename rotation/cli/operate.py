"""``rotation status``, ``rotate``, ``unstick``, ``hold``: the everyday of an operator."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rotation.cli.shared.account import Account
from rotation.cli.shared.output import plain_console
from rotation.core.policy import LONGEST_KEY_LIFE
from rotation.credential import iso_utc
from rotation.errors import RotationError, SecretStoreError
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING, AWSPREVIOUS, HOLD_TAG
from rotation.secrets_manager.versions import SecretVersions

_Command = TypeVar("_Command", bound=Callable[..., Any])

RECONCILE: Final = "trusted-signatures-reconcile"

reconcile_function = click.option(
    "--reconcile-function",
    envvar="ROTATION_RECONCILE_FUNCTION",
    default=RECONCILE,
    show_default=True,
    help="The deployed reconcile function: a name or an ARN.",
)
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


class Failed(click.ClickException):
    """An expected failure: its code and what to do."""

    def __init__(self, error: RotationError) -> None:
        super().__init__(f"{error} [{error.code}]")


@click.command()
@click.argument("secrets", nargs=-1, required=True)
@as_json_option
@reconcile_function
def status(secrets: tuple[str, ...], as_json: bool, reconcile_function: str) -> None:
    """Show the keys of SECRETS: ages, expiries, what will be revoked and when, and warnings.

    Asks the reconcile function, so that no right to read a secret is needed. Changes nothing.
    Exits 1 if a secret could not be looked at.
    """
    report = Account(reconcile_function).ask("report", secrets)
    if as_json:
        click.echo(json.dumps(report))
    else:
        console = plain_console()
        for secret in report["secrets"]:
            _show(console, secret)
        for warning in report["warnings"]:
            _warn(console, warning)
    if any(secret["failures"] for secret in report["secrets"]):
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("secret")
@click.option("--timeout", default=300, show_default=True, help="Seconds to wait for the new key.")
@as_json_option
def rotate(secret: str, timeout: int, as_json: bool) -> None:
    """Rotate SECRET now and wait until its new key is current.

    The key that is displaced goes on working for the grace period. Exits 1 if no new key is
    current in time; what failed is in the rotation function's log.
    """
    account = Account(RECONCILE)
    try:
        versions = account.secret(secret)
        before = versions.snapshot()
        token = str(uuid.uuid4())
        _begin(versions, token, secret)
        begun = time.monotonic()
        with Console(stderr=True).status(f"waiting for version {token}"):
            while not versions.snapshot().has(token, AWSCURRENT):
                if time.monotonic() - begun > timeout:
                    raise click.ClickException(
                        f"Version {token} is not current after {timeout} s; "
                        f"{before.version_with(AWSCURRENT)} still is. The rotation function's log "
                        f"says why. When that is mended: rotation unstick {secret} --apply"
                    )
                time.sleep(1)
    except RotationError as error:
        raise Failed(error) from error
    took = time.monotonic() - begun
    if as_json:
        click.echo(
            json.dumps(
                {
                    "secret": versions.arn,
                    "previous": before.version_with(AWSCURRENT),
                    "current": token,
                    "seconds": round(took, 1),
                }
            )
        )
    else:
        click.echo(f"Version {token} is current after {took:.1f} s.")


def _begin(versions: SecretVersions, token: str, named: str) -> None:
    try:
        versions.rotate(token)
    except SecretStoreError as error:
        snapshot = versions.snapshot()
        pending = snapshot.version_with(AWSPENDING)
        if snapshot.deleted_at is not None:
            raise click.ClickException(_deleted(named)) from None
        if pending is not None and not snapshot.has(pending, AWSCURRENT):
            raise click.ClickException(
                f"{named} cannot be rotated: an earlier rotation has left AWSPENDING on version "
                f"{pending}, or is still running. If it has failed for good: rotation unstick "
                f"{named} --apply"
            ) from None
        raise Failed(error) from None


def _deleted(named: str) -> str:
    return (
        f"{named} is scheduled for deletion. To keep it: aws secretsmanager restore-secret "
        f"--secret-id {named}"
    )


@click.command()
@click.argument("secret")
@click.option("--apply", is_flag=True, help="Do it; without this only the plan is shown.")
def unstick(secret: str, apply: bool) -> None:
    """Free SECRET for its next rotation by taking AWSPENDING off a version that is not current.

    A rotation that failed for good leaves AWSPENDING behind, and Secrets Manager then refuses the
    next one. Mend the cause first. The key of that version is not revoked by this; it is a stray,
    and reconciliation clears it.
    """
    account = Account(RECONCILE)
    try:
        versions = account.secret(secret)
        snapshot = versions.snapshot()
        pending = snapshot.version_with(AWSPENDING)
        if snapshot.deleted_at is not None:
            raise click.ClickException(_deleted(secret))
        if pending is None or snapshot.has(pending, AWSCURRENT):
            click.echo("Nothing is stuck: no version but the current one bears AWSPENDING.")
            return
        click.echo(f"AWSPENDING is taken off version {pending} of {versions.arn}.")
        if not apply:
            click.echo("Nothing was done. Add --apply to do it.")
            return
        versions.unstage_pending(pending)
    except RotationError as error:
        raise Failed(error) from error
    click.echo("Done. The secret can be rotated again.")


@click.command()
@click.argument("secret")
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]),
    help="No key is retired before this time, UTC.",
)
@click.option("--release", is_flag=True, help="End the hold.")
def hold(secret: str, until: datetime | None, release: bool) -> None:
    """Pause the ordinary retirement of SECRET's keys until a date.

    For a deployment that cannot take a new key in time. Keys that were declared compromised die all
    the same.
    """
    if (until is None) == (not release):
        raise click.UsageError("Give either --until or --release.")
    account = Account(RECONCILE)
    try:
        versions = account.secret(secret)
        if until is None:
            versions.untag(HOLD_TAG)
            click.echo("The hold is released; the next reconciliation retires what is due.")
            return
        end = until.replace(tzinfo=UTC)
        if end - datetime.now(UTC) > LONGEST_KEY_LIFE:
            raise click.UsageError("A hold of more than a year outlives every key.")
        versions.tag({HOLD_TAG: iso_utc(end)})
    except RotationError as error:
        raise Failed(error) from error
    click.echo(f"No key of {versions.arn} is retired before {iso_utc(end)}.")


@click.command()
@click.argument("secret")
@click.option("--apply", is_flag=True, help="Do it; without this only the plan is shown.")
@reconcile_function
def rollback(secret: str, apply: bool, reconcile_function: str) -> None:
    """Go back to the previous key of SECRET.

    The reconcile function proves that key with a test seal first, and refuses one that is dead,
    compromised or about to be retired. The key that is displaced goes on working for the grace
    period. What was done is recorded beside the evidence of incidents.
    """
    account = Account(reconcile_function)
    try:
        snapshot = account.secret(secret).snapshot()
    except RotationError as error:
        raise Failed(error) from error
    previous, current = snapshot.version_with(AWSPREVIOUS), snapshot.version_with(AWSCURRENT)
    click.echo(f"AWSCURRENT of {snapshot.arn} moves from version {current} to {previous}.")
    if not apply:
        click.echo("Nothing was done. Add --apply to do it.")
        return
    done = account.ask("rollback", [snapshot.arn])
    click.echo(
        f"Done: key {done['keyId']} is current, proven just before. Record: {done['evidence']}"
    )


def _show(console: Console, secret: dict[str, Any]) -> None:
    console.print(secret.get("name", secret["arn"]), style="bold", markup=False)
    for state in _states(secret):
        console.print(state, style="yellow", markup=False)
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
    if secret.get("incident"):
        console.print(Text("incident", style="red"), secret["incident"], markup=False)
    for one in secret.get("retirements", ()):
        console.print(
            f"key {one['keyId'][:8]}: {one['reason']}, {one['state']}, after {one['after']}",
            markup=False,
        )
    for warning in (*secret["warnings"], *secret["failures"]):
        _warn(console, warning)
    console.print()


def _states(secret: dict[str, Any]) -> Iterator[str]:
    """What a reader must know before the table."""
    if secret.get("deletedAt"):
        yield f"scheduled for deletion since {secret['deletedAt']}"
    elif secret.get("rotationEnabled") is False:
        yield "rotation is turned off"
    if secret.get("suspended"):
        yield f"no key is retired: {secret['suspended']}"


def _warn(console: Console, warning: dict[str, Any]) -> None:
    console.print(Text(warning["code"], style="yellow"), warning["message"], markup=False)
