"""Proves that the vendor accepts a key: it signs a test seal, and the signature is checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from rotation.core.ports import Proof
from rotation.credential import ApiKey
from rotation.vendor.cms import verify_cms
from rotation.vendor.signer import SignerPolicy
from rotation.vendor.signing_api import SigningApi


@dataclass(frozen=True)
class SealProof(Proof):
    """A proof by a test seal; its identity is the subject of the signing certificate (RFC 4514).

    Attributes:
        organization: the organisation (O) in the subject, where it names one.
    """

    organization: str | None = None


def seal_digest_of(statement: str) -> bytes:
    """What a test seal has signed: SHA-256 of its sentence."""
    return hashlib.sha256(statement.encode()).digest()


class TestSealProver:
    """A KeyProver that has the digest of a sentence signed, and checks the whole signature."""

    __test__ = False  # the name is the field's, not pytest's

    def __init__(
        self, api: SigningApi, policy: SignerPolicy, clock: Callable[[], datetime]
    ) -> None:
        self._api = api
        self._policy = policy
        self._clock = clock

    def prove(self, key: ApiKey, statement: str) -> SealProof:
        """As `rotation.core.ports.KeyProver.prove`. One signature is bought."""
        digest = seal_digest_of(statement)
        der, vendor_time = self._api.sign_with_vendor_time(key, digest)
        now = self._clock()
        signer = verify_cms(der, digest, self._policy, now)
        return SealProof(
            proven_at=now,
            vendor_time=vendor_time,
            identity=signer.subject,
            identity_checked=signer.chained,
            facts={
                "signer": signer.subject,
                "chained": signer.chained,
                "profile": signer.profile.members(),
            },
            organization=signer.organization,
        )
