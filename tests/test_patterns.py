"""Every regular expression of the package does work in proportion to the text, whatever the text.

Patterns are run on what others wrote: documents, headers, errors, answers. One that goes back over
what it has read can hold a function until its time ends.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rotation.privacy import redaction
from tests.paths import ROOT
from tests.pattern_work import MOST_WORK, CountingPattern, Text, hostile_texts

PACKAGE = ROOT / "rotation"
LENGTH = 120
#: Doubling the text may add half a work more, and a constant for its beginning.
MOST_GROWTH = 2.5
CONSTANT = 40
#: The name of what is looked for at every position of a text.
_SCANNED = re.compile(r"\b(\w+)\.(?:search|finditer|findall|subn?|split)\(")


def _patterns() -> Iterator[tuple[str, re.Pattern[Any], bool]]:
    """Each pattern that a module keeps, and whether it is searched for at every position."""
    sources = {path: path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
    scanned = {name for source in sources.values() for name in _SCANNED.findall(source)}
    for path, source in sources.items():
        if "sandbox" in path.parts or "re.compile" not in source:
            continue
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        module = importlib.import_module(name)
        for node in ast.parse(source).body:
            targets = [node.target] if isinstance(node, ast.AnnAssign) else []
            for target in node.targets if isinstance(node, ast.Assign) else targets:
                if isinstance(target, ast.Name):
                    value = getattr(module, target.id, None)
                    if isinstance(value, re.Pattern):
                        yield f"{name}.{target.id}", value, target.id in scanned


PATTERNS = list(_patterns())


def _grows_faster(run: Callable[[Text], int], short: Text, long: Text) -> bool:
    work = run(long)
    return work >= MOST_WORK or work > MOST_GROWTH * run(short) + CONSTANT


def test_all_patterns_are_found() -> None:
    """The patterns of the scrubber and of the PDF reader are among them."""
    names = {name for name, _, _ in PATTERNS}
    assert {
        "rotation.privacy.redaction._long_hex",
        "rotation.sealing.pdf.reader.xref._object",
    } <= names
    assert len(names) > 40


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "scanned"), [pytest.param(*row[1:], id=row[0]) for row in PATTERNS]
)
def test_twice_the_text_is_twice_the_work(pattern: re.Pattern[Any], scanned: bool) -> None:
    """Runs of one character, and beginnings of matches without an end, double the work at most."""
    counting = CountingPattern(pattern)
    run = counting.scan if scanned else counting.match
    for short, long in zip(
        hostile_texts(pattern, LENGTH), hostile_texts(pattern, 2 * LENGTH), strict=True
    ):
        assert not _grows_faster(run, short, long), short


def test_the_count_finds_a_pattern_that_goes_back() -> None:
    """The pattern that the scrubber once had, and other classics, are recognised."""
    names = "|".join(redaction._hidden_fields)
    for source in (
        rf"""(\\*["'](?:{names})\\*["']\s*:\s*b?)(\\*["']).*?(?<!\\)\2""",
        r"\d+ obj",
        r"(a+)+b",
        r"<.*?>",
    ):
        pattern = re.compile(source, re.DOTALL)
        counting = CountingPattern(pattern)
        assert any(
            _grows_faster(counting.scan, short, long)
            for short, long in zip(
                hostile_texts(pattern, 20), hostile_texts(pattern, 40), strict=True
            )
        ), source
