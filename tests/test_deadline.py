"""The deadline of an invocation, with a clock in the test's hands."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

from rotation.deadline import Deadline


class Seconds:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_time_that_is_left_shrinks_as_the_clock_moves() -> None:
    """At the deadline itself nothing is lost yet; after it the time that is left is negative."""
    clock = Seconds()
    deadline = Deadline.after(timedelta(seconds=10), clock)
    clock.now += 4
    assert deadline.left() == timedelta(seconds=6)
    clock.now += 6
    assert not deadline.passed()
    clock.now += 1
    assert deadline.passed()
    assert deadline.left() == timedelta(seconds=-1)


def test_a_reserve_makes_an_earlier_deadline() -> None:
    """The deadline itself does not move."""
    clock = Seconds()
    deadline = Deadline.after(timedelta(seconds=10), clock)
    assert deadline.before(timedelta(seconds=3)).left() == timedelta(seconds=7)
    assert deadline.left() == timedelta(seconds=10)


def test_a_lambda_context_gives_its_deadline() -> None:
    """Its milliseconds are counted from now on."""
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000)
    left = Deadline.of(context).left()
    assert timedelta(seconds=59) < left <= timedelta(seconds=60)
