"""docs/performance.md says what was measured, by which command, and against what."""

from __future__ import annotations

import pytest

from tests.docs.test_docs import named, rows
from tests.harness.bench.__main__ import PARTS
from tests.harness.bench.page import PAGE, marks, table
from tests.harness.bench.results import Figure, load_before


@pytest.mark.parametrize("part", PARTS)
def test_every_figure_has_its_row_and_meets_its_bar(part: str) -> None:
    """The page's figures are of one run of make bench, which met every bar."""
    begin, end = marks(part)
    written = PAGE.read_text().partition(begin)[2].partition(end)[0]
    found = {named(row[0])[0]: row[2:] for row in rows(written) if named(row[0])}
    figures = {figure.name: figure for figure in (*PARTS[part][1], load_before(part))}
    assert [*found] == [*figures]
    for name, (measured, bar) in found.items():
        assert bar == figures[name].bar()
        assert not figures[name].missed(float(measured)), name


def test_a_figure_has_one_meaning() -> None:
    """No two parts write the same key."""
    names = [figure.name for _, figures in PARTS.values() for figure in figures]
    assert len(names) == len({*names})


def test_a_table_holds_what_was_measured() -> None:
    """Each figure of the results stands in the row of its name."""
    figures = (Figure("of_a_bar", "what it is", 2.5), Figure("of_none", "what that is"))
    made = table({"of_a_bar": 0.125, "of_none": 7.0, "of_another_part": 1.0}, figures)
    assert rows(made)[1:] == [
        ["`of_a_bar`", "what it is", "0.125", "at most 2.5"],
        ["`of_none`", "what that is", "7", ""],
    ]


def test_a_figure_above_its_bar_is_missed() -> None:
    """At the bar is well, whichever way it counts; one without a bar is never missed."""
    figure = Figure("ratio", "of something", 1.2)
    assert [figure.missed(measured) for measured in (1.1, 1.2, 1.21)] == [False, False, True]
    more = Figure("rate", "of something", at_least=6)
    assert [more.missed(measured) for measured in (5.9, 6, 7)] == [True, False, False]
    assert not Figure("seconds", "of something").missed(1e9)
