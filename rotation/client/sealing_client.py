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
        credential: the credential that was used, if there was one.
    """

    error: RotationError
    credential: CachedCredential | None = None

    @property
    def rejected(self) -> str | None:
        """The version whose key the vendor rejected, if that is why the attempt failed."""
        if self.credential is None or not isinstance(self.error, CredentialRejectedError):
            return None
        return self.credential.version


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
        is eventually consistent, has no other key, the client asks it again with pauses.

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
            VendorError: the vendor did not sign.
            SealVerificationError: the vendor's signature is not what it must be.
            SecretStoreError, InvalidCredentialError: there is no key.
        """
        begun = self._clock()
        ends, patient_until = begun + within.total_seconds(), begun + self._patience
        rejected: str | None = None
        attempt = 0
        while True:
            attempt += 1
            outcome = self._attempt(source, destination, options or SealOptions(), rejected)
            if isinstance(outcome, Seal):
                return outcome
            if rejected is None and outcome.rejected is not None:
                rejected = outcome.rejected
                outcome = self._attempt(source, destination, options or SealOptions(), rejected)
                if isinstance(outcome, Seal):
                    return outcome
            unchanged = outcome.rejected is not None and outcome.rejected == rejected
            pause = self._pause(attempt, least=0.5 if unchanged else 0.0)
            now = self._clock()
            again = now + pause
            if attempt >= _ATTEMPTS:
                patient = isinstance(outcome.error, _OUTAGES) and now < patient_until
                # The last attempt begins when the patience is over, whatever the jitter is.
                again = min(again, patient_until, ends) if patient else math.inf
            may_pass = outcome.error.retryable or unchanged
            if not may_pass or now >= ends or again > ends:
                raise outcome.error
            self._sleep(again - now)

    def _attempt(
        self,
        source: ObjectLocation,
        destination: ObjectLocation,
        options: SealOptions,
        rejected: str | None,
    ) -> Seal | _FailedSeal:
        try:
            credential = self._credential(rejected)
        except RotationError as error:
            return _FailedSeal(error)
        if credential.version == rejected:
            return _FailedSeal(self._no_other(credential), credential)
        request = SealRequest(source, destination, credential.key, options)
        try:
            answer = self._invoker.invoke(request)
        except RotationError as error:
            return _FailedSeal(error, credential)
        outcome = read_answer(answer, request)
        return outcome if isinstance(outcome, Seal) else _FailedSeal(outcome, credential)

    def _credential(self, rejected: str | None) -> CachedCredential:
        if rejected is None:
            return self._credentials.get(self._secret_id)
        return self._credentials.refresh(self._secret_id, if_version=rejected)

    def _no_other(self, credential: CachedCredential) -> CredentialRejectedError:
        return CredentialRejectedError(
            "seal",
            f"the vendor rejects key {credential.key.id}, and {self._secret_id} has no other: "
            f"AWSCURRENT is version {credential.version}. Rotate it, or mend the secret.",
        )

    def _pause(self, attempt: int, least: float) -> float:
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(attempt - 1, 10))
        return longest * self._jitter(least, 1.0)
