"""A runbook page as a person follows it: numbered steps, their commands, and what these print.

In what a page says that a command prints, `…` stands for any characters of its line, and a line
that is nothing but `…` for any lines, or none. How wide a gap between words is, and empty lines,
do not count. All else is compared letter by letter.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tests.paths import ROOT

RUNBOOKS = ROOT / "docs" / "runbooks"
#: The heading after which no command is expected.
OTHERWISE = "## If it goes otherwise"
ANYTHING = "…"

_STEP = re.compile(r"^\d+\. ", re.MULTILINE)
_BLOCK = re.compile(r"^( *)```console\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """A command line, what the page says that it prints, and its exit code."""

    text: str
    prints: tuple[str, ...]
    code: int


@dataclass(frozen=True)
class Step:
    """One numbered step: its words, and its commands, of which there may be none."""

    words: str
    commands: tuple[Command, ...]


@dataclass(frozen=True)
class Page:
    """One runbook: what stands above its steps, the steps of all its lists, and what follows."""

    head: str
    steps: tuple[Step, ...]
    otherwise: str

    @classmethod
    def called(cls, name: str) -> Page:
        """The page of that name in `docs/runbooks/`."""
        return cls.parse((RUNBOOKS / f"{name}.md").read_text())

    @classmethod
    def parse(cls, text: str) -> Page:
        """What a page's text says."""
        body, _, otherwise = text.partition(OTHERWISE)
        head, *steps = _STEP.split(body)
        return cls(head, tuple(map(_step, steps)), otherwise)

    def rights(self) -> set[str]:
        """The AWS operations that the page names among what its reader must be allowed."""
        [who] = re.findall(r"^\*\*Who:\*\* .*$", self.head, re.MULTILINE)
        return {one for one in re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", who) if one[-3:] != "Arn"}

    def explained(self) -> set[str]:
        """The words in CAPITALS that the page explains."""
        words = self.head + "".join(step.words for step in self.steps)
        return set(re.findall(r"`([A-Z][A-Z_-]+)`", words))


def pages() -> list[Path]:
    """Every runbook, without their index."""
    return [path for path in sorted(RUNBOOKS.glob("*.md")) if path.name != "README.md"]


def _step(text: str) -> Step:
    words = _BLOCK.sub("", text)
    stated = re.search(r"exit code (\d)", words)
    code = int(stated[1]) if stated else 0
    commands = [
        command
        for indent, block in _BLOCK.findall(text)
        for command in _commands([line.removeprefix(indent) for line in block.splitlines()], code)
    ]
    return Step(words, tuple(commands))


def _commands(lines: Sequence[str], code: int) -> list[Command]:
    """The commands of a block: each begins with `$ ` and goes on after a backslash."""
    found: list[Command] = []
    said: list[str] = []
    while lines:
        if not lines[0].startswith("$ "):
            raise ValueError(f"A console block begins with a command, not with: {lines[0]}")
        end = next(at for at, line in enumerate(lines) if not line.endswith("\\")) + 1
        text = "\n".join(lines[:end]).removeprefix("$ ")
        rest = [at for at, line in enumerate(lines) if at >= end and line.startswith("$ ")]
        after = rest[0] if rest else len(lines)
        said = _plain(lines[end:after])
        found.append(Command(text, tuple(said), code))
        lines = lines[after:]
    return found


def _plain(lines: Sequence[str]) -> list[str]:
    return [" ".join(line.split()) for line in lines if line.strip()]


def difference(expected: Sequence[str], printed: str) -> str | None:
    """A line of ``expected`` that was not printed where it should be; None: everything fits."""
    real = _plain(printed.splitlines())
    groups = _groups(expected)
    at = 0
    for number, group in enumerate(groups):
        starts = range(at, len(real) - len(group) + 1)
        if number == 0:
            starts = starts[:1]
        elif number == len(groups) - 1:
            starts = starts[-1:]
        found = next((start for start in starts if _fit(group, real[start:])), None)
        if found is None:
            return next((one for one in group if not _found(one, real[at:])), group[0])
        at = found + len(group)
    return None if at == len(real) else f"nothing more, but there is: {real[at]}"


def _groups(expected: Sequence[str]) -> list[list[str]]:
    """The lines between those that are nothing but `…`: the first and the last may be empty."""
    groups: list[list[str]] = [[]]
    for line in expected:
        if line == ANYTHING:
            groups.append([])
        else:
            groups[-1].append(line)
    return groups


def _fit(expected: Sequence[str], real: Sequence[str]) -> bool:
    return all(_fits(one, other) for one, other in zip(expected, real, strict=False))


def _fits(expected: str, real: str) -> bool:
    return fnmatchcase(real, glob.escape(expected).replace(ANYTHING, "*"))


def _found(expected: str, real: Sequence[str]) -> bool:
    return any(_fits(expected, one) for one in real)


def planted(expected: Sequence[str]) -> list[tuple[str, ...]]:
    """What is expected, with one word changed: once for each word that is compared."""
    changed = []
    for at, line in enumerate(expected):
        for word in re.finditer(rf"[^\s{ANYTHING}]*\w[^\s{ANYTHING}]*", line):
            wrong = f"{line[: word.start()]}{word[0][::-1]}~{line[word.end() :]}"
            changed.append((*expected[:at], wrong, *expected[at + 1 :]))
    return changed
