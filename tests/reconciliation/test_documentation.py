"""docs/report.md says what the report, the warnings and the log hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rotation.reconciliation.key_warnings import URGENT, WarningCode
from tests.docs.test_docs import LEVELS, calls, fields, named, page, rows, section
from tests.reconciliation.reconciliation_fixture import ReconciliationFixture

SAYING = [
    "rotation.reconciliation.announcer",
    "rotation.reconciliation.execution",
    "rotation.reconciliation.reconciler",
    "rotation.reconciliation.run_order",
    "rotation.reconciliation.condemned_keys",
    "rotation.incident.revoke_first",
    "rotation.handlers.reconcile_actions",
]


def text(title: str) -> str:
    return section(page("report.md"), title)


def test_every_warning_is_on_the_page() -> None:
    """Code by code, and which of them are urgent."""
    listed = {named(row[0])[0]: row[1] for row in rows(text("Warnings")) if named(row[0])}
    assert listed == {code.value: "yes" if code in URGENT else "no" for code in WarningCode}


def said() -> Iterator[tuple[str, tuple[str, set[str]]]]:
    """Each log line of these modules: message, level, fields."""
    for module in SAYING:
        for called, message, call in calls(module):
            if called == "_log":
                yield message, ("INFO", fields(called, call) | {"secret"})
            elif called in LEVELS:
                yield message, (LEVELS[called], fields(called, call))


def test_every_log_line_is_on_the_page() -> None:
    """Message, level and fields are those of the code."""
    listed = {
        named(row[0])[0]: (row[1], set(named(row[2])))
        for row in rows(text("What you see"))
        if row[1] in set(LEVELS.values())
    }
    assert listed == dict(said())


def test_every_metric_is_on_the_page() -> None:
    """The names are those that are counted."""
    table = text("What you see").partition("| metric |")[2]
    listed = {name for row in rows(table) for name in named(row[0])}
    source = "".join(Path(*module.split(".")).with_suffix(".py").read_text() for module in SAYING)
    counted = set(re.findall(r'(?:totals\[|count\()"(\w+)"', source)) | {"Warnings.<code>"}
    assert listed == counted


def members(table: str) -> set[str]:
    """The members that a table of the page names in its first column."""
    return {name for row in rows(table) for name in named(row[0])}


@pytest.fixture
def report(reconciliation: ReconciliationFixture) -> dict[str, Any]:
    """The report of a run that retired a key."""
    reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.declare()
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.pass_grace()
    return reconciliation.run()


def test_every_member_of_the_report_is_on_the_page(report: dict[str, Any]) -> None:
    """Of the report, of a secret, and of what a secret's members hold."""
    _, whole, one = re.split(r"^\| member", text("The report"), flags=re.MULTILINE)
    assert members("| member" + whole) == report.keys()
    [secret] = report["secrets"]
    assert members("| member" + one) == secret.keys()
    explained = {
        named(row[0])[0]: set(named(row[1])) for row in rows("| member" + one) if named(row[0])
    }
    assert {*secret["incidents"][0]} <= explained["incidents"]
    for name in ("versions", "keys", "vendorKeys", "retirements"):
        for entry in secret[name]:
            assert entry.keys() <= explained[name], name
    assert secret["done"].keys() <= explained["done"]
    issuer = {
        named(row[0])[0]: set(named(row[1])) for row in rows("| member" + whole) if named(row[0])
    }
    condemned = {"keyId", "declared", "state", "evidence"}
    assert report["issuer"].keys() | condemned == issuer["issuer"]
