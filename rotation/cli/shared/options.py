"""Options and arguments that several commands have."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click

from rotation.core.policy import LONGEST_KEY_LIFE
from rotation.privacy.redaction import scrub

_Command = TypeVar("_Command", bound=Callable[..., Any])
# A run of hex digits that is no part of a name or a path: the name of a file may be a digest.
_KEY_MATERIAL: Final = re.compile(r"(?<![\w./-])[0-9A-Fa-f]{32,}+(?![\w/-]|\.\w)")

RECONCILE_FUNCTION: Final = "trusted-signatures-reconcile"

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
apply_option = click.option(
    "--apply",
    "apply_it",
    is_flag=True,
    help="Do it. Without this the command only shows the plan.",
)
reconcile_function_option = click.option(
    "--reconcile-function",
    envvar="ROTATION_RECONCILE_FUNCTION",
    default=RECONCILE_FUNCTION,
    show_default=True,
    help="The deployed reconcile function: a name or an ARN.",
)


def timeout_option(default: int, help_text: str) -> Callable[[_Command], _Command]:
    """How many seconds a command waits."""
    return click.option(
        "--timeout",
        type=click.IntRange(min=1),
        metavar="SECONDS",
        default=default,
        show_default=True,
        help=help_text,
    )


def parse_time(value: str) -> datetime:
    """Parse a date, or a date and time, to aware UTC; without an offset it is UTC.

    Raises:
        click.BadParameter: it is neither.
    """
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value} is not a date such as 2027-03-31.") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _expiry(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    """Parse when a key expires, within the next year."""
    if value is None:
        return None
    time = parse_time(value)
    if not datetime.now(UTC) < time <= datetime.now(UTC) + LONGEST_KEY_LIFE:
        raise click.BadParameter(f"{value} is not within the next year; no key lives longer.")
    return time


expires_option = click.option(
    "--expires",
    metavar="DATE",
    callback=_expiry,
    help="When the key expires, as the portal says; 2027-03-31 is the beginning of that day, UTC.",
)
unproven_option = click.option(
    "--unproven", is_flag=True, help="Do not ask the vendor for a test seal first."
)


def refuse_arguments(refused: tuple[str, ...]) -> None:
    """Refuse arguments that may be keys, without repeating them as click itself would."""
    if refused:
        raise click.UsageError(
            "A key is never taken from an argument: other processes can see it, and the shell's "
            "history keeps it. If that was a key, replace it (rotation force SECRET --reason "
            "key-compromise), or revoke it in the vendor's portal, and remove the line from the "
            "history. If it is the name of a file, write ./ before it."
        )


def refuse_keys(arguments: Sequence[str]) -> None:
    """Refuse a command line that has a key anywhere: as a name, an option's value, or in JSON."""
    refuse_arguments(tuple(one for one in arguments if _KEY_MATERIAL.search(one)))


secret_argument = click.argument("secret", default="trusted-signatures-api")
key_id_argument = click.argument("key_id")


def _reason(_: click.Context, __: click.Parameter, value: str) -> str:
    """Refuse a key as the reason, since records keep it for years, and an empty reason."""
    if scrub(value) != value:
        refuse_arguments((value,))
    if not value.strip():
        raise click.BadParameter("it is empty; the record needs a reason.")
    return value


def reason_option(help_text: str) -> Callable[[_Command], _Command]:
    """A reason for the record, which must be given."""
    return click.option("--reason", required=True, callback=_reason, help=help_text)
