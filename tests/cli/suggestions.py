"""The commands that messages of this package suggest, as they stand in its source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click

from rotation.cli.commands import rotation
from tests.paths import ROOT

_GROUP = click.Context(rotation)
_COMMANDS = "|".join(rotation.list_commands(_GROUP))
_BEGIN = re.compile(rf"(?<![\w./-])(rotation (?:{_COMMANDS})|aws secretsmanager [a-z-]+)(?![\w-])")
#: Where a field of a message goes.
FIELD = "FIELD"


def suggestions() -> dict[str, str]:
    """Each command that a text of the package names, and a module that names it."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "rotation").rglob("*.py")):
        for text in _texts(path):
            for command in _commands(text):
                found.setdefault(command, str(path.relative_to(ROOT)))
    return found


def _texts(path: Path) -> Iterator[str]:
    """The texts of a module that are no docstrings, with a mark for each field."""
    tree = ast.parse(path.read_text())
    inner: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inner.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            inner |= {id(part) for part in node.values}
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else FIELD for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield "" if id(node) in inner else re.sub(r"\{\w+\}", FIELD, node.value)


def _commands(text: str) -> Iterator[str]:
    for begin in _BEGIN.finditer(text):
        command = begin[1]
        rest = text[begin.end() :]
        value_follows = False
        while more := re.match(r" ([\w./:*'\"=-]+)", rest):
            word = more[1].rstrip(".,;:")
            option, name = word.startswith("--"), re.fullmatch(r"[A-Z_-]+(?:=\w+)?", word)
            if not (option or name or value_follows or word in {"add", "list", "remove"}):
                break
            command += f" {word}"
            rest = rest[more.end() :]
            value_follows = option
            if word != more[1]:
                break
        yield command
