"""Revokes the keys of a secret before there is a new one: an outage, which a person chooses.

This is for a leak that somebody is using just now. Everything else about the incident stays as it
is: the declaration comes first, the rotation and the proofs of death follow, and whoever finds the
incident open goes on with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rotation.core.ports import KeyIssuer, Revocation
from rotation.errors import RotationError
from rotation.incident.declaration import Declaration, declare, mark
from rotation.privacy.observability import count, logger
from rotation.secrets_manager.versions import SecretVersions


@dataclass
class RevokeFirstResult:
    """Which keys were revoked before they were replaced.

    Attributes:
        arn: the secret.
        declaration: the one that holds: this one, or that of an incident which was open.
        revoked: the issuer's answer to each revocation, by key id.
        failures: what went wrong; the incident goes on without it.
    """

    arn: str
    declaration: Declaration
    revoked: dict[str, Revocation] = field(default_factory=dict)
    failures: list[RotationError] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The answer of the reconcile function."""
        return {
            "secret": self.arn,
            "declared": self.declaration.tag(),
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
    secret: SecretVersions,
    declaration: Declaration,
    issuer: KeyIssuer,
    *,
    again: bool = False,
) -> RevokeFirstResult:
    """Declare every key of ``secret`` compromised and revoke them all, the current one too.

    From here on nothing can be sealed until a rotation has promoted a new key. Does NOT rotate and
    does NOT prove a death; `rotation.incident.declaration.advance` and a reconciliation do. A
    version that cannot be read, or a key that cannot be revoked, does not hold up the others. Run
    again it revokes what is left.

    Raises:
        VersionStateError: the secret is deleted or names no function; nothing was done.
        SecretStoreError: AWS refused or failed; asking again is safe.
    """
    result = RevokeFirstResult(secret.arn, declare(secret, declaration, again=again))
    for version in mark(secret):
        try:
            document = secret.read(version)
            if document is not None and document.key.id not in result.revoked:
                result.revoked[document.key.id] = issuer.revoke(document.key.id)
        except RotationError as error:
            result.failures.append(error)
    count("KeysRevokedFirst", len(result.revoked))
    logger.warning(
        "revoked before replaced",
        extra={
            "secret": secret.arn,
            "keys": [*result.revoked],
            "failures": len(result.failures),
        },
    )
    return result
