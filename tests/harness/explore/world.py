"""The world that schedules run in: two services, time, the functions that are deployed, people.

A world is built once in a process. `World.save` takes its state and `World.load` brings it back, so
that each schedule begins from a prepared start without preparing it again.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final

from moto.core.exceptions import JsonRESTError
from moto.secretsmanager.models import SecretsStore

from rotation.aws.evidence_bucket import S3EvidenceStore
from rotation.aws.journal_bucket import S3JournalStore
from rotation.core.invocation import Rotation
from rotation.core.policy import ReconciliationPolicy, RotationPolicy, least_life_when_issued
from rotation.core.ports import IssuerCondition, KeyIssuer
from rotation.core.steps import STEPS
from rotation.credential import ApiKey
from rotation.deadline import Deadline
from rotation.errors import RotationError
from rotation.handlers.reconcile_actions import ReconcileParts, run_action
from rotation.handlers.step_invocation import StepRequest, run_step
from rotation.journal.keeper import JournalKeeper
from rotation.key_pool.document import KeyState
from rotation.key_pool.incident import PoolIncident
from rotation.key_pool.issuer import KeyPoolIssuer, LeaseOnlyIssuer
from rotation.key_pool.pool_secret import PoolSecret
from rotation.reconciliation.execution import ReconciliationServices
from rotation.reconciliation.rate_limiter import RateLimiter
from rotation.sandbox.vendor import PortalKey, Role
from rotation.secrets_manager.allowed import ANY_SECRET
from rotation.secrets_manager.labels import AWSPENDING
from rotation.secrets_manager.versions import SecretVersions
from rotation.vendor.admin_api import AdminApi
from rotation.vendor.signing_api import SigningApi
from tests.harness.explore import footprint
from tests.harness.explore.judge import Judge
from tests.harness.explore.scheduler import Scheduler
from tests.harness.explore.vendor_http import ExploredHttp
from tests.harness.faults.boundary import Boundary, Call, FaultKind, InterceptedCall
from tests.harness.faults.direct import DirectBucket, DirectClient, DirectSecrets
from tests.harness.faults.direct_vendor import DirectVendor, QuickProver
from tests.harness.faults.world import (
    BUCKET,
    FUNCTION,
    GRACE,
    PROPAGATION,
    PROPAGATION_LIMIT,
    VirtualClock,
)

INSTALLATION: Final = "fixture"
#: The same stack, deployed anew: another id and another function.
ANOTHER_INSTALLATION: Final = "anew"
ANOTHER_FUNCTION: Final = f"{FUNCTION}-anew"
POOL: Final = "trusted-signatures-pool"
BEGUN: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)
#: How often Secrets Manager runs the steps of a rotation that fails, and how long it waits between.
ATTEMPTS: Final = 4
RETRY_AFTER: Final = 60.0
#: How long a command may wait.
PATIENCE: Final = timedelta(minutes=8)


@dataclass
class ExploredBoundary(Boundary):
    """Where every call passes: a task stops here until the scheduler lets it go on."""

    world: World = field(init=False)

    def open(
        self, name: str, subject: str, members: Mapping[str, Any] | None = None
    ) -> InterceptedCall:
        """Begin a call, when it is this task's turn."""
        world = self.world
        scheduler = world.scheduler
        task = scheduler.current if scheduler is not None else None
        number, kind, actor, process = -1, None, "prepared", -1
        if scheduler is not None and task is not None:
            prints = footprint.of_call(name, subject, members, world.full_arn)
            fault = scheduler.call(f"{name} {subject}", prints)
            number, actor, process = len(scheduler.steps) - 1, task.name, task.number
            if fault is not None and not world.by_hand():
                kind = FaultKind(fault)
        self.tick()
        call = Call(number, name, subject, process, actor, kind)
        self.calls.append(call)
        return InterceptedCall(self, call)


class ExploredSecrets(DirectSecrets):
    """The sandbox's Secrets Manager, where the KMS key of a value can be taken away.

    API_UpdateSecret: only the versions that bear AWSCURRENT, AWSPENDING or AWSPREVIOUS are
    encrypted anew with another key; the others stay under the old one.
    """

    __module__ = "moto.secretsmanager.models"

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self.unreadable: set[tuple[str, str]] = set()

    def get_secret_value(
        self, secret_id: str, version_id: str | None, version_stage: str | None
    ) -> dict[str, Any]:
        """API_GetSecretValue, Errors: DecryptionFailure."""
        found = super().get_secret_value(secret_id, version_id, version_stage)
        if (found["ARN"], found["VersionId"]) in self.unreadable:
            raise JsonRESTError(
                "DecryptionFailure", "Secrets Manager can't decrypt the secret value."
            )
        return found


@dataclass(frozen=True)
class VendorClients:
    """What one process uses of the vendor."""

    signing: SigningApi
    prover: QuickProver
    admin: AdminApi


@dataclass(frozen=True)
class WorldState:
    """What `World.load` brings back."""

    name: str
    now: datetime
    secrets: Sequence[Any]
    tokens: frozenset[tuple[str, str]]
    unreadable: frozenset[tuple[str, str]]
    keys: Mapping[str, PortalKey]
    objects: tuple[Mapping[str, bytes], Mapping[str, Mapping[str, str]]]
    pool: bool
    arns: tuple[str, ...]
    judge: Any
    waiting: tuple[tuple[str, str, str], ...]
    facts: Mapping[str, Any]


class FunctionFailedError(RotationError):
    """A function that was invoked did not answer."""


class World:
    """Everything there is.

    Attributes:
        arns: the secrets that hold a key; the actors work on the first.
        pool: whether keys come from a pool.
        scheduler: who decides in this run; None: the start is being prepared, or the run is over.
        facts: what a start leaves for the actors, such as a token.
        answers: the last report of each reconciliation, for the judge.
    """

    def __init__(self) -> None:
        self.clock = VirtualClock(BEGUN)
        self.boundary = ExploredBoundary()
        self.boundary.world = self
        self.backend = ExploredSecrets(self.clock)
        self.vendor = DirectVendor(self.clock)
        self.keys = self.vendor.keys
        self.keys.propagation_delay = PROPAGATION
        self.bucket = DirectBucket(self.boundary)
        self.client: Any = DirectClient(self.backend, self.boundary)
        self.scheduler: Scheduler | None = None
        self.pool = False
        self.arns: tuple[str, ...] = ()
        self.facts: dict[str, Any] = {}
        self.reports: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self._hands: set[int] = set()
        self._waiting: list[tuple[str, str, str]] = []
        self._cancelled: set[str] = set()
        self._clients: dict[int, VendorClients] = {}
        self.backend.begun.on_begin = self._rotation_begun
        self.backend.begun.on_cancel = self._rotation_cancelled
        self.boundary.tick = lambda: self.clock.later(timedelta(milliseconds=20))
        self.judge = Judge(self)
        self.boundary.observer = self.judge
        admin = self.keys.create(role=Role.ADMIN)
        self._admin = admin
        self._admin_key = ApiKey.from_text(admin.id, admin.material)

    # --- State ------------------------------------------------------------------------------

    def clear(self) -> None:
        """Nothing exists but the vendor's account."""
        self._load_services({}, {self._admin.id: self._admin}, ({}, {}))
        self.backend.begun.tokens = set()
        self.backend.unreadable = set()
        self.clock.now = self.clock.begun = BEGUN
        self.pool, self.arns, self.facts = False, (), {}
        self._forget_run()
        self.judge.clear()

    def save(self, name: str) -> WorldState:
        """The state of everything, for `load`."""
        return WorldState(
            name,
            self.clock.now,
            [copied(one) for one in self.secrets()],
            frozenset(self.backend.begun.tokens),
            frozenset(self.backend.unreadable),
            dict(self.keys._keys),
            (dict(self.bucket.objects), dict(self.bucket.metadata)),
            self.pool,
            self.arns,
            self.judge.save(),
            tuple(self._waiting),
            dict(self.facts),
        )

    def load(self, state: WorldState) -> None:
        """Bring a state back."""
        self._load_services(
            {one.name: copied(one) for one in state.secrets}, state.keys, state.objects
        )
        self.backend.begun.tokens = set(state.tokens)
        self.backend.unreadable = set(state.unreadable)
        self.clock.now = state.now
        self.pool, self.arns, self.facts = state.pool, state.arns, dict(state.facts)
        self._forget_run()
        self._waiting = list(state.waiting)
        self.judge.load(state.judge)

    def _load_services(
        self,
        secrets: Mapping[str, Any],
        keys: Mapping[str, PortalKey],
        objects: tuple[Mapping[str, bytes], Mapping[str, Mapping[str, str]]],
    ) -> None:
        store = SecretsStore()
        for name, one in secrets.items():
            store[name] = one
        self.backend.secrets = store
        self.keys._keys = dict(keys)
        self.bucket.objects, self.bucket.metadata = dict(objects[0]), dict(objects[1])
        self.bucket.former.clear()

    def _forget_run(self) -> None:
        self.scheduler = None
        self.boundary.calls.clear()
        self.vendor.forget_requests()
        self.reports, self.errors = [], []
        self._hands.clear()
        self._waiting, self._cancelled = [], set()

    # --- Truth ------------------------------------------------------------------------------

    def secrets(self) -> list[Any]:
        """The emulator's secrets."""
        return list(dict.values(self.backend.secrets))

    def secret(self, arn: str) -> Any:
        """One of them."""
        return next(one for one in self.secrets() if one.arn == arn)

    def full_arn(self, name: str) -> str:
        """The ARN of the secret that a name or ARN stands for; the text itself if there is none."""
        found = self.backend.secrets.get(name)
        return name if found is None else str(found.arn)

    # --- Tasks ------------------------------------------------------------------------------

    def process(self) -> int:
        """The number of the process that asks: that of its task, or -1."""
        task = self.scheduler.current if self.scheduler is not None else None
        return -1 if task is None else task.number

    def pause(self, seconds: float) -> None:
        """A pause of whoever asks: others may go on meanwhile."""
        scheduler = self.scheduler
        if scheduler is not None and scheduler.current is not None:
            scheduler.pause(seconds)
        else:
            self.clock.later(timedelta(seconds=max(seconds, 0.0)))

    def begin(self, name: str, act: Callable[[], object]) -> None:
        """Have something done by somebody else: a task of its own, or later in the settling."""
        if self.scheduler is not None:
            self.scheduler.add(name, act)
        else:
            act()

    @contextmanager
    def hands(self) -> Iterator[None]:
        """What is done here is done by a person, whose calls do not fail."""
        number = self.process()
        self._hands.add(number)
        try:
            yield
        finally:
            self._hands.discard(number)

    def by_hand(self) -> bool:
        """Whether a person makes this call."""
        return self.process() in self._hands

    def portal(self, name: str, subject: str, act: Callable[[], Any]) -> Any:
        """What a person does in the vendor's portal, or with the clock."""
        with self.hands():
            return self.boundary.open(name, subject).attempt(act, _PersonWire())

    # --- Rotations --------------------------------------------------------------------------

    def _rotation_begun(self, arn: str, token: str) -> None:
        function = str(self.secret(arn).rotation_lambda_arn or FUNCTION)
        if self.scheduler is not None:
            self.scheduler.add("rotation", lambda: self.rotate(arn, token, function))
        else:
            self._waiting.append((arn, token, function))

    def _rotation_cancelled(self, arn: str) -> None:
        self._cancelled |= {token for one, token in self.backend.begun.tokens if one == arn}
        self._waiting = [one for one in self._waiting if one[0] != arn]

    def rotations_under_way(self) -> list[tuple[str, str, str]]:
        """The rotations that were begun and that nobody runs yet: ARN, token, function."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def goes_on(self, arn: str, token: str, function: str) -> None:
        """Secrets Manager will go on with a rotation that it has begun to run."""
        self._waiting.append((arn, token, function))

    def rotate(self, arn: str, token: str, function: str = FUNCTION) -> bool:
        """Run a rotation as Secrets Manager does: four steps, the whole repeated when one fails."""
        for attempt in range(ATTEMPTS):
            if attempt:
                self.pause(RETRY_AFTER)
            if all(self._step(arn, token, step, function) for step in STEPS):
                self.secret(arn).last_rotation_date = self.clock().timestamp()
                self._ask_for_reconciliation(arn, function)
                return True
            if token in self._cancelled:
                return False
        return False

    def _step(self, arn: str, token: str, step: str, function: str) -> bool:
        return token not in self._cancelled and self.step(arn, token, step, function)

    def _ask_for_reconciliation(self, arn: str, function: str) -> None:
        """As `rotation.handlers.rotate` does after finishSecret."""
        event = {"action": "reconcile", "secrets": [arn]}
        self.begin("reconcile-event", lambda: self.attempt(lambda: self.invoke(event, function)))

    def step(self, arn: str, token: str, step: str, function: str = FUNCTION) -> bool:
        """One invocation of the rotation function; whether it succeeded."""
        event = {"Step": step, "SecretId": arn, "ClientRequestToken": token}
        return self.attempt(lambda: run_step(event, _context(function), self._rotation))

    def attempt(self, act: Callable[[], Any]) -> bool:
        """Run an act of the product; whether it ended without an error."""
        try:
            act()
        except RotationError as error:
            self.errors.append(f"{type(error).__name__}: {error}")
            if "unexpectedly" in str(error):
                self.judge.find("no_unforeseen_error", str(error))
        except Exception as error:  # noqa: BLE001 - the product must raise its own
            self.judge.find("no_unforeseen_error", f"{type(error).__name__}: {error}")
        else:
            return True
        return False

    def _rotation(self, request: StepRequest) -> Rotation:
        clients = self.clients()
        installation, former = _installations(request.function_arn)
        journals = self.journals()

        def suspect(key_id: str) -> bool:
            return journals.read(request.secret_arn).suspect(key_id)

        issuer: KeyIssuer = LeaseOnlyIssuer(self._pool(), suspect) if self.pool else clients.admin
        return Rotation(
            secret=SecretVersions(self.client, request.secret_arn),
            token=request.token,
            function_arn=request.function_arn,
            journal=journals,
            issuer=issuer,
            prover=clients.prover,
            policy=RotationPolicy(
                installation,
                timedelta(days=90),
                GRACE,
                PROPAGATION_LIMIT,
                ANY_SECRET,
                former_installations=former,
            ),
            deadline=Deadline.after(timedelta(minutes=5), self.clock.monotonic),
            clock=self.clock,
            sleep=self.pause,
        )

    # --- The reconcile function -------------------------------------------------------------

    def ask(self, action: str, secrets: Sequence[str] | None = None, **members: Any) -> Any:
        """Invoke the reconcile function and wait for its answer, as the command line does."""
        event = {"action": action, **members}
        if secrets is not None:
            event["secrets"] = list(secrets)
        held: list[Any] = []
        intercepted = self.boundary.open("Invoke", action)
        intercepted.attempt(lambda: held.append(self.invoke(event)), _InvokeWire())
        return held[0]

    def invoke(self, event: Mapping[str, Any], function: str = FUNCTION) -> dict[str, Any]:
        """One invocation of the reconcile function; its answer."""
        self.judge.invoked(self.process(), event.get("action"))
        answer = run_action(
            dict(event), _context(function), lambda _: self._reconcile_parts(function)
        )
        self.judge.answered_by_function(answer)
        self.reports.append(answer)
        return answer

    def _reconcile_parts(self, function: str) -> ReconcileParts:
        clients = self.clients()
        installation, former = _installations(function)
        services = ReconciliationServices(
            issuer=clients.admin,
            prover=clients.prover,
            notifier=_Mailbox(self.boundary),
            evidence=S3EvidenceStore(self.bucket, BUCKET),  # type: ignore[arg-type]
            journals=self.journals(),
            policy=ReconciliationPolicy(
                installation,
                function,
                GRACE,
                PROPAGATION_LIMIT,
                ANY_SECRET,
                former_installations=former,
            ),
            clock=self.clock,
            rate_limiter=RateLimiter(per_second=1e6, sleep=self.pause),
        )
        deadline = Deadline.after(timedelta(minutes=15), self.clock.monotonic)
        if not self.pool:
            return ReconcileParts(self.client, services, deadline)
        issuer, secret = self._pool(), self._pool_secret()
        incident = PoolIncident(secret, _Mailbox(self.boundary), self.clock)
        services = replace(services, issuer=issuer, find_key=issuer.find, condemned_keys=incident)

        def condition() -> IssuerCondition:
            free = [key.state for key in secret.read().keys].count(KeyState.FREE)
            return IssuerCondition(keys_left=free)

        return ReconcileParts(self.client, services, deadline, condition, pool=incident)

    def journals(self) -> JournalKeeper:
        """The journals, as our code sees them."""
        return JournalKeeper(S3JournalStore(self.bucket, BUCKET))  # type: ignore[arg-type]

    def clients(self) -> VendorClients:
        """The vendor's clients of this process."""
        number = self.process()
        if number not in self._clients:
            http = ExploredHttp(self.boundary, self.vendor, self.clock, self.pause)
            signing = SigningApi(http, "/v1/sign")
            admin = AdminApi(http, "/v1/keys", lambda: self._admin_key, self.clock)
            self._clients[number] = VendorClients(signing, QuickProver(signing, self.clock), admin)
        return self._clients[number]

    def _pool_secret(self) -> PoolSecret:
        return PoolSecret(self.client, POOL, self.clock, self.pause)

    def _pool(self) -> KeyPoolIssuer:
        def needed(arn: str) -> timedelta:
            interval = SecretVersions(self.client, arn).snapshot().rotation_interval
            return least_life_when_issued(interval, GRACE)

        return KeyPoolIssuer(self._pool_secret(), needed, _Mailbox(self.boundary), self.clock)

    def pool_secret(self) -> PoolSecret:
        """The pool, as a person's command line opens it."""
        return self._pool_secret()

    # --- What people and AWS do -------------------------------------------------------------

    def begin_rotation(self, arn: str, function: str = FUNCTION) -> str:
        """What the schedule does; the token."""
        token: str = self.client.rotate_secret(
            SecretId=arn,
            RotationLambdaARN=function,
            RotationRules={"AutomaticallyAfterDays": 30},
        )["VersionId"]
        return token

    def pending(self, arn: str) -> str | None:
        """The version that bears AWSPENDING."""
        found = self.secret(arn).labelled(AWSPENDING)
        return None if found is None else str(found["version_id"])

    def new_key(self) -> PortalKey:
        """A person makes a key in the portal."""
        key: PortalKey = self.portal("create in the portal", "", self.keys.create)
        return key

    def store(self, arn: str, value: str) -> None:
        """A person stores a value, which is current at once."""
        with self.hands():
            self.client.put_secret_value(SecretId=arn, SecretString=value)


def copied(secret: Any) -> Any:
    """A copy of an emulated secret that shares nothing that changes."""
    one = copy.copy(secret)
    one.versions = {
        version: dict(held, version_stages=list(held["version_stages"]))
        for version, held in secret.versions.items()
    }
    one.tags = None if secret.tags is None else [dict(tag) for tag in secret.tags]
    return one


def value_of(key: PortalKey | ApiKey, **members: Any) -> str:
    """The value of a secret that holds a key."""
    material = key.material if isinstance(key, PortalKey) else key.material.reveal()
    return json.dumps({"apiKey": material, "apiKeyId": key.id, **members})


def _installations(function: str) -> tuple[str, tuple[str, ...]]:
    """The installation that a function belongs to, and its former ones."""
    if function == ANOTHER_FUNCTION:
        return ANOTHER_INSTALLATION, (INSTALLATION,)
    return INSTALLATION, ()


def _context(function: str) -> Any:
    return SimpleNamespace(
        function_name="explored",
        invoked_function_arn=function,
        get_remaining_time_in_millis=lambda: 300_000,
    )


@dataclass(frozen=True)
class _Mailbox:
    """A notification topic."""

    boundary: Boundary

    def notify(self, subject: str, facts: Mapping[str, str]) -> None:
        """Nobody needs the text: people look at the pool."""
        self.boundary.open("Publish", "").attempt(lambda: None, _InvokeWire())


class _InvokeWire:
    """How the caller of a function, or of a topic, learns that its call failed."""

    def lost(self, *, effect: bool) -> Any:
        raise FunctionFailedError(f"no answer came (effect: {effect})")

    def throttled(self) -> Any:
        raise FunctionFailedError("throttled")

    def timed_out(self) -> Any:
        raise FunctionFailedError("no answer in time")

    def rejected(self) -> Any:
        raise FunctionFailedError("rejected")

    def outcome(self, answer: Any) -> str:
        return "ok"

    def labels(self, answer: Any) -> None:
        """No labels are told."""


class _PersonWire(_InvokeWire):
    """A person's calls do not fail."""
