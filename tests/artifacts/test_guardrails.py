"""What each guardrail of the template gives when it is asked for, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from rotation.egress import DIRECT
from rotation.settings.egress import egress
from tests.artifacts.template import Template

SIGNING = "arn:aws:lambda:eu-central-1:012345678912:code-signing-config:csc-0f1e2d3c4b5a69788"
FUNCTIONS = {
    "RotationFunction",
    "ReconcileFunction",
    "SealingFunction",
    "SealEventsFunction",
    "SealBatchFunction",
}


def functions(**parameters: str) -> dict[str, Any]:
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


PROXY = "http://proxy.example.com:3128"
LAYER = "arn:aws:lambda:eu-central-1:012345678912:layer:egress-ca:7"


def test_every_function_goes_through_the_proxy() -> None:
    """What is given arrives in the settings of each function; without a proxy, none is set."""
    template = Template.read(UnattendedSealing="events", EgressProxy=PROXY)
    for function in FUNCTIONS:
        assert egress(template.environment(function)).proxy == PROXY
        assert egress(Template.read().environment(function)) == DIRECT


def test_every_function_gets_the_layer_with_the_private_certificates() -> None:
    """And the path of the file in it."""
    found = functions(EgressCa="/opt/egress-ca.pem", EgressCaLayerArn=LAYER)
    for properties in found.values():
        assert properties["Layers"] == [LAYER]
        assert properties["Environment"]["Variables"]["EGRESS_CA"] == "/opt/egress-ca.pem"
    assert all("Layers" not in one for one in functions().values())


@pytest.mark.parametrize(
    ("parameter", "wrong"),
    [
        ("EgressProxy", "proxy.example.com:3128"),
        ("EgressProxy", "http://user:password@proxy.example.com:3128"),
        ("EgressProxy", "http://proxy.example.com"),
        ("EgressCa", "opt/egress-ca.pem"),
        ("EgressCa", "-----BEGIN CERTIFICATE-----"),
        ("EgressCaLayerArn", LAYER[:-2]),
    ],
)
def test_a_malformed_way_out_is_refused(parameter: str, wrong: str) -> None:
    """Before anything is created."""
    with pytest.raises(AssertionError, match=parameter):
        Template.read(**{parameter: wrong})
