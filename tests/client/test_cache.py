"""What a cache hands out, and when: time, errors, stages, fallbacks. One thread at a time."""

from __future__ import annotations

import ast
import asyncio
import copy
import logging
import random
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import NoReturn

import pytest

import rotation.client
from rotation.client.credential_cache import FALLBACK_VERSION, CachedCredential, CredentialCache
from rotation.client.metrics import CacheMetrics
from rotation.credential import ApiKey
from rotation.errors import (
    ConfigurationError,
    InvalidCredentialError,
    RotationError,
    SecretStoreError,
)
from tests.client.conftest import MakeCache
from tests.client.fixtures import NAME, Clock, FakeSecrets, RecordingMetrics, is_idle, wait_until

SOFT, HARD = 300.0, 3600.0


def refresh_behind(cache: CredentialCache) -> CachedCredential:
    """A get past the soft TTL, and its refresh, which is over when this returns."""
    handed_out = cache.get(NAME)
    wait_until(lambda: is_idle(cache))
    return handed_out


def test_a_hit_is_the_very_same_object(cache: CredentialCache, fake: FakeSecrets) -> None:
    """Nothing is fetched, parsed or copied until the soft TTL is over."""
    first = cache.get(NAME)
    assert cache.get(NAME) is first
    assert cache.peek(NAME) is first
    assert fake.calls == [(NAME, "AWSCURRENT")]


def test_what_is_handed_out_cannot_be_changed_or_copied_out(cache: CredentialCache) -> None:
    """Immutable, and its repr holds no key material."""
    credential = cache.get(NAME)
    with pytest.raises(AttributeError):
        credential.version = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        copy.deepcopy(credential)
    assert credential.key.material.reveal()[:12] not in repr(credential)


def test_past_the_soft_ttl_the_next_version_comes_from_behind(
    cache: CredentialCache, fake: FakeSecrets, clock: Clock
) -> None:
    """The reader who finds it old gets the old one; the next reader gets the new one."""
    old = cache.get(NAME)
    new = fake.put()
    clock.advance(SOFT - 0.001)
    assert cache.get(NAME) is old
    assert fake.count() == 1
    clock.advance(0.001)
    assert refresh_behind(cache) is old
    assert cache.get(NAME).version == new
    assert fake.count() == 2


def test_peek_refreshes_behind_and_never_fetches_itself(
    cache: CredentialCache, fake: FakeSecrets, clock: Clock
) -> None:
    """None while there is nothing; a refresh where one is due; None past the hard TTL."""
    assert cache.peek(NAME) is None
    assert fake.count() == 0
    old = cache.get(NAME)
    new = fake.put()
    clock.advance(SOFT)
    assert cache.peek(NAME) is old
    wait_until(lambda: is_idle(cache))
    fresh = cache.peek(NAME)
    assert fresh is not None
    assert fresh.version == new
    clock.advance(HARD)
    assert cache.peek(NAME) is None


def test_ten_minutes_of_outage_are_not_noticed(
    cache: CredentialCache, fake: FakeSecrets, clock: Clock, metrics: RecordingMetrics
) -> None:
    """Every get of ten minutes is answered, and Secrets Manager is asked again with pauses."""
    old = cache.get(NAME)
    clock.advance(SOFT)
    fake.fail("InternalServiceError", times=1000)
    for _ in range(600):
        assert refresh_behind(cache) is old
        clock.advance(1)
    assert 15 <= fake.count() <= 30
    assert metrics.names().count("stale") == fake.count() - 1
    last, age = metrics.events[-1]
    assert last == "stale"
    assert timedelta(minutes=14) < age < timedelta(minutes=15)
    fake._failures.clear()
    new = fake.put()
    clock.advance(31)
    refresh_behind(cache)
    assert cache.get(NAME).version == new


def test_an_outage_past_the_hard_ttl_is_an_error(
    cache: CredentialCache, fake: FakeSecrets, clock: Clock
) -> None:
    """Stale-if-error has an end: then the outage is what the caller hears of."""
    old = cache.get(NAME)
    fake.fail("InternalServiceError", times=1000)
    clock.advance(HARD - 100)
    for _ in range(99):
        assert refresh_behind(cache) is old
        clock.advance(1)
    assert cache.get(NAME) is old
    clock.advance(1)
    with pytest.raises(SecretStoreError) as failed:
        cache.get(NAME)
    assert failed.value.retryable
    fake._failures.clear()
    clock.advance(1)
    assert cache.get(NAME).version == old.version


@pytest.mark.parametrize(
    "code",
    [
        "AccessDeniedException",
        "ResourceNotFoundException",
        "InvalidRequestException",
        "DecryptionFailure",
    ],
)
def test_a_refusal_is_never_papered_over(
    cache: CredentialCache, fake: FakeSecrets, clock: Clock, code: str
) -> None:
    """As soon as Secrets Manager refuses, nobody is handed the old credential any more."""
    cache.get(NAME)
    clock.advance(SOFT)
    fake.fail(code)
    refresh_behind(cache)
    for _ in range(3):
        with pytest.raises(SecretStoreError) as refused:
            cache.get(NAME)
        assert refused.value.aws_code == code
    assert cache.peek(NAME) is None
    assert cache.age(NAME) is None
    assert fake.count() == 2, "the same refusal is not fetched for each caller"
    clock.advance(1)
    version = fake.labels["AWSCURRENT"]
    assert cache.get(NAME).version == version, "what was allowed again is noticed within a second"


def test_a_deleted_secret_is_gone(cache: CredentialCache, fake: FakeSecrets, clock: Clock) -> None:
    """Scheduled for deletion: from the next answer on, an error."""
    cache.get(NAME)
    fake.delete()
    clock.advance(SOFT)
    refresh_behind(cache)
    with pytest.raises(SecretStoreError) as refused:
        cache.get(NAME)
    assert refused.value.aws_code == "InvalidRequestException"


def test_a_malformed_value_keeps_the_good_one_until_the_hard_ttl(
    cache: CredentialCache, fake: FakeSecrets, clock: Clock, metrics: RecordingMetrics
) -> None:
    """A typing error in the console stops nobody at once: the old key works through its grace."""
    old = cache.get(NAME)
    fake.put("{")
    clock.advance(SOFT)
    assert refresh_behind(cache) is old
    assert cache.get(NAME) is old
    assert ("failed", "invalid_credential") in metrics.events
    with pytest.raises(InvalidCredentialError):
        cache.refresh(NAME, if_version=old.version)
    clock.advance(HARD - SOFT)
    with pytest.raises(InvalidCredentialError):
        cache.get(NAME)


def test_a_malformed_value_is_an_error_for_who_has_nothing(
    cache: CredentialCache, fake: FakeSecrets
) -> None:
    """There is no better one to hand out."""
    fake.put("{}")
    with pytest.raises(InvalidCredentialError, match=NAME):
        cache.get(NAME)


def test_what_went_wrong_on_the_way_says_nothing_of_the_secret(
    cache: CredentialCache, fake: FakeSecrets, clock: Clock
) -> None:
    """Expired session credentials, or a signature refused for a clock that is off, are bridged."""
    old = cache.get(NAME)
    clock.advance(SOFT)
    for code in ("ExpiredTokenException", "InvalidSignatureException", "NoCredentialsError"):
        fake.fail(code)
        assert refresh_behind(cache) is old
        clock.advance(30)
    assert fake.count() == 4


def test_a_source_that_breaks_is_an_error_for_all_and_logged(
    cache: CredentialCache, fake: FakeSecrets, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception that nobody foresaw is of our tree, and its traceback is in the log."""
    fake.interrupt(ZeroDivisionError("by zero"))
    with pytest.raises(SecretStoreError, match="ZeroDivisionError") as failed:
        cache.get(NAME)
    assert failed.value.__context__ is None
    assert "by zero" in caplog.text


def test_each_caller_has_an_exception_of_its_own(cache: CredentialCache, fake: FakeSecrets) -> None:
    """One object that many threads raise would collect the frames of all of them."""
    fake.fail("AccessDeniedException", times=9)
    raised = []
    for _ in range(3):
        with pytest.raises(SecretStoreError) as refused:
            cache.get(NAME)
        raised.append(refused.value)
    assert fake.count() == 1
    assert len({id(one) for one in raised}) == 3
    assert len({str(one) for one in raised}) == 1


def test_a_rollback_is_followed(cache: CredentialCache, fake: FakeSecrets, clock: Clock) -> None:
    """AWSCURRENT back on the previous version: by refresh, and by rejection."""
    first = cache.get(NAME).version
    second = fake.put()
    clock.advance(SOFT)
    refresh_behind(cache)
    assert cache.get(NAME).version == second
    fake.roll_back()
    assert cache.refresh(NAME, if_version=second).version == first
    assert cache.get(NAME).version == first


def test_a_pending_version_is_never_handed_out(
    cache: CredentialCache, fake: FakeSecrets, clock: Clock
) -> None:
    """Not at first, not by refresh, not after a rejection: only AWSCURRENT is asked for."""
    current = cache.get(NAME).version
    pending = fake.put(stage="AWSPENDING")
    clock.advance(SOFT)
    refresh_behind(cache)
    assert cache.get(NAME).version == current
    assert cache.refresh(NAME, if_version=current).version == current
    assert {stage for _, stage in fake.calls} == {"AWSCURRENT"}
    assert pending != current


def test_secrets_and_stages_are_kept_apart(cache: CredentialCache, fake: FakeSecrets) -> None:
    """One cache holds many; the trouble of one is not the other's."""
    first, second = fake.put(), fake.put()
    assert cache.get(NAME).version == second
    assert cache.get(NAME, "AWSPREVIOUS").version == first
    with pytest.raises(SecretStoreError):
        cache.get("another")
    assert cache.get(NAME).version == second
    assert fake.count() == 3


def test_the_wall_clock_does_not_matter(fake: FakeSecrets, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set back a day or forward a year, nothing is fetched too early or held too long."""
    cache = CredentialCache(fake)
    held = cache.get(NAME)
    wall = time.time
    for shift in (-86_400.0, 365 * 86_400.0):
        monkeypatch.setattr(time, "time", lambda shift=shift: wall() + shift)
        assert cache.get(NAME) is held
        age = cache.age(NAME)
        assert age is not None
        assert timedelta(0) <= age < timedelta(minutes=1)
    assert fake.count() == 1


def test_no_module_of_the_client_reads_a_wall_clock() -> None:
    """time.time, datetime.now and their like do not occur in the source."""
    [folder] = rotation.client.__path__
    read = [
        f"{path.name}: {node.attr}"
        for path in Path(folder).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in {"time", "time_ns", "now", "utcnow"}
        and ast.unparse(node.value) in {"time", "datetime"}
    ]
    assert read == []


def test_ttls_are_spread_and_never_longer_than_promised(fake: FakeSecrets) -> None:
    """200 caches: soft within 80 to 100 %, hard within 90 to 100 %, and not all alike."""
    soft, hard = [], []
    for seed in range(200):
        cache = CredentialCache(fake, clock=lambda: 0.0, jitter=random.Random(seed).uniform)
        cache.get(NAME)
        [entry] = cache._entries.values()
        soft.append(entry.check_at / SOFT)
        hard.append(entry.expires_at / HARD)
    assert 0.8 <= min(soft) < 0.83
    assert 0.97 < max(soft) <= 1.0
    assert 0.9 <= min(hard) < 0.92
    assert 0.98 < max(hard) <= 1.0


@pytest.mark.parametrize(("soft", "hard"), [(0, 60), (-1, 60), (60, 60), (61, 60)], ids=str)
def test_ttls_that_make_no_sense_are_refused(fake: FakeSecrets, soft: int, hard: int) -> None:
    """Soft must be positive and shorter than hard."""
    with pytest.raises(ConfigurationError, match="soft_ttl"):
        CredentialCache(fake, soft_ttl=timedelta(minutes=soft), hard_ttl=timedelta(minutes=hard))


class TestFallback:
    """Hard-coded keys on their way into a secret."""

    KEY = ApiKey.from_text("4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5", "7b" * 32)

    @pytest.mark.parametrize("code", ["ResourceNotFoundException", "ThrottlingException"])
    def test_it_is_used_until_the_secret_answers_and_never_again(
        self,
        make_cache: MakeCache,
        fake: FakeSecrets,
        metrics: RecordingMetrics,
        caplog: pytest.LogCaptureFixture,
        code: str,
    ) -> None:
        """Each use is counted and warned about; after the first answer a refusal is an error."""
        clock = Clock()
        cache = make_cache(fallback={NAME: self.KEY}, clock=clock)
        fake.fail(code)
        for _ in range(3):
            used = cache.get(NAME)
            assert (used.key, used.version) == (self.KEY, FALLBACK_VERSION)
        assert fake.count() == 1, "nobody waits again only to get the fallback"
        assert metrics.names().count("fallback") == 3
        warnings = [one for one in caplog.records if one.levelno == logging.WARNING]
        assert len([one for one in warnings if "fallback" in one.getMessage()]) == 3
        clock.advance(1)
        refresh_behind(cache)
        assert cache.get(NAME).key != self.KEY
        clock.advance(HARD)
        fake.fail("ResourceNotFoundException")
        with pytest.raises(SecretStoreError):
            cache.get(NAME)

    def test_a_secret_that_does_not_answer_is_asked_with_growing_pauses(
        self, make_cache: MakeCache, fake: FakeSecrets
    ) -> None:
        """Ten minutes before the secret is made: two dozen fetches, and then within half one."""
        clock = Clock()
        cache = make_cache(fallback={NAME: self.KEY}, clock=clock)
        fake.fail("ResourceNotFoundException", times=1000)
        for _ in range(600):
            assert refresh_behind(cache).key == self.KEY
            clock.advance(1)
        assert 15 <= fake.count() <= 30
        fake._failures.clear()
        clock.advance(30)
        refresh_behind(cache)
        assert cache.get(NAME).key != self.KEY

    def test_a_rejected_fallback_is_replaced_as_soon_as_there_is_a_key(
        self, make_cache: MakeCache, fake: FakeSecrets
    ) -> None:
        """The growing pauses are for those who can go on with the fallback."""
        clock = Clock()
        cache = make_cache(fallback={NAME: self.KEY}, clock=clock)
        fake.fail("ResourceNotFoundException", times=4)
        for pause in (0, 8, 8, 8):
            clock.advance(pause)
            refresh_behind(cache)
        clock.advance(1)
        asked = fake.count()
        assert cache.get(NAME).version == FALLBACK_VERSION
        assert fake.count() == asked
        fresh = cache.refresh(NAME, if_version=FALLBACK_VERSION)
        assert fresh.version == fake.labels["AWSCURRENT"]

    def test_it_is_not_used_where_the_secret_answers_at_once(
        self, make_cache: MakeCache, metrics: RecordingMetrics
    ) -> None:
        """The first get waits for the answer rather than use it."""
        cache = make_cache(fallback={NAME: self.KEY})
        assert cache.get(NAME).key != self.KEY
        assert "fallback" not in metrics.names()

    def test_a_placeholder_value_does_not_count_as_an_answer(
        self, make_cache: MakeCache, fake: FakeSecrets
    ) -> None:
        """A secret that holds "change me" has no key yet."""
        fake.put("change me")
        cache = make_cache(fallback={NAME: self.KEY})
        assert cache.get(NAME).key == self.KEY

    def test_it_is_for_its_own_secret_and_stage_alone(
        self, make_cache: MakeCache, fake: FakeSecrets
    ) -> None:
        """Another secret, or another stage, is an error."""
        cache = make_cache(fallback={NAME: self.KEY})
        for asked in (("another", "AWSCURRENT"), (NAME, "AWSPREVIOUS")):
            with pytest.raises(SecretStoreError):
                cache.get(*asked)

    def test_a_rejected_fallback_is_not_handed_out_again(
        self, make_cache: MakeCache, fake: FakeSecrets
    ) -> None:
        """Who asks for another key hears why there is none."""
        cache = make_cache(fallback={NAME: self.KEY})
        fake.fail("ResourceNotFoundException")
        assert cache.get(NAME).version == FALLBACK_VERSION
        with pytest.raises(SecretStoreError):
            cache.refresh(NAME, if_version=FALLBACK_VERSION)


class TestMetrics:
    """The hooks."""

    def test_each_thing_that_happens_is_told(
        self, cache: CredentialCache, fake: FakeSecrets, clock: Clock, metrics: RecordingMetrics
    ) -> None:
        """A miss, its refresh; a failed refresh, and what is handed out since."""
        first = cache.get(NAME)
        clock.advance(SOFT)
        fake.fail("ThrottlingException")
        refresh_behind(cache)
        assert metrics.events == [
            ("refreshed", first.version),
            ("miss", "AWSCURRENT"),
            ("failed", "ThrottlingException"),
            ("stale", timedelta(seconds=SOFT)),
        ]
        assert cache.age(NAME) == timedelta(seconds=SOFT)

    def test_hits_are_told_to_who_counts_them(self, make_cache: MakeCache, clock: Clock) -> None:
        """Only then is anything called on a hit; what is handed out is the same."""

        class Counting(CacheMetrics):
            hits = 0

            def hit(self, secret_id: str, stage: str) -> None:
                self.hits += 1

        counting = Counting()
        cache = make_cache(metrics=counting)
        first = cache.get(NAME)
        assert [cache.get(NAME) for _ in range(3)] == [first] * 3
        assert counting.hits == 3
        clock.advance(SOFT)
        refresh_behind(cache)
        assert counting.hits == 3
        assert "get" not in vars(make_cache())

    def test_a_hook_that_fails_keeps_nobody_from_a_credential(
        self, make_cache: MakeCache, fake: FakeSecrets, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is logged, and that is all."""

        class Broken(CacheMetrics):
            def miss(self, secret_id: str, stage: str) -> NoReturn:
                raise RuntimeError("no statsd")

            def refreshed(self, secret_id: str, stage: str, credential: object) -> NoReturn:
                raise RuntimeError("no statsd")

            def hit(self, secret_id: str, stage: str) -> NoReturn:
                raise RuntimeError("no statsd")

        cache = make_cache(metrics=Broken())
        assert cache.get(NAME) is cache.get(NAME)
        assert caplog.text.count("a metrics hook failed") == 3


class TestEventLoop:
    """asyncio, without a dependency on it."""

    def test_a_miss_in_a_thread_and_hits_in_the_loop(
        self, cache: CredentialCache, fake: FakeSecrets
    ) -> None:
        """Fifty tasks: one fetch, and the loop goes on turning while it lasts."""
        held = fake.hold()

        async def credential() -> CachedCredential:
            available = cache.peek(NAME)
            if available is not None:
                return available
            return await asyncio.to_thread(cache.get, NAME)

        async def main() -> list[CachedCredential]:
            tasks = [asyncio.create_task(credential()) for _ in range(50)]
            while not held.arrived.is_set():
                await asyncio.sleep(0)
            held.release()
            return await asyncio.gather(*tasks)

        got = asyncio.run(main())
        assert len({id(one) for one in got}) == 1
        assert fake.count() == 1


def test_without_a_thread_the_old_credential_goes_on(
    cache: CredentialCache, fake: FakeSecrets, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many threads, or an interpreter that is about to end: no error, and no lost fetch."""
    old = cache.get(NAME)
    clock.advance(SOFT)

    def refuse(thread: Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(Thread, "start", refuse)
        assert cache.get(NAME) is old
    assert is_idle(cache)
    new = fake.put()
    clock.advance(1)
    refresh_behind(cache)
    assert cache.get(NAME).version == new


Act = Callable[[CredentialCache], object]


@pytest.mark.parametrize(
    "act",
    [
        lambda cache: cache.get(NAME),
        lambda cache: cache.refresh(NAME, if_version="rejected"),
    ],
    ids=["get", "refresh"],
)
def test_errors_are_of_one_tree(cache: CredentialCache, fake: FakeSecrets, act: Act) -> None:
    """Whatever fails, the caller catches RotationError."""
    for code in ("ThrottlingException", "AccessDeniedException"):
        fake.fail(code)
    with pytest.raises(RotationError):
        act(cache)
