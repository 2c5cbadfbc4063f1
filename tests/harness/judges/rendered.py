"""The template with one set of parameters, in the form that the judges read.

The transform and the conditions are carried out, and parameters are replaced by their values, so
that a judge looks at what would be created. References between resources stay, since judges follow
them. Explanations do not, since a judge that reads them would look no further.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.artifacts.template import Template


@dataclass(frozen=True)
class _Linked(Template):
    """Resolves everything but references to resources."""

    def _call(self, name: str, argument: Any) -> Any:
        if name == "Fn::GetAtt":
            return {name: argument.split(".", 1) if isinstance(argument, str) else argument}
        if name in {"Fn::Join", "Fn::Split"}:
            resolved = self._resolve(argument)
            if _has_reference(resolved):
                return {name: resolved}
        return super()._call(name, argument)

    def _substitute(self, text: str, values: Mapping[str, Any] | None = None) -> Any:
        """The text, or, as AWS's rules read references, a Fn::Join of its parts."""
        own = self._resolve(dict(values or {}))
        parts: list[Any] = []
        for literal, name in re.findall(r"([^$]+|\$(?!\{))|\$\{([^}]+)\}", text):
            if literal:
                found: Any = literal
            elif name in own:
                found = own[name]
            elif "." in name:
                found = {"Fn::GetAtt": name.split(".", 1)}
            else:
                found = self._reference(name)
            if parts and isinstance(found, str) and isinstance(parts[-1], str):
                parts[-1] = str(parts[-1]) + str(found)
            else:
                parts.append(found)
        if all(isinstance(part, str) for part in parts):
            return "".join(parts)
        return {"Fn::Join": ["", parts]}

    def _reference(self, name: str) -> Any:
        if name in self.document["Resources"]:
            return {"Ref": name}
        value = super()._reference(name)
        declared = self.document["Parameters"].get(name, {})
        if declared.get("Type") == "Number":
            return _Typed(value)
        return _Typed(value) if value in ("true", "false") else value


class _Typed(str):
    """A number or a truth value, which is text in a condition and in Fn::Sub."""


def _plain(value: Any) -> Any:
    match value:
        case _Typed():
            return json.loads(value)
        case dict():
            return {name: _plain(member) for name, member in value.items()}
        case list():
            return [*map(_plain, value)]
    return value


def _has_reference(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_has_reference, value)))


def rendered(parameters: Mapping[str, str]) -> dict[str, Any]:
    """What CloudFormation creates with ``parameters``, as a template without conditions."""
    transformed = Template.read(**parameters).transformed()
    linked = _Linked(transformed.document, transformed.parameters)
    resources = {
        name: {
            key: _plain(linked.resolve(value))
            for key, value in resource.items()
            if key not in {"Condition", "Metadata"}
        }
        for name, resource in linked.document["Resources"].items()
        if linked.exists(name)
    }
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}
