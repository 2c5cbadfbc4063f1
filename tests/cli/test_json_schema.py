"""docs/command-line.schema.json describes what every command prints with ``--json``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click
from jsonschema import Draft202012Validator

from rotation.cli.commands import rotation
from tests.cli.json_answers import SCHEMA


def commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(rotation)
    for name in rotation.list_commands(context):
        command = rotation.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                found = command.get_command(context, inner)
                assert found is not None
                yield f"{name} {inner}", found
        else:
            yield name, command


def members(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for part in schema.values():
            yield from members(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from members(part)


def test_every_command_has_json_and_a_schema() -> None:
    """No command answers to people alone."""
    described = {name.removeprefix("rotation ") for name in SCHEMA["$defs"] if " " in name}
    named = dict(commands())
    assert described == named.keys()
    for name, command in named.items():
        assert any("--json" in option.opts for option in command.params), name


def test_members_are_spelled_in_one_way() -> None:
    """As in the reports: the first word in small letters, and a capital for each that follows."""
    assert [one for one in members(SCHEMA) if not re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", one)] == []


def test_it_is_a_json_schema() -> None:
    """Of the draft that it names; each reference leads somewhere."""
    Draft202012Validator.check_schema(SCHEMA)
    named = set(re.findall(r"'\$ref': '#/\$defs/([^']+)'", str(SCHEMA)))
    assert named <= SCHEMA["$defs"].keys()
