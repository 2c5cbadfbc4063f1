"""Who may read the secret, as far as its resource policy tells. It does no IO.

The statements are shown as they are; `rotation exposure` judges what they mean for whom.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rotation.cli.report.lives import said
from rotation.cli.report.sources import ReportSources
from rotation.credential import json_object
from rotation.exposure.policies import is_about, listed, statements

#: What somebody must be allowed to do to read the secret's value.
_READING: Final = ("secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue")


def access(sources: ReportSources) -> dict[str, Any]:
    """Which statements of the resource policy are about reading the value."""
    policy = None if sources.policy is None else json_object(sources.policy)
    everything = [one for one in statements(policy) if isinstance(one, dict)]
    about = [one for one in everything if any(is_about(one, action) for action in _READING)]
    return {
        "policy": None if sources.policy is None else policy is not None,
        "statements": [_statement(one) for one in about],
        "otherStatements": len(everything) - len(about),
    }


def _statement(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "sid": None if "Sid" not in one else said(one["Sid"]),
        "effect": said(one.get("Effect", "")),
        "principals": list(_element(one, "Principal")),
        "actions": list(_element(one, "Action")),
        "conditions": [
            f"{said(operator)}: {said(name)} = {', '.join(map(said, listed(values)))}"
            for operator, tests in sorted((one.get("Condition") or {}).items())
            for name, values in sorted(tests.items())
        ],
    }


def _element(statement: Mapping[str, Any], name: str) -> Iterator[str]:
    """An element in words, with the kind of each principal."""
    inverted = name not in statement
    found = statement.get(f"Not{name}" if inverted else name, [])
    for kind, values in found.items() if isinstance(found, dict) else [("", found)]:
        for value in listed(values):
            words = ["all but" if inverted else "", kind, str(value)]
            yield said(" ".join(one for one in words if one))
