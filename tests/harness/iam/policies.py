"""The template's policies for a set of parameters, with ARNs in place of references."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from tests.artifacts.template import PSEUDO, Template

ACCOUNT: Final = PSEUDO["AWS::AccountId"]
_AT: Final = f"{PSEUDO['AWS::Region']}:{ACCOUNT}"
_NAMED: Final = {
    "AWS::Serverless::Function": f"arn:aws:lambda:{_AT}:function:signatures-{{}}",
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{{}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{_AT}:log-group:{{}}:*",
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
    "AWS::SQS::Queue": f"arn:aws:sqs:{_AT}:{{}}",
    "AWS::KMS::Key": f"arn:aws:kms:{_AT}:key/{{}}",
    "AWS::SNS::Topic": f"arn:aws:sns:{_AT}:signatures-{{}}",
    "AWS::SecretsManager::Secret": f"arn:aws:secretsmanager:{_AT}:secret:{{}}-AbCdEf",
    "AWS::Lambda::Alias": f"arn:aws:lambda:{_AT}:function:signatures-reconcile:revoke-first",
}

Statement = Mapping[str, Any]


@dataclass(frozen=True)
class Policies:
    """The policies of one set of parameters.

    Attributes:
        identity: the statements of each role, and of each policy for people, by its name.
        resource: the policy of each resource that has one, by its ARN.
    """

    template: Template
    identity: Mapping[str, list[Statement]]
    resource: Mapping[str, Any]

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Policies:
        """The policies that these parameters create."""
        template = Template.read(**parameters)
        names = _Names(template)
        identity = {
            role: names.resolved(template.statements(role))
            for role in template.created("AWS::IAM::Role")
        } | {
            name: names.resolved(one["PolicyDocument"]["Statement"])
            for name, one in template.created("AWS::IAM::ManagedPolicy").items()
            if name != "NetworkPolicy"
        }
        resource = {
            names.resolved(one["SecretId"]): names.resolved(one["ResourcePolicy"])
            for one in template.created("AWS::SecretsManager::ResourcePolicy").values()
        } | {
            f"arn:aws:s3:::{one['Bucket']}": names.resolved(one["PolicyDocument"])
            for one in template.created("AWS::S3::BucketPolicy").values()
        }
        return cls(template, identity, resource)

    def arn(self, name: str) -> str:
        """The ARN of a resource of the template."""
        return _Names(self.template).arn(name)


class _Names:
    """Puts ARNs in place of the names that the template's tools give for Ref and GetAtt."""

    def __init__(self, template: Template) -> None:
        kinds = {name: one["Type"] for name, one in template.document["Resources"].items()}
        self._arns = {
            name: _NAMED[kind].format(name) for name, kind in kinds.items() if kind in _NAMED
        }
        self._arns["ReconcileFunction"] = f"arn:aws:lambda:{_AT}:function:signatures-reconcile"
        self._attribute = re.compile(rf"\b({'|'.join(self._arns)})\.Arn\b")

    def arn(self, name: str) -> str:
        """The ARN of a resource."""
        return self._arns[name]

    def resolved(self, value: Any) -> Any:
        """``value`` with every name replaced."""
        if isinstance(value, list):
            return [self.resolved(one) for one in value]
        if isinstance(value, dict):
            return {name: self.resolved(member) for name, member in value.items()}
        if not isinstance(value, str):
            return value
        if value in self._arns:
            return self._arns[value]
        return self._attribute.sub(lambda found: self._arns[found[1]], value)


@dataclass(frozen=True)
class Mutation:
    """A policy with one change.

    Attributes:
        role: whose policy it is.
        what: the change, in words.
        statements: the policy.
        narrower: whether it allows less, so that a recorded call must fail; else it allows more,
            and something must be allowed that was denied.
        actions: the actions of the statement that was changed.
    """

    role: str
    what: str
    statements: list[Statement]
    narrower: bool
    actions: frozenset[str]


def listed(value: Any) -> list[Any]:
    """A list, or the one value that stands for a list of one."""
    return value if isinstance(value, list) else [value]


def mutations(role: str, statements: list[Statement]) -> Iterator[Mutation]:
    """Each action and resource taken away; each condition dropped, each resource opened."""
    for place, statement in enumerate(statements):
        for what, narrower, actions, changed in _changes(statement):
            copy = [one for at, one in enumerate(statements) if at != place]
            if listed(changed["Action"]) and listed(changed["Resource"]):
                copy.insert(place, changed)
            yield Mutation(role, f"{statement['Sid']}: {what}", copy, narrower, actions)


def _changes(statement: Statement) -> Iterator[tuple[str, bool, frozenset[str], Statement]]:
    """The changes of one statement: what, whether it allows less, actions, the statement."""
    actions, resources = listed(statement["Action"]), listed(statement["Resource"])
    every, allow = frozenset(actions), statement["Effect"] == "Allow"
    for action in actions:
        left = [one for one in actions if one != action]
        yield f"without {action}", allow, frozenset({action}), {**statement, "Action": left}
    if len(resources) > 1:
        for resource in resources:
            left = [one for one in resources if one != resource]
            yield f"without {resource}", allow, every, {**statement, "Resource": left}
    if allow and resources != ["*"]:
        yield "every resource", False, every, {**statement, "Resource": "*"}
    for operator, keys in statement.get("Condition", {}).items():
        for key in keys:
            condition = deepcopy(dict(statement["Condition"]))
            del condition[operator][key]
            changed = {**statement, "Condition": {one: v for one, v in condition.items() if v}}
            if not changed["Condition"]:
                del changed["Condition"]
            yield f"without the condition on {key}", not allow, every, changed
