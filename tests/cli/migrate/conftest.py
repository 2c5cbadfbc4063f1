"""Runs `rotation migrate` in this process, against a vendor and a cloud of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner, Result

from rotation.cli.commands import rotation
from tests.privacy.canary import Canary
from tests.rotation_fixture import RotationFixture

#: Runs the command: arguments, and what is typed or piped in.
CommandRunner = Callable[..., Result]


@pytest.fixture
def environment(
    rotation_fixture: RotationFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """What makes this process talk to the sandbox."""
    root = tmp_path / "root.pem"
    root.write_bytes(rotation_fixture.pki.root_pem)
    variables = {
        **rotation_fixture.cloud.environment(),
        "VENDOR_URL": rotation_fixture.vendor.url,
        "SIGNER_TRUST_ANCHORS": str(root),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    boto3.setup_default_session()
    return variables


@pytest.fixture
def run_command(rotation_fixture: RotationFixture, environment: dict[str, str]) -> CommandRunner:
    """Runs the command; whatever it prints holds no piece of a key."""

    def run(*arguments: str, typed: str = "", code: int = 0) -> Result:
        result = CliRunner().invoke(
            rotation, ["migrate", *arguments], input=typed, catch_exceptions=False
        )
        assert result.exit_code == code, result.output
        canary = Canary()
        for key in rotation_fixture.vendor.keys.all():
            canary.plant(key.material, key.id)
        assert canary.find(result.output.encode()) is None
        return result

    return run
