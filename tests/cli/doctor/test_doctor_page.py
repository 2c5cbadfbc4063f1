"""docs/doctor.md is the table of diagnoses, word for word."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from rotation.cli.doctor.model import Check
from rotation.cli.doctor.table import DIAGNOSES, problem
from tests.docs.test_docs import named, page, rows

TEXT = page("doctor.md")


def filled(template: str) -> str:
    """A template as the page shows it."""
    return re.sub(r"\{(\w+)\}", lambda field: field[1].upper(), template)


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def test_the_page_is_the_table() -> None:
    """Each code has one row with its cause and its fix, in the order of the checks."""
    listed = {named(row[0])[0]: row[1:] for row in rows(TEXT) if named(row[0])}
    told = {code: [filled(one.cause), filled(one.fix)] for code, one in DIAGNOSES.items()}
    assert listed == told
    checks = list(Check)
    order = [checks.index(DIAGNOSES[code].check) for code in listed]
    assert order == sorted(order)


def test_every_check_finds_something() -> None:
    """No check is there for nothing, and codes are lower-case words."""
    assert {one.check for one in DIAGNOSES.values()} == {*Check}
    assert [code for code in DIAGNOSES if not re.fullmatch(r"[a-z0-9_]+", code)] == []


@pytest.mark.parametrize("code", DIAGNOSES)
def test_a_problem_is_told_in_sentences(code: str) -> None:
    """Cause and fix are whole once their fields are filled in."""
    diagnosis = DIAGNOSES[code]
    facts = dict.fromkeys(fields(diagnosis.cause) | fields(diagnosis.fix), "x")
    finding = problem(code, **facts).finding
    assert finding is not None
    for text in (finding.cause, finding.fix):
        assert text.endswith((".", "x")), "it ends, if need be with what AWS said"
        assert not set("{}") & set(text)


def test_every_option_is_on_the_page() -> None:
    """What the command takes is explained."""
    for option in ("--json", "--no-seal", "--sealing-function", "--also-region", "--timeout"):
        assert option in TEXT
