"""``rotation pool``: the commands for the keys that people make in the vendor's portal."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import click

_YEAR = timedelta(days=366)


def _expiry(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    """A date, or a date and time; without an offset, UTC."""
    if value is None:
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value} is not a date such as 2027-03-31.") from None
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    if not datetime.now(UTC) < time <= datetime.now(UTC) + _YEAR:
        raise click.BadParameter(f"{value} is not within the next year; no key lives longer.")
    return time


def _key_id(_: click.Context, __: click.Parameter, value: str) -> str:
    """A key id, in the form in which a pool holds it."""
    try:
        return str(uuid.UUID(value))
    except ValueError:
        # The value is not repeated: it may be a key that was pasted in the wrong place.
        raise click.BadParameter("this is not a key id, which is a UUID.") from None


_pool_secret = click.option(
    "--pool-secret",
    metavar="NAME",
    default="trusted-signatures-pool",
    show_default=True,
    help="The name or ARN of the secret that holds the pool.",
)


@click.group()
def pool() -> None:
    """Keep the pool of API keys from which rotations take theirs.

    For deployments with KEY_ISSUER=key-pool: people make keys in the vendor's portal and add them
    here; each rotation leases one. The secret is found with your AWS credentials and region, as
    the aws command line finds them.
    """


@pool.command()
@_pool_secret
@click.option(
    "--expires",
    metavar="DATE",
    callback=_expiry,
    help="When the key expires, as the portal says: 2027-03-31 is the beginning of that day, UTC.",
)
@click.option("--unproven", is_flag=True, help="Do not ask the vendor for a test seal first.")
@click.argument("refused", nargs=-1, metavar="")
def add(
    pool_secret: str, expires: datetime | None, unproven: bool, refused: tuple[str, ...]
) -> None:
    """Add a key that you made in the vendor's portal.

    Asks for the key id and the key; the key is not shown as you type. Or reads them from standard
    input: two lines, the id first, or JSON with apiKeyId, apiKey and perhaps expiresAt. A key is
    never taken from an argument, which every process on this machine could see.

    The key has to sign a test seal before it is added; the vendor counts one signature. VENDOR_URL,
    VENDOR_SIGN_PATH, SIGNER_TRUST_ANCHORS and SIGNER_ORGANIZATION are heeded as the functions heed
    them.
    """
    from rotation.cli.pool_keys import add_key

    if refused:
        # Named by nothing but its place: click itself would repeat it.
        raise click.UsageError(
            "A key is never taken from an argument: other processes can see it, and the shell's "
            "history keeps it. If that was a key, revoke it in the vendor's portal."
        )

    add_key(pool_secret, expires, unproven=unproven)


@pool.command("list")
@_pool_secret
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def list_(pool_secret: str, as_json: bool) -> None:
    """Show the keys of the pool, their states, ages, expiries and leases; never the keys."""
    from rotation.cli.pool_keys import list_keys

    list_keys(pool_secret, as_json=as_json)


@pool.command()
@click.argument("key_id", callback=_key_id)
@_pool_secret
@click.option("--apply", "apply_it", is_flag=True, help="Do it; without this, only the plan.")
def remove(key_id: str, pool_secret: str, apply_it: bool) -> None:
    """Take the key KEY_ID out of the pool; it is NOT revoked by that.

    Prints what would be done, and does it with --apply. A leased key is refused: a secret holds it.
    """
    from rotation.cli.pool_keys import remove_key

    remove_key(pool_secret, key_id, apply_it=apply_it)
