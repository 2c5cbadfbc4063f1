"""How large the environment of a function can become, whatever values the template lets through."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, Final

import pytest

from tests.artifacts.parameter_sets import FULLEST, GIVEN
from tests.artifacts.template import PSEUDO, Template

#: Lambda quotas, "Environment variables". Lambda measures the variables as one JSON object; its
#: error says so ("String measured: {…}").
LIMIT: Final = 4096
# As long as these can be: docs/deploying.md has the limit of a stack's name.
_WHERE: Final = PSEUDO | {
    "AWS::StackName": "s" * 54,
    "AWS::Partition": "aws-us-gov",
    "AWS::Region": "ap-southeast-99",
}
#: More than a function, bucket, topic or key has in its name or ARN, the stack's name in it.
_NAME: Final = "x" * 160
# A character that takes three bytes, one that JSON writes with a backslash, and an ordinary one.
_CHARACTERS: Final = ("€", '"', "x")
_SAMPLES: Final = {
    "EgressCa": "/opt/egress-ca.pem",
    "ExistingSecretArn": GIVEN["ExistingSecretArn"],
    "SourceBucketName": "documents",
    "DestinationBucketName": "documents",
    "DestinationKmsKeyArn": FULLEST["FormerKmsKeyArn"],
    "DocumentsKmsKeyArn": FULLEST["FormerKmsKeyArn"],
}


def longest(name: str, declared: dict[str, Any]) -> str:
    """The value of a parameter that takes most bytes in JSON.

    Where a pattern admits a character is tried out, at each place of a sample.
    """
    if "AllowedValues" in declared:
        return max(map(str, declared["AllowedValues"]), key=len)
    if declared["Type"] == "Number":
        return str(declared["MaxValue"])
    sample = _SAMPLES.get(name) or FULLEST.get(name) or str(declared["Default"])
    pattern, most = re.compile(declared.get("AllowedPattern", ".*"), re.DOTALL), _most(declared)
    assert pattern.fullmatch(sample), name
    admitted = (
        one
        for one in _CHARACTERS
        if any(
            pattern.fullmatch(sample[:place] + one + sample[place:])
            for place in range(len(sample) + 1)
        )
    )
    return next(admitted, "x") * most


def _most(declared: dict[str, Any]) -> int:
    """The greatest length, which a bucket's name has without saying so."""
    if "MaxLength" in declared:
        return int(declared["MaxLength"])
    assert "{1,61}" in declared["AllowedPattern"], "a text of any length comes to an environment"
    return 63


def largest(function: str) -> int:
    """The bytes of a function's environment, each variable at its largest."""
    sizes: dict[str, int] = {}
    document = Template.read().document
    used = {name for name in document["Parameters"] if name in _named(document, function)}
    for parameters in (FULLEST, GIVEN, {}):
        chosen = dict(Template.read(**{**parameters, "UnattendedSealing": "events"}).parameters) | {
            name: longest(name, document["Parameters"][name])
            for name in used
            if parameters or document["Parameters"][name].get("Default") != ""
        }
        # What is chosen here is what exists; the longest of the allowed values is no choice.
        chosen |= {"KeyIssuer": "admin-api" if parameters is FULLEST else "key-pool"}
        template = replace(
            Template(document, chosen), pseudo=_WHERE, physical=_physical(document, chosen)
        )
        for name, value in template.environment(function).items():
            member = f"{json.dumps(name)}:{json.dumps(value, ensure_ascii=False)},"
            sizes[name] = max(sizes.get(name, 0), len(member.encode()))
    return sum(sizes.values()) + 1


def _named(document: Any, function: str) -> set[str]:
    """The words in the variables of a function, and in those of all."""
    own = document["Resources"][function]["Properties"]["Environment"]
    return set(re.findall(r"\w+", str([own, document["Globals"]["Function"]["Environment"]])))


def _physical(document: Any, chosen: dict[str, str]) -> Any:
    def name(resource: str, attribute: str) -> str:
        if document["Resources"][resource]["Type"] != "AWS::SecretsManager::Secret":
            return _NAME
        where = "arn:aws-us-gov:secretsmanager:ap-southeast-99:012345678912:secret:"
        declared = document["Parameters"][f"{resource}Name"]
        return where + "x" * int(declared["MaxLength"]) + "-AbCdEf"

    return name


@pytest.mark.parametrize(
    "function",
    [
        "RotationFunction",
        "ReconcileFunction",
        "SealingFunction",
        "SealEventsFunction",
        "SealBatchFunction",
    ],
)
def test_no_value_that_the_template_allows_makes_an_environment_too_large(function: str) -> None:
    """Lambda would refuse it in the middle of a deployment."""
    assert largest(function) < LIMIT
