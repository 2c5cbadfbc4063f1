"""Programs that fork at the worst moment; test_fork.py runs each in a process of its own.

Usage: ``python -m tests.client.fork_scenarios SCENARIO``. Prints one line for each fact.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from threading import Event, Thread

from rotation.client.credential_cache import CredentialCache
from rotation.client.secret_source import FetchedSecret, ProcessLocal
from rotation.credential import ApiKey

KEY = ApiKey.from_text("4f1c2d3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5", "7b" * 32)


def say(*words: object) -> None:
    """One fact for test_fork.py."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


class Source:
    """Answers with the process that asked; in the parent it may be made to hang."""

    def __init__(self) -> None:
        self.parent = os.getpid()
        self.hanging = False
        self.arrived = Event()
        self.released = Event()

    def fetch(self, secret_id: str, stage: str) -> FetchedSecret:
        if self.hanging and os.getpid() == self.parent:
            self.arrived.set()
            self.released.wait()
        who = "parent" if os.getpid() == self.parent else "child"
        return FetchedSecret("arn", f"{secret_id} by {who}", KEY)


def fork(act: Callable[[], None]) -> None:
    """Run ``act`` in a child, which has a minute."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        act()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    say("child ended with", os.waitstatus_to_exitcode(status))


def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.001)


def during_a_refresh() -> None:
    """A refresh and a miss hang in the parent's threads; the child needs both secrets."""
    now = [0.0]
    source = Source()
    cache = CredentialCache(source, clock=lambda: now[0])
    cache.get("old")
    now[0] = 301.0
    source.hanging = True
    cache.get("old")
    source.arrived.wait()
    source.arrived.clear()
    missing = Thread(target=lambda: cache.get("new"), daemon=True)
    missing.start()
    source.arrived.wait()

    def child() -> None:
        say("child has", cache.get("old").version)
        say("child gets", cache.get("new").version)
        wait_until(lambda: cache.get("old").version == "old by child")
        say("child refreshed", cache.get("old").version)
        say("rejected:", cache.refresh("old", if_version="old by child").version)

    fork(child)
    source.released.set()
    missing.join()
    say("parent gets", cache.get("new").version)


def with_the_lock_held() -> None:
    """A thread of the parent is in the middle of a few assignments."""
    cache = CredentialCache(Source())
    held, released = Event(), Event()

    def hold() -> None:
        with cache._single_flight._lock:
            held.set()
            released.wait()

    holder = Thread(target=hold, daemon=True)
    holder.start()
    held.wait()
    fork(lambda: say("child gets", cache.get("it").version))
    released.set()
    holder.join()
    say("parent gets", cache.get("it").version)


def inside_a_fetch() -> None:
    """The thread that forks is itself in the middle of a fetch, and so is its copy in the child."""
    source = Source()
    cache = CredentialCache(source)
    fetch = source.fetch

    def forks_once(secret_id: str, stage: str) -> FetchedSecret:
        source.fetch = fetch  # type: ignore[method-assign]
        fork(lambda: say("child gets", cache.get("it").version))
        return fetch(secret_id, stage)

    source.fetch = forks_once  # type: ignore[method-assign]
    say("parent gets", cache.get("it").version)


def while_waiting() -> None:
    """A signal handler forks while the main thread waits for another thread's fetch."""
    source = Source()
    source.hanging = True
    cache = CredentialCache(source)
    leader = Thread(target=lambda: cache.get("it"), daemon=True)
    leader.start()
    source.arrived.wait()
    children = []

    def on_signal(number: int, frame: object) -> None:
        child = os.fork()
        if child == 0:
            signal.alarm(60)
        else:
            children.append(child)
            source.released.set()

    signal.signal(signal.SIGUSR1, on_signal)
    main = Thread(target=lambda: signal_when_waiting(cache), daemon=True)
    main.start()
    got = cache.get("it").version
    if not children:
        say("child gets", got)
        os._exit(0)
    _, status = os.waitpid(children[0], 0)
    say("child ended with", os.waitstatus_to_exitcode(status))
    say("parent gets", got)


def signal_when_waiting(cache: CredentialCache) -> None:
    """Interrupt the main thread as soon as it waits."""
    fetch = cache._entries["it", "AWSCURRENT"].fetch
    assert fetch is not None
    wait_until(lambda: bool(fetch.done._cond._waiters))  # type: ignore[attr-defined]
    os.kill(os.getpid(), signal.SIGUSR1)


def a_client_of_its_own() -> None:
    """What is made once in a process is made again in a child, and only then."""
    made = ProcessLocal(lambda: f"made in {'parent' if os.getpid() == parent else 'child'}")
    parent = os.getpid()
    say(made(), made() is made())
    fork(lambda: say(made(), made() is made()))
    say(made())


if __name__ == "__main__":
    globals()[sys.argv[1]]()
