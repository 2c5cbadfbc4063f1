"""Fetches each secret once at a time, however many ask for it, and keeps what came of it.

Invariants:

- The lock is held for a few assignments, never during a fetch, a hook or a log line.
- Whoever takes off lands, or is given up after two minutes; nobody waits for a thread that is
  gone, be it dead, or left behind by a fork.
- A flight that was given up changes nothing when it lands after all.
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
    Flight,
    Outcome,
    Rules,
    State,
    renewed,
)
from rotation.client.label_events import LabelUpdate
from rotation.client.metrics import CacheMetrics
from rotation.client.secret_source import SecretSource
from rotation.credential import ApiKey
from rotation.errors import InvalidCredentialError, SecretStoreError
from rotation.privacy.redaction import scrub

#: A secret's id as the application gives it, and a staging label.
Key = tuple[str, str]

# How often a waiter makes sure that the flight it waits for has not been given up.
_GLANCE_SECONDS: Final = 1.0

_log: Final = logging.getLogger("rotation.client")


@dataclass(frozen=True, slots=True)
class _Look:
    """What a caller found: a credential, a flight to wait for or to carry out, or a refusal.

    Attributes:
        state: what it was found in, before any flight took off.
        credential: what may be handed out at once.
        flight: the fetch under way.
        leading: whether the caller has to carry that fetch out.
    """

    state: State
    credential: CachedCredential | None = None
    flight: Flight | None = None
    leading: bool = False


class Flights:
    """The states of any number of secrets, and the fetches that change them.

    Attributes:
        states: by secret and stage; each is replaced whole, so it may be read without a lock.
    """

    def __init__(
        self,
        source: SecretSource,
        rules: Rules,
        fallback: dict[Key, ApiKey],
        metrics: CacheMetrics,
        clock: Callable[[], float],
    ) -> None:
        self.states: dict[Key, State] = {}
        self._source = source
        self._rules = rules
        self._fallback = fallback
        self._metrics = metrics
        self._clock = clock
        # Re-entrant: a signal handler or a finalizer may ask while its own thread is in here.
        self._lock = RLock()
        _all.add(self)

    def obtain(self, key: Key, rejected: str | None = None) -> CachedCredential:
        """A credential, however long it takes; another one than version ``rejected`` if there is.

        Raises:
            SecretStoreError, InvalidCredentialError: there is none to be had.
        """
        flights_before: int | None = None
        while True:
            look = self._look(key, rejected)
            if look.credential is not None:
                return self._hand_out(key, look.credential, look.state)
            if look.flight is None:
                raise renewed(look.state.error)
            outcome = (self._land if look.leading else self._await)(key, look.flight)
            if flights_before is None:
                flights_before = look.state.flights
                self.tell(self._metrics.miss, *key)
            if isinstance(outcome, CachedCredential):
                # A fetch from before the rejection that brings the rejected version proves nothing.
                if outcome.version != rejected or look.flight.number > flights_before:
                    return outcome
            elif outcome is not None and not self._goes_on(key, rejected):
                raise renewed(outcome)

    def at_hand(self, key: Key) -> CachedCredential | None:
        """A credential if there is one to hand out without waiting."""
        look = self._look(key, waits=False)
        if look.credential is None:
            return None
        return self._hand_out(key, look.credential, look.state)

    def label_moved(self, update: LabelUpdate) -> bool:
        """Refresh what ``update`` says is held in an old version; whether anything is."""
        concerned: list[tuple[Key, Flight | None]] = []
        with self._lock:
            now = self._clock()
            for key, state in list(self.states.items()):
                held = state.held
                if held is None or (held.arn, key[1]) != (update.arn, update.label):
                    continue
                if held.version != update.version:
                    self.states[key] = moved = state.moved()
                    concerned.append((key, self._take_off(key, now) if moved.due(now) else None))
        for key, flight in concerned:
            if flight is not None:
                self._land_behind(key, flight)
        return bool(concerned)

    def tell(self, hook: Callable[..., None], *facts: object) -> None:
        """Call one of the application's hooks; what it raises is logged and goes no further."""
        try:
            hook(*facts)
        except Exception:  # noqa: BLE001 - no hook may keep a credential from its caller
            _log.error("a metrics hook failed: %s", scrub(traceback.format_exc()))

    def forget_flights(self) -> None:
        """Begin anew in the child of a fork: the threads that fetched are not in it."""
        self._lock = RLock()
        for key, state in list(self.states.items()):
            self.states[key] = state.grounded()

    def _look(self, key: Key, rejected: str | None = None, *, waits: bool = True) -> _Look:
        """See what is there; take off where something has to be fetched."""
        with self._lock:
            now, state = self._clock(), self._state(key)
            credential = state.at_hand(now, rejected)
            flight = state.under_way(now)
            if credential is None:
                if flight is not None or not waits or now < state.retry_at:
                    return _Look(state, flight=flight)
                return _Look(state, flight=self._take_off(key, now, rejected), leading=True)
            behind = self._take_off(key, now) if state.due(now) else None
        if behind is not None:
            self._land_behind(key, behind)
        return _Look(state, credential)

    def _goes_on(self, key: Key, rejected: str | None) -> bool:
        """Whether there is something to hand out although a fetch has failed."""
        return self.states[key].at_hand(self._clock(), rejected) is not None

    def _state(self, key: Key) -> State:
        state = self.states.get(key)
        if state is None:
            state = State()
            if (fallback := self._fallback.get(key)) is not None:
                at = self._clock()
                state = State(fallback=CachedCredential(fallback, FALLBACK_VERSION, key[0], at))
            self.states[key] = state
        return state

    def _take_off(self, key: Key, now: float, rejected: str | None = None) -> Flight:
        self.states[key], flight = self.states[key].took_off(now, rejected)
        return flight

    def _hand_out(self, key: Key, credential: CachedCredential, state: State) -> CachedCredential:
        if credential.version == FALLBACK_VERSION:
            key_id, reason = credential.key.id, state.error
            _log.warning("%s: the fallback is used, key %s, since %s", key[0], key_id, reason)
            self.tell(self._metrics.fallback, *key, state.error)
        return credential

    def _land_behind(self, key: Key, flight: Flight) -> None:
        """Carry a flight out in a thread of its own, for which nothing waits at the exit."""
        thread = Thread(
            target=self._land, args=(key, flight), name="credential-refresh", daemon=True
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
            self._arrive(key, flight, error)
        except BaseException:
            self._ground(key, flight)
            raise

    def _land(self, key: Key, flight: Flight) -> Outcome | None:
        """Carry a flight out; None: it was given up in the meantime, look again."""
        try:
            return self._arrive(key, flight, self._fetch(key, flight))
        finally:
            # For what is no Exception, such as KeyboardInterrupt: those who wait look again.
            self._ground(key, flight)

    def _await(self, key: Key, flight: Flight) -> Outcome | None:
        """Wait for another thread's flight; None: nothing came of it, look again."""
        while not flight.landed.wait(_GLANCE_SECONDS):
            if self.states[key].under_way(self._clock()) is not flight:
                return None
        return flight.outcome

    def _fetch(self, key: Key, flight: Flight) -> Outcome:
        secret_id, stage = key
        try:
            fetched = self._source.fetch(secret_id, stage)
        except (InvalidCredentialError, SecretStoreError) as error:
            # Without its traceback, which leads through frames that hold the answer.
            return renewed(error)
        except Exception as error:  # noqa: BLE001 - those who wait must hear of it too
            _log.error("fetching %s failed: %s", secret_id, scrub(traceback.format_exc()))
            name = type(error).__name__
            return SecretStoreError(
                f"GetSecretValue on {secret_id} failed in a way that nobody foresaw: {name}.",
                operation="GetSecretValue",
                aws_code=name,
            )
        return CachedCredential(fetched.key, fetched.version, fetched.arn, flight.began)

    def _arrive(self, key: Key, flight: Flight, outcome: Outcome) -> Outcome | None:
        with self._lock:
            before, now = self.states[key], self._clock()
            if before.flight is not flight:
                return None
            self.states[key] = after = self._rules.landed(before, flight, outcome, now)
            flight.outcome = outcome
        flight.landed.set()
        if isinstance(outcome, CachedCredential):
            if before.held is None or before.held.version != outcome.version:
                _log.info("%s %s: version %s, key %s", *key, outcome.version, outcome.key.id)
            self.tell(self._metrics.refreshed, *key, outcome)
            return outcome
        self.tell(self._metrics.failed, *key, outcome)
        if after.held is not None and now < after.expires_at:
            age = timedelta(seconds=now - after.held.fetched_at)
            _log.warning("%s %s: not refreshed, kept for now, age %s: %s", *key, age, outcome)
            self.tell(self._metrics.stale, *key, age)
        return outcome

    def _ground(self, key: Key, flight: Flight) -> None:
        with self._lock:
            state = self.states[key]
            if state.flight is flight:
                self.states[key] = state.grounded()
        flight.landed.set()


_all: Final[WeakSet[Flights]] = WeakSet()


def _after_fork_in_child() -> None:
    for flights in list(_all):
        flights.forget_flights()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
