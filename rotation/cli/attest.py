"""``rotation attest``: a person says that a key is dead, where nothing can prove it any more."""

from __future__ import annotations

import json
from typing import Any

import click

from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.errors import readable_errors
from rotation.cli.shared.options import (
    apply_option,
    json_option,
    key_id_argument,
    reason_option,
    reconcile_function_option,
)
from rotation.incident.tag_text import actor_for_tag, reason_for_tag


@click.command()
@click.argument("secret")
@key_id_argument
@reason_option("How you know, for the record: revoked in the portal, account closed …")
@apply_option
@json_option
@reconcile_function_option
def attest(
    *,
    secret: str,
    key_id: str,
    reason: str,
    apply_it: bool,
    as_json: bool,
    reconcile_function: str,
) -> None:
    """Attest that the key KEY_ID of SECRET is dead, because nothing can prove it any more.

    For a key that somebody made by hand, and whose versions AWS has deleted: the vendor's list does
    not have it, and nobody has its material to try it with. Such a key keeps an incident open for
    ever. Revoke it in the vendor's portal first. The command shows what it would do, and does it
    with --apply. The journal, the report and the record of the incident name you and your reason,
    and call the key attested, never proven dead.

    It is refused while a version or the pool holds the key, while the vendor lists it as active,
    and while its keys cannot be listed. If the key is seen again, the attestation is void.
    """
    account = AwsAccount(reconcile_function)
    with readable_errors():
        arn = account.arn(secret)
    actor, why = actor_for_tag(account.actor()), reason_for_tag(reason)
    done: dict[str, Any] = {}
    if apply_it:
        done = account.ask("attest", [arn], key=key_id, actor=actor, reason=why)
    if as_json:
        plan = {"secret": arn, "key": key_id, "actor": actor, "reason": why}
        click.echo(json.dumps({**plan, "applied": apply_it, "death": done.get("death")}))
        return
    if not apply_it:
        click.echo(f"{actor} attests that key {key_id} of {arn} is dead: {why}.")
        click.echo("Nothing was done. Add --apply to do it.")
        return
    attested = "attestedBy" in done["death"]["proof"]
    click.echo(
        f"Key {key_id} is dead since {done['death']['at']}: "
        + ("attested, and not proven." if attested else "that was proven already.")
    )
    click.echo("If nothing else is left to do, the next reconciliation closes the incident.")
