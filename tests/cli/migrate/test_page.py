"""docs/migrating.md is followed, step by step, against the sandbox, with a real application."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.deployment import (
    DESTINATION_BUCKET,
    ROTATE,
    SEAL,
    SECRET,
    SOURCE_BUCKET,
    Deployment,
)
from rotation.secrets_manager.labels import AWSCURRENT
from tests.cli.migrate.test_page_examples import AFTER, code_with_key
from tests.docs.runbooks.page import Page
from tests.docs.runbooks.reader import Reader
from tests.docs.runbooks.scenarios import PDF, Scenario
from tests.docs.runbooks.terminal import Terminal
from tests.docs.test_docs import page
from tests.paths import ROOT

pytestmark = pytest.mark.slow

CALLER = "AKIAREADER0000000000"
APPLICATION = "AKIAAPPLICATION00000"
RIGHTS = {"Invoke": "InvokeFunction"}


def test_the_page_says_what_is_printed(tmp_path: Path) -> None:
    """Every command prints what stands there; the application seals before and after."""
    with Deployment(
        tmp_path, retries=RetryPolicy(()), propagation_limit=timedelta(seconds=0.5)
    ) as deployment:
        old = deployment.vendor.keys.create()
        key = f"{old.id}\n{old.material}\n"
        deployment.cloud.client("s3").put_object(
            Bucket=SOURCE_BUCKET, Key="document.pdf", Body=PDF.read_bytes()
        )
        assert (SECRET, SEAL) == ("trusted-signatures-api", "trusted-signatures-seal")
        code = code_with_key(AFTER, old)
        # The application may do what the policy allows, and nothing that it does not need.
        deployment.cloud.deny(APPLICATION, "DescribeSecret", "ListSecrets", "PutSecretValue")
        sealed_with: list[str] = []

        def seal() -> None:
            sealed_with.append(_run(code, deployment)["key"])

        function = deployment.cloud.client("lambda").get_function(FunctionName=ROTATE)
        scenario = Scenario(
            fill={"ROTATION_FUNCTION_ARN": function["Configuration"]["FunctionArn"]},
            typed={1: key, 2: key},
            meanwhile={5: seal, 8: seal},
        )
        variables = {
            **deployment.cloud.environment(CALLER),
            "VENDOR_URL": deployment.vendor.url,
            "SIGNER_TRUST_ANCHORS": str(deployment.trust_root),
        }
        terminal = Terminal(tmp_path, Path(sysconfig.get_path("scripts")), variables)
        steps = Page.parse(page("migrating.md"))
        reader = Reader(terminal, scenario, lambda printed: _settle(deployment, printed))
        reader.follow(steps)
        assert reader.filled == scenario.fill.keys() <= steps.explained()
        assert sealed_with == [old.id, deployment.key_id(AWSCURRENT)]
        assert old.id != deployment.key_id(AWSCURRENT)
        done = {call.operation for call in deployment.cloud.calls if call.caller == CALLER}
        assert {RIGHTS.get(one, one) for one in done} == steps.rights()


def _run(code: str, deployment: Deployment) -> dict[str, Any]:
    """Start the application, have it seal a document, and see with which key it did."""
    program = (
        f"{code}\nimport json\n"
        f"done = seal({SOURCE_BUCKET!r}, 'document.pdf', {DESTINATION_BUCKET!r})\n"
        "print(json.dumps({'key': done.key_id}))\n"
    )
    finished = subprocess.run(
        [sys.executable, "-"],
        input=program,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            **deployment.cloud.environment(APPLICATION),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    told: dict[str, Any] = json.loads(finished.stdout)
    return told


def _settle(deployment: Deployment, printed: str) -> None:
    """Wait for the test that was begun by turning rotation on."""
    try:
        begun = json.loads(printed)
    except ValueError:
        return
    if isinstance(begun, dict) and "VersionId" in begun:
        deployment.cloud.wait_for_rotation(begun["ARN"], begun["VersionId"])
