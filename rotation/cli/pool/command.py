"""``rotation pool``: the commands."""

from __future__ import annotations

import uuid
from datetime import datetime

import click

from rotation.cli.shared.options import (
    apply_option,
    expires_option,
    json_option,
    refuse_arguments,
    unproven_option,
)


def _key_id(_: click.Context, __: click.Parameter, value: str) -> str:
    """Check a key id, and spell it as the pool does."""
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
    """Keep the pool of API keys from which rotations take new keys.

    For deployments with KEY_ISSUER=key-pool: people make keys in the vendor's portal and add them
    here; each rotation leases one. The commands find your AWS credentials and Region as the aws
    command line does.
    """


@pool.command(short_help="Add a key that you made in the portal")
@_pool_secret
@expires_option
@unproven_option
@json_option
@click.argument("refused", nargs=-1, metavar="")
def add(
    *,
    pool_secret: str,
    expires: datetime | None,
    unproven: bool,
    as_json: bool,
    refused: tuple[str, ...],
) -> None:
    """Add a key that you made in the vendor's portal.

    The command asks for the key id and the key; the key is not shown as you type. It can also read
    them from standard input: two lines, the id first, or JSON with apiKeyId, apiKey and, if known,
    expiresAt. A key is never an argument, which every process on this machine could see.

    The key has to sign a test seal before it is added; the vendor counts one signature. The
    command reads VENDOR_URL, VENDOR_SIGN_PATH, SIGNER_TRUST_ANCHORS and SIGNER_ORGANIZATION as the
    functions do.
    """
    from rotation.cli.pool.keys import add_key

    refuse_arguments(refused)
    add_key(pool_secret, expires, unproven=unproven, as_json=as_json)


@pool.command("list", short_help="Show the keys of the pool")
@_pool_secret
@json_option
def list_(pool_secret: str, as_json: bool) -> None:
    """Show the ids of the pool's keys, with state, age, expiry and lease; never a key itself."""
    from rotation.cli.pool.keys import list_keys

    list_keys(pool_secret, as_json=as_json)


@pool.command(short_help="Take a key out of the pool")
@click.argument("key_id", callback=_key_id)
@_pool_secret
@apply_option
@json_option
def remove(key_id: str, pool_secret: str, apply_it: bool, as_json: bool) -> None:
    """Remove the key KEY_ID from the pool. This does NOT revoke it.

    The command shows the plan, and acts with --apply. It refuses a leased key: a secret holds it.
    """
    from rotation.cli.pool.keys import remove_key

    remove_key(pool_secret, key_id, apply_it=apply_it, as_json=as_json)
