"""Fixtures of the client's tests: a clock, secrets in memory, and the sandbox's secrets.

`FakeSecrets` is held to the same contract as the adapter over real sockets (test_sources.py), so
that what is tried out with it, one thread at a time, holds for both.
"""

from __future__ import annotations

import json
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from threading import enumerate as enumerate_threads
from typing import Any, Protocol

from botocore.config import Config

from rotation.client.credential_cache import CredentialCache
from rotation.client.metrics import CacheMetrics
from rotation.client.secret_source import FetchedSecret, SecretsManager, SecretSource
from rotation.credential import Confidential, SecretDocument
from rotation.errors import SecretStoreError
from rotation.sandbox.aws.cloud import Cloud, isolated_session
from rotation.sandbox.aws.traffic import AwsError
from tests.rotation_fixture import RotationFixture

NAME = "trusted-signatures-api"
PATIENCE = 300.0


def document() -> str:
    """The value of a secret with a key of its own."""
    return json.dumps({"apiKey": secrets.token_hex(32), "apiKeyId": str(uuid.uuid4())})


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.001)


def run_in_threads(count: int, act: Callable[[], Any]) -> list[Any]:
    """The result or the exception of each of ``count`` threads, which start at once."""
    results: list[Any] = []
    ready = Event()

    def run() -> None:
        ready.wait(PATIENCE)
        try:
            results.append(act())
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            results.append(error)

    threads = [Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    ready.set()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "a thread waits for ever"
    return results


@dataclass
class Clock:
    """Seconds that pass when the test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class RecordingMetrics(CacheMetrics):
    """Records every event but hits."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    def miss(self, secret_id: str, stage: str) -> None:
        self.events.append(("miss", stage))

    def refreshed(self, secret_id: str, stage: str, credential: Any) -> None:
        self.events.append(("refreshed", credential.version))

    def failed(self, secret_id: str, stage: str, error: Any) -> None:
        self.events.append(("failed", getattr(error, "aws_code", error.code)))

    def stale(self, secret_id: str, stage: str, age: Any) -> None:
        self.events.append(("stale", age))

    def fallback(self, secret_id: str, stage: str, error: Any) -> None:
        self.events.append(("fallback", error.code))


class HeldFetch:
    """Stops one fetch after its answer is decided and before it is given."""

    def __init__(self) -> None:
        self.arrived = Event()
        self._released = Event()

    def release(self) -> None:
        self._released.set()

    def stop(self) -> None:
        self.arrived.set()
        assert self._released.wait(PATIENCE), "nobody released the fetch"


@dataclass
class FakeSecrets:
    """One secret in memory, as Secrets Manager keeps it: versions, labels, deletion, failures."""

    versions: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    outage: Exception | None = None

    arn = f"arn:aws:secretsmanager:us-east-1:012345678912:secret:{NAME}-AbCdEf"

    def __post_init__(self) -> None:
        self._lock = Lock()
        self._deleted = False
        self._failures: list[BaseException] = []
        self._holds: list[HeldFetch] = []

    @property
    def source(self) -> SecretSource:
        return self

    def put(self, value: str | None = None, stage: str = "AWSCURRENT") -> str:
        """Store a value, by default a good one, and move the label to it; the version's id."""
        version = str(uuid.uuid4())
        self.versions[version] = document() if value is None else value
        self._move(stage, version)
        return version

    def stage_empty(self) -> None:
        self._move("AWSPENDING", str(uuid.uuid4()))

    def roll_back(self) -> None:
        self._move("AWSCURRENT", self.labels["AWSPREVIOUS"])

    def delete(self) -> None:
        self._deleted = True

    def fail(self, code: str, times: int = 1) -> None:
        self._failures += [_error(code)] * times

    def interrupt(self, error: BaseException) -> None:
        """Let the next fetch end with this."""
        self._failures.append(error)

    def hold(self) -> HeldFetch:
        """Stop the next fetch that is not held yet."""
        held = HeldFetch()
        self._holds.append(held)
        return held

    def count(self) -> int:
        return len(self.calls)

    def fetch(self, secret_id: str, stage: str) -> FetchedSecret:
        with self._lock:
            self.calls.append((secret_id, stage))
            hold = self._holds.pop(0) if self._holds else None
            failure = self._failures.pop(0) if self._failures else self.outage
            answer = failure or self._answer(secret_id, stage)
        if hold is not None:
            hold.stop()
        if isinstance(answer, BaseException):
            raise answer
        version, value = answer
        parsed = SecretDocument.parse(Confidential(value), of=f"{secret_id} version {version}")
        return FetchedSecret(self.arn, version, parsed.key)

    def _answer(self, secret_id: str, stage: str) -> tuple[str, str] | SecretStoreError:
        if secret_id not in {NAME, self.arn} or not self.labels:
            return _error("ResourceNotFoundException")
        if self._deleted:
            return _error("InvalidRequestException")
        version = self.labels.get(stage, "")
        if version not in self.versions:
            return _error("ResourceNotFoundException")
        return version, self.versions[version]

    def _move(self, stage: str, version: str) -> None:
        if stage == "AWSCURRENT" and stage in self.labels:
            self.labels["AWSPREVIOUS"] = self.labels[stage]
        self.labels[stage] = version


def _error(code: str) -> SecretStoreError:
    return SecretStoreError(
        f"GetSecretValue on {NAME} failed: {code}.",
        operation="GetSecretValue",
        aws_code=code,
        retryable=code in {"ThrottlingException", "InternalServiceError"},
    )


class SandboxSecrets:
    """The sandbox's Secrets Manager, over sockets."""

    def __init__(self, rotation_fixture: RotationFixture) -> None:
        self._rotation_fixture = rotation_fixture
        self.arn = rotation_fixture.arn
        self.source = SecretsManager(lambda: client_of(rotation_fixture.cloud, "secretsmanager"))

    def put(self, value: str | None = None, stage: str = "AWSCURRENT") -> str:
        return self._rotation_fixture.client.put_secret_value(
            SecretId=self.arn,
            SecretString=document() if value is None else value,
            VersionStages=[stage],
        )["VersionId"]

    def stage_empty(self) -> None:
        self._rotation_fixture.stage()

    def roll_back(self) -> None:
        current, previous = (
            self._rotation_fixture.version(label) for label in ("AWSCURRENT", "AWSPREVIOUS")
        )
        assert current is not None
        assert previous is not None
        self._rotation_fixture.client.update_secret_version_stage(
            SecretId=self.arn,
            VersionStage="AWSCURRENT",
            RemoveFromVersionId=current,
            MoveToVersionId=previous,
        )

    def delete(self) -> None:
        self._rotation_fixture.client.delete_secret(SecretId=self.arn, RecoveryWindowInDays=7)

    def fail(self, code: str, times: int = 1) -> None:
        self._rotation_fixture.cloud.faults.before("GetSecretValue", AwsError(code), times)

    def count(self) -> int:
        return sum(
            call.operation == "GetSecretValue" for call in self._rotation_fixture.cloud.calls
        )


class SecretsUnderTest(Protocol):
    """Secrets to test the contract of a `SecretSource` with."""

    @property
    def source(self) -> SecretSource: ...
    @property
    def arn(self) -> str: ...
    def put(self, value: str | None = None, stage: str = "AWSCURRENT") -> str: ...
    def stage_empty(self) -> None: ...
    def roll_back(self) -> None: ...
    def delete(self) -> None: ...
    def fail(self, code: str, times: int = 1) -> None: ...
    def count(self) -> int: ...


def client_of(cloud: Cloud, service: str, **config: Any) -> Any:
    """A boto3 client of ``cloud`` that asks once."""
    once: dict[str, Any] = {
        "retries": {"total_max_attempts": 1},
        "proxies": {},
        "max_pool_connections": 100,
    }
    session: Any = isolated_session()
    return session.client(
        service,
        endpoint_url=cloud.url,
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
        config=Config(**(once | config)),
    )


def no_jitter(low: float, high: float) -> float:
    """No jitter: every TTL and pause is as long as it may be."""
    return high


def full_jitter(low: float, high: float) -> float:
    """The most jitter: every pause is as short as it may be."""
    return low


def is_idle(cache: CredentialCache) -> bool:
    """Whether no fetch is under way, and no refreshing thread is left."""
    done = all(entry.fetch is None for entry in cache._entries.values())
    return done and all(thread.name != "credential-refresh" for thread in enumerate_threads())


def waiting_threads(cache: CredentialCache) -> int:
    """How many threads wait for a fetch of another."""
    fetches: list[Any] = [entry.fetch for entry in cache._entries.values() if entry.fetch]
    return sum(len(fetch.done._cond._waiters) for fetch in fetches)
