"""The colours of the page can be read: WCAG 2.2, 1.4.3 asks for a contrast of 4.5 to 1."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

CSS = (files("rotation.sandbox.page") / "static" / "page.css").read_text()
COLOURS = {
    name: (light, dark)
    for name, light, dark in re.findall(
        r"--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", CSS
    )
}
WRITTEN = [
    *((ink, paper) for ink in ("ink", "muted", "accent", "warning") for paper in ("paper", "card")),
    ("on-accent", "accent"),
    *((f"{phase}-ink", phase) for phase in ("issued", "pending", "current", "grace", "dead")),
]


def luminance(colour: str) -> float:
    """The relative luminance of ``#rrggbb``, 0 to 1, as WCAG defines it."""
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "paper"), WRITTEN)
def test_text_stands_out(ink: str, paper: str, scheme: int) -> None:
    """In light and in dark."""
    brighter, darker = sorted(
        (luminance(COLOURS[name][scheme]) for name in (ink, paper)), reverse=True
    )
    assert (brighter + 0.05) / (darker + 0.05) >= 4.5


def test_every_colour_is_of_these() -> None:
    """No colour stands anywhere else, so that none escapes the test above."""
    rules = CSS.partition("}")[2]
    assert re.findall(r"#[0-9a-f]{3,8}\b|rgb\(|hsl\(", rules) == []
    assert {name for pair in WRITTEN for name in pair} | {"line"} == set(COLOURS)
