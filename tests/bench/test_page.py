"""docs/performance.md says what was measured, by which command, and against what."""

from __future__ import annotations

from tests.bench.client import BARS
from tests.bench.page import ABSOLUTE, BEGIN, END, MEANING, PAGE, table
from tests.docs.test_docs import named, rows


def test_every_bar_has_its_row_and_is_met() -> None:
    """The page's figures are of one run of make bench, which met every bar."""
    written = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    found = {named(row[0])[0]: row[2:] for row in rows(written) if named(row[0])}
    assert found.keys() == {*MEANING, *ABSOLUTE}
    assert MEANING.keys() == BARS.keys()
    for name, bar in BARS.items():
        measured, at_most = found[name]
        assert float(at_most) == bar
        assert float(measured) <= bar, name


def test_a_table_holds_what_was_measured() -> None:
    """Each figure of the results stands in the row of its name."""
    results = dict.fromkeys((*MEANING, *ABSOLUTE), 0.125) | {"cold_100_threads_gets": 7.0}
    made = table(results)
    assert "| `cold_100_threads_gets` |" in made
    assert made.count("| 0.125 |") == len(results) - 1
    assert made.count("| 7 |") == 1
