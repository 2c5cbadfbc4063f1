"""The sets of parameters reach all of the template, and none is one that it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.artifacts.parameter_sets import FULLEST, GIVEN, SETS, SHORTEST
from tests.artifacts.template import PSEUDO, Template

# What is off, or left to AWS or to the stack.
_OFF = {"", "none", "false", "0"}


@pytest.mark.parametrize("parameters", SETS.values(), ids=SETS)
def test_a_set_is_accepted(parameters: Mapping[str, str]) -> None:
    """Each value is allowed, and no rule is against the combination."""
    template = Template.read(**parameters)
    assert template.refusals() == []
    assert parameters.keys() <= template.document["Parameters"].keys()


def test_everything_that_is_off_by_default_is_turned_on_in_a_set() -> None:
    """A parameter that no set uses would be judged by nobody."""
    for name, declared in Template.read().document["Parameters"].items():
        if str(declared.get("Default", "")) in _OFF:
            chosen = {parameters.get(name, "") for parameters in (FULLEST, GIVEN)}
            assert chosen - _OFF, f"{name} is off in the fullest set"


def test_every_condition_is_true_in_one_set_and_false_in_another() -> None:
    """Together the sets take each branch of the template, in one partition or another."""
    templates = [Template.read(**parameters) for parameters in SETS.values()]
    templates += [replace(one, pseudo=PSEUDO | {"AWS::Partition": "aws-cn"}) for one in templates]
    for condition in Template.read().document["Conditions"]:
        holds = {one.resolve({"Condition": condition}) for one in templates}
        assert holds == {True, False}, condition


def test_the_shortest_set_names_no_more_than_five_things() -> None:
    """Whoever deploys for the first time decides about these alone; nothing has to be given."""
    document = Template.read().document
    first, *_ = document["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert len(first["Parameters"]) <= 5
    assert SHORTEST.keys() <= {*first["Parameters"]}
    assert all("Default" in declared for declared in document["Parameters"].values())


def test_every_parameter_stands_in_one_group() -> None:
    """The console shows each once, under a heading."""
    document = Template.read().document
    groups = document["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(document["Parameters"])


@pytest.mark.parametrize("parameters", SETS.values(), ids=SETS)
def test_what_cloudformation_creates_is_what_the_template_says(
    parameters: Mapping[str, str],
) -> None:
    """The transform adds the schedule, the permission and the mappings; it changes no role."""
    template = Template.read(**parameters)
    transformed = template.transformed()
    for role in template.created("AWS::IAM::Role"):
        assert transformed.properties(role) == template.properties(role)
    kinds = {resource["Type"] for resource in transformed.document["Resources"].values()}
    assert not any("Serverless" in kind for kind in kinds)
    assert "ReconcileFunctionHourly" in transformed.created("AWS::Events::Rule")
