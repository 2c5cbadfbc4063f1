"""The harness bites: every planted defect is caught, each by the invariant that it breaks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.harness.faults.mutants import MUTANTS, Mutant
from tests.harness.faults.scenarios import Scenario, of_mutant, run
from tests.harness.faults.world_factories import quick


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_each_mutant_is_caught(
    mutant: Mutant, record_property: Callable[[str, object], None]
) -> None:
    """Some scenario of its activity violates just what the defect is about; named in the report."""
    with mutant.planted():
        clean = run(Scenario(mutant.activity), quick)
        tried = []
        for scenario in of_mutant(mutant, clean):
            outcome = run(scenario, quick)
            tried.append(outcome)
            if any(found.startswith(mutant.invariant) for found in outcome.violations):
                record_property("caught by", str(scenario))
                return
    raise AssertionError(
        f"{mutant.name} was not caught:\n" + "\n".join(one.told() for one in tried[:3])
    )


def test_a_mutant_is_gone_afterwards() -> None:
    """The product is sound again: no violation in a clean run of any mutant's activity."""
    for activity in sorted({mutant.activity for mutant in MUTANTS}):
        assert run(Scenario(activity), quick).violations == []
