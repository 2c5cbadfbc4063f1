"""The template as CloudFormation would see it: intrinsic functions resolved, as far as tests need.

Knows the short forms of Ref, Fn::Sub, Fn::If, Fn::Equals, Fn::Not and Fn::GetAtt (CloudFormation
UserGuide, intrinsic-function-reference). A Ref or GetAtt of a resource becomes its own text, such
as ``Secret`` or ``RotationFunction.Arn``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from tests.paths import ROOT

PSEUDO = {
    "AWS::AccountId": "012345678912",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::StackName": "signatures",
}
BUCKETS = {"SourceBucketName": "inbox", "DestinationBucketName": "outbox"}

_absent = object()


class _Loader(yaml.SafeLoader):
    """Reads ``!Ref x`` as ``{"Ref": "x"}``, and so on."""


def _intrinsic(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag == "Ref" else f"Fn::{tag}"
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.ScalarNode)
    return {name: loader.construct_scalar(node)}


_Loader.add_multi_constructor("!", _intrinsic)


@cache
def _document() -> Mapping[str, Any]:
    """The template as it is written; nobody changes it, so it is parsed once."""
    document: Mapping[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), _Loader)
    return document


@dataclass(frozen=True)
class Template:
    """The template with one choice of parameters."""

    document: Mapping[str, Any]
    parameters: Mapping[str, str]

    @classmethod
    def read(cls, **parameters: str) -> Template:
        """The project's template; parameters that are not given have their defaults.

        Raises:
            AssertionError: a value is not one that the template allows.
        """
        document = _document()
        chosen = dict(BUCKETS)
        for name, declared in document["Parameters"].items():
            value = str(parameters.get(name, declared.get("Default", chosen.get(name))))
            pattern = declared.get("AllowedPattern", ".*")
            assert re.fullmatch(pattern, value, re.DOTALL), f"{name} does not allow {value}"
            chosen[name] = value
        return cls(document, chosen)

    def resource(self, name: str) -> Any:
        """One resource, resolved, with what the template sets for all functions."""
        resource = self.resolve(self.document["Resources"][name])
        if resource["Type"] == "AWS::Serverless::Function":
            shared = self.resolve(self.document["Globals"]["Function"])
            resource["Properties"] = shared | resource["Properties"]
        return resource

    def properties(self, name: str) -> Any:
        """The properties of one resource, resolved."""
        return self.resource(name)["Properties"]

    def environment(self, function: str) -> dict[str, str]:
        """A function's variables, as text."""
        variables = self.properties(function)["Environment"]["Variables"]
        return {name: str(value) for name, value in variables.items()}

    def statements(self, role: str) -> list[dict[str, Any]]:
        """Every statement of the role's policies, those that are attached to it included."""
        policies = list(self.properties(role)["Policies"])
        for name, resource in self.document["Resources"].items():
            if resource["Type"] == "AWS::IAM::Policy":
                attached = self.properties(name)
                policies += [attached] if role in attached["Roles"] else []
        return [one for policy in policies for one in policy["PolicyDocument"]["Statement"]]

    def resolve(self, value: Any) -> Any:
        """``value`` with every intrinsic function in it carried out."""
        resolved = self._resolve(value)
        assert resolved is not _absent
        return resolved

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [found for found in map(self._resolve, value) if found is not _absent]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(name, argument)] = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._call(name, argument)
        members = {name: self._resolve(member) for name, member in value.items()}
        return {name: member for name, member in members.items() if member is not _absent}

    def _call(self, name: str, argument: Any) -> Any:
        match name:
            case "Ref":
                return self._reference(argument)
            case "Fn::Sub":
                return re.sub(r"\$\{([^}]+)\}", lambda m: str(self._reference(m[1])), argument)
            case "Fn::GetAtt":
                return argument
            case "Fn::If":
                condition, then, otherwise = argument
                holds = self._resolve(self.document["Conditions"][condition])
                return self._resolve(then if holds else otherwise)
            case "Fn::Equals":
                left, right = self._resolve(argument)
                return left == right
            case "Fn::Not":
                return not self._resolve(argument)[0]
        raise AssertionError(f"{name} is not known to these tests")

    def _reference(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _absent
        return (PSEUDO | dict(self.parameters)).get(name, name)


def actions(statements: list[dict[str, Any]]) -> set[str]:
    """Every action that the statements name."""
    named = [statement["Action"] for statement in statements]
    return {action for one in named for action in (one if isinstance(one, list) else [one])}
