"""What commands print with ``--json``, checked against docs/command-line.schema.json."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from tests.paths import ROOT

SCHEMA: dict[str, Any] = json.loads((ROOT / "docs" / "command-line.schema.json").read_text())


@cache
def _validator(command: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/rotation {command}", "$defs": SCHEMA["$defs"]})


def answer_of(command: str, printed: str) -> dict[str, Any]:
    """The one object that a command printed."""
    answer: dict[str, Any] = json.loads(printed)
    problems = [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}"
        for error in _validator(command).iter_errors(answer)
    ]
    assert problems == [], f"rotation {command} --json"
    return answer


def answers_of(command: str, printed: str) -> list[dict[str, Any]]:
    """The objects that a command printed, one a line."""
    return [answer_of(command, line) for line in printed.splitlines()]
