"""docs/security.md speaks of every kind of resource that the template creates."""

from __future__ import annotations

import re

from tests.artifacts.template import Template
from tests.paths import ROOT

_page = (ROOT / "docs" / "security.md").read_text()


def test_each_resource_type_has_its_section() -> None:
    """A type that somebody adds, or removes, has its controls looked up, or removed."""
    transformed = Template.read().transformed().document["Resources"].values()
    sections = re.findall(r"^### `(AWS::\S+)`$", _page, re.MULTILINE)
    assert sections == sorted({resource["Type"] for resource in transformed})
