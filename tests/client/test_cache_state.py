"""The cache entry and its policy alone: what holds, whatever happens in whatever order."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as some

from rotation.client.cache_state import (
    CachedCredential,
    CacheEntry,
    CachePolicy,
    FetchError,
    is_refusal,
)
from rotation.credential import ApiKey
from rotation.errors import InvalidCredentialError, SecretStoreError

KEY = ApiKey.from_text("4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5", "7b" * 32)
SOFT, HARD = 300.0, 3600.0


def failure(code: str) -> FetchError:
    if code == "malformed":
        return InvalidCredentialError("not a key")
    return SecretStoreError("no", operation="GetSecretValue", aws_code=code)


outcomes = some.one_of(
    some.sampled_from(["v1", "v2", "v3"]),
    some.sampled_from(["AccessDeniedException", "ThrottlingException", "malformed"]).map(failure),
)
acts = some.tuples(
    some.floats(0, 2000),
    some.sampled_from(["look", "reject", "moved"]),
    some.floats(0, 30),
    outcomes,
)


shares = some.tuples(some.floats(0, 1), some.floats(0, 1))


@given(some.lists(acts, max_size=40), shares, some.floats(1, HARD - 1))
def test_whatever_happens_the_promises_hold(
    story: list[tuple[float, str, float, str | FetchError]],
    shares: tuple[float, float],
    soft: float,
) -> None:
    """A credential is handed out while it is younger than the hard TTL and not refused since.

    And: the fast path never outlives it, a due refresh is never lost, and no number of failures
    makes a pause longer than half a minute, and none of rejections one longer than ten seconds.
    """
    share = itertools.cycle(shares)
    policy = CachePolicy(soft, HARD, lambda low, high: low + next(share) * (high - low))
    entry, now = CacheEntry(), 0.0
    fetched_at, gone = -HARD, True
    for wait, what, takes, result in story:
        now += wait
        if what == "moved":
            entry = entry.after_label_move()
        available = entry.available(now)
        if available is not None:
            assert not gone
            assert now - available.fetched_at < HARD
            assert available.fetched_at == fetched_at
        elif not gone:
            assert now - fetched_at >= 0.9 * HARD
        assert entry.check_at <= entry.expires_at
        if now < entry.check_at:
            assert available is entry.held is not None
        else:
            assert entry.check_at - now <= 0
        rejected = entry.held.version if what == "reject" and entry.held else None
        if rejected is not None and entry.backs_off(rejected, now):
            assert entry.backoff is not None
            assert entry.backoff.until - now <= 10
            continue
        if available is not None and rejected is None and not entry.refresh_due(now):
            continue
        entry, fetch = entry.start_fetch(now, rejected)
        assert not entry.refresh_due(now), "one fetch at a time"
        started_at, now = now, now + takes
        if isinstance(result, str):
            fetched_at, gone = started_at, False
            landing = CachedCredential(KEY, result, "arn", started_at)
            entry = policy.after_fetch(entry, fetch, landing, now)
            assert entry.error is None
        else:
            gone = gone or is_refusal(result)
            entry = policy.after_fetch(entry, fetch, result, now)
            assert 0 < entry.retry_at - now <= 1
            assert entry.check_at - now <= 30
        assert entry.fetch is None


def test_a_backoff_is_forgotten_after_ten_seconds_of_quiet() -> None:
    """What was rejected last week begins with half a second again."""
    policy = CachePolicy(SOFT, HARD, lambda low, high: high)
    entry, now = CacheEntry(), 0.0
    pauses = []
    for quiet in (0, 0.5, 1, 2, 13, 20):
        now += quiet
        entry, fetch = entry.start_fetch(now, "v1")
        entry = policy.after_fetch(entry, fetch, CachedCredential(KEY, "v1", "arn", now), now)
        assert entry.backoff is not None
        pauses.append(entry.backoff.until - now)
    assert pauses == [0.5, 1, 2, 4, 8, 0.5]


def test_a_fetch_from_before_the_label_moved_leaves_a_refresh_due() -> None:
    """Its answer is kept, and asked for again at once."""
    policy = CachePolicy(SOFT, HARD, lambda low, high: high)
    entry, fetch = CacheEntry().start_fetch(0.0)
    entry = policy.after_fetch(
        entry.after_label_move(), fetch, CachedCredential(KEY, "v1", "arn", 0.0), 1.0
    )
    assert entry.available(1.0) is not None
    assert entry.refresh_due(1.0)
    entry, fetch = entry.start_fetch(1.0)
    entry = policy.after_fetch(entry, fetch, CachedCredential(KEY, "v2", "arn", 1.0), 2.0)
    assert not entry.refresh_due(2.0)


def test_a_soft_ttl_near_the_hard_one_is_cut_off_by_it() -> None:
    """The fast path looks at one moment alone: it must never lie past the hard TTL."""
    ends = iter((0.9, 1.0))
    policy = CachePolicy(HARD - 1, HARD, lambda low, high: next(ends))
    entry, fetch = CacheEntry().start_fetch(0.0)
    entry = policy.after_fetch(entry, fetch, CachedCredential(KEY, "v1", "arn", 0.0), 0.0)
    assert entry.check_at == entry.expires_at == 0.9 * HARD
