"""``rotation migrate``: from a hard-coded key to a secret that can be rotated."""

from __future__ import annotations

from datetime import datetime

import click

from rotation.cli.shared.key_options import (
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
    help="The application seals through this function: for its rights, and for the diff.",
)
@click.option("--apply", "apply_it", is_flag=True, help="Do it; without this, only the plan.")
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
    """Move a hard-coded key into SECRET, and show what the application needs.

    Creates the secret, or stores the key in one that has no key yet; its other members stay. A
    secret that holds another key is never changed. Shows the plan, and acts with --apply; run
    again with the same key, it changes nothing. Then it prints the policy for the application's
    role, the change to its code, and what comes next.

    Asks for the key id and the key; the key is not shown as you type. Or reads them from standard
    input: two lines, the id first, or JSON with apiKeyId, apiKey and perhaps expiresAt.

    The key has to sign a test seal before it is stored, and before the plan; the vendor counts one
    signature each time. VENDOR_URL, VENDOR_SIGN_PATH, SIGNER_TRUST_ANCHORS and SIGNER_ORGANIZATION
    are heeded as the functions heed them.
    """
    from rotation.cli.migrate.migration import Wish, show_migration

    refuse_arguments(refused)
    wish = Wish(secret, expires, unproven, kms_key, sealing_function)
    show_migration(wish, apply_it=apply_it, as_json=as_json)
