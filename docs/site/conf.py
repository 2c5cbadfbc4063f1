"""How Sphinx builds the site; `make docs` runs it over the whole checkout.

The pages are those that are read on GitHub: the source folder is the checkout, so that one relative
link is right in both. `contents.yml` has the menu.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rotation import __version__

sys.path.insert(0, str(Path(__file__).parent))
import generated

project = "Trusted Signatures rotation"
release = __version__
html_title = f"{project} {release}"

extensions = ["myst_parser", "sphinx_external_toc"]
external_toc_path = "docs/site/contents.yml"
include_patterns = ["*.md", "docs/**.md"]
exclude_patterns = [".*", "build", "dist", "rotation", "tests"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]
smartquotes = False  # they would make one dash of the two before an option
nitpicky = True

html_theme = "furo"
html_copy_source = False
html_show_sphinx = False
templates_path = ["templates"]
html_additional_pages = {"index": "first_page.html"}


def setup(app: Any) -> None:
    """Fill the pages of the reference."""
    app.connect("source-read", _fill)


def _fill(_app: Any, _page: str, source: list[str]) -> None:
    source[0] = generated.fill(source[0])
