"""Revokes the keys of a secret before there is a new one: an outage, which a person chooses.

This is for a leak that somebody is using just now. Everything else about the incident stays as it
is: the declaration comes first, the rotation and the proofs of death follow, and whoever finds the
incident open goes on with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from rotation.core.ports import KeyIssuer, Revocation
from rotation.errors import RotationError
from rotation.journal.keeper import JournalKeeper
from rotation.journal.model import Incident, Journal, KeyLife
from rotation.privacy.observability import count, logger


@dataclass
class RevokeFirstResult:
    """Which keys were revoked before they were replaced.

    Attributes:
        revoked: the issuer's answer to each revocation, by key id.
        failures: what went wrong; the incident goes on without it.
    """

    revoked: dict[str, Revocation] = field(default_factory=dict)
    failures: list[RotationError] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The members of the reconcile function's answer."""
        return {
            "revoked": [
                {"keyId": key_id, "outcome": outcome.value}
                for key_id, outcome in self.revoked.items()
            ],
            "failures": [
                {"code": error.code, "message": str(error), "retryable": error.retryable}
                for error in self.failures
            ],
        }


def revoke_first(
    journal: Journal, incident: Incident, keeper: JournalKeeper, issuer: KeyIssuer, now: datetime
) -> RevokeFirstResult:
    """Revoke every suspect key of an open incident, the current one too.

    From here on nothing can be sealed until a rotation has promoted a new key. Does NOT rotate and
    does NOT prove a death; `rotation.incident.progress` and a reconciliation do. A key that cannot
    be revoked does not hold up the others. Run again it revokes what is left.

    Raises:
        JournalError: the journal could not be changed; no key was revoked.
    """
    wanted = tuple(journal.suspects_alive(incident))
    keeper.change(journal, lambda found: asked_to_revoke(found, wanted, now))
    result = RevokeFirstResult()
    for key_id in wanted:
        try:
            result.revoked[key_id] = issuer.revoke(key_id)
        except RotationError as error:
            result.failures.append(error)
    count("KeysRevokedFirst", len(result.revoked))
    logger.warning(
        "revoked before replaced",
        extra={
            "secret": journal.secret_arn,
            "keys": [*result.revoked],
            "failures": len(result.failures),
        },
    )
    return result


def asked_to_revoke(journal: Journal, keys: tuple[str, ...], now: datetime) -> Journal:
    """The journal with a note that the issuer is about to be asked to revoke ``keys``."""
    for key_id in keys:
        life = journal.keys.get(key_id) or KeyLife(now)
        if life.asked_at is None:
            journal = journal.with_key(key_id, replace(life, asked_at=now))
    return journal
