"""The comparison of a page with what is printed can fail, and fails for the right reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.docs.runbooks.page import Page, difference, planted
from tests.docs.runbooks.reader import Reader
from tests.docs.runbooks.scenarios import Scenario
from tests.docs.runbooks.terminal import Terminal

PRINTED = """
   0.1 s  the-secret  declared at 12:00:01 UTC: a reason
   1.1 s  the-secret  key 4f1c is proven dead

the-secret: every old key is proven dead. rotated 1.0 s
  evidence: s3://bucket/the-secret.json
"""

FITTING = [
    PRINTED,
    "… the-secret declared at … UTC: a reason\n…\n evidence: s3://bucket/….json",
    "…",
    "…\nthe-secret: every old key is proven dead. rotated … s\n…",
    "0.1 s …\n1.1 s …\n…\nevidence: …",
    "…\n…  key … is proven dead\n…\nthe-secret: …\nevidence: s3://…",
]


@pytest.mark.parametrize("page", FITTING)
def test_what_differs_each_time_is_not_compared(page: str) -> None:
    """`…` stands for a part of a line or for lines; gaps and empty lines do not count."""
    assert difference(_lines(page), PRINTED) is None


@pytest.mark.parametrize(
    ("page", "wrong"),
    [
        ("…\nnot there\n…", "not there"),
        ("", "nothing more, but there is: 0.1 s the-secret declared at 12:00:01 UTC: a reason"),
        ("… declared …", "nothing more, but there is: 1.1 s the-secret key 4f1c is proven dead"),
        ("… declared at … UTC: another reason\n…", "… declared at … UTC: another reason"),
        ("… key … is proven dead\n…", "… key … is proven dead"),
        ("…\n… key … is proven dead", "… key … is proven dead"),
        ("…\nevidence: …\n…\nthe-secret: …\n…", "the-secret: …"),
        ("… declared …\nthe-secret: …\n…", "… declared …"),
        ("…\nevidence: s3://bucket/*.json", "evidence: s3://bucket/*.json"),
    ],
)
def test_what_is_not_so_is_named(page: str, wrong: str) -> None:
    """A line that is missing, wrong, misplaced or too much."""
    assert difference(_lines(page), PRINTED) == wrong


PAGE = """# A page

1. Say it, and fail with exit code 3.

   ```console
   $ echo "Key 4f1c is dead." && \\
       exit 3
   Key … is dead.
   ```

2. Say two things.

   ```console
   $ echo WORD
   a word
   $ read -r typed; echo "typed: $typed"
   typed: a text
   ```

## If it goes otherwise
"""


def follow(page: str, folder: Path, typed: str = "a text\n") -> None:
    terminal = Terminal(folder, Path(os.defpath.split(os.pathsep)[0]), {})
    scenario = Scenario(fill={"WORD": "a word"}, typed={2: typed})
    Reader(terminal, scenario, lambda _: None).follow(Page.parse(page))


def test_a_page_that_is_right_is_followed_to_its_end(tmp_path: Path) -> None:
    """Commands go on after a backslash; words are filled in, texts typed, exit codes compared."""
    follow(PAGE, tmp_path)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("Key … is dead.", "Key … is alive."),
        ("Key … is dead.", "The key … is dead."),
        ("exit code 3", "exit code 1"),
        ("exit code 3", "no more"),
        ("a word\n", "a word\n   another\n"),
        ("   a word\n", ""),
        ("typed: a text", "typed: another text"),
    ],
)
def test_a_planted_change_is_found(tmp_path: Path, right: str, wrong: str) -> None:
    """Any line, any word, any exit code, in any step."""
    with pytest.raises(AssertionError):
        follow(PAGE.replace(right, wrong, 1), tmp_path)


def test_each_word_that_is_compared_is_planted_once() -> None:
    """`planted` changes one word at a time and leaves `…` alone."""
    assert planted(["key … is dead.", "…", "(all)"]) == [
        ("yek~ … is dead.", "…", "(all)"),
        ("key … si~ dead.", "…", "(all)"),
        ("key … is .daed~", "…", "(all)"),
        ("key … is dead.", "…", ")lla(~"),
    ]


def test_an_output_without_a_command_is_refused() -> None:
    """A block that begins with anything but a command is a mistake in the page."""
    with pytest.raises(ValueError, match="begins with a command"):
        Page.parse("1. Look.\n\n   ```console\n   Done.\n   ```\n")


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]
