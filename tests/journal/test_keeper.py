"""The keeper of the journals: every change is a compare-and-swap, tried again on a conflict."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier

import pytest

from rotation.errors import JournalConflictError, JournalError, VersionStateError
from rotation.journal.document import serialize
from rotation.journal.keeper import JournalKeeper
from rotation.journal.model import Journal, KeyLife
from tests.journal.journals import ARN, NOW
from tests.journal.memory_store import MemoryJournalStore


@dataclass
class InterruptedStore:
    """A store before or after whose calls something happens.

    Attributes:
        reading: happens before a read.
        before: happens before a write.
        after: happens after a write, and may raise an error: then the answer is lost.
    """

    store: MemoryJournalStore = field(default_factory=MemoryJournalStore)
    reading: Callable[[], None] = lambda: None
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None

    def read(self, secret_arn: str) -> tuple[bytes, str] | None:
        self.reading()
        return self.store.read(secret_arn)

    def write(self, secret_arn: str, body: bytes, replaces: str | None) -> str:
        self.before()
        revision = self.store.write(secret_arn, body, replaces)
        self.after()
        return revision


@pytest.fixture
def store() -> InterruptedStore:
    """A store with no journal in it."""
    return InterruptedStore()


@pytest.fixture
def keeper(store: InterruptedStore) -> JournalKeeper:
    """The keeper of that store."""
    return JournalKeeper(store)


def add(key_id: str) -> Callable[[Journal], Journal]:
    """The change that adds a key."""
    return lambda journal: journal.with_key(key_id, journal.keys.get(key_id) or KeyLife(NOW))


def test_a_secret_without_a_journal_has_an_empty_one(keeper: JournalKeeper) -> None:
    """With no revision, so that the first write creates it."""
    assert keeper.read(ARN) == Journal(ARN)
    assert keeper.read(ARN).revision is None


def test_a_change_is_stored_and_read_back(keeper: JournalKeeper) -> None:
    """What `change` returns can be changed again without being read first."""
    stored = keeper.change(keeper.read(ARN), add("a"))
    assert keeper.read(ARN) == stored
    assert keeper.read(ARN).revision == stored.revision
    again = keeper.change(stored, add("b"))
    assert [*keeper.read(ARN).keys] == [*again.keys] == ["a", "b"]


def test_what_is_unchanged_is_not_written(keeper: JournalKeeper, store: InterruptedStore) -> None:
    """Former states stay few: there is one for each change, and none for each run."""
    stored = keeper.change(keeper.read(ARN), add("a"))
    assert keeper.change(stored, add("a")) is stored
    assert len(store.store.history) == 1


def test_a_change_of_an_older_state_is_made_again_on_the_newer_one(
    keeper: JournalKeeper,
) -> None:
    """Nothing that somebody else wrote meanwhile is lost."""
    empty = keeper.read(ARN)
    keeper.change(empty, add("a"))
    assert [*keeper.change(empty, add("b")).keys] == ["a", "b"]
    assert [*keeper.read(ARN).keys] == ["a", "b"]


def test_a_change_that_somebody_made_already_is_not_written_again(
    keeper: JournalKeeper, store: InterruptedStore
) -> None:
    """It is found in the newer state."""
    empty = keeper.read(ARN)
    first = keeper.change(empty, add("a"))
    assert keeper.change(empty, add("a")) == first
    assert len(store.store.history) == 1


def test_a_change_whose_answer_was_lost_is_found_stored(
    keeper: JournalKeeper, store: InterruptedStore
) -> None:
    """A conflict with oneself is no conflict: the change is in the state that is read again."""

    def lost() -> None:
        store.after = lambda: None
        raise JournalConflictError("The answer was lost, and the second try was refused.")

    store.after = lost
    assert [*keeper.change(keeper.read(ARN), add("a")).keys] == ["a"]
    assert len(store.store.history) == 1


def test_a_change_that_raises_writes_nothing(
    keeper: JournalKeeper, store: InterruptedStore
) -> None:
    """The caller decides again on every state, and may refuse it."""
    keeper.change(keeper.read(ARN), add("a"))
    before = [*store.store.history]

    def refuse(journal: Journal) -> Journal:
        raise VersionStateError(f"{journal.secret_arn} is not what was expected.")

    with pytest.raises(VersionStateError):
        keeper.change(keeper.read(ARN), refuse)
    assert store.store.history == before


def test_a_journal_that_others_change_for_ever_is_given_up(
    keeper: JournalKeeper, store: InterruptedStore
) -> None:
    """After ten tries the next run tries again; the error says that it may."""
    others: list[str] = []

    def somebody_else() -> None:
        others.append(f"k{len(others)}")
        found = keeper.read(ARN)
        store.store.write(ARN, serialize(add(others[-1])(found)), found.revision)

    store.before = somebody_else
    with pytest.raises(JournalConflictError) as told:
        keeper.change(keeper.read(ARN), add("mine"))
    assert told.value.retryable
    assert len(others) == 10
    assert [*keeper.read(ARN).keys] == sorted(others)


def test_a_store_that_fails_is_not_asked_again(
    keeper: JournalKeeper, store: InterruptedStore
) -> None:
    """The error reaches the caller, who concludes nothing."""
    tries: list[None] = []

    def fails() -> None:
        tries.append(None)
        raise JournalError("The bucket refused.", retryable=False)

    store.before = fails
    with pytest.raises(JournalError):
        keeper.change(keeper.read(ARN), add("a"))
    assert len(tries) == 1


def test_a_journal_that_cannot_be_read_is_not_an_empty_one(
    keeper: JournalKeeper, store: InterruptedStore
) -> None:
    """A step that took it for one would promote a suspect key."""

    def fails() -> None:
        raise JournalError("The bucket refused.")

    store.reading = fails
    with pytest.raises(JournalError):
        keeper.read(ARN)


def test_no_change_is_lost_among_threads(keeper: JournalKeeper) -> None:
    """Four who change one journal at the same time all find their change in it."""
    begin = Barrier(4)

    def write(name: str) -> None:
        begin.wait()
        for number in range(2):
            keeper.change(keeper.read(ARN), add(f"{name}{number}"))

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write, name) for name in "abcd"]:
            done.result()
    assert len(keeper.read(ARN).keys) == 8
