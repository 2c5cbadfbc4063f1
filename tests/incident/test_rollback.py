"""Going back to the previous key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from rotation.core.steps import STEPS
from rotation.errors import (
    CredentialRejectedError,
    RotationError,
    SecretStoreError,
    VersionStateError,
)
from rotation.incident.rollback import roll_back
from rotation.sandbox.aws.traffic import Dropped
from rotation.secrets_manager.labels import (
    COMPROMISED_PREFIX,
    DEAD_PREFIX,
    INCIDENT_TAG,
    retirement_label,
)
from rotation.secrets_manager.versions import SecretVersions
from tests.rotation_fixture import RotationFixture


@pytest.fixture
def rotated(rotation_fixture: RotationFixture) -> RotationFixture:
    """A secret with a current and a previous key."""
    rotation_fixture.store()
    token = rotation_fixture.stage()
    for step in STEPS.values():
        step(rotation_fixture.rotation(token))
    return rotation_fixture


def back(rotation_fixture: RotationFixture) -> object:
    return roll_back(
        SecretVersions(rotation_fixture.client, rotation_fixture.arn),
        rotation_fixture.prover,
        rotation_fixture.now,
    )


def label(rotation_fixture: RotationFixture, name: str) -> None:
    rotation_fixture.client.update_secret_version_stage(
        SecretId=rotation_fixture.arn,
        VersionStage=name,
        MoveToVersionId=str(rotation_fixture.version("AWSPREVIOUS")),
    )


def test_the_previous_key_becomes_current_again(rotated: RotationFixture) -> None:
    """AWSCURRENT and AWSPREVIOUS change places, after the key has signed."""
    current, previous = rotated.version("AWSCURRENT"), rotated.version("AWSPREVIOUS")
    before = rotated.vendor.signatures[rotated.value("AWSPREVIOUS")["apiKeyId"]]
    back(rotated)
    assert (rotated.version("AWSCURRENT"), rotated.version("AWSPREVIOUS")) == (previous, current)
    assert rotated.vendor.signatures[rotated.value("AWSCURRENT")["apiKeyId"]] == before + 1


def test_a_key_in_its_grace_may_come_back(rotated: RotationFixture) -> None:
    """A mark that is not due does not stand in the way."""
    version = str(rotated.version("AWSPREVIOUS"))
    label(rotated, retirement_label(version, rotated.now() + timedelta(hours=1)))
    back(rotated)
    assert rotated.version("AWSCURRENT") == version


def test_a_key_that_came_back_loses_its_mark(rotated: RotationFixture) -> None:
    """Displaced anew it has all its grace: the mark of its first displacement does not count."""
    version = str(rotated.version("AWSPREVIOUS"))
    for hours in (1, 2):
        label(rotated, retirement_label(version, rotated.now() + timedelta(hours=hours)))
    back(rotated)
    back(rotated)
    assert rotated.version("AWSPREVIOUS") == version
    assert rotated.labels()[version] == {"AWSPREVIOUS"}


@pytest.mark.parametrize("obstacle", ["compromised", "dead", "due", "pending", "incident"])
def test_a_key_that_must_not_come_back_does_not(rotated: RotationFixture, obstacle: str) -> None:
    """Suspect, dead, about to die, or a rotation or an incident open: refused, nothing moved."""
    version = str(rotated.version("AWSPREVIOUS"))
    acts: dict[str, Callable[[], object]] = {
        "compromised": lambda: label(rotated, COMPROMISED_PREFIX + version),
        "dead": lambda: label(rotated, DEAD_PREFIX + version),
        "due": lambda: label(rotated, retirement_label(version, rotated.now())),
        "pending": rotated.stage,
        "incident": lambda: SecretVersions(rotated.client, rotated.arn).tag(
            {INCIDENT_TAG: "x y z"}
        ),
    }
    acts[obstacle]()
    before = rotated.version("AWSCURRENT")
    with pytest.raises(RotationError) as refused:
        back(rotated)
    assert refused.value.code in {"version_state", "compromised_key"}
    assert rotated.version("AWSCURRENT") == before


def test_a_key_that_does_not_sign_does_not_come_back(rotated: RotationFixture) -> None:
    """Revoked in the portal without our knowing: the proof finds out."""
    rotated.vendor.keys.revoke(rotated.value("AWSPREVIOUS")["apiKeyId"])
    before = rotated.version("AWSCURRENT")
    with pytest.raises(CredentialRejectedError):
        back(rotated)
    assert rotated.version("AWSCURRENT") == before


def test_a_lost_answer_of_the_move_is_a_success(rotated: RotationFixture) -> None:
    """The label tells whether it moved."""
    previous = rotated.version("AWSPREVIOUS")
    rotated.cloud.faults.after("UpdateSecretVersionStage", Dropped(), times=1)
    rotated.cloud.faults.before("UpdateSecretVersionStage", Dropped(), times=10)
    back(rotated)
    rotated.cloud.faults.clear()
    assert rotated.version("AWSCURRENT") == previous


def test_cut_off_in_the_middle_it_has_only_made_a_grace_longer(rotated: RotationFixture) -> None:
    """The mark goes first: a rollback that ends there leaves a key that is marked anew."""
    version = str(rotated.version("AWSPREVIOUS"))
    label(rotated, retirement_label(version, rotated.now() + timedelta(hours=1)))

    class CutOff(SecretVersions):
        def promote(self, token: str, current: str | None) -> None:
            raise SecretStoreError("cut off", operation="UpdateSecretVersionStage", aws_code="x")

    with pytest.raises(SecretStoreError):
        roll_back(CutOff(rotated.client, rotated.arn), rotated.prover, rotated.now)
    assert rotated.version("AWSPREVIOUS") == version
    assert rotated.labels()[version] == {"AWSPREVIOUS"}


def test_without_a_previous_version_there_is_nowhere_to_go(
    rotation_fixture: RotationFixture,
) -> None:
    """A secret that was never rotated has one key."""
    rotation_fixture.store()
    with pytest.raises(VersionStateError, match="no previous version"):
        back(rotation_fixture)
