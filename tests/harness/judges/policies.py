"""The policies of a rendered template's roles, with an ARN in each place of a reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.artifacts.template import PSEUDO

_here = f"{PSEUDO['AWS::Region']}:{PSEUDO['AWS::AccountId']}"
# What the Ref of a resource is, where it is no ARN.
_NAMED = {"AWS::Lambda::Function", "AWS::S3::Bucket"}
# The ARN of a resource by its type.
_ARNS = {
    "AWS::CloudWatch::Alarm": f"arn:aws:cloudwatch:{_here}:alarm:{{}}",
    "AWS::IAM::Role": f"arn:aws:iam::{PSEUDO['AWS::AccountId']}:role/{{}}",
    "AWS::KMS::Key": f"arn:aws:kms:{_here}:key/{{}}",
    "AWS::Lambda::Alias": f"arn:aws:lambda:{_here}:function:function:{{}}",
    "AWS::Lambda::Function": f"arn:aws:lambda:{_here}:function:{{}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{_here}:log-group:{{}}:*",
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
    "AWS::SNS::Topic": f"arn:aws:sns:{_here}:{{}}",
    "AWS::SQS::Queue": f"arn:aws:sqs:{_here}:{{}}",
    "AWS::SecretsManager::Secret": f"arn:aws:secretsmanager:{_here}:secret:{{}}-AbCdEf",
}


def identity_policies(template: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The policy documents of every role, policy and managed policy, by the resource's name."""
    resources = template["Resources"]
    found: dict[str, list[Any]] = {}
    for name, resource in resources.items():
        properties = resource["Properties"]
        match resource["Type"]:
            case "AWS::IAM::Role":
                documents = [one["PolicyDocument"] for one in properties.get("Policies", ())]
            case "AWS::IAM::Policy" | "AWS::IAM::ManagedPolicy":
                documents = [properties["PolicyDocument"]]
            case _:
                continue
        found[name] = [_with_arns(one, resources) for one in documents]
    return found


def _with_arns(value: Any, resources: Mapping[str, Any]) -> Any:
    found = value
    match value:
        case {"Ref": name} if resources[name]["Type"] in _NAMED:
            found = name
        case {"Ref": name} | {"Fn::GetAtt": [name, "Arn"]}:
            found = _ARNS[resources[name]["Type"]].format(name)
        case {"Fn::Join": [separator, parts]}:
            found = separator.join(_with_arns(parts, resources))
        case {"Fn::Split": [separator, text]}:
            found = _with_arns(text, resources).split(separator)
        case dict():
            found = {key: _with_arns(member, resources) for key, member in value.items()}
        case list():
            found = [_with_arns(member, resources) for member in value]
    return found
