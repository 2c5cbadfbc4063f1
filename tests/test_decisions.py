"""Each decision stands in one place: these tests fail when somebody writes one a second time."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.test_architecture import MODULES


def nodes(kind: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    """Every node of a kind, with the module that it is in."""
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, kind):
                yield module, node


def importers(source: str, name: str) -> set[str]:
    """The modules that import ``name`` from ``source``."""
    return {
        module
        for module, node in nodes(ast.ImportFrom)
        if isinstance(node, ast.ImportFrom)
        and node.module == source
        and any(alias.name == name for alias in node.names)
    }


def test_whether_a_key_is_compromised_is_decided_by_the_labels_module() -> None:
    """A snapshot and a version that is examined ask it; nobody else looks at labels or tags."""
    labels = "rotation.secrets_manager.labels"
    assert importers(labels, "compromised") == {
        "rotation.secrets_manager.snapshot",
        "rotation.reconciliation.situation",
    }
    # Who writes these labels and tags, or takes them off, is not asking.
    assert importers(labels, "COMPROMISED") == {
        "rotation.incident.declaration",
        "rotation.reconciliation.plan",
        "rotation.reconciliation.relabelling",
    }
    assert importers(labels, "SUSPECT_TAGS") == {
        "rotation.incident.declaration",
        "rotation.secrets_manager.snapshot",
    }
