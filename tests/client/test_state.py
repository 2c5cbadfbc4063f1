"""The rules of a cache by themselves: whatever happens in whatever order, these hold."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as some

from rotation.client.cache_state import CachedCredential, Failure, Rules, State, refused
from rotation.credential import ApiKey
from rotation.errors import InvalidCredentialError, SecretStoreError

KEY = ApiKey.from_text("4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5", "7b" * 32)
SOFT, HARD = 300.0, 3600.0


def failure(code: str) -> Failure:
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
    story: list[tuple[float, str, float, str | Failure]], shares: tuple[float, float], soft: float
) -> None:
    """A credential is handed out while it is younger than the hard TTL and was not refused since.

    And: the fast path never outlives it, a due refresh is never lost, and no number of failures
    or rejections makes a pause longer than a minute.
    """
    share = itertools.cycle(shares)
    rules = Rules(soft, HARD, lambda low, high: low + next(share) * (high - low))
    state, now = State(), 0.0
    fetched_at, gone = -HARD, True
    for wait, what, takes, outcome in story:
        now += wait
        if what == "moved":
            state = state.moved()
        at_hand = state.at_hand(now)
        if at_hand is not None:
            assert not gone
            assert now - at_hand.fetched_at < HARD
            assert at_hand.fetched_at == fetched_at
        elif not gone:
            assert now - fetched_at >= 0.9 * HARD
        assert state.check_at <= state.expires_at
        if now < state.check_at:
            assert at_hand is state.held is not None
        else:
            assert state.check_at - now <= 0
        rejected = state.held.version if what == "reject" and state.held else None
        if rejected is not None and state.limited(rejected, now):
            assert state.limit is not None
            assert state.limit.until - now <= 60
            continue
        if at_hand is not None and rejected is None and not state.due(now):
            continue
        state, flight = state.took_off(now, rejected)
        assert not state.due(now), "one flight at a time"
        began, now = now, now + takes
        if isinstance(outcome, str):
            fetched_at, gone = began, False
            landing = CachedCredential(KEY, outcome, "arn", began)
            state = rules.landed(state, flight, landing, now)
            assert state.error is None
        else:
            gone = gone or refused(outcome)
            state = rules.landed(state, flight, outcome, now)
            assert 0 < state.retry_at - now <= 1
            assert state.check_at - now <= 30
        assert state.flight is None


def test_a_limit_is_forgotten_after_a_minute_of_quiet() -> None:
    """What was rejected last week begins with half a second again."""
    rules = Rules(SOFT, HARD, lambda low, high: high)
    state, now = State(), 0.0
    pauses = []
    for quiet in (0, 0.5, 1, 2, 63, 70):
        now += quiet
        state, flight = state.took_off(now, "v1")
        state = rules.landed(state, flight, CachedCredential(KEY, "v1", "arn", now), now)
        assert state.limit is not None
        pauses.append(state.limit.until - now)
    assert pauses == [0.5, 1, 2, 4, 8, 0.5]


def test_a_flight_from_before_the_label_moved_leaves_a_refresh_due() -> None:
    """Its answer is kept, and asked for again at once."""
    rules = Rules(SOFT, HARD, lambda low, high: high)
    state, flight = State().took_off(0.0)
    state = rules.landed(state.moved(), flight, CachedCredential(KEY, "v1", "arn", 0.0), 1.0)
    assert state.at_hand(1.0) is not None
    assert state.due(1.0)
    state, flight = state.took_off(1.0)
    state = rules.landed(state, flight, CachedCredential(KEY, "v2", "arn", 1.0), 2.0)
    assert not state.due(2.0)


def test_a_soft_ttl_near_the_hard_one_is_cut_off_by_it() -> None:
    """The fast path looks at one moment alone: it must never lie past the hard TTL."""
    ends = iter((0.9, 1.0))
    rules = Rules(HARD - 1, HARD, lambda low, high: next(ends))
    state, flight = State().took_off(0.0)
    state = rules.landed(state, flight, CachedCredential(KEY, "v1", "arn", 0.0), 0.0)
    assert state.check_at == state.expires_at == 0.9 * HARD
