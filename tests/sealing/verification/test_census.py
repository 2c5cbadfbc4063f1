"""Which numbers a document mentions: none that a viewer would read is missed."""

from __future__ import annotations

import pytest

from rotation.sealing.verification.census import mentioned


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (b"[7 0 R 8 0 R]", [7, 8]),
        (b"[7%a comment\n0 R]", [7]),
        (b"[7%" + b"a" * 5000 + b"\n0 R]", [7]),
        (b"[7 0 %" + b"a" * 5000 + b"\nR]", [7]),
        (b"[+7 0 R]", [7]),
        (b"[1.7 0 R]", []),
    ],
    ids=["plain", "a comment", "a long comment", "one after the generation", "a sign", "a real"],
)
def test_every_reference_is_found(text: bytes, numbers: list[int]) -> None:
    """However long a comment in it is, and whatever sign it has."""
    assert [number for _, number, _ in mentioned(text)] == numbers
