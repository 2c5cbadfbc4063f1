"""Has documents sealed with the current key, also during rotations and short outages.

::

    invoker = LambdaInvoker("trusted-signatures-seal")
    sealing = SealingClient(invoker, CredentialCache(), "trusted-signatures-api")
    sealing.seal(ObjectLocation("documents", "a.pdf"), ObjectLocation("sealed", "a.pdf"))

To repeat a request for the same document does no harm (``docs/sealing.md``): it buys another
signature, and the new sealed document replaces the one at the destination.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

from rotation.client.contract import Seal, read_answer
from rotation.client.credential_cache import CachedCredential, CredentialCache
from rotation.errors import (
    CredentialRejectedError,
    RotationError,
    SealingUnavailableError,
    SecretStoreError,
    SourceUnavailableError,
    VendorUnavailableError,
)
from rotation.sealing.request import ObjectLocation, SealOptions, SealRequest

_ATTEMPTS: Final = 4
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 8.0
#: One 401 proves nothing: some of the vendor's nodes may know a new key later than others. A key
#: without a successor is given up when it has been rejected for so many seconds, and in four
#: attempts at least. The pauses are shorter than in an outage, since the vendor is not overloaded.
_REJECTION_SECONDS: Final = 30.0
_LONGEST_PAUSE_AFTER_REJECTION: Final = 2.0
#: For so many seconds a key that was given up is not asked about with pauses again: a dead key
#: without a successor would cost every document half a minute.
_GIVEN_UP_SECONDS: Final = 300.0
#: Trouble of a service before anything was sealed: to ask again costs nothing but time.
_OUTAGES: Final = (
    VendorUnavailableError,
    SecretStoreError,
    SealingUnavailableError,
    SourceUnavailableError,
)


class Invoker(Protocol):
    """Sends one request to a sealer, and returns the answer that ``docs/sealing.md`` describes."""

    def invoke(self, request: SealRequest) -> Mapping[str, Any]:
        """The answer. Raises RotationError if there is none; retryable if a repeat may succeed."""


@dataclass(frozen=True)
class _FailedSeal:
    """An attempt without a seal as its result.

    Attributes:
        error: why there is none.
        rejected: the credential whose key the vendor rejected, if that is why the attempt failed.
    """

    error: RotationError
    rejected: CachedCredential | None = None


@dataclass(frozen=True)
class _Rejection:
    """The vendor rejects the key of ``credential``, since ``began``, seconds of the clock."""

    credential: CachedCredential
    began: float


class SealingClient:
    """Seals documents, one in each call; any number of threads may call it.

    Args:
        invoker: sends the requests: `rotation.client.lambda_invoker.LambdaInvoker`, or
            `rotation.client.in_process.InProcessInvoker`.
        credentials: where the key comes from.
        secret_id: the secret that holds the key.
        patience: how long a seal is tried again during an outage, counted from its beginning,
            however many attempts that takes. An outage is one of the vendor, of Secrets Manager or
            of the source's S3, or a function that is throttled or not reached. The last attempt
            begins when this time is over.
        clock: seconds that never run backwards.
        sleep: waits so many seconds.
        jitter: a random number between its two arguments.
    """

    def __init__(
        self,
        invoker: Invoker,
        credentials: CredentialCache,
        secret_id: str,
        *,
        patience: timedelta = timedelta(minutes=2),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._invoker = invoker
        self._credentials = credentials
        self._secret_id = secret_id
        self._patience = patience.total_seconds()
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        # The version whose key this client has given up, and until when that counts.
        self._given_up: tuple[str, float] = ("", -math.inf)

    def seal(
        self,
        source: ObjectLocation,
        destination: ObjectLocation,
        options: SealOptions | None = None,
        *,
        within: timedelta = timedelta(minutes=2),
    ) -> Seal:
        """Have ``source`` sealed and stored at ``destination``.

        After a retryable error the client makes up to four attempts in all, with full jitter;
        during an outage it goes on until its patience is over. When the vendor rejects the key, the
        client fetches the next key and tries once more at once. As long as Secrets Manager, which
        is eventually consistent, has no other key, the client asks it and the vendor again with
        pauses, for half a minute: the rejection may be one of a few of the vendor's nodes. For the
        next five minutes a document with the same key is tried once, without pauses, unless the
        vendor accepts the key again.

        Args:
            source: the document.
            destination: where the sealed document goes; never the source.
            options: how it is to be sealed.
            within: no attempt begins later than that, except the one with the next key, which
                follows a rejection at once. Does NOT cut an attempt short: the invoker limits how
                long one may take.

        Raises:
            SealingUnavailableError: the function was not run until the patience was over.
            SealingError: the document, its source or its destination cannot be used; or the
                function could not be invoked, or its answer is not what it promises.
            VendorError: the vendor did not sign; CredentialRejectedError: it went on rejecting the
                key.
            SealVerificationError: the vendor's signature is not what it must be.
            SecretStoreError, InvalidCredentialError: there is no key.
        """
        begun = self._clock()
        ends, patient_until = begun + within.total_seconds(), begun + self._patience
        rejection: _Rejection | None = None
        attempt = 0
        while True:
            attempt += 1
            outcome = self._attempt(source, destination, options or SealOptions(), rejection)
            if isinstance(outcome, _FailedSeal) and outcome.rejected and rejection is None:
                rejection = _Rejection(outcome.rejected, self._clock())
                outcome = self._attempt(
                    source, destination, options or SealOptions(), rejection, only_next_key=True
                )
            if isinstance(outcome, Seal):
                self._given_up = ("", -math.inf)
                return outcome
            now = self._clock()
            if self._was_given_up(outcome, now):
                raise outcome.error
            persistent_until = patient_until if isinstance(outcome.error, _OUTAGES) else -math.inf
            if outcome.rejected is not None:
                if rejection is None or rejection.credential.version != outcome.rejected.version:
                    rejection = _Rejection(outcome.rejected, now)
                persistent_until = max(persistent_until, rejection.began + _REJECTION_SECONDS)
            pause = self._pause(attempt, rejected=outcome.rejected is not None)
            again = now + pause
            if attempt >= _ATTEMPTS:
                # The last attempt begins when the patience is over, whatever the jitter is.
                again = min(again, persistent_until, ends) if now < persistent_until else math.inf
            may_pass = outcome.error.retryable or outcome.rejected is not None
            if not may_pass or now >= ends or again > ends:
                if rejection is not None and now >= rejection.began + _REJECTION_SECONDS:
                    self._given_up = (rejection.credential.version, now + _GIVEN_UP_SECONDS)
                raise outcome.error
            self._sleep(again - now)

    def _was_given_up(self, outcome: _FailedSeal, now: float) -> bool:
        """Whether this client has just asked about the rejected key for as long as it may."""
        version, until = self._given_up
        return (
            outcome.rejected is not None
            and isinstance(outcome.error, CredentialRejectedError)
            and outcome.rejected.version == version
            and now < until
        )

    def _attempt(
        self,
        source: ObjectLocation,
        destination: ObjectLocation,
        options: SealOptions,
        rejection: _Rejection | None,
        *,
        only_next_key: bool = False,
    ) -> Seal | _FailedSeal:
        """Fetch the key, or the next one after ``rejection``, and ask the invoker once.

        With ``only_next_key`` the rejected key is not sent again.
        """
        no_other: RotationError | None = None
        try:
            credential = self._credential(rejection)
        except RotationError as error:
            held = self._held_after(rejection)
            if held is None:
                return _FailedSeal(error)
            # Whether there is another key is not known, and this one may work.
            credential, no_other = held, error
        same = rejection is not None and credential.version == rejection.credential.version
        if same and no_other is None:
            no_other = self._no_other(credential)
        if same and no_other is not None and only_next_key:
            return _FailedSeal(no_other, credential)
        request = SealRequest(source, destination, credential.key, options)
        try:
            answer = self._invoker.invoke(request)
        except RotationError as error:
            return self._failed(error, credential, no_other)
        outcome = read_answer(answer, request)
        return outcome if isinstance(outcome, Seal) else self._failed(outcome, credential, no_other)

    def _failed(
        self, error: RotationError, credential: CachedCredential, no_other: RotationError | None
    ) -> _FailedSeal:
        if isinstance(error, CredentialRejectedError):
            return _FailedSeal(no_other or error, credential)
        return _FailedSeal(error)

    def _credential(self, rejection: _Rejection | None) -> CachedCredential:
        if rejection is None:
            return self._credentials.get(self._secret_id)
        return self._credentials.refresh(self._secret_id, if_version=rejection.credential.version)

    def _held_after(self, rejection: _Rejection | None) -> CachedCredential | None:
        """What is held still, where no other key could be fetched after a rejection."""
        if rejection is None:
            return None
        try:
            return self._credentials.get(self._secret_id)
        except RotationError:
            return None

    def _no_other(self, credential: CachedCredential) -> CredentialRejectedError:
        return CredentialRejectedError(
            "seal",
            f"the vendor went on rejecting key {credential.key.id}, and {self._secret_id} has no "
            f"other: AWSCURRENT is version {credential.version}. Rotate it, or mend the secret.",
        )

    def _pause(self, attempt: int, *, rejected: bool) -> float:
        longest = _LONGEST_PAUSE_AFTER_REJECTION if rejected else _LONGEST_PAUSE
        longest = min(longest, _FIRST_PAUSE * 2.0 ** min(attempt - 1, 10))
        return longest * self._jitter(0.5 if rejected else 0.0, 1.0)
