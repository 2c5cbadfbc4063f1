"""Rotation functions for the tests, and what the tests say about the secrets."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from rotation.sandbox.aws.functions import InvocationResult

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

StepEvent = dict[str, Any]

ROTATE = "arn:aws:lambda:us-east-1:012345678912:function:rotate"
OLD = "old-" + "0" * 28
NEW = "new-" + "0" * 28


class Clock:
    """A clock that a test sets: ``now`` is aware UTC."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 10, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class InProcess:
    """A FunctionRunner that runs a Python function here and remembers its events."""

    def __init__(self, handle: Callable[[StepEvent], Any]) -> None:
        self.handle = handle
        self.events: list[StepEvent] = []
        self.closed = False

    def invoke(self, payload: bytes) -> InvocationResult:
        """Run the function; an exception is its failure."""
        event = json.loads(payload)
        self.events.append(event)
        try:
            return InvocationResult(json.dumps(self.handle(event)).encode())
        except Exception as error:  # noqa: BLE001 - whatever it raises is its answer
            return InvocationResult.failure(type(error).__name__, str(error))

    def close(self) -> None:
        """Remember it."""
        self.closed = True


def rotate_correctly(secrets: "SecretsManagerClient", event: StepEvent) -> None:
    """The four steps of a rotation function, as AWS documents them."""
    secret, token = event["SecretId"], event["ClientRequestToken"]
    if event["Step"] == "createSecret":
        secrets.put_secret_value(
            SecretId=secret,
            ClientRequestToken=token,
            SecretString=f"value of {token}",
            VersionStages=["AWSPENDING"],
            RotationToken=event["RotationToken"],
        )
    if event["Step"] == "finishSecret":
        current = bearer(secrets, "AWSCURRENT", secret)
        if current != token:
            secrets.update_secret_version_stage(
                SecretId=secret,
                VersionStage="AWSCURRENT",
                MoveToVersionId=token,
                **({"RemoveFromVersionId": current} if current else {}),
            )


def describe(secrets: "SecretsManagerClient", secret: str = "s") -> dict[str, Any]:
    """What DescribeSecret answers, in which nearly every member may be missing."""
    return {**secrets.describe_secret(SecretId=secret)}


def stages(secrets: "SecretsManagerClient", secret: str = "s") -> dict[str, list[str]]:
    """VersionIdsToStages of a secret, labels sorted."""
    described = describe(secrets, secret).get("VersionIdsToStages", {})
    return {version: sorted(labels) for version, labels in described.items()}


def bearer(secrets: "SecretsManagerClient", stage: str, secret: str = "s") -> str | None:
    """The version that bears ``stage``."""
    labelled = stages(secrets, secret).items()
    return next((version for version, labels in labelled if stage in labels), None)


def eventually(holds: Callable[[], bool], limit: float = 60) -> bool:
    """Whether ``holds`` becomes true within ``limit`` seconds; asks again and again."""
    deadline = time.monotonic() + limit
    while not holds():
        if time.monotonic() > deadline:
            return False
        Event().wait(0.01)
    return True


@contextmanager
def refused(code: str) -> Iterator[None]:
    """The call in this block is answered with the error ``code``, as HTTP 400."""
    with pytest.raises(ClientError) as caught:
        yield
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, 400)
