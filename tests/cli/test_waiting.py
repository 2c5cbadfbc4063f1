"""What a command says while it waits, and when it stops waiting."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest
from rich.console import Console

from rotation.cli.rotate import RotationWait
from rotation.cli.shared.waiting import (
    Interrupted,
    WaitLog,
    in_background,
    in_parallel,
    told_when_interrupted,
)
from rotation.incident.containment import WaitClock
from rotation.secrets_manager.snapshot import Snapshot

TOKEN = "4f1c2b3a-0000-4000-8000-1234567890ab"
LIMIT = timedelta(seconds=60)


def failure(code: str = "vendor_unavailable", *, retryable: bool = True) -> dict[str, Any]:
    message = "create key: the vendor refuses."
    facts = {"token": TOKEN, "at": "2026-03-01T12:00:00.000Z", "step": "createSecret"}
    return facts | {"code": code, "message": message, "retryable": retryable}


@dataclass
class Waiting:
    """A rotation as the two services tell of it, second by second.

    Attributes:
        labels: the labels of the version from each second on.
        told: the failed steps from each second on; an exception: nobody answers.
        seconds: how long the command has slept.
        asked: when the reconcile function was asked.
    """

    labels: Mapping[int, str]
    told: Mapping[int, Sequence[Mapping[str, Any]] | click.ClickException] = field(
        default_factory=dict
    )
    seconds: float = 0.0
    asked: list[float] = field(default_factory=list)
    output: io.StringIO = field(default_factory=io.StringIO)

    def run(self) -> str | None:
        clocks = WaitClock(lambda: datetime.now(UTC), lambda: self.seconds, self._sleep)
        console = Console(file=self.output, soft_wrap=True)
        wait = RotationWait(
            "api", TOKEN, self._look, self._failures, WaitLog(console), clocks=clocks
        )
        return wait.run(LIMIT)

    def _look(self) -> Snapshot:
        label = self._now(self.labels)
        labels = {TOKEN: frozenset({label} if label else ())}
        return Snapshot("arn", None, True, "function", labels, None)

    def _failures(self) -> Sequence[Mapping[str, Any]]:
        self.asked.append(self.seconds)
        told = self._now(self.told) if self.told else ()
        if isinstance(told, click.ClickException):
            raise told
        return list(told)

    def _now(self, table: Mapping[int, Any]) -> Any:
        return next((table[at] for at in sorted(table, reverse=True) if at <= self.seconds), ())

    def _sleep(self, seconds: float) -> None:
        self.seconds += seconds


def test_a_new_key_that_is_current_ends_the_wait() -> None:
    """Nobody is asked for a cause more often than every few seconds."""
    waiting = Waiting({0: "AWSPENDING", 30: "AWSCURRENT"})
    assert waiting.run() is None
    assert waiting.seconds == 30
    assert len(waiting.asked) <= 8


def test_an_error_that_does_not_pass_ends_the_wait_at_once() -> None:
    """It says the step, the error, its code and what to do, and does not wait for the limit."""
    waiting = Waiting({0: "AWSPENDING"}, {4: [failure("key_quota", retryable=False)]})
    assert waiting.run() == (
        "createSecret failed: create key: the vendor refuses [key_quota]. When that is mended: "
        "rotation unstick api --apply, then: rotation rotate api"
    )
    assert waiting.seconds < 10


def test_an_error_that_may_pass_is_shown_once_and_waited_for() -> None:
    """Secrets Manager repeats the rotation, which gets through."""
    waiting = Waiting(
        {0: "AWSPENDING", 30: "AWSCURRENT"}, {4: [failure()], 9: [failure(), failure("clock_skew")]}
    )
    assert waiting.run() is None
    lines = waiting.output.getvalue().splitlines()
    assert [line[10:] for line in lines] == [
        "api  createSecret failed: create key: the vendor refuses [vendor_unavailable]",
        "api  createSecret failed: create key: the vendor refuses [clock_skew]",
    ]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({4: [failure()]}, "[vendor_unavailable]. That may pass by itself"),
        ({}, "No step has said that it failed. If the rotation function is ended by Lambda"),
        ({0: click.ClickException("Not allowed.")}, "The cause is not known. Not allowed."),
    ],
)
def test_when_the_time_is_over_it_says_what_is_known(told: dict[int, Any], said: str) -> None:
    """The newest cause, that there is none, or that nobody answers the question for it."""
    waiting = Waiting({0: "AWSPENDING"}, told)
    assert said in str(waiting.run())
    assert waiting.seconds > LIMIT.total_seconds()


def test_a_question_that_is_refused_is_not_asked_again() -> None:
    """A caller without the right is told so at the end, and sees the new key all the same."""
    waiting = Waiting({0: "AWSPENDING", 30: "AWSCURRENT"}, {0: click.ClickException("No.")})
    assert waiting.run() is None
    assert len(waiting.asked) == 1


def test_a_version_that_was_given_up_ends_the_wait() -> None:
    """AWSPENDING is off it for some seconds: DescribeSecret may not show at once what is so."""
    abandoned = failure("credential_rejected", retryable=False)
    waiting = Waiting({0: "AWSPENDING", 3: ""}, {6: [abandoned]})
    assert "AWSPENDING is off it" in str(waiting.run())
    assert waiting.seconds < 15
    assert Waiting({0: "", 3: "AWSPENDING", 6: "", 8: "AWSCURRENT"}).run() is None


def test_an_interrupted_command_says_what_goes_on_without_it() -> None:
    """Exit code 130, and one line on standard error."""
    with pytest.raises(Interrupted) as ended, told_when_interrupted("AWS goes on."):
        raise KeyboardInterrupt
    assert (ended.value.exit_code, ended.value.message) == (130, "AWS goes on.")


def test_work_in_the_background_gives_its_results_and_errors() -> None:
    """Results keep the order of what they are of; an error is raised where it is awaited."""
    assert in_background(lambda: 7) == 7
    assert in_parallel(lambda number: number * 2, range(20), 3) == list(range(0, 40, 2))
    for work in (
        lambda: in_background(lambda: 1 // 0),
        lambda: in_parallel(lambda n: 1 // n, [1, 0], 2),
    ):
        with pytest.raises(ZeroDivisionError):
            work()


def test_a_terminal_shows_what_is_waited_for_below_the_lines() -> None:
    """Elsewhere there is one line for each change, and nothing else."""
    shown = {}
    for terminal in (True, False):
        output = io.StringIO()
        console = Console(file=output, force_terminal=terminal, width=100, soft_wrap=True)
        log = WaitLog(console)
        with log.waiting("the new key"):
            log.log("api", "rotation begun")
        log.log("api", "a thread that goes on says nothing more")
        shown[terminal] = output.getvalue()
    assert "0 s, waiting for the new key; Ctrl-C stops the waiting" in shown[True]
    assert shown[False] == "   0.0 s  api  rotation begun\n"
