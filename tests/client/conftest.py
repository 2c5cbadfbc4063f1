"""A cache over secrets in memory, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rotation.client.credential_cache import CredentialCache
from tests.client.fixtures import Clock, FakeSecrets, RecordingMetrics, no_jitter
from tests.unattended.fixtures import sealer_fixture

__all__ = ["sealer_fixture"]

MakeCache = Callable[..., CredentialCache]


@pytest.fixture
def clock() -> Clock:
    """The cache's clock."""
    return Clock()


@pytest.fixture
def fake() -> FakeSecrets:
    """A secret with a good current value."""
    fake = FakeSecrets()
    fake.put()
    return fake


@pytest.fixture
def metrics() -> RecordingMetrics:
    """The events that the cache reports."""
    return RecordingMetrics()


@pytest.fixture
def make_cache(fake: FakeSecrets, clock: Clock, metrics: RecordingMetrics) -> MakeCache:
    """Makes a cache over ``fake`` without jitter, whose arguments may be changed."""

    def make(**changes: Any) -> CredentialCache:
        arguments: dict[str, Any] = {
            "source": fake,
            "clock": clock,
            "jitter": no_jitter,
            "metrics": metrics,
        }
        return CredentialCache(**(arguments | changes))

    return make


@pytest.fixture
def cache(make_cache: MakeCache) -> CredentialCache:
    """Soft TTL five minutes, hard TTL one hour."""
    return make_cache()
