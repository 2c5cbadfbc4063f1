"""SIGKILL for real: functions in processes of their own, over sockets, killed at a call.

As deployed: real handlers, settings from the environment, AWS's own retries. Time alone is the
harness's, so that the grace passes at once.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from moto.secretsmanager.models import secretsmanager_backends

from rotation.aws.journal_bucket import object_name
from rotation.sandbox.aws import ACCOUNT, REGION
from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.processes import ProcessFunction
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.vendor import Pki, Role, VendorEmulator
from rotation.secrets_manager.labels import AWSCURRENT
from tests.harness.faults.boundary import Boundary
from tests.harness.faults.judge import Judge
from tests.harness.faults.world import BUCKET, GRACE, NAME

ADMIN = "trusted-signatures-admin"
_TIMEOUT = timedelta(minutes=2)


@dataclass(frozen=True)
class Kill:
    """Which function dies, at which of its calls, and whether that call has taken effect."""

    function: str
    call: int
    when: str

    def __str__(self) -> str:
        return f"{self.function} killed {self.when} call {self.call}"


class Deployment:
    """Both functions in processes, and the services that they use."""

    def __init__(self, folder: Path, cloud: Cloud, vendor: VendorEmulator, pki: Pki) -> None:
        self._folder, self._cloud, self._vendor = folder, cloud, vendor
        anchors = folder / "root.pem"
        anchors.write_bytes(pki.root_pem)
        self.later(timedelta(0))
        environment = {
            **cloud.environment(),
            "FAULT_FOLDER": str(folder),
            "VENDOR_URL": vendor.url,
            "SIGNER_TRUST_ANCHORS": str(anchors),
            "SIGNER_ORGANIZATION": "Trusted Signatures Sandbox",
            "INSTALLATION_ID": "fixture",
            "ROTATED_SECRETS": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:*",
            "KEY_ISSUER": "admin-api",
            "ADMIN_SECRET": ADMIN,
            "GRACE_HOURS": str(GRACE / timedelta(hours=1)),
            "PROPAGATION_LIMIT_SECONDS": "0",
            "EVIDENCE_BUCKET": BUCKET,
            "ROTATION_FUNCTION": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:rotate",
        }
        for name in ("rotate", "reconcile"):
            runner = ProcessFunction(
                f"tests.harness.faults.killable.{name}",
                environment=environment,
                log_path=folder / f"{name}.log",
                timeout=_TIMEOUT,
                name=name,
            )
            cloud.add_function(name, runner, timeout=_TIMEOUT)
        self.secrets = cloud.client("secretsmanager")
        self.function = cloud.client("lambda")

    def later(self, time: timedelta) -> None:
        """Every clock moves on; those of the functions read the folder."""
        self._vendor.clock_offset += time
        seconds = self._vendor.clock_offset.total_seconds()
        (self._folder / "clock").write_text(str(seconds))

    def begin(self) -> None:
        """Everything as in the beginning: one key made by hand, rotated once."""
        self._cloud.reset()
        for kill in self._folder.glob("*.kill"):
            kill.unlink()
        self._cloud.client("s3").create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
        admin = self._vendor.keys.create(role=Role.ADMIN)
        value = {"apiKey": admin.material, "apiKeyId": admin.id}
        self.secrets.create_secret(Name=ADMIN, SecretString=json.dumps(value))
        arn = self.secrets.create_secret(Name=NAME)["ARN"]
        first = self._vendor.keys.create()
        value = {"apiKey": first.material, "apiKeyId": first.id}
        self.secrets.put_secret_value(SecretId=arn, SecretString=json.dumps(value))
        secret = secretsmanager_backends[ACCOUNT][REGION].secrets[arn]
        # Keys of the runs before this one; they must stay as they are.
        others = frozenset(
            key.id
            for key in self._vendor.keys.all()
            if key.id != first.id and self._vendor.keys.accepted(key.id) is not None
        )
        self.judge = Judge(
            Boundary(),
            arn,
            secret,
            self._vendor.keys,
            self._vendor.now,
            lambda: self._journal(arn),
            GRACE,
            others,
        )
        assert self.rotate(), "the first rotation"

    def rotate(self) -> bool:
        """A rotation as Secrets Manager runs and repeats it; whether it went through."""
        token = self.secrets.rotate_secret(
            SecretId=NAME,
            ClientRequestToken=str(uuid.uuid4()),
            RotationLambdaARN="arn:aws:lambda:us-east-1:012345678912:function:rotate",
            RotationRules={"AutomaticallyAfterDays": 30},
        )["VersionId"]
        return self._cloud.wait_for_rotation(NAME, token, _TIMEOUT).succeeded

    def reconcile(self) -> Any:
        """One run; its report, or its error."""
        answer = self.function.invoke(FunctionName="reconcile", Payload=b"{}")
        return json.loads(answer["Payload"].read())

    def calls(self, function: str) -> int:
        """How many calls a function has made since `forget_calls`."""
        return int((self._folder / f"{function}.calls").read_text())

    def forget_calls(self) -> None:
        """Count from 0 again."""
        for name in ("rotate", "reconcile"):
            (self._folder / f"{name}.calls").write_text("0")

    def run(self, kill: Kill | None) -> list[str]:
        """A rotation and what follows, with a kill; what the judge found."""
        self.begin()
        self.later(GRACE + timedelta(days=1))
        self.forget_calls()
        if kill is not None:
            plan = self._folder / f"{kill.function}.kill"
            plan.write_text(f"{kill.call} {kill.when}")
        if not self.rotate():
            self.judge.find("3 stuck", "Secrets Manager gave up")
        self._signs()
        self.reconcile()
        for _ in range(2):
            self.later(GRACE + timedelta(minutes=1))
            self.reconcile()
            self._signs()
        if kill is not None and plan.exists():
            self.judge.find("0 harness", f"{kill} did not happen")
        self.judge.at_rest()
        if not self.judge.quiet():
            self.judge.find("3 rest", f"{len(self.judge.alive())} keys are alive")
        if not self.rotate():
            self.judge.find("3 stuck", "the next rotation failed")
        return self.judge.violations

    def _journal(self, arn: str) -> dict[str, Any]:
        s3 = self._cloud.client("s3")
        try:
            body = s3.get_object(Bucket=BUCKET, Key=object_name(arn))["Body"].read()
        except s3.exceptions.NoSuchKey:
            return {}
        found: dict[str, Any] = json.loads(body)
        return found

    def _signs(self) -> None:
        state = self.judge.state()
        current = state.key_of(state.bearer(AWSCURRENT))
        if current is None or self._vendor.keys.accepted(current) is None:
            self.judge.find("outage", "the current key is not accepted")


@contextmanager
def deployed(folder: Path) -> Iterator[Deployment]:
    """A deployment whose processes end with the context."""
    pki = Pki.create(datetime.now(UTC))
    with ExitStack() as undo:
        vendor = undo.enter_context(VendorEmulator(pki, clock=_now, key_quota=500))
        retries = RetryPolicy(delays=(timedelta(milliseconds=20),) * 4)
        cloud = undo.enter_context(Cloud(retries=retries, clock=vendor.now))
        yield Deployment(folder, cloud, vendor, pki)


def kills(deployment: Deployment, number: int) -> list[Kill]:
    """So many kills, spread over the calls of a run without any; most of them in rotations."""
    assert deployment.run(None) == []
    made = {name: deployment.calls(name) for name in ("rotate", "reconcile")}
    # The counts hold the rotation that ends each run, so only the first half is sure to come.
    rotations = number * 2 // 3
    chosen = [
        Kill("rotate", place * (made["rotate"] // 2) // rotations, ("before", "after")[place % 2])
        for place in range(rotations)
    ]
    rest = number - rotations
    return chosen + [
        Kill("reconcile", place * made["reconcile"] // rest, ("after", "before")[place % 2])
        for place in range(rest)
    ]


def _now() -> datetime:
    return datetime.now(UTC)
