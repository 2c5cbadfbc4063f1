"""The harness in short: a sample of the scenarios that `make faults` runs whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rotation.sandbox.vendor import Pki
from tests.harness.faults.activities import ACTIVITIES
from tests.harness.faults.boundary import Fault, FaultKind
from tests.harness.faults.runner import OVER_SOCKETS, SAMPLE, clean_run, run_here, tally
from tests.harness.faults.scenarios import MakeWorld, Scenario, run, singles
from tests.harness.faults.world_factories import WorldFactory, over_sockets, quick


@pytest.fixture(scope="module")
def sockets(pki: Pki) -> Iterator[MakeWorld]:
    """WorldFactory over sockets."""
    with over_sockets(pki) as make:
        yield make


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_a_clean_run_violates_nothing(activity: str) -> None:
    """Nothing fails, and its calls are what the scenarios are made of."""
    outcome = clean_run(activity)
    assert outcome.violations == []
    assert [call.number for call in outcome.calls] == list(range(len(outcome.calls)))
    assert len(outcome.calls) > 5


@pytest.mark.parametrize("activity", OVER_SOCKETS)
def test_both_worlds_see_the_same_calls(activity: str, sockets: MakeWorld) -> None:
    """Over sockets and without, an activity makes the same calls in the same order."""
    over = run(Scenario(activity), sockets)
    without = clean_run(activity)
    assert over.violations == []
    seen = [(call.actor, call.name, call.outcome) for call in over.calls]
    assert seen == [(call.actor, call.name, call.outcome) for call in without.calls]


@pytest.mark.parametrize(
    "kind",
    [FaultKind.BEFORE, FaultKind.AFTER, FaultKind.REPEATED, FaultKind.THROTTLED, FaultKind.STALE],
)
def test_both_worlds_fail_alike(kind: FaultKind, sockets: MakeWorld) -> None:
    """A fault of each kind is answered alike, call for call, until the rotation has ended."""
    clean = clean_run("rotation")
    able = [call.number for call in clean.calls if kind in call.kinds]
    scenario = Scenario("rotation", (Fault(able[len(able) // 2], kind),))
    over, without = run(scenario, sockets), run(scenario, quick)
    assert over.violations == without.violations == []
    seen = [(call.actor, call.name, call.outcome) for call in over.calls]
    assert seen == [(call.actor, call.name, call.outcome) for call in without.calls]


def test_the_singles_are_more_than_five_hundred() -> None:
    """Found by running, so a number that is pinned from below alone."""
    found = [
        scenario
        for activity in OVER_SOCKETS
        for scenario in singles(clean_run(activity).calls, activity)
    ]
    assert len(found) >= 500
    assert len(set(map(str, found))) == len(found)


def test_a_sample_of_all_scenarios_violates_nothing(sockets: MakeWorld) -> None:
    """Singles in both worlds and pairs, evenly drawn."""
    violated: list[str] = []
    scenarios = 0
    for so_far in tally(run_here(SAMPLE, WorldFactory(sockets))):
        violated, scenarios = so_far.violated, so_far.scenarios
    assert violated == [], "\n\n".join(violated)
    assert scenarios > 50
