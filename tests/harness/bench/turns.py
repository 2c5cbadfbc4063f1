"""Subjects measured turn by turn, each in a process of its own.

What a subject needs of memory is its process's peak, and what it imports is nobody else's. Turns go
round: each subject has one, then each has the next, so that a busy moment is busy for all.

A subject is ``module:maker``; the maker is given its settings and returns what a turn does.
Settings come over stdin and are on no command line.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Self

from tests.paths import ROOT


@dataclass
class Subject:
    """One subject; a context manager, which ends its process.

    Attributes:
        maker: ``module:function``.
        settings: what the maker is called with.
        environment: variables of its process beside this one's.
        seconds: of each turn so far.
        imports_mib: its memory after its imports, before it was made.
        peak_mib: the peak of its memory so far.
    """

    maker: str
    settings: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    seconds: list[float] = field(default_factory=list)
    imports_mib: float = 0.0
    peak_mib: float = 0.0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.harness.bench.turns", self.maker],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ask(self.settings)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)

    def turn(self, times: int = 1) -> None:
        """Do it ``times`` times, and keep how long one of them took."""
        answer = self._ask({"times": times})
        self.seconds.append(answer["seconds"])
        self.imports_mib = answer["imports_mib"]
        self.peak_mib = answer["peak_mib"]

    def median(self) -> float:
        """The median of the turns, seconds."""
        return median(self.seconds)

    def over(self, other: Self) -> float:
        """How long it takes, as a multiple of ``other``."""
        return round(self.median() / other.median(), 3)

    def _ask(self, question: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.maker} failed; its error is above")
        return json.loads(answer)


def take_turns(
    *subjects: Subject, rounds: int, times: int = 1, after: Callable[[], object] = lambda: None
) -> None:
    """Have each subject do its work once to warm up, then in ``rounds`` turns of ``times``.

    Args:
        subjects: what is measured.
        rounds: how many turns each of them has.
        times: how often it does its work in one.
        after: what is done after each turn, by nobody's clock.
    """
    with ExitStack() as running:
        for subject in subjects:
            running.enter_context(subject)
            subject.turn()
            subject.seconds.clear()
            after()
        for _ in range(rounds):
            for subject in subjects:
                subject.turn(times)
                after()


def memory_mib(of: str) -> float:
    """This process's memory now (VmRSS) or at its peak (VmHWM); proc_pid_status(5).

    Not ru_maxrss, which a process inherits from the one that started it.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{of}:")[2].split()[0]) / 1024


def timed(act: Callable[[], object], times: int) -> float:
    """Seconds that one of ``times`` takes."""
    gc.collect()
    begun = time.perf_counter()
    for _ in range(times):
        act()
    return (time.perf_counter() - begun) / times


def main() -> None:
    """Be a subject: a line of settings, then a line for each turn."""
    # What the subject prints is not an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    module, _, maker = sys.argv[1].partition(":")
    settings = json.loads(sys.stdin.readline())
    make = getattr(importlib.import_module(module), maker)
    imports = memory_mib("VmRSS")
    act = make(**settings)
    answer: dict[str, float] = {}
    while True:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        question = sys.stdin.readline()
        if not question:
            return
        answer = {
            "seconds": timed(act, json.loads(question)["times"]),
            "imports_mib": imports,
            "peak_mib": memory_mib("VmHWM"),
        }


if __name__ == "__main__":
    main()
