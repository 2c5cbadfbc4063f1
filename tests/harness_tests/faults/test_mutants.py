"""The harness bites: every planted defect is caught, each by the invariant that it breaks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.harness.faults.mutants import MUTANTS, Mutant, planted
from tests.harness.faults.runner import clean_run
from tests.harness.faults.scenarios import Scenario, of_mutant, run
from tests.harness.faults.suite_mutants import SUITE_MUTANTS, SuiteMutant, outcome
from tests.harness.faults.world_factories import quick
from tests.paths import ROOT


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_each_mutant_is_caught(
    mutant: Mutant, record_property: Callable[[str, object], None]
) -> None:
    """Some scenario of its activity violates just what the defect is about; named in the report."""
    clean = clean_run(mutant.activity)
    tried = []
    with planted(mutant.places):
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


def test_each_defect_has_a_name_of_its_own() -> None:
    """There are at least fifty, those that only a test of the suite can see among them."""
    names = [mutant.name for mutant in (*MUTANTS, *SUITE_MUTANTS)]
    assert len(names) == len(set(names))
    assert len(names) >= 50


def test_a_test_of_the_suite_fails_of_its_defect_and_of_nothing_else() -> None:
    """Planted in a process of its own; `make faults` does it with all of them."""
    [mutant] = [one for one in SUITE_MUTANTS if one.test.startswith("incident/test_closing.py")]
    assert outcome(None, mutant.test) == pytest.ExitCode.OK
    assert outcome(mutant, mutant.test) == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("mutant", SUITE_MUTANTS, ids=lambda one: one.name.replace(" ", "-"))
def test_the_test_of_each_defect_exists(mutant: SuiteMutant) -> None:
    """A test that was renamed would be missed only by `make faults`."""
    file, _, name = mutant.test.partition("::")
    assert f"def {name}" in (ROOT / "tests" / file).read_text()
