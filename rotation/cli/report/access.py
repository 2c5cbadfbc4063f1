"""Who may read the secret, as far as its resource policy tells. It does no IO."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from rotation.cli.report.lives import said
from rotation.cli.report.sources import ReportSources
from rotation.credential import json_object

#: What somebody must be allowed to do to read the secret's value.
_READING: Final = ("secretsmanager:getsecretvalue", "secretsmanager:batchgetsecretvalue")


def access(sources: ReportSources) -> dict[str, Any]:
    """Which statements of the resource policy are about reading the value."""
    policy = None if sources.policy is None else json_object(sources.policy)
    statements = [] if policy is None else _listed(policy.get("Statement", []))
    about = [one for one in statements if isinstance(one, dict) and _about_reading(one)]
    return {
        "policy": None if sources.policy is None else policy is not None,
        "statements": [
            {
                "sid": None if "Sid" not in one else said(one["Sid"]),
                "effect": said(one.get("Effect", "")),
                "principals": _principals(one),
                "actions": [said(each) for each in _actions(one)],
                "conditions": [
                    f"{said(operator)}: {said(name)} = {', '.join(map(said, _listed(values)))}"
                    for operator, tests in sorted((one.get("Condition") or {}).items())
                    for name, values in sorted(tests.items())
                ],
            }
            for one in about
        ],
        "otherStatements": len(statements) - len(about),
    }


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _actions(statement: Mapping[str, Any]) -> list[str]:
    if "NotAction" in statement:
        return [f"all but {one}" for one in _listed(statement["NotAction"])]
    return [str(one) for one in _listed(statement.get("Action", []))]


def _about_reading(statement: Mapping[str, Any]) -> bool:
    """Whether a statement can be about GetSecretValue; when in doubt it is shown."""
    if "NotAction" in statement:
        return True
    patterns = [str(one).lower() for one in _listed(statement.get("Action", []))]
    return any(fnmatchcase(action, pattern) for action in _READING for pattern in patterns)


def _principals(statement: Mapping[str, Any]) -> list[str]:
    negated = "Principal" not in statement
    named = statement.get("NotPrincipal" if negated else "Principal", "*")
    kinds = named if isinstance(named, dict) else {"": named}
    words = [f"{kind} {one}".strip() for kind, names in kinds.items() for one in _listed(names)]
    return [said(f"all but {word}" if negated else word) for word in words]
