"""Documents that cost much are prepared one after the other, and none waits too long for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread

import pytest

from rotation.errors import SealingError
from rotation.sealing.turns import Turns
from tests.deadlines import deadline_of

_LONG = 60


@contextmanager
def _taken(turns: Turns) -> Iterator[Event]:
    """Another thread has the turn until the event is set."""
    begun, over = Event(), Event()

    def hold() -> None:
        with turns.take():
            begun.set()
            over.wait(_LONG)

    thread = Thread(target=hold)
    thread.start()
    assert begun.wait(_LONG)
    try:
        yield over
    finally:
        over.set()
        thread.join()


def test_a_turn_that_is_not_free_in_time_is_an_error_that_passes() -> None:
    """The message returns to its queue before Lambda ends the invocation."""
    turns = Turns(deadline_of(lambda: timedelta(0)))
    with _taken(turns), pytest.raises(SealingError) as caught, turns.take():
        pass
    assert caught.value.retryable


def test_a_turn_is_free_again_after_the_one_before() -> None:
    """Also for a thread that waits for it without a deadline."""
    turns, had = Turns(), Event()

    def wait_for_it() -> None:
        with turns.take():
            had.set()

    with _taken(turns) as over:
        waiting = Thread(target=wait_for_it)
        waiting.start()
        assert not had.is_set()
        over.set()
        assert had.wait(_LONG)
    waiting.join()


def test_a_turn_ends_with_an_error_too() -> None:
    """A document that cannot be read holds up no other."""
    turns = Turns(deadline_of(lambda: timedelta(0)))
    with pytest.raises(KeyError), turns.take():
        raise KeyError
    with turns.take():
        pass
