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
from functools import partial
from typing import Any

from rotation.aws.event_bus import EventBridgeBus
from rotation.aws.evidence_bucket import S3EvidenceStore
from rotation.aws.journal_bucket import S3JournalStore, object_name
from rotation.aws.notifier import SnsNotifier
from rotation.core.invocation import Rotation
from rotation.core.policy import ReconciliationPolicy, RotationPolicy, least_life_when_issued
from rotation.core.ports import IssuerCondition, KeyIssuer, KeyProver, Proof
from rotation.credential import ApiKey, iso_utc
from rotation.deadline import Deadline
from rotation.errors import RotationError
from rotation.handlers.reconcile_actions import ReconcileParts, act
from rotation.handlers.reconcile_events import parse
from rotation.journal.keeper import JournalKeeper
from rotation.key_pool.incident import PoolIncident
from rotation.key_pool.issuer import KeyPoolIssuer, LeaseOnlyIssuer
from rotation.key_pool.pool_secret import PoolSecret
from rotation.reconciliation.execution import ReconciliationServices
from rotation.reconciliation.proof_of_death import DeathProver
from rotation.reconciliation.rate_limiter import RateLimiter
from rotation.reconciliation.reconciler import Reconciler
from rotation.sandbox.aws import ACCOUNT, REGION
from rotation.sandbox.vendor import KeyStore, PortalKey, Role
from rotation.secrets_manager.allowed import ANY_SECRET
from rotation.secrets_manager.discovery import secrets_rotated_by
from rotation.secrets_manager.labels import AWSCURRENT
from rotation.secrets_manager.versions import SecretVersions, read_credential
from rotation.vendor.admin_api import AdminApi
from rotation.vendor.signing_api import SigningApi
from tests.harness.faults.boundary import Boundary, CallObservers
from tests.harness.faults.direct import DirectBus, DirectTopic, keys_to_revoke
from tests.harness.faults.gates import GatedHttp
from tests.harness.faults.judge import Judge
from tests.harness.faults.pool_judge import PoolJudge

NAME = "trusted-signatures-api"
#: A secret whose name begins with the other's; both share the vendor's account and the pool.
SECOND = f"{NAME}/second"
POOL = "trusted-signatures-pool"
#: So many free keys are in a pool: more than an activity and what follows it can lease.
POOL_KEYS = 12
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:people"
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


@dataclass(frozen=True)
class WorldShape:
    """What a world has, beside one secret.

    Attributes:
        pool: whether its keys come from a key pool; else from the vendor's admin API.
        second: whether it has two secrets.
        announces: whether phases are announced.
    """

    pool: bool = False
    second: bool = False
    announces: bool = False


ONE_SECRET = WorldShape()


@dataclass
class World:
    """One scenario's world.

    Attributes:
        client: boto3's client, or its like, behind the boundary.
        shortcut: a client behind the boundary that uses no socket, for what is not under test.
        person: the same without the boundary: what people and AWS itself do.
        evidence: the S3 client behind the boundary.
        topic: the SNS client behind the boundary, with the messages that people got.
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
    topic: DirectTopic
    records: Callable[[], list[dict[str, Any]]]
    stored_journal: Callable[[str], Mapping[str, Any]]
    http: GatedHttp
    keys: KeyStore
    prover: KeyProver
    signing: SigningApi
    backend: Any
    vendor_down: Callable[[bool], None]
    shape: WorldShape = ONE_SECRET
    function_arn: str = FUNCTION
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        admin = self.keys.create(role=Role.ADMIN)
        self._admin_key = ApiKey.from_text(admin.id, admin.material)
        names = (NAME, SECOND) if self.shape.second else (NAME,)
        self.arns: list[str] = [self.person.create_secret(Name=name)["ARN"] for name in names]
        self.arn = self.arns[0]
        self.pool_arn = self._stocked_pool() if self.shape.pool else ""
        foreign = self.keys.create(label=f"elsewhere|{self.arn}|another-token")
        self.judges = [self._judge(arn, foreign.id) for arn in self.arns]
        self.judge = self.judges[0]
        for judge in self.judges:
            judge.peers = [other for other in self.judges if other is not judge]
            judge.violations = self.judge.violations
        self.bus = DirectBus(self.boundary)
        self.journals = JournalKeeper(S3JournalStore(self.evidence, BUCKET))
        self.pool_judge: PoolJudge | None = None
        if self.shape.pool:
            pool = self.backend.secrets[self.pool_arn]
            self.pool_judge = PoolJudge(pool, self._pool_entries, self.keys, self.judges)
        observers = [*self.judges, *([self.pool_judge] if self.pool_judge else ())]
        self.boundary.observer = CallObservers(observers)
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

    def _judge(self, arn: str, foreign: str) -> Judge:
        return Judge(
            self.boundary,
            arn,
            self.backend.secrets[arn],
            self.keys,
            self.clock,
            lambda: self.stored_journal(object_name(arn)),
            GRACE,
            frozenset({foreign}),
            self._pool_entries if self.shape.pool else dict,
        )

    def _stocked_pool(self) -> str:
        """A pool secret that a person has filled; its ARN."""
        made = [
            self.keys.create(expires_at=self.clock() + timedelta(days=300 + number))
            for number in range(POOL_KEYS)
        ]
        value = {"keys": [entry(key) for key in made]}
        arn: str = self.person.create_secret(Name=POOL)["ARN"]
        self.person.put_secret_value(SecretId=arn, SecretString=json.dumps(value))
        return arn

    def _pool_entries(self) -> dict[str, Any]:
        """The entries of the pool, by key id, as Secrets Manager has them just now."""
        versions = self.backend.secrets[self.pool_arn].versions.values()
        [current] = [one for one in versions if AWSCURRENT in one["version_stages"]]
        return {one["apiKeyId"]: one for one in json.loads(current["secret_string"])["keys"]}

    def _pool_secret(self) -> PoolSecret:
        return PoolSecret(self.client, self.pool_arn, self.clock, self.clock.sleep)

    def _pool_issuer(self, pool: PoolSecret) -> KeyPoolIssuer:
        """As `rotation.handlers.wiring.key_pool.key_pool`."""

        def needed(arn: str) -> timedelta:
            interval = SecretVersions(self.client, arn).snapshot().rotation_interval
            return least_life_when_issued(interval, GRACE)

        def current_key(arn: str) -> str | None:
            try:
                return read_credential(self.client, arn).key.id
            except RotationError as error:
                if error.retryable:
                    raise
                return None

        return KeyPoolIssuer(pool, needed, self._notifier(), self.clock, current_key)

    def _notifier(self) -> SnsNotifier:
        return SnsNotifier(self.topic, TOPIC)

    def _issuer(self, arn: str) -> KeyIssuer:
        """The issuer of one invocation of a step."""
        if self.shape.pool:
            return LeaseOnlyIssuer(
                self._pool_issuer(self._pool_secret()),
                is_suspect=lambda key: self.journals.read(arn).suspect(key),
            )
        return AdminApi(self.http, "/v1/keys", lambda: self._admin_key, self.clock)

    def arn_of(self, token: str) -> str:
        """The secret that has a version of this token; the first one if none has."""
        held = (arn for arn, judge in self._by_arn() if token in judge.secret.versions)
        return next(held, self.arn)

    def _by_arn(self) -> Iterator[tuple[str, Judge]]:
        yield from zip(self.arns, self.judges, strict=True)

    def rotation(self, token: str) -> Rotation:
        """One invocation of a step; five minutes are left to it."""
        arn = self.arn_of(token)
        return Rotation(
            secret=SecretVersions(self.client, arn),
            token=token,
            function_arn=self.function_arn,
            journal=self.journals,
            issuer=self._issuer(arn),
            prover=self.prover,
            policy=RotationPolicy(
                "fixture", timedelta(days=90), GRACE, PROPAGATION_LIMIT, ANY_SECRET
            ),
            deadline=Deadline.after(timedelta(minutes=5), self.clock.monotonic),
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    def reconciler(self) -> Reconciler:
        """One invocation of the reconcile function; fifteen minutes are left to it."""
        deadline = Deadline.after(timedelta(minutes=15), self.clock.monotonic)
        issuer: KeyIssuer = self._issuer(self.arn)
        condition: Callable[[], IssuerCondition] = IssuerCondition
        find_key: Callable[[str], ApiKey | None] = _finds_nothing
        incident: PoolIncident | None = None
        if self.shape.pool:
            pool = self._pool_secret()
            issuer = leases = self._pool_issuer(pool)
            incident = PoolIncident(pool, self._notifier(), self.clock)
            condition, find_key = partial(_pool_condition, pool), leases.find
        services = ReconciliationServices(
            issuer=issuer,
            prover=self.prover,
            notifier=self._notifier(),
            evidence=S3EvidenceStore(self.evidence, BUCKET),
            journals=self.journals,
            policy=ReconciliationPolicy(
                "fixture", self.function_arn, GRACE, PROPAGATION_LIMIT, ANY_SECRET
            ),
            find_key=find_key,
            condemned_keys=incident,
            rate_limiter=RateLimiter(per_second=1e6, sleep=self.clock.sleep),
            clock=self.clock,
            events=EventBridgeBus(self.bus, "keys") if self.shape.announces else None,
        )
        return Reconciler(
            open_secret=lambda name: SecretVersions(self.client, name),
            discover=lambda: secrets_rotated_by(self.client, self.function_arn, ANY_SECRET),
            condition=condition,
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
        return act(request, parts)

    def revoke_as_asked(self) -> None:
        """A person reads their messages, and revokes in the portal what they ask for."""
        for message in self.topic.messages:
            for key in keys_to_revoke(message):
                self.keys.revoke(key)
        self.topic.messages.clear()

    def quiet(self) -> bool:
        """Whether nothing is left to do for any secret."""
        return all(judge.quiet() for judge in self.judges)

    def at_rest(self) -> None:
        """What must hold when retries, grace and reconciliation have passed."""
        for judge in self.judges:
            judge.at_rest()
            if self.shape.announces:
                self._announced(judge)
        if self.pool_judge is not None:
            self.pool_judge.at_rest()

    def _announced(self, judge: Judge) -> None:
        """Every death and every closed incident was told once, however often it was sent."""
        journal = self.stored_journal(object_name(judge.arn))
        if journal["phases"]["waiting"]:
            judge.find("9 untold", f"events still wait: {journal['phases']['waiting']}")
        dead = {key for key, life in journal["keys"].items() if life["death"] is not None}
        over = {one["id"] for one in journal["incidents"] if one["closing"] is not None}
        for phase, member, subjects in (("dead", "keyId", dead), ("contained", "incidentId", over)):
            for subject in sorted(subjects):
                told = {
                    one["id"]
                    for one in self.bus.heard
                    if one["phase"] == phase and one[member] == subject
                }
                if len(told) != 1:
                    judge.find("9 untold", f"{phase} {subject} was told as {len(told)} events")

    def store_by_hand(self, arn: str | None = None) -> str:
        """A person makes a key in the portal and stores it; the key's id."""
        key = self.keys.create()
        value = json.dumps({"apiKey": key.material, "apiKeyId": key.id})
        self.person.put_secret_value(SecretId=arn or self.arn, SecretString=value)
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

    def begin_rotation(self, arn: str | None = None) -> str:
        """What the schedule does: the token, staged without a value."""
        token: str = self.person.rotate_secret(
            SecretId=arn or self.arn,
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


def entry(key: PortalKey) -> dict[str, Any]:
    """A free key's entry in a pool, as a person adds it."""
    made = {"apiKeyId": key.id, "apiKey": key.material, "expiresAt": iso_utc(key.expires_at)}
    return made | {"state": "free", "lease": None}


def _finds_nothing(_: str) -> ApiKey | None:
    """An issuer that keeps no keys."""
    return None


def _pool_condition(pool: PoolSecret) -> IssuerCondition:
    return IssuerCondition(keys_left=len(pool.read().leasable))
