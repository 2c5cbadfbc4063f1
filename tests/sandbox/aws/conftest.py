"""A Cloud for each test, and functions that run inside the test's own process."""

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.functions import EventRetries
from rotation.sandbox.aws.rotations import RetryPolicy
from tests.sandbox.aws.rotating import Clock, InProcess, rotate_correctly

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

SHORT = timedelta(milliseconds=5)


@pytest.fixture
def clock() -> Clock:
    """The Cloud's clock, 2026-01-10 12:00 UTC until a test moves it."""
    return Clock()


@pytest.fixture
def cloud(clock: Clock) -> Iterator[Cloud]:
    """A running Cloud that tries a rotation three times, and repeats events quickly."""
    with Cloud(
        retries=RetryPolicy((SHORT, SHORT)),
        event_retries=EventRetries((SHORT, SHORT)),
        clock=clock,
    ) as running:
        yield running


@pytest.fixture
def secrets(cloud: Cloud) -> "SecretsManagerClient":
    """A Secrets Manager client of that Cloud."""
    return cloud.client("secretsmanager")


@pytest.fixture
def rotator(cloud: Cloud, secrets: "SecretsManagerClient") -> InProcess:
    """A rotation function, registered as ``rotate``, that does every step right."""
    runner = InProcess(lambda event: rotate_correctly(secrets, event))
    cloud.add_function("rotate", runner)
    return runner
