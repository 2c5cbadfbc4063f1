"""Revoking the keys of an incident before there is a new one: an outage, chosen by a person.

For a leak that is being used just now. Everything else about the incident stays as it is: the
declaration comes first, the rotation and the proofs of death follow, and whoever finds the incident
open goes on with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rotation.core.ports import Revocation
from rotation.errors import RotationError
from rotation.incident.declaration import Declaration, declare, mark
from rotation.privacy.observability import count, logger
from rotation.reconciliation.examination import Examiner
from rotation.reconciliation.report import failure
from rotation.secrets_manager.versions import SecretVersions


@dataclass
class RevokeFirstResult:
    """What came of it.

    Attributes:
        arn: the secret.
        declaration: the one that holds: this one, or that of an incident which was open.
        revoked: what came of each revocation, by key id.
        failures: what went wrong; the incident goes on without it.
    """

    arn: str
    declaration: Declaration
    revoked: dict[str, Revocation] = field(default_factory=dict)
    failures: list[RotationError] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """As the reconcile function answers it."""
        return {
            "secret": self.arn,
            "declared": self.declaration.tag(),
            "revoked": [
                {"keyId": key_id, "outcome": outcome.value}
                for key_id, outcome in self.revoked.items()
            ],
            "failures": [failure(error) for error in self.failures],
        }


def revoke_first(
    secret: SecretVersions,
    declaration: Declaration,
    examiner: Examiner,
    *,
    again: bool = False,
) -> RevokeFirstResult:
    """Declare every key of ``secret`` compromised and revoke them all, the current one too.

    From here on nothing can be sealed until a rotation has promoted a new key. Does NOT rotate and
    does NOT prove a death; `rotation.incident.declaration.advance` and a reconciliation do. A key
    that could not be revoked does not hold up the others. Run again it revokes what is left.

    Raises:
        VersionStateError: the secret is not ours, deleted, or names no function; nothing was done.
        SecretStoreError: AWS refused or failed; asking again is safe.
    """
    # Before anything is declared: is it ours?
    examiner.examine(secret)
    done = RevokeFirstResult(secret.arn, declare(secret, declaration, again=again))
    suspects = mark(secret)
    held = [one for one in examiner.examine(secret).situation.versions if one.id in suspects]
    for key_id in dict.fromkeys(one.key_id for one in held if one.key_id is not None):
        try:
            done.revoked[key_id] = examiner.issuer.revoke(key_id)
        except RotationError as error:
            done.failures.append(error)
    count("KeysRevokedFirst", len(done.revoked))
    logger.warning(
        "revoked before replaced",
        extra={"secret": secret.arn, "keys": [*done.revoked], "failures": len(done.failures)},
    )
    return done
