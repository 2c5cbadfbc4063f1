"""The template as CloudFormation would see it: intrinsic functions resolved, as far as tests need.

Knows the short forms of Ref, Condition, Fn::Sub, Fn::If, Fn::Equals, Fn::Not, Fn::And, Fn::Or,
Fn::Contains, Fn::EachMemberEquals, Fn::Join, Fn::Split, Fn::Select and Fn::GetAtt (CloudFormation
UserGuide, intrinsic-function-reference). A Ref or GetAtt of a resource becomes its own text, such
as ``SealingLogGroup`` or ``RotationFunction.Arn``; the Ref of a topic or of a secret is an ARN.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import boto3
import yaml

from tests.paths import ROOT

PSEUDO = {
    "AWS::AccountId": "012345678912",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::StackName": "signatures",
}
#: What the buckets for documents are called where the stack creates them.
BUCKETS = {"SourceBucket": "inbox", "DestinationBucket": "outbox"}

# What a Ref of a resource gives, where it is an ARN.
_ARNS = {
    "AWS::SNS::Topic": "arn:aws:sns:eu-central-1:012345678912:signatures-{}",
    "AWS::SecretsManager::Secret": (
        "arn:aws:secretsmanager:eu-central-1:012345678912:secret:{}-AbCdEf"
    ),
}

_absent = object()

# The functions that need nothing but their resolved arguments.
_PLAIN_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "Fn::Equals": lambda left, right: left == right,
    "Fn::Not": lambda one: not one,
    "Fn::And": lambda *all_of: all(all_of),
    "Fn::Or": lambda *any_of: any(any_of),
    "Fn::Contains": lambda texts, text: text in texts,
    "Fn::EachMemberEquals": lambda texts, text: all(one == text for one in texts),
    "Fn::Join": lambda separator, parts: separator.join(parts),
    "Fn::Split": lambda separator, text: text.split(separator),
    "Fn::Select": lambda index, texts: texts[int(index)],
}


class _Loader(yaml.CSafeLoader):
    """Reads ``!Ref x`` as ``{"Ref": "x"}``, and so on."""


def _intrinsic(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag in {"Ref", "Condition"} else f"Fn::{tag}"
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


@cache
def _transformed_document() -> Mapping[str, Any]:
    """The template after the transform AWS::Serverless, by AWS's own translator.

    With the artifacts where ``sam deploy`` would have put them.
    """
    # Costs a second to import.
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    packaged = deepcopy(dict(_document()))
    for resource in packaged["Resources"].values():
        properties = resource["Properties"]
        if "CodeUri" in properties:
            properties["CodeUri"] = f"s3://artifacts/{properties['CodeUri']}.zip"
    session = boto3.Session(region_name=PSEUDO["AWS::Region"])
    translator = Translator({}, Parser(), boto_session=session)
    document: Mapping[str, Any] = translator.translate(packaged, {})
    return document


@dataclass(frozen=True)
class Template:
    """The template with one choice of parameters.

    Attributes:
        document: the template itself.
        parameters: each parameter's value, as text.
        pseudo: the pseudo parameters: where it is deployed.
        physical: gives ``Ref`` and the attributes of a resource; None: their own texts do.
    """

    document: Mapping[str, Any]
    parameters: Mapping[str, str]
    pseudo: Mapping[str, str] = field(default_factory=lambda: PSEUDO)
    physical: Callable[[str, str], Any] | None = None

    @classmethod
    def read(cls, **parameters: str) -> Template:
        """The project's template; parameters that are not given have their defaults.

        Raises:
            AssertionError: a value is not one that the template allows.
        """
        document = _document()
        chosen = {}
        for name, declared in document["Parameters"].items():
            value = str(parameters.get(name, declared.get("Default")))
            pattern = declared.get("AllowedPattern", ".*")
            # A pattern is for each value of a list (UserGuide, parameters-section-structure).
            listed = declared["Type"] == "CommaDelimitedList"
            for one in value.split(",") if listed else [value]:
                assert re.fullmatch(pattern, one, re.DOTALL), f"{name} does not allow {value}"
            allowed = map(str, declared.get("AllowedValues", [value]))
            assert value in allowed, f"{name} does not allow {value}"
            assert len(value) <= declared.get("MaxLength", len(value)), f"{name} is too long"
            if declared["Type"] == "Number":
                least, most = (declared.get(bound, value) for bound in ("MinValue", "MaxValue"))
                assert int(least) <= int(value) <= int(most), f"{name} does not allow {value}"
            chosen[name] = value
        return cls(document, chosen)

    def transformed(self) -> Template:
        """What CloudFormation creates of it: no resource is of AWS::Serverless any more."""
        return replace(self, document=_transformed_document())

    def exists(self, name: str) -> bool:
        """Whether this choice of parameters creates the resource."""
        condition = self.document["Resources"][name].get("Condition")
        return condition is None or bool(self.resolve(self.document["Conditions"][condition]))

    def created(self, kind: str) -> dict[str, Any]:
        """The properties of every resource of one type that this choice creates, by name."""
        resources = self.document["Resources"]
        return {
            name: self.properties(name)
            for name, one in resources.items()
            if one["Type"] == kind and self.exists(name)
        }

    def refusals(self) -> list[str]:
        """What the template's rules say against this choice of parameters."""
        return [
            assertion["AssertDescription"]
            for rule in self.document["Rules"].values()
            if self.resolve(rule.get("RuleCondition", True))
            for assertion in rule["Assertions"]
            if not self.resolve(assertion["Assert"])
        ]

    def resource(self, name: str) -> Any:
        """One resource, resolved, with what the template sets for all functions."""
        resource = self.resolve(self.document["Resources"][name])
        if resource["Type"] == "AWS::Serverless::Function":
            shared = self.resolve(self.document["Globals"]["Function"])
            variables = shared["Environment"]["Variables"]
            resource["Properties"] = shared | resource["Properties"]
            own = resource["Properties"]["Environment"]["Variables"]
            resource["Properties"]["Environment"] = {"Variables": variables | own}
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
        properties = self.properties(role)
        policies = list(properties.get("Policies", []))
        policies += [self.properties(one) for one in properties.get("ManagedPolicyArns", [])]
        for name, resource in self.document["Resources"].items():
            if resource["Type"] == "AWS::IAM::Policy" and self.exists(name):
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
            if name == "Condition" and isinstance(argument, str):
                return self._resolve(self.document["Conditions"][argument])
        members = {name: self._resolve(member) for name, member in value.items()}
        return {name: member for name, member in members.items() if member is not _absent}

    def _call(self, name: str, argument: Any) -> Any:
        match name:
            case "Ref":
                return self._reference(argument)
            case "Fn::GetAtt":
                return self._reference(
                    argument if isinstance(argument, str) else ".".join(argument)
                )
            case "Fn::Sub":
                return self._substitute(*(argument if isinstance(argument, list) else [argument]))
            case "Fn::If":
                condition, then, otherwise = argument
                return self._resolve(then if self._resolve({"Condition": condition}) else otherwise)
        assert name in _PLAIN_FUNCTIONS, f"{name} is not known to these tests"
        return _PLAIN_FUNCTIONS[name](*self._resolve(argument))

    def _substitute(self, text: str, values: Mapping[str, Any] | None = None) -> str:
        own = self._resolve(dict(values or {}))
        return re.sub(
            r"\$\{([^}]+)\}",
            lambda found: str(own[found[1]] if found[1] in own else self._reference(found[1])),
            text,
        )

    def _reference(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _absent
        if name in self.pseudo:
            return self.pseudo[name]
        if name in self.parameters:
            listed = self.document["Parameters"][name]["Type"] == "CommaDelimitedList"
            return self.parameters[name].split(",") if listed else self.parameters[name]
        return self._of_a_resource(name)

    def _of_a_resource(self, name: str) -> Any:
        if self.physical is not None:
            resource, _, attribute = name.partition(".")
            return self.physical(resource, attribute or "Ref")
        if name in BUCKETS:
            return BUCKETS[name]
        pattern = _ARNS.get(self.document["Resources"].get(name, {}).get("Type"), "{}")
        return pattern.format(name)


def actions(statements: list[dict[str, Any]]) -> set[str]:
    """Every action that the statements name."""
    named = [statement["Action"] for statement in statements]
    return {action for one in named for action in (one if isinstance(one, list) else [one])}
