"""The index of the runbooks leads from whatever somebody sees to the page that helps."""

from __future__ import annotations

import re

import pytest

from rotation.reconciliation.key_warnings import URGENT, WarningCode
from tests.docs.runbooks.page import RUNBOOKS, pages
from tests.docs.test_docs import links, named, rows, section

INDEX = RUNBOOKS / "README.md"
CODES = {named(row[0])[0]: row[1] for row in rows(section(INDEX.read_text(), "Warnings"))[1:]}


def test_every_page_is_listed_by_what_somebody_sees() -> None:
    """The first table leads to each page once."""
    table = INDEX.read_text().partition("\n## ")[0]
    listed = [re.findall(r"\]\(([\w-]+\.md)\)", row[1]) for row in rows(table)[1:]]
    assert sorted(listed) == [[path.name] for path in pages()]


@pytest.mark.parametrize("code", [code.value for code in WarningCode])
def test_every_warning_leads_somewhere(code: str) -> None:
    """To a page that helps, or to «nothing»; and an urgent one says that it cannot wait."""
    told = CODES[code]
    assert told.startswith("nothing") or re.match(r"\[[\w-]+\.md\]\((\.\./)?[\w-]+\.md", told)
    assert (WarningCode(code) in URGENT) == bool(re.search(r", (now|today)\b", told))


def test_no_warning_is_invented() -> None:
    """The table speaks of codes that exist."""
    assert sorted(CODES) == sorted(code.value for code in WarningCode)


def test_pages_lead_to_each_other() -> None:
    """Whoever opened the wrong page is led on: each page is linked from another one."""
    linked = {
        target.name for path in pages() for target, _ in links(path) if target.parent == RUNBOOKS
    }
    assert {path.name for path in pages()} <= linked
