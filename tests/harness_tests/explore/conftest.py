"""A laboratory for the tests of the explorer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.explore.trial import Laboratory


@pytest.fixture(scope="module")
def laboratory() -> Iterator[Laboratory]:
    """One world for many schedules; while it is there, time and chance are its own."""
    with Laboratory().open() as opened:
        yield opened
