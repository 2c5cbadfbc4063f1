"""Memory that does not grow with the document."""

from __future__ import annotations

import pytest

from tests.sealing.storage.large_documents import measured

pytestmark = pytest.mark.slow

MIB = 1024**2


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, float]]:
    """What sealing two sizes took, MiB; `tests.harness.bench.transfer` goes to 4.5 GB."""
    return {
        size: measured(tmp_path_factory.mktemp("s3"), size * MIB, part=16 * MIB)
        for size in (48, 192)
    }


def test_the_peak_is_bounded(sealed: dict[int, dict[str, float]]) -> None:
    """At most 64 MiB over the imports, the S3 client included."""
    assert {took["peak_mib"] <= 64 for took in sealed.values()} == {True}


def test_the_peak_does_not_grow(sealed: dict[int, dict[str, float]]) -> None:
    """Four times the document, the same memory."""
    assert abs(sealed[192]["peak_mib"] - sealed[48]["peak_mib"]) <= 16


def test_the_source_is_read_once(sealed: dict[int, dict[str, float]]) -> None:
    """One pass for the digest, and a few blocks for the references at its ends."""
    for size, took in sealed.items():
        assert 0 <= took["read"] - size * MIB <= 2 * MIB
        assert took["gets"] <= size / 64 + 6
