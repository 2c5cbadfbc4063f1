"""What commands share to which somebody gives a key, or might give one by mistake."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

import click

from rotation.core.policy import LONGEST_KEY_LIFE

_KEY_MATERIAL: Final = re.compile(r"[0-9A-Fa-f]{32,}")


def _expiry(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    """A date, or a date and time; without an offset, UTC."""
    if value is None:
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value} is not a date such as 2027-03-31.") from None
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    if not datetime.now(UTC) < time <= datetime.now(UTC) + LONGEST_KEY_LIFE:
        raise click.BadParameter(f"{value} is not within the next year; no key lives longer.")
    return time


expires_option = click.option(
    "--expires",
    metavar="DATE",
    callback=_expiry,
    help="When the key expires, as the portal says: 2027-03-31 is the beginning of that day, UTC.",
)
unproven_option = click.option(
    "--unproven", is_flag=True, help="Do not ask the vendor for a test seal first."
)


def refuse_arguments(refused: tuple[str, ...]) -> None:
    """End the command if there are any; they are named by nothing but their place.

    click itself would repeat them.
    """
    if refused:
        raise click.UsageError(
            "A key is never taken from an argument: other processes can see it, and the shell's "
            "history keeps it. If that was a key, revoke it in the vendor's portal."
        )


def _secret(_: click.Context, __: click.Parameter, value: str) -> str:
    """A secret's name, and no key in its place."""
    if _KEY_MATERIAL.fullmatch(value):
        refuse_arguments((value,))
    return value


secret_argument = click.argument("secret", default="trusted-signatures-api", callback=_secret)
