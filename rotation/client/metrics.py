"""Hooks by which an application counts what happens in its `CredentialCache`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rotation.client.cache_state import CachedCredential
    from rotation.errors import RotationError


class CacheMetrics:
    """Hooks that do nothing. Override those that you need.

    The thread in which the event happens calls the hook, outside of every lock; a hook must be
    brief. The cache logs an exception that a hook raises, and goes on. No hook gets key material.

    As long as `hit` is not overridden, the cache does not call it, and it costs nothing.
    """

    def hit(self, secret_id: str, stage: str) -> None:
        """A credential was handed out from the cache, and nothing else was to do."""

    def miss(self, secret_id: str, stage: str) -> None:
        """A caller has to wait for Secrets Manager, because there was nothing to hand out."""

    def refreshed(self, secret_id: str, stage: str, credential: CachedCredential) -> None:
        """Secrets Manager returned ``credential``, the first one of this secret or a later one."""

    def failed(self, secret_id: str, stage: str, error: RotationError) -> None:
        """A fetch failed, whoever began it."""

    def stale(self, secret_id: str, stage: str, age: timedelta) -> None:
        """A fetch failed, and the cache goes on handing out the credential, which has this age."""

    def fallback(self, secret_id: str, stage: str, error: RotationError) -> None:
        """The fallback was handed out; ``error`` says why the secret has not answered yet."""
