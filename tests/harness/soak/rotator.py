"""Rotations of one secret, one after the other: by the schedule, by hand, and forced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from typing import Any

from moto.secretsmanager.models import secretsmanager_backends

from rotation.errors import SecretStoreError
from rotation.incident.containment import WaitClock, contain
from rotation.incident.declaration import from_free_text
from rotation.sandbox.aws import ACCOUNT, REGION
from rotation.secrets_manager.labels import AWSCURRENT
from rotation.secrets_manager.versions import SecretVersions
from tests.harness.soak.soak_deployment import SoakDeployment

_PATIENCE = timedelta(minutes=5)


@dataclass
class RotationCounts:
    """What became of the rotations of one secret.

    Attributes:
        done: how many went through.
        forced: how many of them were forced ones.
        repeated: how often one had to be begun again, as an operator would.
        suspects: the ids of the keys that were declared compromised.
        problems: what did not come to its end, in words.
    """

    done: int = 0
    forced: int = 0
    repeated: int = 0
    suspects: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


class Rotator:
    """Rotates one secret."""

    def __init__(self, deployment: SoakDeployment, name: str, until: float) -> None:
        self._deployment = deployment
        self._until = until
        client = deployment.cloud.client("secretsmanager")
        self._client = client
        self._secret = SecretVersions(client, client.describe_secret(SecretId=name)["ARN"])
        self.counts = RotationCounts()

    def ordinary(self, *, by_schedule: bool) -> None:
        """One rotation without an incident; begun again if it did not get through."""
        begin = self._scheduled if by_schedule else self._by_hand
        self._persist(lambda: self._went_through(begin))
        self.counts.done += 1

    def forced(self) -> None:
        """What ``rotation force`` does, run again if it was cut off."""
        self._persist(self._contained)
        self.counts.done += 1
        self.counts.forced += 1

    def _contained(self) -> bool:
        self._note_suspects()
        held = contain(
            self._secret.arn,
            from_free_text(datetime.now(UTC), "key-compromise", "soak"),
            self._ask,
            log_act=lambda _: None,
            limit=_PATIENCE,
            clocks=WaitClock(),
        )
        return held.contained

    def _ask(self, action: str, arn: str, **members: str | bool) -> dict[str, Any]:
        answer = self._deployment.reconcile(action, arn, **members)
        if "errorType" in answer:
            # It failed, or its process was killed: what the command line says of it, and ends.
            raise SecretStoreError(
                "the reconcile function failed", operation="Invoke", aws_code="Unhandled"
            )
        return answer

    def _scheduled(self) -> str:
        """What Secrets Manager does by itself when a schedule is due: no request comes in."""
        backend = secretsmanager_backends[ACCOUNT][REGION]
        with backend.rotations.lock:
            before = set(backend.secrets[self._secret.arn].versions)
            backend.rotate_secret(self._secret.arn)
            [token] = set(backend.secrets[self._secret.arn].versions) - before
        return str(token)

    def _by_hand(self) -> str:
        return self._client.rotate_secret(SecretId=self._secret.arn)["VersionId"]

    def _went_through(self, begin: Callable[[], str]) -> bool:
        token = begin()
        if self._deployment.cloud.wait_for_rotation(self._secret.arn, token, _PATIENCE).succeeded:
            return True
        # As ``rotation unstick`` does.
        self._secret.unstage_pending(token)
        return self._secret.snapshot().has(token, AWSCURRENT)

    def _note_suspects(self) -> None:
        """Whose keys are about to be declared compromised: those of every version with a label."""
        snapshot = self._secret.snapshot()
        for version in snapshot.labels:
            document = self._secret.read(version)
            if document is not None:
                self.counts.suspects.add(document.key.id)

    def _persist(self, act: Callable[[], bool]) -> None:
        """Do it again until it is done, as a person or the next hour would."""
        while True:
            problem = "not yet"
            try:
                if act():
                    return
            except Exception as error:  # noqa: BLE001 - the services are throttled and killed
                problem = f"{type(error).__name__}: {error}"
            if monotonic() > self._until:
                raise TimeoutError(problem)
            self.counts.repeated += 1
            sleep(0.5)
