"""``rotation migrate``: the command."""

from __future__ import annotations

from datetime import datetime

import click

from rotation.cli.shared.options import (
    apply_option,
    expires_option,
    refuse_arguments,
    secret_argument,
    unproven_option,
)


@click.command()
@secret_argument
@expires_option
@unproven_option
@click.option(
    "--kms-key",
    metavar="KEY",
    help="Encrypt a secret that is created with this customer managed key: an id, an ARN or alias.",
)
@click.option(
    "--sealing-function",
    metavar="NAME",
    help="The application seals through this function: the next steps name it.",
)
@apply_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.argument("refused", nargs=-1, metavar="")
def migrate(
    *,
    secret: str,
    expires: datetime | None,
    unproven: bool,
    kms_key: str | None,
    sealing_function: str | None,
    apply_it: bool,
    as_json: bool,
    refused: tuple[str, ...],
) -> None:
    """Move a hard-coded key into SECRET.

    Creates the secret, or stores the key in a secret that has no key yet; its other members stay.
    A secret that holds another key is never changed. The command shows the plan, and acts with
    --apply. Run again with the same key, it changes nothing. At the end it prints what comes next.
    docs/migrating.md shows the rights that the application needs and the change to its code.

    The command asks for the key id and the key; the key is not shown as you type. It can also read
    them from standard input: two lines, the id first, or JSON with apiKeyId, apiKey and, if known,
    expiresAt.

    The key has to sign a test seal before the plan is shown; the vendor counts one signature each
    time. The command reads VENDOR_URL, VENDOR_SIGN_PATH, SIGNER_TRUST_ANCHORS and
    SIGNER_ORGANIZATION as the functions do.
    """
    from rotation.cli.migrate.migration import MigrationRequest, migrate_key

    refuse_arguments(refused)
    request = MigrationRequest(secret, expires, unproven, kms_key, sealing_function)
    migrate_key(request, apply_it=apply_it, as_json=as_json)
