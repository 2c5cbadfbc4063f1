"""The credential cache: a hit takes a fraction of a microsecond, and no reader waits for a refresh.

::

    cache = CredentialCache()
    credential = cache.get("trusted-signatures-api")

- A hit reads one immutable `CacheEntry` and the monotonic clock. It takes no lock, makes no copy
  and does not read the wall clock.
- A thread that finds no credential waits. However many threads wait, one of them fetches.
- Past the soft TTL one thread refreshes, and the others go on with the old credential. Past the
  hard TTL that credential is not handed out any more.
- When Secrets Manager refuses (AccessDenied, ResourceNotFound, InvalidRequest, DecryptionFailure),
  every caller gets that error from then on. During an outage, a timeout or throttling, or when the
  value is not a key, callers get the last good credential until its hard TTL.
- When the vendor rejects a key, `CredentialCache.refresh` fetches the next one.

A hit never blocks, so `CredentialCache.get` may be called in an event loop once the credential is
there; `CredentialCache.peek` never waits.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from rotation.client.cache_state import FALLBACK_VERSION, CachedCredential, CachePolicy
from rotation.client.label_events import label_update
from rotation.client.metrics import CacheMetrics
from rotation.client.secret_source import SecretsManager, SecretSource
from rotation.client.single_flight import SingleFlight
from rotation.credential import ApiKey
from rotation.errors import ConfigurationError
from rotation.secrets_manager.labels import AWSCURRENT

__all__ = ["FALLBACK_VERSION", "CachedCredential", "CredentialCache"]

SOFT_TTL: Final = timedelta(minutes=5)
HARD_TTL: Final = timedelta(hours=1)


class CredentialCache:
    """The credentials of any number of secrets, for any number of threads.

    Args:
        source: where they are fetched from; by default Secrets Manager, with a client of its own.
        soft_ttl: a credential older than this is refreshed, behind those who use it. The moment is
            chosen at random between 80 % and all of it.
        hard_ttl: a credential older than this is not handed out, whatever the reason why there is
            no newer one; between 90 % and all of it. Keep it shorter than the grace of rotation.
        fallback: by secret id, the key to use until that secret has answered once: for the time in
            which hard-coded keys move into secrets.
        metrics: hooks that the cache calls.
        clock: seconds that never run backwards. ``time.monotonic`` does not count the time for
            which a machine was suspended.
        jitter: a random number between its two arguments.

    Raises:
        ConfigurationError: the soft TTL is not positive, or not shorter than the hard one.
    """

    def __init__(
        self,
        source: SecretSource | None = None,
        *,
        soft_ttl: timedelta = SOFT_TTL,
        hard_ttl: timedelta = HARD_TTL,
        fallback: Mapping[str, ApiKey] | None = None,
        metrics: CacheMetrics | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        if not timedelta(0) < soft_ttl < hard_ttl:
            raise ConfigurationError(
                f"soft_ttl ({soft_ttl}) must be positive and shorter than hard_ttl ({hard_ttl})."
            )
        self._metrics = metrics or CacheMetrics()
        self._single_flight = SingleFlight(
            source or SecretsManager(),
            CachePolicy(soft_ttl.total_seconds(), hard_ttl.total_seconds(), jitter),
            {(secret_id, AWSCURRENT): key for secret_id, key in (fallback or {}).items()},
            self._metrics,
            clock,
        )
        self._entries = self._single_flight.entries
        self._clock = clock
        if type(self._metrics).hit is not CacheMetrics.hit:
            self.get = self._get_and_count_hit  # type: ignore[method-assign]

    def get(self, secret_id: str, stage: str = AWSCURRENT) -> CachedCredential:
        """The credential in the version of ``secret_id`` that bears the staging label ``stage``.

        Waits only where there is nothing to hand out.

        Args:
            secret_id: the secret's name or ARN.
            stage: the staging label.

        Raises:
            SecretStoreError: Secrets Manager refuses it; or could not be asked, and nothing is
                held that is younger than the hard TTL.
            InvalidCredentialError: the value is no API key, and nothing is held.
        """
        try:
            entry = self._entries[secret_id, stage]
        except KeyError:
            pass
        else:
            if self._clock() < entry.check_at and entry.held is not None:
                return entry.held
        return self._single_flight.obtain((secret_id, stage))

    def peek(self, secret_id: str, stage: str = AWSCURRENT) -> CachedCredential | None:
        """What `get` would hand out without waiting, or None. Begins a refresh where one is due."""
        return self._single_flight.available((secret_id, stage))

    def refresh(
        self, secret_id: str, *, if_version: str, stage: str = AWSCURRENT
    ) -> CachedCredential:
        """What to go on with after the vendor has rejected the key of version ``if_version``.

        If the cache has moved on already, that is what it holds, and nothing is fetched. Otherwise
        one thread fetches for all who ask; an answer that was under way before the rejection does
        not count if it brings the rejected version. If Secrets Manager has no other version, the
        answer's ``version`` says so, and the next fetch for the sake of this rejection may begin
        only after half a second, then one, two, and so on up to ten: until then the same credential
        is the answer at once. Never sleeps.

        Raises:
            SecretStoreError, InvalidCredentialError: nothing else is to be had. What is held stays
                for `get`, unless Secrets Manager refused.
        """
        return self._single_flight.obtain((secret_id, stage), rejected=if_version)

    def on_event(self, event: object) -> bool:
        """Take notice of EventBridge's ``Secret Label Updated``; anything else is passed over.

        Where the event names another version than the one that is held, a refresh begins behind
        the readers, who go on with what is there: a displaced key works on through its grace, and
        a revoked one is found out by its rejection. Does NOT wait for Secrets Manager.

        Returns:
            Whether the event concerned something that is held.
        """
        update = label_update(event)
        return update is not None and self._single_flight.label_moved(update)

    def age(self, secret_id: str, stage: str = AWSCURRENT) -> timedelta | None:
        """How long ago the credential that is held was fetched; None: none is held."""
        entry = self._entries.get((secret_id, stage))
        if entry is None or entry.held is None:
            return None
        return timedelta(seconds=self._clock() - entry.held.fetched_at)

    def _get_and_count_hit(self, secret_id: str, stage: str = AWSCURRENT) -> CachedCredential:
        """`get` for metrics that count hits."""
        entry = self._entries.get((secret_id, stage))
        if entry is not None and self._clock() < entry.check_at and entry.held is not None:
            self._single_flight.notify(self._metrics.hit, secret_id, stage)
            return entry.held
        return self._single_flight.obtain((secret_id, stage))
