"""Every command that any output suggests is run, against a deployment on this machine."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.deployment import POOL_SECRET, SECRET, Deployment
from rotation.sandbox.vendor import PortalKey
from tests.cli.operator_terminal import ROTATION, OperatorTerminal
from tests.cli.suggestions import FIELD, suggestions

pytestmark = pytest.mark.slow

#: What runs in tests of its own: test_demo.py, test_drill.py, test_exposure.py,
#: test_sandbox_command.py and test_operator.py beside this.
ELSEWHERE = (
    *("rotation demo", "rotation drill FIELD", "rotation sandbox", "rotation seal"),
    *("rotation exposure FIELD --incident", "rotation verify-bundle"),
)


@pytest.fixture(scope="module")
def suggested() -> dict[str, str]:
    """Each command that is suggested and not run elsewhere, and a module that names it."""
    return {
        command: module for command, module in suggestions().items() if command not in ELSEWHERE
    }


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorTerminal]:
    """A deployment with a key, a schedule, and a secret for a pool beside it."""
    with Deployment(
        tmp_path_factory.mktemp("deployment"),
        retries=RetryPolicy(()),
        propagation_limit=timedelta(seconds=0.5),
    ) as deployment:
        deployment.store_first_key()
        deployment.turn_on_rotation()
        deployment.cloud.client("secretsmanager").create_secret(Name=POOL_SECRET)
        yield OperatorTerminal(deployment, trusts_vendor=True)


def typed(key: PortalKey) -> str:
    return f"{key.id}\n{key.material}\n"


def aws(operator: OperatorTerminal, *arguments: str) -> None:
    """Run an `aws` command, and wait for the rotation that it may have begun."""
    done = subprocess.run(
        [str(Path(ROTATION).with_name("aws")), *arguments, "--output", "json"],
        env=operator.environment(),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    cloud = operator.deployment.cloud
    if token := json.loads(done.stdout).get("VersionId"):
        assert cloud.wait_for_rotation(SECRET, token).succeeded


def test_what_is_suggested_is_found(suggested: dict[str, str]) -> None:
    """Those of the doctor, of the waiting commands, of the functions and of errors."""
    assert {"rotation rotate FIELD", "rotation unstick FIELD --apply"} <= suggested.keys()
    assert {"rotation pool add", "rotation pool remove KEY_ID --apply"} <= suggested.keys()
    assert len(suggested) >= 15


def test_every_suggested_command_succeeds(
    operator: OperatorTerminal, suggested: dict[str, str]
) -> None:
    """With a secret, a key or a date in its places; what asks for a key is given one."""
    keys = operator.deployment.vendor.keys
    in_pool, hand_made = keys.create(), keys.create()
    pooled = json.dumps({"keys": [{"apiKeyId": in_pool.id, "apiKey": in_pool.material}]})
    store = operator.deployment.cloud.client("secretsmanager").put_secret_value
    function = str(operator.describe()["RotationLambdaARN"])
    filled = {
        "ANOTHER-NAME": "another-secret",
        "NAME": "another-secret",
        "DATE": f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}",
        "KEY_ID": in_pool.id,
        "ROTATION_FUNCTION_ARN": function,
        "SECRET": SECRET,
        FIELD: SECRET,
        # A name, and an option that may follow it.
        2 * FIELD: SECRET,
    }
    failed = {}
    for command, module in suggested.items():
        store(SecretId=POOL_SECRET, SecretString=pooled)
        regional = command.replace(f"--region {FIELD}", "--region us-east-1")
        words = [filled.get(word, word) for word in shlex.split(regional)]
        if words[:3] == ["rotation", "pool", "remove"]:
            words[3] = in_pool.id
        key = None
        if words[:3] == ["rotation", "pool", "add"]:
            key = keys.create()
        elif words[:2] == ["rotation", "migrate"]:
            current = operator.deployment.vendor.keys.get(operator.deployment.key_id("AWSCURRENT"))
            key = current if words[2] == SECRET else hand_made
        try:
            if words[0] == "aws":
                aws(operator, *words[1:])
            else:
                operator.run(*words[1:], typed=typed(key) if key else None)
        except AssertionError as error:
            failed[command] = (module, str(error)[:300])
    assert failed == {}
