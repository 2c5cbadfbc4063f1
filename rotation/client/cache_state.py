"""What the cache holds for one secret, and how each fetch changes it. No clock, no lock, no IO.

A `CacheEntry` is immutable and is replaced as a whole. So a reader without a lock, or the child of
a fork, finds either the old entry or the new one, and never half of each. Times are seconds of the
cache's monotonic clock.

Invariants:

- ``held`` is handed out until ``expires_at`` and no longer, and without another check until
  ``check_at``, which is never later. Where nothing is held, ``expires_at`` is in the past. So is
  ``check_at``, unless there is a fallback.
- There is one fetch at a time. The result of a fetch that is no longer the current one is dropped.
- A credential that Secrets Manager refuses is dropped at once. A credential that Secrets Manager
  could not be asked for is kept.
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

# With these codes Secrets Manager says that the caller may not, or cannot, have the credential
# (API_GetSecretValue). Any other error is trouble on the way, which says nothing about the secret.
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
_LONGEST_FETCH: Final = 120.0
_RETRY_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_FIRST_BACKOFF: Final = 0.5
# A third of the time in which the client gives up a key that has no successor: strays may have
# made the pauses long just before the key is really revoked.
_LONGEST_BACKOFF: Final = 10.0


@dataclass(frozen=True, slots=True)
class CachedCredential:
    """A credential that the cache hands out. Immutable; neither repr nor a traceback shows the key.

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


FetchError = InvalidCredentialError | SecretStoreError
FetchResult = CachedCredential | FetchError


@dataclass(eq=False, slots=True)
class Fetch:
    """A fetch that is under way.

    Attributes:
        number: its place among all fetches of this secret.
        started_at: when it began.
        rejected: the version that the vendor rejected, where that is the reason for the fetch.
        done: set when it is over.
        result: its result; None: it was given up, and whoever waits has to look again.
    """

    number: int
    started_at: float
    rejected: str | None
    done: Event = field(default_factory=Event)
    result: FetchResult | None = None


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pause after Secrets Manager returned a version again that the vendor had rejected.

    Attributes:
        version: the version that was rejected and returned again.
        times: how often in a row.
        until: when the next fetch because of its rejection may begin.
    """

    version: str
    times: int
    until: float


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """What the cache knows of one secret and one staging label at one moment.

    Attributes:
        held: the credential to hand out, or None.
        check_at: from then on it, or the fallback in its place, has to be refreshed.
        expires_at: from then on it is not handed out.
        error: why the last fetch failed; None: it did not.
        retry_at: until then nobody fetches, and whoever finds nothing gets the error again.
        failures: how many fetches have failed in a row.
        fetch: the fetch under way, or None.
        fetches: how many fetches have begun so far.
        outdated: fetches up to this number began before the label was moved.
        backoff: the pause before a rejected version is asked about again, or None.
        fallback: what is handed out until the secret answers for the first time, or None.
    """

    held: CachedCredential | None = None
    check_at: float = _NEVER
    expires_at: float = _NEVER
    error: FetchError | None = None
    retry_at: float = _NEVER
    failures: int = 0
    fetch: Fetch | None = None
    fetches: int = 0
    outdated: int = 0
    backoff: Backoff | None = None
    fallback: CachedCredential | None = None

    def available(self, now: float, rejected: str | None = None) -> CachedCredential | None:
        """The credential that may be handed out without waiting, or None.

        A caller that saw version ``rejected`` rejected gets another version. It gets the same one
        only during the backoff, when Secrets Manager is known to have no other; never a fallback.
        """
        held = self.held if now < self.expires_at else None
        if rejected is None:
            fetch = self.current_fetch(now)
            if held is not None and fetch is not None and fetch.rejected == held.version:
                # Another caller saw it rejected, and its successor is being fetched.
                held = None
            fallback = self.fallback if self.error is not None else None
            return held or fallback
        if held is not None and held.version == rejected and not self.backs_off(rejected, now):
            return None
        return held

    def refresh_due(self, now: float) -> bool:
        """Whether a fetch should begin now; never while another one is under way."""
        has_credential = self.held is not None or self.fallback is not None
        due_at = self.check_at if has_credential else self.retry_at
        return now >= due_at and self.current_fetch(now) is None

    def backs_off(self, version: str, now: float) -> bool:
        """Whether a fetch because of the rejection of ``version`` has to wait."""
        backoff = self.backoff
        return backoff is not None and backoff.version == version and now < backoff.until

    def current_fetch(self, now: float) -> Fetch | None:
        """The fetch to wait for. After two minutes its thread or its network is taken for lost."""
        fetch = self.fetch
        return fetch if fetch is not None and now < fetch.started_at + _LONGEST_FETCH else None

    def start_fetch(self, now: float, rejected: str | None = None) -> tuple[CacheEntry, Fetch]:
        """The entry with a new fetch in place of any other, and that fetch."""
        fetch = Fetch(self.fetches + 1, now, rejected)
        # A cache hit reads check_at alone: callers must not get the rejected version that way.
        in_doubt = self.held is not None and self.held.version == rejected
        check_at = _NEVER if in_doubt else self.check_at
        return replace(self, fetch=fetch, fetches=fetch.number, check_at=check_at), fetch

    def without_fetch(self) -> CacheEntry:
        """The entry once its fetch is over, or its thread is in another process."""
        return replace(self, fetch=None)

    def after_label_move(self) -> CacheEntry:
        """The entry once its label is known to be on another version: a refresh is due."""
        return replace(self, check_at=_NEVER, outdated=self.fetches)


@dataclass(frozen=True)
class CachePolicy:
    """How long a credential is kept, and how an entry changes with each fetch.

    Attributes:
        soft_ttl: seconds after which it is refreshed, at most.
        hard_ttl: seconds after which it is not handed out any more, at most.
        jitter: a number between its two arguments, ``random.uniform``. Without it, processes that
            started together would go on asking together.
    """

    soft_ttl: float
    hard_ttl: float
    jitter: Callable[[float, float], float]

    def after_fetch(
        self, entry: CacheEntry, fetch: Fetch, result: FetchResult, now: float
    ) -> CacheEntry:
        """The entry after ``fetch``, which is its current one, ended with ``result``."""
        entry = entry.without_fetch()
        if isinstance(result, CachedCredential):
            return self._refreshed(entry, fetch, result, now)
        return self._failed(entry, result, now)

    def _refreshed(
        self, entry: CacheEntry, fetch: Fetch, credential: CachedCredential, now: float
    ) -> CacheEntry:
        expires_at = credential.fetched_at + self.hard_ttl * self.jitter(0.9, 1.0)
        check_at = credential.fetched_at + self.soft_ttl * self.jitter(0.8, 1.0)
        return CacheEntry(
            held=credential,
            check_at=_NEVER if fetch.number <= entry.outdated else min(check_at, expires_at),
            expires_at=expires_at,
            fetches=entry.fetches,
            outdated=entry.outdated,
            backoff=self._next_backoff(entry.backoff, fetch, credential.version, now),
        )

    def _failed(self, entry: CacheEntry, error: FetchError, now: float) -> CacheEntry:
        failures = entry.failures + 1
        failed = replace(
            entry,
            error=error,
            failures=failures,
            retry_at=now + _RETRY_PAUSE * self.jitter(0.5, 1.0),
        )
        pause = min(_LONGEST_PAUSE, _RETRY_PAUSE * 2.0 ** min(failures - 1, 10))
        check_at = now + pause * self.jitter(0.5, 1.0)
        if entry.held is None or is_refusal(error):
            check_at = _NEVER if entry.fallback is None else check_at
            return replace(failed, held=None, check_at=check_at, expires_at=_NEVER)
        return replace(failed, check_at=min(check_at, entry.expires_at))

    def _next_backoff(
        self, backoff: Backoff | None, fetch: Fetch, version: str, now: float
    ) -> Backoff | None:
        if fetch.rejected != version:
            return backoff
        in_a_row = (
            backoff is not None
            and backoff.version == version
            and now < backoff.until + _LONGEST_BACKOFF
        )
        times = backoff.times + 1 if backoff is not None and in_a_row else 1
        pause = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0 ** min(times - 1, 10))
        return Backoff(version, times, now + pause * self.jitter(0.5, 1.0))


def is_refusal(error: FetchError) -> bool:
    """Whether Secrets Manager itself says that the caller cannot have the credential."""
    return isinstance(error, SecretStoreError) and error.aws_code in _REFUSALS


def copy_error(error: FetchError | None) -> FetchError:
    """The same error as a new object: if many threads raised one, it would collect their frames."""
    if isinstance(error, SecretStoreError):
        return SecretStoreError(
            str(error),
            operation=error.operation,
            aws_code=error.aws_code,
            retryable=error.retryable,
        )
    return InvalidCredentialError(str(error))
