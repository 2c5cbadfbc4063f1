"""The doctor's AWS, its vendor and its application."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.rotations import RetryPolicy
from tests.cli.doctor.doctor_fixture import APPLICATION, Clock, DoctorFixture, SealingFunction
from tests.rotation_fixture import FailsOnce, RotationFixture


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def sealing_function() -> SealingFunction:
    return SealingFunction()


@pytest.fixture(scope="module")
def shared_cloud(clock: Clock, sealing_function: SealingFunction) -> Iterator[Cloud]:
    """One AWS for all tests of a module, with a clock that tests can set."""
    with Cloud(retries=RetryPolicy(delays=()), clock=clock) as cloud:
        cloud.add_function("rotate", FailsOnce())
        cloud.add_function("seal", sealing_function)
        yield cloud


@pytest.fixture
def doctor(
    rotation_fixture: RotationFixture,
    clock: Clock,
    sealing_function: SealingFunction,
    tmp_path: Path,
) -> Iterator[DoctorFixture]:
    """A secret without a value, its vendor, and an application with all rights."""
    root = tmp_path / "root.pem"
    root.write_bytes(rotation_fixture.pki.root_pem)
    variables: dict[str, str | None] = {
        **rotation_fixture.cloud.environment(APPLICATION),
        "VENDOR_URL": rotation_fixture.vendor.url,
        "SIGNER_TRUST_ANCHORS": str(root),
        "SIGNER_ORGANIZATION": "Trusted Signatures Sandbox",
        "AWS_PROFILE": None,
        "AWS_SESSION_TOKEN": None,
    }
    yield DoctorFixture(rotation_fixture, clock, sealing_function, variables)
    clock.offset *= 0
    sealing_function.payloads.clear()
