"""docs/doctor.md shows the catalogue, word for word."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from rotation.cli.doctor.catalogue import CATALOGUE, problem
from rotation.cli.doctor.result import Check
from rotation.reconciliation.key_warnings import WarningCode
from tests.docs.test_docs import named, page, rows

TEXT = page("doctor.md")
DIAGNOSES = {code: one for listed in CATALOGUE.values() for code, one in listed.items()}


def filled(template: str) -> str:
    """A template as the page shows it."""
    return re.sub(r"\{(\w+)\}", lambda field: field[1].upper(), template)


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def test_the_page_shows_the_catalogue() -> None:
    """Each code has one row with its cause and its fix, in the order of the checks."""
    listed = {named(row[0])[0]: row[1:] for row in rows(TEXT) if named(row[0])}
    expected = {code: [filled(one.cause), filled(one.fix)] for code, one in DIAGNOSES.items()}
    assert listed == expected
    assert list(listed) == list(DIAGNOSES)


def test_every_check_can_find_a_problem() -> None:
    """The catalogue has the checks in their order, each code once, in lower-case words."""
    assert list(CATALOGUE) == list(Check)
    assert sum(map(len, CATALOGUE.values())) == len(DIAGNOSES)
    assert [code for code in DIAGNOSES if not re.fullmatch(r"[a-z0-9_]+", code)] == []


def test_what_reconciliation_reports_is_not_diagnosed_again() -> None:
    """No code is both a warning of the report and a problem of the doctor."""
    assert DIAGNOSES.keys().isdisjoint(code.value for code in WarningCode)


@pytest.mark.parametrize("code", DIAGNOSES)
def test_a_problem_is_told_in_sentences(code: str) -> None:
    """Cause and fix are whole once their fields are filled in."""
    diagnosis = DIAGNOSES[code]
    facts = dict.fromkeys(fields(diagnosis.cause) | fields(diagnosis.fix), "x")
    result = problem(code, **facts)
    assert result.fix is not None
    for text in (result.says, result.fix):
        assert text.endswith((".", "x")), "it ends with a full stop, or with AWS's own words"
        assert not set("{}") & set(text)


def test_every_option_is_on_the_page() -> None:
    """What the command takes is explained."""
    for option in ("--json", "--no-seal", "--sealing-function", "--also-region", "--timeout"):
        assert option in TEXT
