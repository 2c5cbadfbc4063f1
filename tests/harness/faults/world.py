"""The world of one scenario: a secret with a current and a previous key, AWS, the vendor, time.

Time is in the harness's hands and passes at every call; nobody waits. `worlds` makes them, over
the emulators' cores or over real sockets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from rotation.aws.evidence_bucket import S3EvidenceStore
from rotation.aws.journal_bucket import S3JournalStore, object_name
from rotation.core.invocation import Rotation
from rotation.core.policy import ReconciliationPolicy, RotationPolicy
from rotation.core.ports import IssuerCondition, KeyProver, Proof
from rotation.credential import ApiKey
from rotation.deadline import Deadline
from rotation.handlers.reconcile_actions import ACTIONS, ReconcileParts, parse
from rotation.journal.keeper import JournalKeeper
from rotation.reconciliation.execution import ReconciliationServices
from rotation.reconciliation.proof_of_death import DeathProver
from rotation.reconciliation.rate_limiter import RateLimiter
from rotation.reconciliation.reconciler import Reconciler
from rotation.sandbox.aws import ACCOUNT, REGION
from rotation.sandbox.vendor import KeyStore, Role
from rotation.secrets_manager.discovery import secrets_rotated_by
from rotation.secrets_manager.labels import AWSCURRENT
from rotation.secrets_manager.versions import SecretVersions
from rotation.vendor.admin_api import AdminApi
from rotation.vendor.signing_api import SigningApi
from tests.harness.faults.boundary import Boundary
from tests.harness.faults.gates import GatedHttp
from tests.harness.faults.judge import Judge

NAME = "trusted-signatures-api"
GRACE = timedelta(hours=2)
PROPAGATION_LIMIT = timedelta(seconds=60)
#: How long the emulated vendor takes to accept a new key, and to refuse a revoked one.
PROPAGATION = timedelta(milliseconds=300)
BUCKET = "evidence"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:rotate"


@dataclass
class VirtualClock:
    """The time of a world."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    begun: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.now

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        """Seconds since the world began."""
        return (self.now - self.begun).total_seconds()

    def later(self, time: timedelta) -> None:
        """Time passes."""
        self.now += time

    def sleep(self, seconds: float) -> None:
        """A pause of our code's."""
        self.now += timedelta(seconds=seconds)


@dataclass
class World:
    """One scenario's world.

    Attributes:
        client: boto3's client, or its like, behind the boundary.
        shortcut: a client behind the boundary that uses no socket, for what is not under test.
        person: the same without the boundary: what people and AWS itself do.
        evidence: the S3 client behind the boundary.
        records: every record that was kept.
        stored_journal: the journal in the object with this name, as JSON members; empty: none.
        vendor_down: turns the vendor off and on.
    """

    clock: VirtualClock
    boundary: Boundary
    client: Any
    shortcut: Any
    person: Any
    evidence: Any
    records: Callable[[], list[dict[str, Any]]]
    stored_journal: Callable[[str], Mapping[str, Any]]
    http: GatedHttp
    keys: KeyStore
    prover: KeyProver
    signing: SigningApi
    backend: Any
    vendor_down: Callable[[bool], None]
    function_arn: str = FUNCTION
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        admin = self.keys.create(role=Role.ADMIN)
        admin_key = ApiKey.from_text(admin.id, admin.material)
        self.arn: str = self.person.create_secret(Name=NAME)["ARN"]
        self.issuer = AdminApi(self.http, "/v1/keys", lambda: admin_key, self.clock)
        foreign = self.keys.create(label=f"elsewhere|{self.arn}|another-token")
        secret = self.backend.secrets[self.arn]
        self.judge = Judge(
            self.boundary,
            secret,
            self.keys,
            self.clock,
            lambda: self.stored_journal(object_name(self.arn)),
            GRACE,
            frozenset({foreign.id}),
        )
        self.journals = JournalKeeper(S3JournalStore(self.evidence, BUCKET))
        self.boundary.observer = self.judge
        self.boundary.tick = lambda: self.clock.later(timedelta(milliseconds=20))

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """What happens meanwhile is not under test: fewer sockets, and no signature is checked."""
        client, prover = self.client, self.prover
        self.client, self.prover = self.shortcut, _Credulous(self.signing, self.clock)
        try:
            yield
        finally:
            self.client, self.prover = client, prover

    def versions(self) -> SecretVersions:
        """The secret as our code sees it."""
        return SecretVersions(self.client, self.arn)

    def rotation(self, token: str) -> Rotation:
        """One invocation of a step; five minutes are left to it."""
        return Rotation(
            secret=self.versions(),
            token=token,
            function_arn=self.function_arn,
            journal=self.journals,
            issuer=self.issuer,
            prover=self.prover,
            policy=RotationPolicy("fixture", timedelta(days=90), GRACE, PROPAGATION_LIMIT),
            deadline=Deadline.after(timedelta(minutes=5), self.clock.monotonic),
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    def reconciler(self) -> Reconciler:
        """One invocation of the reconcile function; fifteen minutes are left to it."""
        deadline = Deadline.after(timedelta(minutes=15), self.clock.monotonic)
        services = ReconciliationServices(
            issuer=self.issuer,
            prover=self.prover,
            notifier=_Nobody(),
            evidence=S3EvidenceStore(self.evidence, BUCKET),
            journals=self.journals,
            policy=ReconciliationPolicy("fixture", self.function_arn, GRACE, PROPAGATION_LIMIT),
            find_key=lambda _: None,
            rate_limiter=RateLimiter(per_second=1e6, sleep=self.clock.sleep),
            clock=self.clock,
        )
        return Reconciler(
            open_secret=lambda name: SecretVersions(self.client, name),
            discover=lambda: secrets_rotated_by(self.client, self.function_arn),
            condition=IssuerCondition,
            services=services,
            death_prover=DeathProver(
                prover=self.prover,
                limit=PROPAGATION_LIMIT,
                deadline=deadline,
                clock=self.clock,
                sleep=self.clock.sleep,
                workers=1,
            ),
            deadline=deadline,
            workers=1,
        )

    def ask(self, action: str, arn: str, **members: str | bool) -> dict[str, Any]:
        """One invocation of the reconcile function, as the operator's command makes it."""
        request = parse({"action": action, "secrets": [arn], **members})
        parts = _Parts(
            self.client,
            self.reconciler().services,
            Deadline.after(timedelta(minutes=15), self.clock.monotonic),
            open_reconciler=self.reconciler,
        )
        return ACTIONS[request.action].run(request, parts)

    def store_by_hand(self) -> str:
        """A person makes a key in the portal and stores it; the key's id."""
        key = self.keys.create()
        value = json.dumps({"apiKey": key.material, "apiKeyId": key.id})
        self.person.put_secret_value(SecretId=self.arn, SecretString=value)
        self.clock.later(timedelta(minutes=1))
        return key.id

    def move_current(self, version: str) -> None:
        """A person moves AWSCURRENT by hand."""
        was = self.judge.state()
        self.person.update_secret_version_stage(
            SecretId=self.arn,
            VersionStage=AWSCURRENT,
            RemoveFromVersionId=was.bearer(AWSCURRENT),
            MoveToVersionId=version,
        )
        self.judge.moved_by_hand(was)

    def begin_rotation(self) -> str:
        """What the schedule does: the token, staged without a value."""
        token: str = self.person.rotate_secret(
            SecretId=self.arn,
            RotationLambdaARN=self.function_arn,
            RotationRules={"AutomaticallyAfterDays": 30},
        )["VersionId"]
        return token


@dataclass(frozen=True)
class _Parts(ReconcileParts):
    """The parts of a world, whose clocks are the harness's."""

    open_reconciler: Callable[[], Reconciler] = field(kw_only=True)

    def reconciler(self) -> Reconciler:
        return self.open_reconciler()


@dataclass
class _Credulous:
    """A prover that takes an answer for a proof."""

    signing: SigningApi
    clock: Callable[[], datetime]

    def prove(self, key: ApiKey, statement: str) -> Proof:
        digest = hashlib.sha256(statement.encode()).digest()
        _, vendor_time = self.signing.sign_with_vendor_time(key, digest)
        return Proof(self.clock(), vendor_time, "CN=Anybody", True)


class _Nobody:
    def notify(self, subject: str, facts: Any) -> None:
        """Nobody is there."""
