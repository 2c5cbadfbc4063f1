"""A person attests that a key is dead, where nothing can prove it any more. It does no IO.

A key that somebody made by hand is not in the vendor's list. Once AWS has deleted every version
that held it, nobody has its material to ask the vendor with. A person who has revoked it in the
vendor's portal can say so. The journal and the record keep who said it and why, and call it
attested, never proven.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from rotation.core.ports import KeyListing
from rotation.errors import VersionStateError
from rotation.journal.model import ATTESTED_BY, Death, Journal, KeyLife


def attest(journal: Journal, key_id: str, *, actor: str, reason: str, now: datetime) -> Journal:
    """The journal with the death of a key as a person attests it; a dead key stays as it is.

    Args:
        journal: the journal, as it is just now.
        key_id: the key.
        actor: who attests it.
        reason: how that person knows.
        now: our clock, aware UTC, whole milliseconds.

    Raises:
        VersionStateError: the journal knows no such key.
    """
    life = journal.keys.get(key_id)
    if life is None and not journal.suspect(key_id):
        raise VersionStateError(
            f"The journal of {journal.secret_arn} has no key {key_id}. `rotation status "
            f"{journal.secret_arn}` names its keys."
        )
    life = life or KeyLife(now)
    if life.death is not None:
        return journal
    death = Death(now, {"by": "attestation", ATTESTED_BY: actor, "reason": reason})
    return journal.with_key(key_id, replace(life, death=death))


def refuse_provable(
    key_id: str, secret_arn: str, *, held_by: tuple[str, ...], listing: KeyListing | None
) -> None:
    """Refuse to believe a person where something else can tell whether the key is dead.

    Args:
        key_id: the key.
        secret_arn: the secret.
        held_by: where its material is: versions, or the pool.
        listing: the vendor's keys of the secret; None: they could not be listed.

    Raises:
        VersionStateError: nothing is attested; the message says what to do instead.
    """
    if held_by:
        raise VersionStateError(
            f"Key {key_id} is in {', '.join(held_by)} of {secret_arn}, so its death can be proven. "
            "Revoke it in the vendor's portal; the next reconciliation asks the vendor about it."
        )
    if listing is None or not listing.whole:
        raise VersionStateError(
            f"The keys of {secret_arn} cannot be listed as a whole, and key {key_id} may be one of "
            f"them. Mend what the warnings of `rotation status {secret_arn}` name, and attest it "
            "then."
        )
    if any(key.id == key_id and key.active for key in listing.keys):
        raise VersionStateError(
            f"The vendor lists key {key_id} as active. Revoke it; the next reconciliation does if "
            "it is suspect or displaced."
        )
