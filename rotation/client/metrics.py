"""What a `CredentialCache` tells about itself, for whatever counts things in the application."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rotation.client.cache_state import CachedCredential
    from rotation.errors import RotationError


class CacheMetrics:
    """Hooks that do nothing; override those of interest.

    Each is called by the thread to which it happens, outside of every lock, and must be brief. An
    exception that it raises is logged and goes no further. None is ever given key material.

    A `hit` that is not overridden costs nothing: the cache then does not call it.
    """

    def hit(self, secret_id: str, stage: str) -> None:
        """A credential was handed out as it lay there, with nothing else to do."""

    def miss(self, secret_id: str, stage: str) -> None:
        """A caller has to wait for Secrets Manager, because there was nothing to hand out."""

    def refreshed(self, secret_id: str, stage: str, credential: CachedCredential) -> None:
        """Secrets Manager gave ``credential``, the first of this secret or another one."""

    def failed(self, secret_id: str, stage: str, error: RotationError) -> None:
        """A fetch failed, whoever began it."""

    def stale(self, secret_id: str, stage: str, age: timedelta) -> None:
        """A fetch failed, and the credential of this age goes on being handed out."""

    def fallback(self, secret_id: str, stage: str, error: RotationError) -> None:
        """The fallback was handed out; ``error`` says why the secret has not answered yet."""
