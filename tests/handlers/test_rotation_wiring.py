"""The parts of a rotation, as the rotation function puts them together."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import boto3
import pytest

from rotation.core.steps import STEPS
from rotation.deadline import Deadline
from rotation.handlers.step_invocation import StepRequest
from rotation.handlers.wiring.rotation import RotationWiring
from rotation.settings.rotation import RotationSettings
from tests.rotation_fixture import RotationFixture


@pytest.fixture
def services(rotation_fixture: RotationFixture, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The AWS services that a client was made for, in a session of the test's own."""
    for name, value in rotation_fixture.cloud.environment().items():
        monkeypatch.setenv(name, value)
    session = boto3.Session()
    made: list[str] = []

    def note(event_name: str, **_: Any) -> None:
        made.append(event_name.rpartition(".")[2])

    session.events.register("creating-client-class", note)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    return made


def test_an_s3_client_is_made_when_the_journal_is_read(
    rotation_fixture: RotationFixture, services: list[str]
) -> None:
    """A first testSecret does not pay for a client that createSecret and finishSecret need."""
    rotation_fixture.cloud.client("s3").create_bucket(Bucket="evidence")
    token = rotation_fixture.stage()
    rotation_fixture.stage_key(token)
    settings = RotationSettings.from_environment(
        {
            "INSTALLATION_ID": "fixture",
            "ROTATED_SECRETS": rotation_fixture.arn,
            "KEY_ISSUER": "admin-api",
            "ADMIN_SECRET": "trusted-signatures-admin",
            "EVIDENCE_BUCKET": "evidence",
            "VENDOR_URL": rotation_fixture.vendor.url,
        }
    )
    request = StepRequest(
        step="testSecret",
        secret_arn=rotation_fixture.arn,
        token=token,
        rotation_token=None,
        function_arn=rotation_fixture.function_arn,
        deadline=Deadline.after(timedelta(minutes=5)),
    )
    rotation = RotationWiring(settings).rotation(request)
    STEPS["testSecret"](rotation)
    assert services == ["secrets-manager"]
    for _ in range(2):
        assert rotation.journal.read(rotation_fixture.arn).revision is None
    assert services == ["secrets-manager", "s3"]
