"""Runs all that is to be run, in worker processes, and counts what violates an invariant."""

from __future__ import annotations

import gc
import multiprocessing
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.harness.explore.actors import ACTORS
from tests.harness.explore.schedule import Schedule
from tests.harness.explore.search import PairResult, PairSize, all_pairs, draw, explore_pair
from tests.harness.explore.starts import STARTS
from tests.harness.explore.trial import Laboratory


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        pairs: how every pair is run from every start; None: it is not.
        singles: how many schedules of pairs with at most one preemption are drawn instead.
        triples: how many schedules of three actors are drawn.
        failures: how many schedules with a call that fails are drawn.
        seed: what they are drawn with.
        starts: the names of the starts.
        actors: the names of the actors.
    """

    pairs: PairSize | None = field(default_factory=PairSize)
    singles: int = 0
    triples: int = 6_000
    failures: int = 6_000
    seed: int = 1
    starts: tuple[str, ...] = tuple(STARTS)
    actors: tuple[str, ...] = tuple(ACTORS)


SHORT = Size(pairs=None, singles=240, triples=60, failures=60)


@dataclass
class Counts:
    """What was run, and what came of it.

    Attributes:
        schedules: how many schedules were judged.
        steps: how many steps they had.
        pairs: how many pairs were run, from each start.
        complete: how many of these were run with every single preemption.
        of_pairs: how many schedules these were, with one preemption at most.
        seconds: how many schedules of pairs had two preemptions.
        violated: the line of each violation.
    """

    schedules: int = 0
    steps: int = 0
    pairs: int = 0
    complete: int = 0
    of_pairs: int = 0
    seconds: int = 0
    triples: int = 0
    failures: int = 0
    violated: list[str] = field(default_factory=list)


@dataclass
class _Done:
    """What a worker has done of one job."""

    kind: str
    result: PairResult


_Job = tuple[str, Size, Schedule | None, int]


def explore(size: Size, processes: int, progress: Callable[[Counts], None]) -> Counts:
    """Run everything; ``progress`` is called after each job."""
    counts = Counts()
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, initializer=_begin) as pool:
        jobs = list(_jobs(size, pool.apply(_bases, (size,))))
        for done in pool.imap_unordered(_work, jobs, chunksize=8):
            _count(counts, done)
            progress(counts)
    return counts


def _jobs(size: Size, bases: Sequence[Schedule]) -> Iterator[_Job]:
    if size.pairs is not None:
        yield from (("pair", size, base, 0) for base in bases)
    # Twenty schedules in each job: its place seeds them all.
    for kind, number in (
        ("single", size.singles),
        ("triple", size.triples),
        ("failure", size.failures),
    ):
        for place in range(0, number, 20):
            yield kind, size, None, place


def _bases(size: Size) -> list[Schedule]:
    return all_pairs(_laboratory, size.starts, size.actors) if size.pairs is not None else []


def _count(counts: Counts, done: _Done) -> None:
    result = done.result
    counts.schedules += result.run
    counts.steps += result.calls
    if done.kind == "pair":
        counts.pairs += 1
        counts.complete += result.complete
        counts.of_pairs += result.run - result.seconds
        counts.seconds += result.seconds
    counts.triples += result.run if done.kind == "triple" else 0
    counts.failures += result.run if done.kind == "failure" else 0
    counts.violated += [one.told() for one in result.violated]


_laboratory: Laboratory
_open = ExitStack()


def _begin() -> None:
    global _laboratory  # noqa: PLW0603 - what a worker process keeps between jobs
    _laboratory = Laboratory()
    _open.enter_context(_laboratory.open())
    # What was imported stays: not to be looked through again and again.
    gc.freeze()


def _work(job: _Job) -> _Done:
    done = _Done(job[0], perform(_laboratory, job))
    for one in done.result.violated:
        # Only the line is read by anybody, and steps are many.
        one.steps.clear()
    return done


def perform(laboratory: Laboratory, job: _Job) -> PairResult:
    """Do one job."""
    kind, size, base, place = job
    if kind == "pair":
        assert base is not None
        assert size.pairs is not None
        return explore_pair(laboratory, base, size.pairs)
    result = PairResult()
    chance = random.Random(f"{size.seed} {kind} {place}")
    hands, most, fails = _DRAWS[kind]
    for _ in range(_DRAWS_OF_A_JOB):
        drawn = draw(
            laboratory, chance, size.starts, size.actors, hands=hands, most=most, fails=fails
        )
        for schedule in drawn:
            result.add(laboratory.run(schedule))
    return result


#: How many actors each kind of draw has, how many preemptions at most, and whether a call fails.
_DRAWS = {"single": (2, 1, False), "triple": (3, 2, False), "failure": (2, 1, True)}
_DRAWS_OF_A_JOB = 5
