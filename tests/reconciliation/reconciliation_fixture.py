"""The reconciler over a rotation fixture: real parts, with the fixture's clock and no waiting."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from rotation.aws.evidence_bucket import S3EvidenceStore
from rotation.core.policy import ReconciliationPolicy
from rotation.core.ports import (
    CondemnedKeys,
    EventBus,
    IssuerCondition,
    KeyIssuer,
    KeyProver,
    LedgerReader,
    SignatureLog,
)
from rotation.core.steps import STEPS
from rotation.credential import ApiKey
from rotation.journal.model import Declaration, KeyLife
from rotation.reconciliation.execution import ReconciliationServices
from rotation.reconciliation.proof_of_death import DeathProver
from rotation.reconciliation.reconciler import Reconciler
from rotation.secrets_manager.allowed import ANY_SECRET
from rotation.secrets_manager.discovery import secrets_rotated_by
from rotation.secrets_manager.versions import SecretVersions
from tests.deadlines import deadline_of
from tests.rotation_fixture import RotationFixture

BUCKET = "evidence"
GRACE = timedelta(hours=2)


@dataclass
class RecordingNotifier:
    """Keeps the messages that people would get."""

    messages: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    def notify(self, subject: str, facts: Mapping[str, str]) -> None:
        self.messages.append((subject, facts))


class ReconciliationFixture:
    """Reconciles the keys of a rotation fixture."""

    def __init__(self, rotation_fixture: RotationFixture) -> None:
        self.rotation = rotation_fixture
        self.s3 = rotation_fixture.cloud.client("s3")
        self.s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
        self.notifier = RecordingNotifier()
        self.issuer: KeyIssuer = rotation_fixture.issuer
        self.prover: KeyProver = rotation_fixture.prover
        self.find_key: Callable[[str], ApiKey | None] = lambda _: None
        self.condemned_keys: CondemnedKeys | None = None
        self.ledger: LedgerReader | None = None
        self.signatures: SignatureLog | None = None
        self.events: EventBus | None = None
        self.evidence_bucket = BUCKET
        self.journals = rotation_fixture.journals
        self.condition: Callable[[], IssuerCondition] = IssuerCondition
        self.policy = ReconciliationPolicy(
            "fixture", rotation_fixture.function_arn, GRACE, timedelta(seconds=60), ANY_SECRET
        )
        self.time_left = timedelta(minutes=15)
        self.workers = 2
        #: One for each call that waited for its turn; here nobody has to wait.
        self.turns: list[None] = []

    def reconciler(self) -> Reconciler:
        rotation_fixture = self.rotation
        services = ReconciliationServices(
            issuer=self.issuer,
            prover=self.prover,
            notifier=self.notifier,
            evidence=S3EvidenceStore(self.s3, self.evidence_bucket),
            journals=self.journals,
            policy=self.policy,
            find_key=self.find_key,
            rate_limiter=lambda: self.turns.append(None),
            clock=rotation_fixture.now,
            condemned_keys=self.condemned_keys,
            ledger=self.ledger,
            signatures=self.signatures,
            events=self.events,
        )
        death_prover = DeathProver(
            self.prover,
            timedelta(seconds=60),
            deadline_of(lambda: self.time_left),
            rotation_fixture.now,
            rotation_fixture.pause,
        )
        return Reconciler(
            open_secret=lambda name: SecretVersions(rotation_fixture.client, name),
            discover=lambda: secrets_rotated_by(
                rotation_fixture.client, rotation_fixture.function_arn, self.policy.rotated_secrets
            ),
            condition=self.condition,
            services=services,
            death_prover=death_prover,
            deadline=deadline_of(lambda: self.time_left),
            workers=self.workers,
        )

    def run(self, *secrets: str, act: bool = True) -> dict[str, Any]:
        """One run over all secrets, or over those that are named; its report is JSON."""
        report = self.reconciler().run(list(secrets) or None, act=act)
        read: dict[str, Any] = json.loads(json.dumps(report))
        return read

    def reconcile(self, *, failing: bool = False) -> dict[str, Any]:
        """One run over all secrets; what it says of the fixture's own."""
        [found] = [one for one in self.run()["secrets"] if one["arn"] == self.rotation.arn]
        assert bool(found["failures"]) is failing, found["failures"]
        return dict(found)

    def rotate(self) -> str:
        """A whole rotation; the new version's id."""
        token = self.rotation.stage()
        for step in STEPS.values():
            self.rotation.time_left = timedelta(minutes=5)
            step(self.rotation.rotation(token))
        return token

    def pass_grace(self) -> None:
        """A little more than the grace goes by."""
        self.rotation.later(GRACE + timedelta(minutes=1))

    def declare(self, reason: str = "key-compromise") -> str:
        """Every key that exists is declared compromised; the declaration's id."""
        # An hour ago, so that a version which is made from here on is none of that moment.
        now = self.rotation.now() - timedelta(hours=1)
        at = now.replace(microsecond=now.microsecond // 1000 * 1000)
        declaration = Declaration(str(uuid.uuid4()), at, reason, "ada")
        self.reconciler().declare(self.rotation.arn, declaration, again=False)
        return declaration.id

    def life(self, key_id: str) -> KeyLife:
        """The life of a key as the journal has it."""
        return self.journals.read(self.rotation.arn).keys[key_id]

    def tag(self, name: str, value: str) -> None:
        self.rotation.client.tag_resource(
            SecretId=self.rotation.arn, Tags=[{"Key": name, "Value": value}]
        )

    def tags(self) -> dict[str, str]:
        described = self.rotation.client.describe_secret(SecretId=self.rotation.arn)
        return {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}

    def evidence(self) -> list[dict[str, Any]]:
        """Every record that was kept."""
        listed = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        bodies = (self.s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"] for one in listed)
        return [json.loads(body.read()) for body in bodies]

    def alive(self, key_id: str) -> bool:
        return self.rotation.vendor.keys.accepted(key_id) is not None


def codes(report: dict[str, Any]) -> set[str]:
    return {warning["code"] for warning in report["warnings"]}


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    return {one["keyId"]: one["outcome"] for one in report["done"]["revoked"]}
