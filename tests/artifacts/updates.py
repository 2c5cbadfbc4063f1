"""What CloudFormation does when a stack is updated, as far as it depends on parameters.

A resource is replaced when a property that it has can only be set at its creation, and changes
(CloudFormation UserGuide, using-cfn-updating-stacks-update-behaviors). Which properties these are
is in the resource types' own schemas (``createOnlyProperties``), which cfn-lint carries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.artifacts.template import PSEUDO

Changes = dict[str, set[str]]


def replaced(document: Mapping[str, Any]) -> Changes:
    """The resources that a change of each parameter replaces, also because another one is."""
    fixed = {name: _fixed(resource) for name, resource in document["Resources"].items()}
    causes = {name: set(_parameters(document, value)) for name, value in fixed.items()}
    while True:
        found = {
            name: causes[name].union(*(causes[other] for other in _resources(document, value)))
            for name, value in fixed.items()
        }
        if found == causes:
            return _by_parameter(causes)
        causes = found


def switched(document: Mapping[str, Any]) -> Changes:
    """The resources that come or go when a parameter changes."""
    causes = {
        name: set(_parameters(document, {"Condition": resource["Condition"]}))
        for name, resource in document["Resources"].items()
        if "Condition" in resource
    }
    return _by_parameter(causes)


def _by_parameter(causes: Mapping[str, set[str]]) -> Changes:
    found: Changes = {}
    for resource, parameters in causes.items():
        for parameter in parameters:
            found.setdefault(parameter, set()).add(resource)
    return found


def _fixed(resource: Mapping[str, Any]) -> list[Any]:
    """The values of the properties that can only be set at creation."""
    # Costs a second to import.
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource["Type"]).schema
    named = [
        *schema.get("createOnlyProperties", ()),
        *schema.get("conditionalCreateOnlyProperties", ()),
    ]
    names = {path.split("/")[2] for path in named}
    return [value for name, value in resource.get("Properties", {}).items() if name in names]


def _references(value: Any) -> Iterator[str]:
    """Every name that a value mentions: parameters, resources, and conditions after ``if ``."""
    if isinstance(value, list):
        for one in value:
            yield from _references(one)
    if not isinstance(value, dict):
        return
    for name, argument in value.items():
        if name == "Ref":
            yield argument
        elif name == "Fn::GetAtt":
            yield argument[0] if isinstance(argument, list) else argument.split(".")[0]
        elif name == "Condition" and isinstance(argument, str):
            yield f"if {argument}"
        elif name == "Fn::If":
            yield f"if {argument[0]}"
            yield from _references(argument[1:])
        elif name == "Fn::Sub":
            text = argument[0] if isinstance(argument, list) else argument
            yield from (one.split(".")[0] for one in re.findall(r"\$\{([^!}]+)\}", text))
            yield from _references(argument[1:] if isinstance(argument, list) else ())
        else:
            yield from _references(argument)


def _parameters(document: Mapping[str, Any], value: Any) -> Iterator[str]:
    for name in _references(value):
        if name.startswith("if "):
            yield from _parameters(document, document["Conditions"][name.removeprefix("if ")])
        elif name in document["Parameters"]:
            yield name


def _resources(document: Mapping[str, Any], value: Any) -> set[str]:
    return {name for name in _references(value) if name in document["Resources"]} - PSEUDO.keys()
