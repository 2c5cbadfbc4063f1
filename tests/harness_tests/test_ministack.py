"""docs/rights.md tells what the second emulator does otherwise than AWS, and nothing else."""

from __future__ import annotations

import re

from tests.docs.test_docs import page, rows, section
from tests.harness.ministack.departures import DEPARTURES, UNKNOWN_KEYS

TEXT = section(page("rights.md"), "make ministack")


def test_every_departure_is_in_the_table() -> None:
    """With AWS's rule and its page; each is checked whenever the harness runs."""
    assert [tuple(row) for row in rows(TEXT) if row[0] != "MiniStack"] == [
        (one.here, one.aws, one.page) for one in DEPARTURES
    ]


def test_the_condition_keys_that_are_dropped_are_named() -> None:
    """Nobody shall take for proved what was not asked."""
    assert set(re.findall(r"`((?:kms|secretsmanager):[\w/]+)`", TEXT)) == UNKNOWN_KEYS
