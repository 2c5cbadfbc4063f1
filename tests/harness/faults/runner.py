"""Runs scenarios in worker processes and counts what they violate."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial

from tests.harness.faults.activities import ACTIVITIES
from tests.harness.faults.scenarios import Outcome, Scenario, pairs, run, singles
from tests.harness.faults.world_factories import WorldFactory, quick

#: Activities whose single faults also happen over sockets; the others differ from them in what
#: was before or comes after, not in their calls.
OVER_SOCKETS = ("rotation", "first", "reconcile", "idle", "force", "dead-pending", "replay")


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        sockets: every how many singles one also happens over sockets.
        quick: every how many singles one happens in the quick world.
        pairs: how many pairs are drawn, about evenly from all that there are.
        seed: what they are drawn with.
    """

    sockets: int = 1
    quick: int = 1
    pairs: int = 5900
    seed: int = 1


SHORT = Size(sockets=149, quick=61, pairs=100)
SAMPLE = Size(sockets=251, quick=201, pairs=24)


@dataclass
class ScenarioCounts:
    """What was run, and what came of it."""

    singles: int = 0
    singles_over_sockets: int = 0
    pairs: int = 0
    kills: int = 0
    violated: list[str] = field(default_factory=list)

    @property
    def scenarios(self) -> int:
        """All of them."""
        return self.singles + self.singles_over_sockets + self.pairs + self.kills


@dataclass(frozen=True)
class Job:
    """A scenario and its world, and how many second faults are drawn for it."""

    scenario: Scenario
    sockets: bool
    pairs: int = 0
    seed: int = 0


@cache
def clean_run(activity: str) -> Outcome:
    """What the product does in an activity without a fault, in the quick world."""
    return run(Scenario(activity), quick)


def jobs(size: Size) -> Iterator[Job]:
    """Everything that is run, found by running each activity without a fault."""
    found: dict[str, list[Scenario]] = {}
    for name in ACTIVITIES:
        clean = clean_run(name)
        every = ACTIVITIES[name].every
        found[name] = [Scenario(name), *list(singles(clean.calls, name))[::every]]
    for name in OVER_SOCKETS:
        for scenario in found[name][size.sockets // 2 :: size.sockets]:
            yield Job(scenario, sockets=True)
    firsts = [
        scenario for name in ACTIVITIES for scenario in found[name][size.quick // 2 :: size.quick]
    ]
    for place, scenario in enumerate(firsts):
        share = (place + 1) * size.pairs // len(firsts) - place * size.pairs // len(firsts)
        yield Job(scenario, sockets=False, pairs=share, seed=size.seed)


def perform(job: Job, worlds: WorldFactory) -> list[Outcome]:
    """The outcomes of one job."""
    make = partial(worlds.make, sockets=job.sockets)
    first = run(job.scenario, make)
    outcomes = [first]
    if job.pairs and len(job.scenario.faults) == 1:
        later = list(pairs(first))
        draw = random.Random(f"{job.seed} {job.scenario}")
        drawn = draw.sample(later, min(job.pairs, len(later)))
        outcomes += [run(scenario, make) for scenario in drawn]
    return outcomes


def run_here(size: Size, worlds: WorldFactory) -> Iterator[tuple[Job, list[Outcome]]]:
    """Run every job in this process."""
    for job in jobs(size):
        yield job, perform(job, worlds)


def run_all(size: Size, processes: int) -> Iterator[tuple[Job, list[Outcome]]]:
    """Run every job in worker processes."""
    todo = list(jobs(size))
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, initializer=_begin) as pool:
        yield from pool.imap_unordered(_work, todo, chunksize=4)


def tally(done: Iterable[tuple[Job, list[Outcome]]]) -> Iterator[ScenarioCounts]:
    """The count after each job."""
    so_far = ScenarioCounts()
    for job, outcomes in done:
        so_far.singles += not job.sockets
        so_far.singles_over_sockets += job.sockets
        so_far.pairs += len(outcomes) - 1
        so_far.violated += [one.told() for one in outcomes if one.violations]
        yield so_far


_worlds: WorldFactory


def _begin() -> None:
    global _worlds  # noqa: PLW0603 - what a worker process keeps between jobs
    logging.getLogger("botocore").setLevel(logging.CRITICAL)
    # What was imported stays: not to be looked through again and again.
    gc.freeze()
    _worlds = WorldFactory()


def _work(job: Job) -> tuple[Job, list[Outcome]]:
    outcomes = perform(job, _worlds)
    for one in outcomes:
        # Only violations are read by anybody, and calls are many.
        one.calls.clear()
        if not one.violations:
            one.log.clear()
    return job, outcomes
