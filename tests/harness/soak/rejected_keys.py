"""What one client process has seen, and whether it goes on with a key that it saw rejected.

Observed at the ports of the client, which are all real: the cache says when a key was asked for,
the invoker which key goes out and what came back, the source when a fetch has begun.

One rejection proves nothing: the vendor answers some good keys with a stray 401. A key counts as
known to be dead from the moment at which `CredentialCache.refresh` has brought another key in its
place, or has returned it again although Secrets Manager was never asked since it was first
rejected. A request counts against it if its key was asked for after that. Both moments are taken so
that no thread can be suspended between the act and its note in a way that makes an innocent request
look guilty.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from math import inf
from threading import Lock, local
from time import monotonic
from typing import Any

from rotation.client.credential_cache import CachedCredential, CredentialCache
from rotation.client.sealing_client import Invoker
from rotation.client.secret_source import FetchedSecret, SecretSource
from rotation.errors import CredentialRejectedError
from rotation.sealing.request import SealRequest
from rotation.secrets_manager.labels import AWSCURRENT

#: Says one word and its fact to whoever watches the process.
Report = Callable[[str, str], None]


def reporter(descriptor: int) -> Report:
    """Writes lines ``<monotonic seconds> <word> <fact>``, each whole even if the process dies."""

    def report(word: str, fact: str = "") -> None:
        os.write(descriptor, f"{monotonic():.6f} {word} {fact}\n".encode())

    return report


class RejectedKeys:
    """Which keys this process knows to be dead."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._lock = Lock()
        self._dead: dict[str, float] = {}
        self._rejected: dict[str, float] = {}
        self._last_fetch = -inf
        self._mine = local()

    def asks(self) -> None:
        """This thread is about to ask for a key."""
        self._mine.asked = monotonic()

    def sends(self, key_id: str) -> None:
        """This thread is about to send a request with the key it was given."""
        if self._dead.get(key_id, inf) < getattr(self._mine, "asked", -inf):
            self._report("dead", key_id)

    def hears(self, answer: Mapping[str, Any], key_id: str) -> None:
        """This thread got an answer."""
        error = answer.get("error")
        if not isinstance(error, Mapping) or error.get("code") != CredentialRejectedError.code:
            return
        self._mine.rejected = key_id
        with self._lock:
            self._rejected.setdefault(key_id, monotonic())
        self._report("rejected", key_id)

    def fetches(self) -> None:
        """This thread is about to ask Secrets Manager."""
        with self._lock:
            self._last_fetch = monotonic()

    def refreshed(self, key_id: str) -> None:
        """The cache has given this key to this thread, which saw another or the same rejected."""
        rejected = getattr(self._mine, "rejected", None)
        if rejected is None:
            return
        with self._lock:
            if rejected != key_id or self._last_fetch < self._rejected[rejected]:
                self._dead.setdefault(rejected, monotonic())


class ObservedSource:
    """A `SecretSource` that says when a fetch begins."""

    def __init__(self, source: SecretSource, rejected_keys: RejectedKeys) -> None:
        self._source = source
        self._rejected_keys = rejected_keys

    def fetch(self, secret_id: str, stage: str) -> FetchedSecret:
        """As the source's own."""
        self._rejected_keys.fetches()
        return self._source.fetch(secret_id, stage)


class ObservedInvoker:
    """An `Invoker` that says which key goes out and what came back."""

    def __init__(self, invoker: Invoker, rejected_keys: RejectedKeys) -> None:
        self._invoker = invoker
        self._rejected_keys = rejected_keys

    def invoke(self, request: SealRequest) -> Mapping[str, Any]:
        """As the invoker's own."""
        self._rejected_keys.sends(request.key.id)
        answer = self._invoker.invoke(request)
        self._rejected_keys.hears(answer, request.key.id)
        return answer


def observed(cache: type[CredentialCache], rejected_keys: RejectedKeys) -> type[CredentialCache]:
    """A class of caches that say when a key is asked for."""

    class Observed(cache):  # type: ignore[misc, valid-type]
        def get(self, secret_id: str, stage: str = AWSCURRENT) -> CachedCredential:
            rejected_keys.asks()
            credential: CachedCredential = super().get(secret_id, stage)
            return credential

        def refresh(
            self, secret_id: str, *, if_version: str, stage: str = AWSCURRENT
        ) -> CachedCredential:
            rejected_keys.asks()
            credential: CachedCredential = super().refresh(
                secret_id, if_version=if_version, stage=stage
            )
            rejected_keys.refreshed(credential.key.id)
            return credential

    return Observed
