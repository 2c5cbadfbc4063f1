"""docs/other-ways.md: what it packages, synthesises and declares is the template."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.rotations import RetryPolicy
from tests.artifacts.template import Template
from tests.docs.test_docs import DOCS, blocks, page, section, shell
from tests.paths import ROOT

DOCUMENT: Mapping[str, Any] = Template.read().document
BUCKET = "artifacts"
TERRAFORM = DOCS / "examples" / "terraform" / "main.tf"
CDK = DOCS / "examples" / "cdk"
# What is chosen as the page's programs choose it.
CHOSEN = {
    "SourceBucketName": "documents-to-seal",
    "DestinationBucketName": "sealed-documents",
    "AlarmEmail": "on-call@example.com",
}


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the page's command packages, of artifacts that hold next to nothing."""
    folder = tmp_path_factory.mktemp("packaging")
    for name in ("template.yaml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for artifact in ("rotation", "sealing"):
        (folder / "build" / artifact).mkdir(parents=True)
        (folder / "build" / artifact / "code.py").write_text(f"# {artifact}\n")
    [block] = blocks(section(page("other-ways.md"), "Package it"), "sh")
    made, command = block.split("\n", 1)
    assert made == "make package"
    with Cloud(retries=RetryPolicy(())) as cloud:
        cloud.client("s3").create_bucket(Bucket=BUCKET)
        shell(command, folder, {**cloud.environment(), "ARTIFACTS_BUCKET": BUCKET})
    return folder / "packaged.yaml"


def comparable(value: Any) -> Any:
    """A template with one form for each intrinsic function, and DependsOn as a set."""
    if isinstance(value, list):
        return [comparable(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {name: comparable(one) for name, one in value.items()}
    attribute = found.get("Fn::GetAtt")
    if isinstance(attribute, list):
        found["Fn::GetAtt"] = ".".join(attribute)
    if isinstance(found.get("DependsOn"), list):
        found["DependsOn"] = sorted(found["DependsOn"])
    return found


def without_code(resources: Mapping[str, Any]) -> Any:
    """Resources without the place of their code."""
    left = json.loads(json.dumps(comparable(resources)))
    for resource in left.values():
        resource["Properties"].pop("CodeUri", None)
    return left


@pytest.mark.slow
def test_the_packaged_template_is_the_template(packaged: Path) -> None:
    """But for where the code lies; each artifact is uploaded once, whoever uses it."""
    written = yaml.safe_load(packaged.read_text())
    original = DOCUMENT
    assert without_code(written["Resources"]) == without_code(original["Resources"])
    for name in ("Parameters", "Rules", "Conditions", "Outputs", "Globals"):
        assert comparable(written[name]) == comparable(original[name])
    code = {
        name: one["Properties"]["CodeUri"]
        for name, one in written["Resources"].items()
        if one["Type"] == "AWS::Serverless::Function"
    }
    assert all(uri.startswith(f"s3://{BUCKET}/") for uri in code.values())
    assert code["RotationFunction"] == code["ReconcileFunction"] != code["SealingFunction"]


@pytest.mark.slow
def test_the_cdk_app_synthesises_the_template(packaged: Path, tmp_path: Path) -> None:
    """Every resource and condition as it is; only values of parameters are chosen."""
    context = {"template": str(packaged), "aws:cdk:enable-path-metadata": False}
    environment = {
        "PATH": os.environ["PATH"],
        "CDK_OUTDIR": str(tmp_path / "out"),
        "CDK_CONTEXT_JSON": json.dumps(context),
        # Its rules take half a minute, and judge what cfn-lint judges.
        "CDK_VALIDATION": "false",
        # Unpacked for this run, and gone after it.
        "JSII_RUNTIME_PACKAGE_CACHE": "disabled",
        "PYTHONDONTWRITEBYTECODE": "1",
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
    }
    program = json.loads((CDK / "cdk.json").read_text())["app"].split()
    subprocess.run(
        [sys.executable, *program[1:]],
        cwd=CDK,
        env=environment,
        capture_output=True,
        check=True,
        timeout=300,
    )
    [written] = (tmp_path / "out").glob("*.template.json")
    made, source = json.loads(written.read_text()), yaml.safe_load(packaged.read_text())
    for name in ("Resources", "Conditions", "Outputs", "Globals"):
        assert comparable(made[name]) == comparable(source[name]), name
    assert source["Rules"].items() <= comparable(made["Rules"]).items()
    chosen = {
        name: made["Parameters"][name]["Default"]
        for name, declared in source["Parameters"].items()
        if made["Parameters"][name] != declared
    }
    assert chosen == CHOSEN


def unquoted(value: Any) -> Any:
    """What python-hcl2 read, without the quotes that it keeps around texts."""
    if isinstance(value, dict):
        return {unquoted(name): unquoted(one) for name, one in value.items()}
    if isinstance(value, list):
        return [unquoted(one) for one in value]
    return value.strip('"') if isinstance(value, str) else value


def test_the_terraform_program_declares_one_stack_over_the_template() -> None:
    """With values that the template allows, the capabilities that it needs, outputs that it has."""
    program = unquoted(hcl2.loads(TERRAFORM.read_text()))
    resources = {kind: one for block in program["resource"] for kind, one in block.items()}
    assert resources.keys() == {"aws_s3_object", "aws_cloudformation_stack"}
    [stack] = resources["aws_cloudformation_stack"].values()
    assert set(stack["capabilities"]) == capabilities()
    assert "aws_s3_object.template.key" in stack["template_url"]
    variables = {name for block in program["variable"] for name in block}
    assert variables == {"artifacts_bucket", "packaged_template", "alarm_email"}
    email = "${var.alarm_email}"
    assert stack["parameters"] == CHOSEN | {"AlarmEmail": email}
    outputs = {
        name
        for block in program["output"]
        for one in block.values()
        for name in DOCUMENT["Outputs"]
        if f'outputs["{name}"]' in one["value"].replace("\\", "")
    }
    assert outputs == {"SealingFunctionArn", "SecretArn"}


def capabilities() -> set[str]:
    """What CloudFormation wants to have acknowledged (API_CreateStack)."""
    names = {"RoleName", "ManagedPolicyName", "UserName", "GroupName", "InstanceProfileName"}
    named = any(
        names & one["Properties"].keys()
        for one in DOCUMENT["Resources"].values()
        if one["Type"].startswith("AWS::IAM::")
    )
    return {"CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"}


def test_what_the_page_chooses_is_allowed() -> None:
    """Every parameter that has no default is given, and no rule refuses the choice."""
    declared = DOCUMENT["Parameters"]
    assert {name for name, one in declared.items() if "Default" not in one} <= CHOSEN.keys()
    assert CHOSEN.keys() <= declared.keys()
    assert Template.read(**CHOSEN).refusals() == []
    [command] = [
        one for one in blocks(page("other-ways.md"), "console") if "cloudformation deploy" in one
    ]
    assert all(f"{name}={value}" in command for name, value in CHOSEN.items())
    assert capabilities() <= set(command.split())


def test_the_repository_s_metadata_is_complete() -> None:
    """What `sam publish` asks for (SAM developer guide, template publishing metadata)."""
    told = DOCUMENT["Metadata"]["AWS::ServerlessRepo::Application"]
    assert (ROOT / told["LicenseUrl"]).is_file()
    assert (ROOT / told["ReadmeUrl"]).is_file()
    assert len(told["Description"]) <= 256
    assert len(told["Labels"]) <= 10
    assert told["SpdxLicenseId"] == "Apache-2.0"
