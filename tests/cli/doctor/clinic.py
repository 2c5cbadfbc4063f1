"""A secret, its vendor, and somebody who runs `rotation doctor` beside the application."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from click.testing import CliRunner

from rotation.cli.commands import rotation
from rotation.sandbox.aws.functions import InvocationResult
from rotation.sandbox.aws.traffic import AwsError
from rotation.sandbox.vendor import PortalKey
from tests.privacy.canary import Canary
from tests.rotation_fixture import RotationFixture

SECRET = "trusted-signatures-api"
#: Whom the application is to AWS.
APPLICATION = "AKIAAPPLICATION00000"


@dataclass
class Clock:
    """AWS's clock: the machine's, and what a test adds."""

    offset: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset


@dataclass
class SealingFunction:
    """A function in the place of the sealing function: answers what it is told to."""

    result: InvocationResult = field(default_factory=lambda: InvocationResult(b"{}"))
    payloads: list[bytes] = field(default_factory=list)

    def invoke(self, payload: bytes) -> InvocationResult:
        self.payloads.append(payload)
        return self.result

    def answers(self, **members: Any) -> None:
        self.result = InvocationResult(json.dumps(members).encode())

    def close(self) -> None:
        """Nothing runs."""


@dataclass
class Clinic:
    """Where a test plants a fault and has it looked at.

    Attributes:
        variables: the application's environment; None takes a variable away.
        function: what runs as the function `seal`.
    """

    rotation_fixture: RotationFixture
    clock: Clock
    function: SealingFunction
    variables: dict[str, str | None]

    def healthy(self, **members: Any) -> PortalKey:
        """A key for a year, and rotation turned on."""
        ends = datetime.now(UTC) + timedelta(days=300)
        key = self.rotation_fixture.store(**{"expiresAt": ends.isoformat()} | members)
        self.turn_on_rotation()
        return key

    def turn_on_rotation(self) -> None:
        answer = self.rotation_fixture.client.rotate_secret(
            SecretId=self.rotation_fixture.arn,
            RotationLambdaARN=self.rotation_fixture.function_arn,
            RotationRules={"AutomaticallyAfterDays": 30},
            RotateImmediately=False,
        )
        self.rotation_fixture.cloud.wait_for_rotation(
            self.rotation_fixture.arn, answer["VersionId"]
        )

    def refuse(self, code: str, message: str, operation: str = "GetSecretValue") -> None:
        """AWS's own answer to the next call, word for word."""
        self.rotation_fixture.cloud.faults.before(operation, AwsError(code, message))

    def deny(self, *operations: str) -> None:
        self.rotation_fixture.cloud.deny(APPLICATION, *operations)

    def says(self, *arguments: str, code: int = 0, secret: str = SECRET) -> str:
        """What the command prints; never a piece of a key."""
        result = CliRunner().invoke(
            rotation,
            ["doctor", secret, *arguments],
            env=self.variables,
            catch_exceptions=False,
        )
        assert result.exit_code == code, result.output
        canary = Canary()
        for key in self.rotation_fixture.vendor.keys.all():
            canary.plant(key.material, key.id)
        assert canary.find(result.output.encode()) is None
        return result.output

    def examine(self, *arguments: str, code: int = 0, secret: str = SECRET) -> dict[str, Any]:
        """The checks by their names; where a check has several results, the last."""
        told = json.loads(self.says("--json", *arguments, code=code, secret=secret))
        assert told["ok"] is (code == 0)
        return {check["check"]: check for check in told["checks"]}

    def finds(self, *arguments: str, secret: str = SECRET) -> dict[str, dict[str, Any]]:
        """The problems by their codes."""
        told = json.loads(self.says("--json", *arguments, code=1, secret=secret))
        problems = [check for check in told["checks"] if check["verdict"] == "problem"]
        for problem in problems:
            assert not re.search(r"[{}]", problem["says"] + problem["fix"])
        return {problem["code"]: problem for problem in problems}

    def diagnosis(self, *arguments: str, secret: str = SECRET) -> dict[str, Any]:
        """The one problem that there is."""
        [found] = self.finds(*arguments, secret=secret).values()
        return found
