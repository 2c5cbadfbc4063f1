"""What each guardrail of the template gives when it is asked for, and what it refuses."""

from __future__ import annotations

import pytest

from tests.artifacts.template import Template

SIGNING = "arn:aws:lambda:eu-central-1:012345678912:code-signing-config:csc-0f1e2d3c4b5a69788"
FUNCTIONS = {
    "RotationFunction",
    "ReconcileFunction",
    "SealingFunction",
    "SealEventsFunction",
    "SealBatchFunction",
}


def functions(**parameters: str) -> dict[str, dict[str, object]]:
    """The properties of all five functions."""
    template = Template.read(UnattendedSealing="events", **parameters)
    return {name: template.properties(name) for name in FUNCTIONS}


def test_the_code_of_every_function_is_checked() -> None:
    """By the configuration that is given; without one, no signature is checked."""
    for parameters, configuration in (({}, None), ({"CodeSigningConfigArn": SIGNING}, SIGNING)):
        found = functions(**parameters).values()
        assert {one.get("CodeSigningConfigArn") for one in found} == {configuration}


@pytest.mark.parametrize("wrong", ["csc-0f1e2d3c4b5a69788", SIGNING[:-1], f"{SIGNING} "])
def test_what_is_no_signing_configuration_is_refused(wrong: str) -> None:
    """Before anything is created."""
    with pytest.raises(AssertionError, match="CodeSigningConfigArn"):
        Template.read(CodeSigningConfigArn=wrong)


def test_evidence_outlives_the_stack() -> None:
    """Logs and messages that need a person stay, also when an update replaces what holds them."""
    template = Template.read(UnattendedSealing="events")
    logs = template.created("AWS::Logs::LogGroup")
    assert len(logs) == 4
    for name in [*logs, "UnsealedQueue", "UndeliveredQueue", "EvidenceBucket"]:
        resource = template.document["Resources"][name]
        assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
        assert resource["UpdateReplacePolicy"] == "Retain"


def test_logs_that_outlive_the_stack_end_one_day() -> None:
    """Their retention stays with them: a year by default."""
    for log in Template.read(UnattendedSealing="events").created("AWS::Logs::LogGroup").values():
        assert log["RetentionInDays"] == "365"
