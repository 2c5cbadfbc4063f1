"""Every block of commands in the documentation is run by a test, or the page says why not.

The reason stands in a comment on the line before the block: ``<!-- not run: … -->``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import click
import pytest
from botocore import xform_name

from rotation.cli.commands import rotation
from tests.docs.test_docs import PAGES, ROOT_PAGES
from tests.docs.test_project import make_targets
from tests.paths import ROOT

#: Where the blocks of a page without such a comment are run.
RUN_BY = {
    "README.md": "tests/docs/test_installing.py",
    "docs/first-hour.md": "tests/docs/test_first_hour.py",
    "docs/cost.md": "tests/cli/cost/test_cost.py",
    "docs/key-pool.md": "tests/key_pool/test_pool_docs.py",
    "docs/other-ways.md": "tests/docs/test_other_ways.py",
    "docs/migrating.md": "tests/cli/migrate/test_page.py",
    "docs/rotation.md": "tests/docs/test_docs.py",
    "docs/sandbox.md": "tests/docs/test_docs.py",
    "docs/vendor.md": "tests/docs/test_docs.py",
}
RUNBOOKS = "tests/docs/runbooks/test_pages.py"

_BLOCK = re.compile(
    r"^(?:[ ]*<!-- not run: (?P<reason>[^\n]+) -->\n)?"
    r"(?P<indent>[ ]*)```(?P<kind>sh|console|bash)\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A block of commands, and why it is not run."""

    page: str
    text: str
    console: bool
    reason: str | None

    def commands(self) -> Iterator[list[str]]:
        """Each command in its words, without what it prints and what it is redirected to."""
        text = self.text.replace("\\\n", " ")
        lines = text.splitlines()
        if self.console:
            lines = [line.strip()[2:] for line in lines if line.strip().startswith("$ ")]
        text = re.sub(r"\$\(|\)(?= |\"|$)| *\|\s+|;", "\n", "\n".join(lines))
        for found in re.findall(r"^(?:\w+=)?((?:rotation|aws|make) .*)$", text, re.MULTILINE):
            yield _words(re.sub(r" [<>] .*", "", found))


def _words(line: str) -> list[str]:
    """What the shell makes of a line; a quote that another line ends is taken as it is."""
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return line.replace("'", " ").replace('"', " ").split()


def blocks() -> list[Block]:
    """All blocks of commands, in all pages."""
    return [
        Block(
            str(path.relative_to(ROOT)), found["text"], found["kind"] == "console", found["reason"]
        )
        for path in [*ROOT_PAGES, *PAGES]
        for found in _BLOCK.finditer(path.read_text())
    ]


def test_every_block_is_run_or_says_why_not() -> None:
    """A new block gets a test that is named here, or a reason in a comment before it."""
    unexplained = {block.page for block in blocks() if block.reason is None}
    runbooks = {page for page in unexplained if Path(page).parent.name == "runbooks"}
    assert unexplained - runbooks == RUN_BY.keys()
    for page, module in RUN_BY.items():
        assert Path(page).name in (ROOT / module).read_text()
    assert (ROOT / RUNBOOKS).is_file()


@pytest.mark.parametrize("program", ["aws", "make", "rotation"])
def test_every_command_exists_with_its_options(program: str) -> None:
    """Also where it is not run: no subcommand, operation, option or target is misspelt."""
    commands = [command for block in blocks() for command in block.commands()]
    found = [command[1:] for command in commands if command[0] == program]
    assert len(found) > 5
    unknown = {"aws": unknown_to_aws, "make": unknown_to_make, "rotation": unknown_to_us}[program]
    assert [(command, wrong) for command in found if (wrong := unknown(command))] == []


def unknown_to_make(words: list[str]) -> str:
    """The first target that the Makefile does not have."""
    targets = [word for word in words if "=" not in word]
    return next((target for target in targets if target not in make_targets()), "")


def unknown_to_us(words: list[str]) -> str:
    """The first command or option that ``rotation`` does not have."""
    command: click.Command = rotation
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        below = command.get_command(click.Context(command), words[0])
        if below is None:
            return words[0]
        command, words = below, words[1:]
    known = {"--help", *(name for one in command.params for name in one.opts)}
    return next((word for word in words if word.startswith("--") and word not in known), "")


GLOBAL = {"--cli-binary-format", "--endpoint-url", "--output", "--query", "--region"}
#: What the aws command line adds to the operations of the service: options by command.
ADDED = {
    "cloudformation deploy": {
        *("--template-file", "--s3-bucket", "--stack-name", "--capabilities"),
        "--parameter-overrides",
    },
    "cloudformation package": {"--template-file", "--s3-bucket", "--output-template-file"},
    "logs tail": {"--since", "--filter-pattern", "--follow", "--format"},
    "s3 cp": {"--recursive"},
    "s3 ls": {"--recursive"},
    "s3control create-job": {"--no-confirmation-required"},
    "secretsmanager rotate-secret": {"--no-rotate-immediately"},
}
#: What the aws command line has that is no operation of the service.
NO_OPERATIONS = {"cloudformation deploy", "cloudformation package", "logs tail"}


@cache
def operations(service: str) -> dict[str, Any]:
    """The operations of a service, by the name that they have on the command line."""
    name = {"s3api": "s3"}.get(service, service)
    model = botocore.session.get_session().get_service_model(name)
    return {xform_name(one, "-"): model.operation_model(one) for one in model.operation_names}


def unknown_to_aws(words: list[str]) -> str:
    """The first operation or option that AWS does not have."""
    service, operation, *rest = words
    known = GLOBAL | ADDED.get(f"{service} {operation}", set())
    if service != "s3" and f"{service} {operation}" not in NO_OPERATIONS:
        if operation not in operations(service):
            return operation
        shape = operations(service)[operation].input_shape
        known |= {f"--{xform_name(member, '-')}" for member in shape.members}
    return next((word for word in rest if word.startswith("--") and word not in known), "")
