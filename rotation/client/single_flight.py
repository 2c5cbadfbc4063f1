"""Fetches each secret once at a time, however many threads ask for it, and keeps the result.

Invariants:

- The lock is held for a few assignments, never during a fetch, a metrics hook or a log line.
- Each fetch ends, or is given up after two minutes. Nobody waits for a thread that is gone, whether
  it died or was left behind by a fork.
- A fetch that was given up changes nothing when it ends after all.
"""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from threading import RLock, Thread
from typing import Final
from weakref import WeakSet

from rotation.client.cache_state import (
    FALLBACK_VERSION,
    CachedCredential,
    CacheEntry,
    CachePolicy,
    Fetch,
    FetchResult,
    copy_error,
)
from rotation.client.label_events import LabelUpdate
from rotation.client.metrics import CacheMetrics
from rotation.client.secret_source import SecretSource
from rotation.credential import ApiKey
from rotation.errors import InvalidCredentialError, SecretStoreError
from rotation.privacy.printable import printable_lines

#: A secret's id as the application gives it, and a staging label.
CacheKey = tuple[str, str]

# How often a waiting thread checks that the fetch it waits for has not been given up.
_CHECK_SECONDS: Final = 1.0

_log: Final = logging.getLogger("rotation.client")


@dataclass(frozen=True, slots=True)
class _Lookup:
    """What a caller found in the cache. It found an error if both other members are None.

    Attributes:
        entry: the entry before any new fetch.
        credential: the credential that may be handed out at once.
        fetch: the fetch under way.
        must_fetch: whether the caller itself has to carry out that fetch.
    """

    entry: CacheEntry
    credential: CachedCredential | None = None
    fetch: Fetch | None = None
    must_fetch: bool = False


class SingleFlight:
    """The cache's entries, and the fetches that change them.

    Attributes:
        entries: by secret and stage; each is replaced whole, so it may be read without a lock.
    """

    def __init__(
        self,
        source: SecretSource,
        policy: CachePolicy,
        fallback: dict[CacheKey, ApiKey],
        metrics: CacheMetrics,
        clock: Callable[[], float],
    ) -> None:
        self.entries: dict[CacheKey, CacheEntry] = {}
        self._source = source
        self._policy = policy
        self._fallback = fallback
        self._metrics = metrics
        self._clock = clock
        # Re-entrant: a signal handler or a finalizer may ask while its own thread is in here.
        self._lock = RLock()
        _all.add(self)

    def obtain(self, key: CacheKey, rejected: str | None = None) -> CachedCredential:
        """Return a credential, and wait for it if necessary.

        It is another version than ``rejected``, unless Secrets Manager has no other.

        Raises:
            SecretStoreError, InvalidCredentialError: there is no credential.
        """
        fetches_before: int | None = None
        while True:
            found = self._look_up(key, rejected)
            if found.credential is not None:
                return self._hand_out(key, found.credential, found.entry)
            if found.fetch is None:
                raise copy_error(found.entry.error)
            get_result = self._carry_out if found.must_fetch else self._wait_for
            result = get_result(key, found.fetch)
            if fetches_before is None:
                fetches_before = found.entry.fetches
                self.notify(self._metrics.miss, *key)
            if isinstance(result, CachedCredential):
                # A fetch from before the rejection that returns the rejected version proves
                # nothing.
                if result.version != rejected or found.fetch.number > fetches_before:
                    return result
            elif result is not None and not self._is_available(key, rejected):
                raise copy_error(result)

    def available(self, key: CacheKey) -> CachedCredential | None:
        """A credential, if there is one to hand out without waiting."""
        found = self._look_up(key, waits=False)
        if found.credential is None:
            return None
        return self._hand_out(key, found.credential, found.entry)

    def label_moved(self, update: LabelUpdate) -> bool:
        """Refresh what ``update`` shows to be an old version; whether anything is."""
        concerned: list[tuple[CacheKey, Fetch | None]] = []
        with self._lock:
            now = self._clock()
            for key, entry in list(self.entries.items()):
                held = entry.held
                if held is None or (held.arn, key[1]) != (update.arn, update.label):
                    continue
                if held.version != update.version:
                    self.entries[key] = moved = entry.after_label_move()
                    due = moved.refresh_due(now)
                    concerned.append((key, self._start_fetch(key, now) if due else None))
        for key, fetch in concerned:
            if fetch is not None:
                self._carry_out_in_background(key, fetch)
        return bool(concerned)

    def notify(self, hook: Callable[..., None], *facts: object) -> None:
        """Call one of the application's metrics hooks; log what it raises, and raise nothing."""
        try:
            hook(*facts)
        except Exception:  # noqa: BLE001 - no hook may keep a credential from its caller
            _log.error("a metrics hook failed: %s", printable_lines(traceback.format_exc()))

    def forget_fetches(self) -> None:
        """Begin anew in the child of a fork: the threads that fetched are not in it."""
        self._lock = RLock()
        for key, entry in list(self.entries.items()):
            self.entries[key] = entry.without_fetch()

    def _look_up(
        self, key: CacheKey, rejected: str | None = None, *, waits: bool = True
    ) -> _Lookup:
        """Read the entry, and start a fetch where one is needed."""
        with self._lock:
            now, entry = self._clock(), self._entry(key)
            credential = entry.available(now, rejected)
            fetch = entry.current_fetch(now)
            if credential is None:
                if fetch is not None or not waits or now < entry.retry_at:
                    return _Lookup(entry, fetch=fetch)
                return _Lookup(entry, fetch=self._start_fetch(key, now, rejected), must_fetch=True)
            refresh = self._start_fetch(key, now) if entry.refresh_due(now) else None
        if refresh is not None:
            self._carry_out_in_background(key, refresh)
        return _Lookup(entry, credential)

    def _is_available(self, key: CacheKey, rejected: str | None) -> bool:
        """Whether there is a credential to hand out although a fetch has failed."""
        return self.entries[key].available(self._clock(), rejected) is not None

    def _entry(self, key: CacheKey) -> CacheEntry:
        entry = self.entries.get(key)
        if entry is None:
            entry = CacheEntry()
            if (fallback := self._fallback.get(key)) is not None:
                at = self._clock()
                credential = CachedCredential(fallback, FALLBACK_VERSION, key[0], at)
                entry = CacheEntry(fallback=credential)
            self.entries[key] = entry
        return entry

    def _start_fetch(self, key: CacheKey, now: float, rejected: str | None = None) -> Fetch:
        self.entries[key], fetch = self.entries[key].start_fetch(now, rejected)
        return fetch

    def _hand_out(
        self, key: CacheKey, credential: CachedCredential, entry: CacheEntry
    ) -> CachedCredential:
        if credential.version == FALLBACK_VERSION:
            key_id, reason = credential.key.id, entry.error
            _log.warning("%s: the fallback is used, key %s, since %s", key[0], key_id, reason)
            self.notify(self._metrics.fallback, *key, entry.error)
        return credential

    def _carry_out_in_background(self, key: CacheKey, fetch: Fetch) -> None:
        """Carry out a fetch in a daemon thread: the interpreter does not wait for it to exit."""
        thread = Thread(
            target=self._carry_out, args=(key, fetch), name="credential-refresh", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            # Too many threads, or the interpreter is about to end.
            error = SecretStoreError(
                f"GetSecretValue on {key[0]} was not sent: no thread could be started.",
                operation="GetSecretValue",
                aws_code="RuntimeError",
                retryable=True,
            )
            self._complete(key, fetch, error)
        except BaseException:
            self._give_up(key, fetch)
            raise

    def _carry_out(self, key: CacheKey, fetch: Fetch) -> FetchResult | None:
        """Carry out a fetch; None: it was given up in the meantime, look again."""
        try:
            return self._complete(key, fetch, self._fetch(key, fetch))
        finally:
            # For what is no Exception, such as KeyboardInterrupt: waiting threads look again.
            self._give_up(key, fetch)

    def _wait_for(self, key: CacheKey, fetch: Fetch) -> FetchResult | None:
        """Wait for another thread's fetch; None: it was given up, look again."""
        while not fetch.done.wait(_CHECK_SECONDS):
            if self.entries[key].current_fetch(self._clock()) is not fetch:
                return None
        return fetch.result

    def _fetch(self, key: CacheKey, fetch: Fetch) -> FetchResult:
        secret_id, stage = key
        try:
            fetched = self._source.fetch(secret_id, stage)
        except (InvalidCredentialError, SecretStoreError) as error:
            # Without its traceback, which leads through frames that hold the answer.
            return copy_error(error)
        except Exception as error:  # noqa: BLE001 - waiting threads must get an error too
            _log.error("fetching %s failed: %s", secret_id, printable_lines(traceback.format_exc()))
            name = type(error).__name__
            return SecretStoreError(
                f"GetSecretValue on {secret_id} failed unexpectedly: {name}.",
                operation="GetSecretValue",
                aws_code=name,
            )
        return CachedCredential(fetched.key, fetched.version, fetched.arn, fetch.started_at)

    def _complete(self, key: CacheKey, fetch: Fetch, result: FetchResult) -> FetchResult | None:
        with self._lock:
            before, now = self.entries[key], self._clock()
            if before.fetch is not fetch:
                return None
            self.entries[key] = after = self._policy.after_fetch(before, fetch, result, now)
            fetch.result = result
        fetch.done.set()
        if isinstance(result, CachedCredential):
            if before.held is None or before.held.version != result.version:
                _log.info("%s %s: version %s, key %s", *key, result.version, result.key.id)
            self.notify(self._metrics.refreshed, *key, result)
            return result
        self.notify(self._metrics.failed, *key, result)
        if after.held is not None and now < after.expires_at:
            age = timedelta(seconds=now - after.held.fetched_at)
            _log.warning("%s %s: not refreshed, kept for now, age %s: %s", *key, age, result)
            self.notify(self._metrics.stale, *key, age)
        return result

    def _give_up(self, key: CacheKey, fetch: Fetch) -> None:
        """End a fetch that may not have been completed, and wake up those who wait for it."""
        with self._lock:
            entry = self.entries[key]
            if entry.fetch is fetch:
                self.entries[key] = entry.without_fetch()
        fetch.done.set()


_all: Final[WeakSet[SingleFlight]] = WeakSet()


def _after_fork_in_child() -> None:
    for single_flight in list(_all):
        single_flight.forget_fetches()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
