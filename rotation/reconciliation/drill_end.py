"""Ends a drill: no key that was issued for its secret is left at the vendor.

A drill's secret is scheduled for deletion before its keys are revoked. From then on Secrets Manager
takes no value for it, so nothing that is revoked here can be followed by another key. The price is
that no value can be read any more: the death of a key whose material nobody can read is proven by
the vendor's own list, as that of a stray is. A key that the issuer keeps itself, as a pool does, is
probed, and the control is the current key of another secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from rotation.core.listing import list_own_keys
from rotation.core.ports import KeyListing, Revocation
from rotation.credential import ApiKey, whole_milliseconds
from rotation.errors import RotationError, VersionStateError
from rotation.incident.revoke_first import asked_to_revoke
from rotation.journal.model import Death, Journal, KeyLife
from rotation.privacy.observability import count, logger
from rotation.reconciliation.proof_of_death import (
    LISTED_AS_NOT_ACTIVE,
    DeathVerdict,
    ProbedKey,
    ProbeHistory,
    death_facts,
    find_control,
)
from rotation.reconciliation.reconciler import Reconciler
from rotation.secrets_manager.labels import AWSCURRENT
from rotation.secrets_manager.snapshot import Snapshot


@dataclass(frozen=True)
class DrillEnd:
    """What became of the keys that were issued for a drill's secret.

    Attributes:
        journal: the journal, with what was found.
        outcomes: the issuer's answer to each revocation, by key id.
        left: what is left to do about a key, each as a sentence; empty: no key is left.
    """

    journal: Journal
    outcomes: Mapping[str, Revocation]
    left: tuple[str, ...]


def end_drill(reconciler: Reconciler, snapshot: Snapshot) -> DrillEnd:
    """Revoke every key that was issued for a drill's secret, and prove it dead. Idempotent.

    Does NOT delete the secret, and does NOT revoke a key that somebody stored there by hand: nobody
    knows what else uses it.

    Args:
        reconciler: has the services, and finds a control.
        snapshot: the drill's secret, scheduled for deletion.

    Raises:
        VersionStateError: the secret is not scheduled for deletion.
        VendorError, KeyIssueError, SecretStoreError, JournalError: asking again is safe.
    """
    arn, services = snapshot.arn, reconciler.services
    if snapshot.deleted_at is None:
        raise VersionStateError(f"{arn} is not scheduled for deletion: it may get another key.")
    journals, journal = services.journals, services.journals.read(arn)
    listing = _list(reconciler, arn)
    alive = tuple(key.id for key in listing.keys if key.active)
    now = whole_milliseconds(services.clock())
    journal = journals.change(journal, lambda found: asked_to_revoke(found, alive, now))
    outcomes = {key_id: services.issuer.revoke(key_id) for key_id in alive}
    kept = [key for key_id in alive if (key := services.find_key(key_id)) is not None]
    histories = _probe(reconciler, arn, kept, outcomes)
    after = _list(reconciler, arn)
    proofs = {
        key.id: _proof(key.id, after, kept, histories) for key in (*listing.keys, *after.keys)
    }
    journal = journals.change(journal, lambda found: _with_ends(found, outcomes, proofs, now))
    for key_id in histories:
        if proofs[key_id] is not None:
            # The issuer forgets last: it finds no key any more that it has forgotten.
            services.issuer.forget(key_id)
    left = [
        _left(key_id, outcomes.get(key_id), histories.get(key_id))
        for key_id, proof in proofs.items()
        if proof is None
    ]
    if not after.whole:
        left.append("an entry of the pool cannot be read, which may be the drill's")
    count("KeysRevoked", [*outcomes.values()].count(Revocation.REVOKED))
    logger.info("drill ended", extra={"secret": arn, "keys": [*proofs], "left": len(left)})
    return DrillEnd(journal, outcomes, tuple(left))


def _list(reconciler: Reconciler, arn: str) -> KeyListing:
    services = reconciler.services
    return list_own_keys(services.issuer, services.policy.installations, arn)


def _probe(
    reconciler: Reconciler, arn: str, keys: list[ApiKey], outcomes: Mapping[str, Revocation]
) -> Mapping[str, ProbeHistory]:
    """The probes of the keys whose material the issuer keeps; none without a control."""
    holders: dict[str, str] = {}
    controls = _current_keys(reconciler, arn, holders) if keys else ()
    control = find_control(controls, reconciler.services.prover)
    if control is None:
        return {}
    manual = Revocation.MANUAL_ACTION_NEEDED
    # The sentence that the control signs names the control's own secret: whoever counts the
    # signatures of that secret's keys knows it then.
    holder = holders[control.id]
    probed = [
        ProbedKey(holder, key, control, revoked=outcomes[key.id] is not manual) for key in keys
    ]
    return {key_id: one for (_, key_id), one in reconciler.death_prover.prove(probed).items()}


def _current_keys(reconciler: Reconciler, but: str, holders: dict[str, str]) -> Iterator[ApiKey]:
    """The current keys of other secrets; ``holders`` gets the ARN of the secret of each."""
    for listed in reconciler.discover():
        if listed.arn == but:
            continue
        secret = reconciler.open_secret(listed.arn)
        try:
            current = secret.snapshot().version_with(AWSCURRENT)
            document = secret.reading(current).document if current is not None else None
        except RotationError:
            # Another secret will do.
            continue
        if document is not None:
            holders[document.key.id] = listed.arn
            yield document.key


def _proof(
    key_id: str, after: KeyListing, kept: list[ApiKey], histories: Mapping[str, ProbeHistory]
) -> dict[str, Any] | None:
    """What proves that a key is dead; None: nothing does yet."""
    history = histories.get(key_id)
    if history is not None:
        return death_facts(history) if history.verdict is DeathVerdict.DEAD else None
    if any(key.id == key_id for key in kept):
        return None
    inactive = any(key.id == key_id and not key.active for key in after.keys)
    return dict(LISTED_AS_NOT_ACTIVE) if inactive else None


def _with_ends(
    journal: Journal,
    outcomes: Mapping[str, Revocation],
    proofs: Mapping[str, dict[str, Any] | None],
    now: datetime,
) -> Journal:
    """The journal with the answers and the deaths of the drill's keys."""
    for key_id, proof in proofs.items():
        life = journal.keys.get(key_id) or KeyLife(now)
        if life.death is not None:
            continue
        outcome = outcomes.get(key_id)
        life = replace(life, outcome=outcome.value if outcome else life.outcome)
        if proof is not None:
            life = replace(life, death=Death(now, proof))
        journal = journal.with_key(key_id, life)
    return journal


def _left(key_id: str, outcome: Revocation | None, history: ProbeHistory | None) -> str:
    alive = history is not None and history.verdict is DeathVerdict.ALIVE
    if outcome is Revocation.MANUAL_ACTION_NEEDED and alive:
        return f"key {key_id} works until a person revokes it in the vendor's portal"
    if history is None and outcome is Revocation.MANUAL_ACTION_NEEDED:
        return (
            f"key {key_id} is not proven dead: no other secret has a current key that the vendor "
            "accepts, beside which it could be asked about"
        )
    return f"key {key_id} is not proven dead yet"
