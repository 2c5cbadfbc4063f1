"""Many threads at one cache: who fetches, who waits, and what becomes of a lost fetch."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import Event, Thread

import pytest

from rotation.client.credential_cache import CachedCredential, CredentialCache
from rotation.client.metrics import CacheMetrics
from rotation.errors import RotationError, SecretStoreError
from tests.client.conftest import MakeCache
from tests.client.fixtures import (
    NAME,
    PATIENCE,
    Clock,
    FakeSecrets,
    HeldFetch,
    RecordingMetrics,
    SandboxSecrets,
    is_idle,
    run_in_threads,
    wait_until,
    waiting_threads,
)
from tests.client.test_cache import HARD, SOFT, refresh_behind
from tests.paths import ROOT
from tests.rotation_fixture import RotationFixture


def in_thread(act: object, results: list[object]) -> Thread:
    """Start a thread that appends what ``act`` returns or raises."""

    def run() -> None:
        try:
            results.append(act())  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            results.append(error)

    thread = Thread(target=run)
    thread.start()
    return thread


@contextmanager
def released(cache: CredentialCache, held: HeldFetch, waiters: int) -> Iterator[None]:
    """Release a fetch as soon as so many threads wait for it."""

    def release() -> None:
        wait_until(lambda: waiting_threads(cache) == waiters)
        held.release()

    releasing = Thread(target=release)
    releasing.start()
    yield
    releasing.join()


def test_a_hundred_cold_threads_fetch_once(cache: CredentialCache, fake: FakeSecrets) -> None:
    """All of them wait for one fetch, and all get the one object that it brought."""
    held = fake.hold()
    with released(cache, held, waiters=99):
        got = run_in_threads(100, lambda: cache.get(NAME))
    assert {type(one) for one in got} == {CachedCredential}
    assert len({id(one) for one in got}) == 1
    assert fake.count() == 1


def test_a_hundred_cold_threads_ask_secrets_manager_once(rotation_fixture: RotationFixture) -> None:
    """The same over real sockets: exactly one GetSecretValue."""
    real = SandboxSecrets(rotation_fixture)
    version = real.put()
    cache = CredentialCache(real.source)
    got = run_in_threads(100, lambda: cache.get(NAME))
    assert {one.version for one in got} == {version}
    assert real.count() == 1


def test_a_hundred_cold_threads_hear_one_refusal(cache: CredentialCache, fake: FakeSecrets) -> None:
    """The error of the one fetch is every waiter's error, each as an object of its own."""
    held = fake.hold()
    fake.fail("AccessDeniedException")
    with released(cache, held, waiters=99):
        got = run_in_threads(100, lambda: cache.get(NAME))
    assert {type(one) for one in got} == {SecretStoreError}
    assert len({id(one) for one in got}) == 100
    assert fake.count() == 1


def test_twenty_rejected_threads_fetch_once(cache: CredentialCache, fake: FakeSecrets) -> None:
    """All had their key rejected; one fetch brings the next one to all."""
    old = cache.get(NAME).version
    new = fake.put()
    held = fake.hold()
    with released(cache, held, waiters=19):
        got = run_in_threads(20, lambda: cache.refresh(NAME, if_version=old))
    assert {one.version for one in got} == {new}
    assert fake.count() == 2


def test_twenty_rejected_threads_ask_secrets_manager_once(
    rotation_fixture: RotationFixture,
) -> None:
    """The same over real sockets, and whoever comes later asks not at all."""
    real = SandboxSecrets(rotation_fixture)
    old = real.put()
    cache = CredentialCache(real.source)
    assert cache.get(NAME).version == old
    new = real.put()
    got = run_in_threads(20, lambda: cache.refresh(NAME, if_version=old))
    assert {one.version for one in got} == {new}
    assert cache.refresh(NAME, if_version=old).version == new
    assert real.count() == 2


def test_no_reader_waits_while_a_refresh_runs(
    cache: CredentialCache, fake: FakeSecrets, clock: Clock
) -> None:
    """Past the soft TTL, with the refresh held up: fifty threads are answered, and one fetches."""
    old = cache.get(NAME)
    new = fake.put()
    clock.advance(SOFT)
    held = fake.hold()
    assert cache.get(NAME) is old
    assert held.arrived.wait(PATIENCE)
    assert all(one is old for one in run_in_threads(50, lambda: cache.get(NAME)))
    assert fake.count() == 2
    held.release()
    wait_until(lambda: is_idle(cache))
    assert cache.get(NAME).version == new


def test_a_rejected_key_is_handed_to_nobody_while_another_is_fetched(
    cache: CredentialCache, fake: FakeSecrets
) -> None:
    """Whoever asks then waits for that one fetch, and sends no key that was seen rejected."""
    old = cache.get(NAME)
    new = fake.put()
    held = fake.hold()
    results: list[object] = []
    rejected = in_thread(lambda: cache.refresh(NAME, if_version=old.version), results)
    assert held.arrived.wait(PATIENCE)
    assert cache.peek(NAME) is None
    with released(cache, held, waiters=10):
        got = run_in_threads(10, lambda: cache.get(NAME))
    rejected.join()
    assert {one.version for one in got} == {new}
    assert fake.count() == 2


@pytest.mark.parametrize("value", [None, "{"], ids=["outage", "malformed"])
def test_who_waited_for_another_key_gets_the_old_one_if_there_is_none(
    cache: CredentialCache, fake: FakeSecrets, value: str | None
) -> None:
    """A fetch that fails is an error to who was rejected; the others go on with what is held."""
    old = cache.get(NAME)
    held = fake.hold()
    if value is None:
        fake.fail("ThrottlingException")
    else:
        fake.put(value)
    results: list[object] = []
    rejected = in_thread(lambda: cache.refresh(NAME, if_version=old.version), results)
    assert held.arrived.wait(PATIENCE)
    with released(cache, held, waiters=10):
        got = run_in_threads(10, lambda: cache.get(NAME))
    rejected.join()
    assert [isinstance(one, RotationError) for one in results] == [True]
    assert all(one is old for one in got), got
    assert fake.count() == 2


def test_a_vendor_that_rejects_by_mistake_locks_nobody_out(
    cache: CredentialCache, fake: FakeSecrets
) -> None:
    """If Secrets Manager has no other version, the same one is handed out again."""
    old = cache.get(NAME)
    assert cache.refresh(NAME, if_version=old.version).version == old.version
    assert cache.get(NAME).version == old.version


def test_past_the_hard_ttl_readers_wait_for_the_refresh_that_runs(
    cache: CredentialCache, fake: FakeSecrets, clock: Clock
) -> None:
    """They do not begin one each, and do not get what is too old."""
    old = cache.get(NAME)
    new = fake.put()
    clock.advance(HARD - 1)
    held = fake.hold()
    assert cache.get(NAME) is old
    clock.advance(1)
    with released(cache, held, waiters=10):
        got = run_in_threads(10, lambda: cache.get(NAME))
    assert {one.version for one in got} == {new}
    assert fake.count() == 2


def test_an_answer_from_before_the_rejection_does_not_count(
    cache: CredentialCache, fake: FakeSecrets, clock: Clock
) -> None:
    """A refresh had read the old version already: those who were rejected since fetch once more."""
    old = cache.get(NAME).version
    clock.advance(SOFT)
    earlier = fake.hold()
    cache.get(NAME)
    assert earlier.arrived.wait(PATIENCE)
    new = fake.put()
    with released(cache, earlier, waiters=20):
        got = run_in_threads(20, lambda: cache.refresh(NAME, if_version=old))
    assert {one.version for one in got} == {new}
    assert fake.count() == 3


def test_the_same_version_again_is_asked_for_at_a_limited_rate(
    cache: CredentialCache, fake: FakeSecrets, clock: Clock
) -> None:
    """Ten rejections a second for a minute: a few fetches, and nobody waits."""
    old = cache.get(NAME).version
    asked = fake.count()
    pauses = []
    begun = clock.now
    for _ in range(600):
        before = fake.count()
        assert cache.refresh(NAME, if_version=old).version == old
        if fake.count() > before:
            pauses.append(clock.now - begun)
            begun = clock.now
        clock.advance(0.1)
    assert pauses == pytest.approx([0, 0.5, 1, 2, 4, 8, 10, 10, 10, 10], abs=0.11)
    assert fake.count() - asked == len(pauses)
    new = fake.put()
    clock.advance(10)
    assert cache.refresh(NAME, if_version=old).version == new
    assert cache.refresh(NAME, if_version=new).version == new
    clock.advance(0.5)
    newest = fake.put()
    assert cache.refresh(NAME, if_version=new).version == newest, "a new version, a new beginning"


def test_twenty_rejected_threads_with_no_other_version_fetch_once(
    cache: CredentialCache, fake: FakeSecrets
) -> None:
    """Those who waited for the fetch that brought the same again do not fetch again one by one."""
    old = cache.get(NAME).version
    held = fake.hold()
    with released(cache, held, waiters=19):
        got = run_in_threads(20, lambda: cache.refresh(NAME, if_version=old))
    assert {one.version for one in got} == {old}
    assert fake.count() == 2


def test_a_rejection_of_an_older_version_fetches_nothing(
    cache: CredentialCache, fake: FakeSecrets
) -> None:
    """The cache has moved on: what it holds is the answer."""
    old = cache.get(NAME).version
    new = fake.put()
    cache.refresh(NAME, if_version=old)
    for _ in range(5):
        assert cache.refresh(NAME, if_version=old).version == new
    assert fake.count() == 2


def test_an_outage_at_a_rejection_is_told_and_keeps_what_is_there(
    cache: CredentialCache, fake: FakeSecrets, clock: Clock
) -> None:
    """Who was rejected hears of the outage at once; who was not goes on; nobody hammers."""
    old = cache.get(NAME)
    fake.fail("ThrottlingException")
    for _ in range(10):
        with pytest.raises(SecretStoreError) as failed:
            cache.refresh(NAME, if_version=old.version)
        assert failed.value.retryable
    assert cache.get(NAME) is old
    assert fake.count() == 2
    new = fake.put()
    clock.advance(1)
    assert cache.refresh(NAME, if_version=old.version).version == new


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_leader_that_is_interrupted_leaves_nobody_waiting(
    cache: CredentialCache, fake: FakeSecrets, interruption: type[BaseException]
) -> None:
    """The interruption is the leader's own; one of those who waited fetches for the others."""
    held = fake.hold()
    fake.interrupt(interruption())
    results: list[object] = []
    leader = in_thread(lambda: cache.get(NAME), results)
    assert held.arrived.wait(PATIENCE)
    with released(cache, held, waiters=20):
        got = run_in_threads(20, lambda: cache.get(NAME))
    leader.join()
    assert [type(one) for one in results] == [interruption]
    assert len({id(one) for one in got}) == 1
    assert isinstance(got[0], CachedCredential)
    assert fake.count() == 2


def test_a_lost_fetch_is_given_up(
    cache: CredentialCache, fake: FakeSecrets, clock: Clock, metrics: RecordingMetrics
) -> None:
    """A fetch that hangs for two minutes is replaced; when it lands after all, nothing changes."""
    hanging = fake.hold()
    lost: list[object] = []
    first = in_thread(lambda: cache.get(NAME), lost)
    assert hanging.arrived.wait(PATIENCE)
    new = fake.put()
    got: list[object] = []
    second = in_thread(lambda: cache.get(NAME), got)
    wait_until(lambda: waiting_threads(cache) == 1)
    clock.advance(120)
    second.join(PATIENCE)
    assert [one.version for one in got] == [new]  # type: ignore[attr-defined]
    hanging.release()
    first.join(PATIENCE)
    assert [one.version for one in lost] == [new]  # type: ignore[attr-defined]
    assert cache.get(NAME).version == new
    assert [told for told in metrics.events if told[0] == "refreshed"] == [("refreshed", new)]


def test_a_credential_is_as_old_as_the_question_that_brought_it(
    cache: CredentialCache, fake: FakeSecrets, clock: Clock
) -> None:
    """Secrets Manager may have read it at once and answered late: that time counts."""
    held = fake.hold()
    got: list[object] = []
    first = in_thread(lambda: cache.get(NAME), got)
    assert held.arrived.wait(PATIENCE)
    clock.advance(60)
    held.release()
    first.join(PATIENCE)
    assert cache.age(NAME) == timedelta(seconds=60)
    clock.advance(HARD - 60)
    assert cache.peek(NAME) is None


def test_a_refresh_that_hangs_is_replaced_behind_its_readers(
    cache: CredentialCache, fake: FakeSecrets, clock: Clock
) -> None:
    """A thread that never comes back does not end all refreshing."""
    old = cache.get(NAME)
    clock.advance(SOFT)
    hanging = fake.hold()
    cache.get(NAME)
    assert hanging.arrived.wait(PATIENCE)
    new = fake.put()
    clock.advance(119)
    assert cache.get(NAME) is old
    assert fake.count() == 2
    clock.advance(1)
    cache.get(NAME)
    wait_until(lambda: cache.get(NAME).version == new)
    hanging.release()
    wait_until(lambda: is_idle(cache))
    assert cache.get(NAME).version == new


def test_rejections_rotations_and_trouble_all_at_once(make_cache: MakeCache) -> None:
    """Eight threads find every version rejected: none is left behind, and none ever goes back."""
    fake = FakeSecrets()
    order = [fake.put()]
    # Each look at this clock takes a second, so that every TTL and pause runs out on the way.
    seconds = itertools.count()
    cache = make_cache(source=fake, clock=lambda: float(next(seconds)))
    roles = itertools.count()
    seen: dict[int, list[str]] = {role: [cache.get(NAME).version] for role in range(9)}

    def use(mine: list[str]) -> None:
        while mine[-1] != order[-1] or len(order) < 60:
            with suppress(SecretStoreError):
                mine.append(cache.refresh(NAME, if_version=mine[-1]).version)

    def rotate(mine: list[str]) -> None:
        for number in range(59):
            order.append(fake.put())
            if number % 5 == 0:
                fake.fail("ThrottlingException")
            while number % 3 and mine[-1] != order[-1]:
                with suppress(SecretStoreError):
                    mine.append(cache.get(NAME).version)

    def play() -> None:
        role = next(roles)
        (use if role else rotate)(seen[role])

    assert run_in_threads(9, play) == [None] * 9
    for role, versions in seen.items():
        places = [order.index(version) for version in versions]
        assert places == sorted(places)
        assert role == 0 or places[-1] == len(order) - 1
    wait_until(lambda: is_idle(cache))


def test_a_slow_hook_holds_up_its_own_thread_alone(
    make_cache: MakeCache, fake: FakeSecrets
) -> None:
    """Those who wait for a fetch have its outcome before any hook is told of it."""
    told, released = Event(), Event()

    class Slow(CacheMetrics):
        def refreshed(self, secret_id: str, stage: str, credential: CachedCredential) -> None:
            told.set()
            assert released.wait(PATIENCE)

    cache = make_cache(metrics=Slow())
    held = fake.hold()
    first: list[object] = []
    leader = in_thread(lambda: cache.get(NAME), first)
    assert held.arrived.wait(PATIENCE)
    second: list[object] = []
    waiter = in_thread(lambda: cache.get(NAME), second)
    wait_until(lambda: waiting_threads(cache) == 1)
    held.release()
    waiter.join(PATIENCE)
    assert told.wait(PATIENCE)
    assert (len(first), len(second)) == (0, 1)
    released.set()
    leader.join()
    assert first == second


FOREVER = """
import atexit, threading
from rotation import CredentialCache
from rotation.client.secret_source import FetchedSecret
from rotation.credential import ApiKey

key = ApiKey.from_text("4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5", "7b" * 32)
now, arrived = [0.0], threading.Event()

class Source:
    def fetch(self, secret_id, stage):
        if now[0]:
            arrived.set()
            threading.Event().wait()
        return FetchedSecret("arn", "v1", key)

cache = CredentialCache(Source(), clock=lambda: now[0])
cache.get("it")
now[0] = 301.0
cache.get("it")
arrived.wait()
atexit.register(lambda: print(cache.get("it").version, "at the exit"))
print("the end")
"""


@pytest.mark.slow
def test_a_refresh_that_runs_does_not_keep_the_interpreter_from_its_end() -> None:
    """Nothing is waited for at the exit, and what is there can be had until then."""
    ended = subprocess.run(
        [sys.executable, "-c", FOREVER],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert ended.stdout.split("\n") == ["the end", "v1 at the exit", ""]
    assert ended.stderr == ""


def test_a_second_reader_of_an_old_credential_begins_no_second_refresh(
    cache: CredentialCache, fake: FakeSecrets, clock: Clock
) -> None:
    """One thread refreshes, however often it is found due."""
    cache.get(NAME)
    clock.advance(SOFT)
    refresh_behind(cache)
    assert fake.count() == 2
    run_in_threads(20, lambda: cache.get(NAME))
    assert fake.count() == 2
