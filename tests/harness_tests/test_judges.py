"""What the judges are asked about, and what counts as explained."""

from __future__ import annotations

import json

from tests.artifacts.parameter_sets import FULLEST, SHORTEST
from tests.harness.judges.findings import Finding, Rule, explained, idle, unexplained
from tests.harness.judges.panel import guard_findings
from tests.harness.judges.policies import identity_policies
from tests.harness.judges.rendered import rendered

_rule = Rule("checkov", "CKV_AWS_116", "Function")


def test_a_rendered_template_has_values_and_references() -> None:
    """A judge sees numbers as numbers, follows references, and meets no condition."""
    template = rendered(SHORTEST)
    resources = template["Resources"]
    assert resources["RotationLogGroup"]["Properties"]["RetentionInDays"] == 365
    assert resources["RotationFunction"]["Properties"]["Role"] == {
        "Fn::GetAtt": ["RotationRole", "Arn"]
    }
    assert "Fn::If" not in json.dumps(template)
    assert not any("Condition" in resource for resource in resources.values())
    assert len(rendered(FULLEST)["Resources"]) > len(resources)


def test_a_policy_is_judged_with_arns() -> None:
    """No reference is left in what parliament and cloudsplaining read."""
    for parameters in (SHORTEST, FULLEST):
        policies = identity_policies(rendered(parameters))
        assert {"RotationRole", "ResponderPolicy"} <= policies.keys()
        text = json.dumps(policies)
        assert '"Ref"' not in text
        assert "Fn::" not in text


def test_a_finding_is_explained_beside_its_resource() -> None:
    """A reason counts for one rule of one judge at one resource, and an empty one for none."""

    def template(comment: str) -> dict[str, object]:
        skip = {"skip": [{"id": "CKV_AWS_116", "comment": comment}]}
        return {"Resources": {"Function": {"Type": "x", "Metadata": {"checkov": skip}}}}

    finding = Finding(_rule, "a dead letter queue")
    other = Finding(Rule("checkov", "CKV_AWS_116", "Other"), "a dead letter queue")
    reasons = explained(template("its caller is told"))
    assert unexplained([finding, other], reasons) == [other]
    assert unexplained([finding], explained(template(" "))) == [finding]


def test_an_explanation_of_nothing_is_told() -> None:
    """What a judge no longer finds needs no reason, which would hide the next fault."""
    assert idle([], {_rule: "its caller is told"}) == [_rule]
    assert idle([Finding(_rule, "")], {_rule: "its caller is told"}) == []


def test_the_wrong_resources_of_a_rule_are_named() -> None:
    """Of cfn-guard's answer, the control and each resource that breaks it are kept."""
    control = "\n [CT.SQS.PR.1]: Require a dead-letter queue\n [FIX]: Create one.\n"
    checks = [
        {"Clause": {"check": {"traversed_to": {"path": f"/Resources/{name}/Properties"}}}}
        for name in ("Queue", "Other", "Queue")
    ]
    broken = {"Rule": {"messages": {"custom_message": control}, "checks": checks}}
    assert [(one.rule.id, one.rule.resource, one.message) for one in guard_findings(broken)] == [
        ("CT.SQS.PR.1", "Other", "Require a dead-letter queue"),
        ("CT.SQS.PR.1", "Queue", "Require a dead-letter queue"),
    ]
