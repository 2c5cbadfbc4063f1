"""What a cache knows of one secret, and what each fetch makes of it. No clock, lock or IO.

A `State` is immutable and is replaced whole, so that a reader without a lock, or the child of a
fork, finds either the old one or the new one and never half of each. Times are seconds of the
cache's monotonic clock.

Invariants:

- ``held`` is handed out until ``expires_at`` and no longer, and without a second look until
  ``check_at``, which never comes later. Where nothing is held, ``expires_at`` is in the past, and
  so is ``check_at``, unless there is a fallback.
- One flight at a time; what lands when it is no longer the current flight is dropped.
- What Secrets Manager refused is forgotten at once; what it could not answer is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Final

from rotation.credential import ApiKey
from rotation.errors import InvalidCredentialError, SecretStoreError

#: The version id of a fallback credential; Secrets Manager's are 32 to 64 characters long.
FALLBACK_VERSION: Final = "fallback"

# Secrets Manager's own word that this credential may not, or can not, be had (API_GetSecretValue).
# Everything else is trouble on the way to it, which says nothing about the secret.
_REFUSALS: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "DecryptionFailure",
        "InvalidRequestException",
        "ResourceNotFoundException",
    }
)

_NEVER: Final = -math.inf
_LONGEST_FLIGHT: Final = 120.0
_RETRY_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_FIRST_LIMIT: Final = 0.5
_LONGEST_LIMIT: Final = 60.0


@dataclass(frozen=True, slots=True)
class CachedCredential:
    """What a cache hands out. Immutable; holds no text that repr or a traceback could show.

    Attributes:
        key: the API key.
        version: the id of the secret's version, or `FALLBACK_VERSION`.
        arn: the secret's ARN; for a fallback the id that was asked for.
        fetched_at: when the fetch began, seconds of the cache's monotonic clock; see
            `CredentialCache.age`.
    """

    key: ApiKey
    version: str
    arn: str
    fetched_at: float


Failure = InvalidCredentialError | SecretStoreError
Outcome = CachedCredential | Failure


@dataclass(eq=False, slots=True)
class Flight:
    """One fetch under way, and those who wait for it.

    Attributes:
        number: its place among all flights of this secret.
        began: when it took off.
        rejected: the version that the vendor rejected, where that is the reason.
        landed: set when it is over.
        outcome: what came of it; None: nothing, look again.
    """

    number: int
    began: float
    rejected: str | None
    landed: Event = field(default_factory=Event)
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """How soon a rejected version may be asked about again, after Secrets Manager gave it again.

    Attributes:
        version: the version that was rejected and given again.
        times: how often in a row.
        until: when the next fetch for its sake may begin.
    """

    version: str
    times: int
    until: float


@dataclass(frozen=True, slots=True)
class State:
    """One secret's stage at one moment.

    Attributes:
        held: the credential to hand out, or None.
        check_at: from then on it, or the fallback in its place, has to be refreshed.
        expires_at: from then on it is not handed out.
        error: why the last fetch failed; None: it did not.
        retry_at: until then whoever finds nothing hears the error again, and nobody fetches.
        failures: how many fetches have failed in a row.
        flight: the fetch under way, or None.
        flights: how many have taken off so far.
        outdated: flights up to this number began before the label was moved.
        limit: on fetches for the sake of a rejected version, or None.
        fallback: what is handed out until the secret answers for the first time, or None.
    """

    held: CachedCredential | None = None
    check_at: float = _NEVER
    expires_at: float = _NEVER
    error: Failure | None = None
    retry_at: float = _NEVER
    failures: int = 0
    flight: Flight | None = None
    flights: int = 0
    outdated: int = 0
    limit: Limit | None = None
    fallback: CachedCredential | None = None

    def at_hand(self, now: float, rejected: str | None = None) -> CachedCredential | None:
        """The credential that may be handed out without waiting, or None.

        Whoever saw version ``rejected`` rejected gets another one, or the same while it is known
        that Secrets Manager has no other; never a fallback.
        """
        held = self.held if now < self.expires_at else None
        if rejected is None:
            flight = self.under_way(now)
            if held is not None and flight is not None and flight.rejected == held.version:
                # Somebody has seen it rejected, and another one is on its way.
                held = None
            fallback = self.fallback if self.error is not None else None
            return held or fallback
        if held is not None and held.version == rejected and not self.limited(rejected, now):
            return None
        return held

    def due(self, now: float) -> bool:
        """Whether what is at hand should be refreshed now; not while a fetch is under way."""
        goes_on = self.held is not None or self.fallback is not None
        waits = self.check_at if goes_on else self.retry_at
        return now >= waits and self.under_way(now) is None

    def limited(self, version: str, now: float) -> bool:
        """Whether a fetch for the sake of a rejected ``version`` has to wait."""
        limit = self.limit
        return limit is not None and limit.version == version and now < limit.until

    def under_way(self, now: float) -> Flight | None:
        """The fetch to wait for. One of two minutes' age has lost its thread, or its network."""
        flight = self.flight
        return flight if flight is not None and now < flight.began + _LONGEST_FLIGHT else None

    def took_off(self, now: float, rejected: str | None = None) -> tuple[State, Flight]:
        """The state with a new flight, which replaces any other, and the flight."""
        flight = Flight(self.flights + 1, now, rejected)
        # A hit looks at nothing else: whoever asks for the rejected version has to look again.
        in_doubt = self.held is not None and self.held.version == rejected
        check_at = _NEVER if in_doubt else self.check_at
        return replace(self, flight=flight, flights=flight.number, check_at=check_at), flight

    def grounded(self) -> State:
        """The state without its flight: it is over, or its thread is in another process."""
        return replace(self, flight=None)

    def moved(self) -> State:
        """The state once its label is known to sit on another version: a refresh is due."""
        return replace(self, check_at=_NEVER, outdated=self.flights)


@dataclass(frozen=True)
class Rules:
    """How long a credential is good for.

    Attributes:
        soft: seconds after which it is refreshed, at most.
        hard: seconds after which it is not handed out any more, at most.
        jitter: a number between its two arguments, ``random.uniform``: many processes that started
            together must not go on asking together.
    """

    soft: float
    hard: float
    jitter: Callable[[float, float], float]

    def landed(self, state: State, flight: Flight, outcome: Outcome, now: float) -> State:
        """The state after ``flight``, the current one, brought ``outcome``."""
        state = state.grounded()
        if isinstance(outcome, CachedCredential):
            return self._refreshed(state, flight, outcome, now)
        return self._failed(state, outcome, now)

    def _refreshed(
        self, state: State, flight: Flight, credential: CachedCredential, now: float
    ) -> State:
        expires_at = credential.fetched_at + self.hard * self.jitter(0.9, 1.0)
        check_at = credential.fetched_at + self.soft * self.jitter(0.8, 1.0)
        return State(
            held=credential,
            check_at=_NEVER if flight.number <= state.outdated else min(check_at, expires_at),
            expires_at=expires_at,
            flights=state.flights,
            outdated=state.outdated,
            limit=self._limit(state.limit, flight, credential.version, now),
        )

    def _failed(self, state: State, error: Failure, now: float) -> State:
        failures = state.failures + 1
        failed = replace(
            state,
            error=error,
            failures=failures,
            retry_at=now + _RETRY_PAUSE * self.jitter(0.5, 1.0),
        )
        pause = min(_LONGEST_PAUSE, _RETRY_PAUSE * 2.0 ** min(failures - 1, 10))
        check_at = now + pause * self.jitter(0.5, 1.0)
        if state.held is None or refused(error):
            check_at = _NEVER if state.fallback is None else check_at
            return replace(failed, held=None, check_at=check_at, expires_at=_NEVER)
        return replace(failed, check_at=min(check_at, state.expires_at))

    def _limit(self, limit: Limit | None, flight: Flight, version: str, now: float) -> Limit | None:
        if flight.rejected != version:
            return limit
        in_a_row = (
            limit is not None and limit.version == version and now < limit.until + _LONGEST_LIMIT
        )
        times = limit.times + 1 if limit is not None and in_a_row else 1
        pause = min(_LONGEST_LIMIT, _FIRST_LIMIT * 2.0 ** min(times - 1, 10))
        return Limit(version, times, now + pause * self.jitter(0.5, 1.0))


def refused(error: Failure) -> bool:
    """Whether it is Secrets Manager's word that the credential is not to be had."""
    return isinstance(error, SecretStoreError) and error.aws_code in _REFUSALS


def renewed(error: Failure | None) -> Failure:
    """The same error as a new object: one that many threads raise would collect their frames."""
    if isinstance(error, SecretStoreError):
        return SecretStoreError(
            str(error),
            operation=error.operation,
            aws_code=error.aws_code,
            retryable=error.retryable,
        )
    return InvalidCredentialError(str(error))
