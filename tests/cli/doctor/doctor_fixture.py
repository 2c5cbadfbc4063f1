"""A secret, its vendor, and `rotation doctor` run with an application's credentials."""

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
from tests.cli.json_answers import answer_of
from tests.privacy.canary import Canary
from tests.rotation_fixture import RotationFixture

SECRET = "trusted-signatures-api"
#: The access key id of the application.
APPLICATION = "AKIAAPPLICATION00000"


@dataclass
class Clock:
    """AWS's clock: the machine's clock and the offset that a test sets."""

    offset: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset


@dataclass
class SealingFunction:
    """A function that stands in for the sealing function and answers what a test sets."""

    result: InvocationResult = field(default_factory=lambda: InvocationResult(b"{}"))
    payloads: list[bytes] = field(default_factory=list)

    def invoke(self, payload: bytes) -> InvocationResult:
        self.payloads.append(payload)
        return self.result

    def answers(self, **members: Any) -> None:
        self.result = InvocationResult(json.dumps(members).encode())

    def close(self) -> None:
        """There is nothing to stop."""


@dataclass
class DoctorFixture:
    """A deployment in which a test causes a fault, and the doctor that has to find it.

    Attributes:
        variables: the application's environment; None unsets a variable.
        function: what runs as the function `seal`.
    """

    rotation_fixture: RotationFixture
    clock: Clock
    function: SealingFunction
    variables: dict[str, str | None]

    def store_healthy_key(self, **members: Any) -> PortalKey:
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
        """Have AWS answer the next call with this error."""
        self.rotation_fixture.cloud.faults.before(operation, AwsError(code, message))

    def deny(self, *operations: str) -> None:
        self.rotation_fixture.cloud.deny(APPLICATION, *operations)

    def run(self, *arguments: str, code: int = 0, secret: str = SECRET) -> str:
        """Run the command; returns what it prints, which holds no piece of a key."""
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

    def checks(self, *arguments: str, code: int = 0, secret: str = SECRET) -> dict[str, Any]:
        """The results of the checks, by the name of the check."""
        report = answer_of("doctor", self.run("--json", *arguments, code=code, secret=secret))
        assert report["ok"] is (code == 0)
        return {check["check"]: check for check in report["checks"]}

    def problems(self, *arguments: str, secret: str = SECRET) -> dict[str, dict[str, Any]]:
        """The problems by their codes."""
        report = answer_of("doctor", self.run("--json", *arguments, code=1, secret=secret))
        problems = [check for check in report["checks"] if check["verdict"] == "problem"]
        for problem in problems:
            assert not re.search(r"[{}]", problem["says"] + problem["fix"])
        return {problem["code"]: problem for problem in problems}

    def only_problem(self, *arguments: str, secret: str = SECRET) -> dict[str, Any]:
        """The only problem that is found."""
        [found] = self.problems(*arguments, secret=secret).values()
        return found
