"""A page, in each width and colour scheme that the documentation shows."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from tests.browser import Browser

#: The end of the file's name, the width in CSS pixels, the colour scheme, and whether the picture
#: shows the whole page or what a window shows of it.
_VIEWS: Final[tuple[tuple[str, int, Literal["light", "dark"], bool], ...]] = (
    ("light", 1280, "light", True),
    ("dark", 1280, "dark", False),
    ("narrow", 390, "light", False),
)


def take(browser: Browser, url: str, folder: Path, name: str) -> list[Path]:
    """Write ``folder/name-light.png`` and the other views of the page at ``url``."""
    written = []
    for view, width, scheme, whole in _VIEWS:
        browser.show(width, scheme)
        browser.driver.get(url)
        path = folder / f"{name}-{view}.png"
        path.write_bytes(browser.screenshot(whole=whole))
        written.append(path)
    return written
