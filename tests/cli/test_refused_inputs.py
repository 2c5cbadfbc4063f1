"""What the command line refuses before anything is asked or done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from rotation.cli.commands import rotation
from rotation.sandbox.folder_lock import folder_held

#: An address that nobody answers at: what is refused here asks nobody.
NOWHERE = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("rotate api --timeout -5", "x>=1"),
        ("rotate api --timeout 0", "x>=1"),
        ("force api --timeout 0 --reason leaked", "x>=1"),
        ("force api --reason=", "the record needs a reason"),
        ("force api --reason=\t", "the record needs a reason"),
        ("attest api 4f1c2d3e --reason=", "the record needs a reason"),
        ("force --reason leaked", "Name a secret"),
        ("force --tag team --reason leaked", "--tag is KEY=VALUE"),
        ("hold api", "Give either --until or --release"),
        ("hold api --until 2020-01-01", "2020-01-01T00:00:00.000Z is over"),
        ("hold api --until 2999-12-24", "outlives every key"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: str, problem: str) -> None:
    """Exit code 2, and the message says what is wrong with it."""
    done = CliRunner().invoke(rotation, arguments.split(" "), env=NOWHERE)
    assert done.exit_code == 2, done.output
    assert problem in " ".join(done.output.split())


@pytest.mark.parametrize("command", ["status api", "rotate api", "migrate api", "pool list"])
def test_a_region_that_cannot_exist_is_refused(command: str) -> None:
    """Not taken for a network that is down: botocore makes an address of any name."""
    env = NOWHERE | {"AWS_DEFAULT_REGION": "mars-1", "AWS_REGION": "mars-1"}
    done = CliRunner().invoke(rotation, command.split(), env=env)
    assert done.exit_code == 2, done.output
    assert "mars-1 is no Region of AWS" in done.output


@pytest.mark.slow
@pytest.mark.parametrize("command", ["demo", "sandbox"])
def test_a_folder_that_another_sandbox_uses_is_left_alone(command: str, tmp_path: Path) -> None:
    """The message names the other's process and the option for a folder of one's own."""
    with folder_held(tmp_path):
        done = CliRunner().invoke(rotation, [command, "--folder", str(tmp_path)])
    assert done.exit_code == 1, done.output
    assert "is used by another sandbox: process " in done.output
    assert "name another folder with --folder" in done.output
    assert not (tmp_path / "trust-root.pem").exists()


@pytest.mark.slow
def test_a_missing_extra_is_named_in_one_line() -> None:
    """`pip install '.[cli]'` does not bring what the sandbox needs."""
    program = "import sys; sys.modules['moto'] = None; from rotation.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "demo"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == (
        "Error: rotation demo needs the module moto, which the extra sandbox installs; in a "
        "checkout: pip install '.[sandbox]'\n"
    )
