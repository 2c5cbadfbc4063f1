"""The parts of the reference that come from the code: commands, and parameters of the template.

A page has a marker where such a part goes, as a comment that no reader of the Markdown sees:
``<!-- generated: commands -->``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final

import click
import yaml

from rotation.cli.commands import rotation

TEMPLATE: Final = Path(__file__).resolve().parents[2] / "template.yaml"
MARKER: Final = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


def fill(text: str) -> str:
    """The page with what is generated in the place of each marker."""
    return MARKER.sub(lambda found: PARTS[found[1]](), text)


def commands() -> str:
    """Every command of ``rotation`` with its arguments and options, as their help says."""
    return "\n".join(line for command in walk(rotation, "rotation") for line in _section(*command))


def walk(command: click.Command, name: str) -> Iterator[tuple[click.Command, str]]:
    """The command and all below it that are not hidden, each with its full name."""
    yield command, name
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is not None and not found.hidden:
                yield from walk(found, f"{name} {below}")


def _section(command: click.Command, name: str) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    yield from (f"## {name}", "", "```text", usage, "```", "")
    yield from _help(command.help or "")
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record and "--help" not in parameter.opts:
            names, meaning = record
            yield f"`{names}`\n: {_prose(meaning)}\n"


def _help(text: str) -> Iterator[str]:
    """Paragraphs as text; what click must not wrap (it begins with a backspace) as it is."""
    for paragraph in re.split(r"\n\n+", cleandoc(text).replace("\f", "")):
        if paragraph.startswith("\b"):
            yield from ("```text", cleandoc(paragraph.removeprefix("\b\n")), "```", "")
        else:
            yield from (_prose(paragraph), "")


def _prose(text: str) -> str:
    """Text in which Markdown finds nothing but code between backticks."""
    parts = re.split(r"(`[^`]+`)", " ".join(text.split()))
    return "".join(
        part if part.startswith("`") else re.sub(r"([\\*_\[\]<>#|])", r"\\\1", part)
        for part in parts
    )


class _Template(yaml.SafeLoader):
    """Reads a template; what its intrinsic functions give is not known before it is deployed."""


_Template.add_multi_constructor("!", lambda *_node: None)


def parameters() -> str:
    """Every parameter of ``template.yaml`` in the groups in which CloudFormation shows them."""
    template = yaml.load(TEMPLATE.read_text(), _Template)  # noqa: S506 - a SafeLoader
    known = template["Parameters"]
    lines: list[str] = []
    for group in template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]:
        lines += [f"## {group['Label']['default']}", ""]
        lines += [_parameter(name, known[name]) for name in group["Parameters"]]
    return "\n".join(lines)


def _parameter(name: str, said: dict[str, Any]) -> str:
    facts = [f"`{said['Default']}` by default" if str(said.get("Default", "")) else ""]
    if "Default" not in said:
        facts.append("required")
    if "AllowedValues" in said:
        facts.append(
            "one of " + ", ".join(f"`{value}`" for value in said["AllowedValues"] if value)
        )
    if "MinValue" in said:
        facts.append(f"{said['MinValue']} to {said['MaxValue']}")
    told = "; ".join(fact for fact in facts if fact)
    return f"`{name}`\n: {_prose(said['Description'])}{f' ({told})' if told else ''}\n"


PARTS: Final[dict[str, Callable[[], str]]] = {"commands": commands, "parameters": parameters}
