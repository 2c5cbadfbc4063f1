"""Runs commands with the credentials of one caller.

Most of them run in the process of the tests, with nothing but the variables and the input of the
terminal: a process of its own costs a second. Commands that a test kills, interrupts, reads from
while they work, or starts from a thread are processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from click.testing import CliRunner, Result

from rotation.aws.journal_bucket import S3JournalStore
from rotation.cli.commands import rotation
from rotation.journal.document import incident_members
from rotation.journal.keeper import JournalKeeper
from rotation.sandbox.aws.cloud import DEFAULT_CALLER
from rotation.sandbox.deployment import EVIDENCE_BUCKET, SECRET, Deployment
from tests.cli.json_answers import answer_of

ROTATION = str(Path(sys.executable).parent / "rotation")


@dataclass
class OperatorTerminal:
    """A terminal with the credentials of ``caller``.

    ``trusts_vendor`` sets SIGNER_TRUST_ANCHORS to the vendor's root; ``region`` is another region
    than the deployment's; with ``is_screen`` commands take what they print on for a terminal, and
    not for a pipe.
    """

    deployment: Deployment
    caller: str = DEFAULT_CALLER
    trusts_vendor: bool = False
    region: str | None = None
    is_screen: bool = False

    def environment(self) -> dict[str, str]:
        """All variables of the terminal."""
        environment = self.deployment.cloud.environment(self.caller)
        if self.region is not None:
            environment |= {"AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region}
        environment["VENDOR_URL"] = self.deployment.vendor.url
        if self.trusts_vendor:
            environment["SIGNER_TRUST_ANCHORS"] = str(self.deployment.trust_root)
        if self.is_screen:
            environment |= {"FORCE_COLOR": "1", "COLUMNS": "200"}
        return {"PATH": os.environ["PATH"], **environment}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command in a process of its own."""
        return subprocess.Popen(
            [ROTATION, *arguments],
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, code: int = 0, typed: str | None = None) -> str:
        """Run a command to its end; what it printed on both streams."""
        done = self._run(arguments, code, typed)
        return done.stdout + done.stderr

    def run_json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Run a command to its end; the one object that it printed."""
        command = " ".join(arguments[: 2 if arguments[0] == "pool" else 1])
        return answer_of(command, self._run((*arguments, "--json"), code).stdout)

    def _run(self, arguments: Iterable[str], code: int, typed: str | None = None) -> Result:
        only_these = {**dict.fromkeys(os.environ), **self.environment()}
        # A session remembers the credentials of whoever used it first.
        boto3.DEFAULT_SESSION = None
        done = CliRunner().invoke(
            rotation, [*arguments], input=typed, env=only_these, catch_exceptions=False
        )
        boto3.DEFAULT_SESSION = None
        assert done.exit_code == code, done.stdout + done.stderr
        return done

    def describe(self, secret: str = SECRET) -> dict[str, Any]:
        client = self.deployment.cloud.client("secretsmanager")
        return dict(client.describe_secret(SecretId=secret))

    def labels(self, secret: str = SECRET) -> dict[str, set[str]]:
        described = self.describe(secret)
        return {v: set(labels) for v, labels in described["VersionIdsToStages"].items()}

    def tags(self, secret: str = SECRET) -> dict[str, str]:
        described = self.describe(secret)
        return {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}

    def live_keys(self) -> set[str]:
        keys = self.deployment.vendor.keys
        return {
            key.id for key in keys.all() if key.role.value == "signing" and keys.accepted(key.id)
        }

    def incidents(self, secret: str = SECRET) -> list[dict[str, Any]]:
        """The incidents in the journal of a secret."""
        store = S3JournalStore(self.deployment.cloud.client("s3"), EVIDENCE_BUCKET)
        journal = JournalKeeper(store).read(self.describe(secret)["ARN"])
        return [incident_members(one) for one in journal.incidents]

    def records(self, folder: str = "incidents/") -> list[dict[str, Any]]:
        """The evidence that is kept in a folder of its bucket."""
        s3 = self.deployment.cloud.client("s3")
        listed: Iterable[Any] = s3.list_objects_v2(Bucket=EVIDENCE_BUCKET, Prefix=folder).get(
            "Contents", []
        )
        bodies = (s3.get_object(Bucket=EVIDENCE_BUCKET, Key=one["Key"])["Body"] for one in listed)
        return [json.loads(body.read()) for body in bodies]
