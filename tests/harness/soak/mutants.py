"""Caches that are wrong on purpose: a soak that does not notice them proves nothing."""

from __future__ import annotations

from typing import Final

from rotation.client.credential_cache import CachedCredential, CredentialCache
from rotation.secrets_manager.labels import AWSCURRENT


class NeverRefreshes(CredentialCache):
    """Keeps a key until it is rejected."""

    def get(self, secret_id: str, stage: str = AWSCURRENT) -> CachedCredential:
        """What was fetched once."""
        entry = self._entries.get((secret_id, stage))
        return entry.held if entry and entry.held else super().get(secret_id, stage)


class KeepsTheRejected(NeverRefreshes):
    """Goes on with the key that the vendor has rejected."""

    def refresh(
        self, secret_id: str, *, if_version: str, stage: str = AWSCURRENT
    ) -> CachedCredential:
        """What it holds."""
        return self.get(secret_id, stage)


class CachesNothing(CredentialCache):
    """Asks Secrets Manager for each seal."""

    def get(self, secret_id: str, stage: str = AWSCURRENT) -> CachedCredential:
        """Fetched anew."""
        self._entries.clear()
        return super().get(secret_id, stage)


#: By the name that a client process is given.
CACHES: Final[dict[str, type[CredentialCache]]] = {
    "": CredentialCache,
    "keeps the rejected": KeepsTheRejected,
    "never refreshes": NeverRefreshes,
    "caches nothing": CachesNothing,
}
