"""Asks for a document to be sealed, with the current key, through rotations and passing trouble.

::

    invoker = LambdaInvoker("trusted-signatures-seal")
    sealing = SealingClient(invoker, CredentialCache(), "trusted-signatures-api")
    sealing.seal(ObjectLocation("documents", "a.pdf"), ObjectLocation("sealed", "a.pdf"))

Asking again for the same document is harmless (``docs/sealing.md``): it buys another signature and
overwrites the destination with a seal of the same worth.
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
    """Has one request carried out and returns the answer that ``docs/sealing.md`` describes."""

    def invoke(self, request: SealRequest) -> Mapping[str, Any]:
        """The answer. Raises RotationError where there is none; retryable if that may pass."""


@dataclass(frozen=True)
class _Failure:
    """An attempt that brought no seal.

    Attributes:
        credential: what it was made with, where there was one.
    """

    error: RotationError
    credential: CachedCredential | None = None

    @property
    def rejected(self) -> str | None:
        """The version whose key the vendor rejected. A clock that is off says nothing of a key."""
        if self.credential is None or not isinstance(self.error, CredentialRejectedError):
            return None
        return self.credential.version


class SealingClient:
    """Seals documents one at a time, in any number of threads.

    Args:
        invoker: whom to ask: `rotation.client.lambda_invoker.LambdaInvoker`, or
            `rotation.client.in_process.InProcessInvoker`.
        credentials: where the key comes from.
        secret_id: the secret that holds it.
        patience: for so long from its beginning a seal outlasts an outage of the vendor, of Secrets
            Manager or of the source's S3, or a function that is throttled or not reached, however
            many attempts that takes: the last one begins when it is over.
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

        What may pass is tried four times in all, with full jitter, and an outage for as long as the
        client's patience lasts. When the vendor rejects the key, the next one is fetched and tried
        once, at once; while Secrets Manager has no other, it is asked again with pauses, since it
        is eventually consistent.

        Args:
            source: the document.
            destination: where the sealed document goes; never the source.
            options: how it is to be sealed.
            within: no attempt begins later than that, but the one with the next key, at once after
                a rejection. Does NOT cut an attempt short: how long one may take is the invoker's
                to bound.

        Raises:
            SealingUnavailableError: the function was not run, until the patience was over.
            SealingError: the document, its source or its destination is not fit; or the function
                could not be asked, or answered something else than it promises.
            VendorError: the vendor did not sign.
            SealVerificationError: the vendor's signature is not what it must be.
            SecretStoreError, InvalidCredentialError: there is no key to be had.
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
                # The last one begins when the patience is over, wherever the dice put it.
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
    ) -> Seal | _Failure:
        try:
            credential = self._credential(rejected)
        except RotationError as error:
            return _Failure(error)
        if credential.version == rejected:
            return _Failure(self._no_other(credential), credential)
        request = SealRequest(source, destination, credential.key, options)
        try:
            answer = self._invoker.invoke(request)
        except RotationError as error:
            return _Failure(error, credential)
        outcome = read_answer(answer, request)
        return outcome if isinstance(outcome, Seal) else _Failure(outcome, credential)

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
