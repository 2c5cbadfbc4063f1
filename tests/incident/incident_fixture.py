"""Forced rotations as the command line makes them: it asks the reconcile function, and waits.

Secrets Manager here begins a rotation and runs no step, so the steps run while the command sleeps.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from rotation.core.steps import STEPS
from rotation.errors import RotationError
from rotation.handlers.reconcile_actions import ReconcileParts, act
from rotation.handlers.reconcile_events import REVOKE_FIRST, parse
from rotation.handlers.step_invocation import failed_step_event
from rotation.incident.containment import Containment, WaitClock, contain
from rotation.journal.model import Declaration, Incident, Journal
from rotation.reconciliation.reconciler import Reconciler
from rotation.sandbox.vendor import Role
from tests.deadlines import deadline_of
from tests.reconciliation.reconciliation_fixture import ReconciliationFixture

ACTOR = "arn:aws:sts::012345678912:assumed-role/responder/alex"


@dataclass
class IncidentFixture:
    """One secret whose keys are declared compromised.

    Attributes:
        reconciliation: reconciles it.
        acts: what the command logged.
        events: what the reconcile function was asked for.
        while_waiting: what somebody else does each time that the command sleeps, before the steps.
    """

    reconciliation: ReconciliationFixture
    acts: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    while_waiting: Callable[[], None] = lambda: None

    @property
    def arn(self) -> str:
        return self.reconciliation.rotation.arn

    def ask(self, action: str, arn: str | None = None, **members: Any) -> dict[str, Any]:
        """One invocation of the reconcile function; its answer as JSON."""
        event = {"action": action, "secrets": [arn or self.arn], **members}
        self.events.append(event)
        return self._invoke(event)

    def _invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        action = event["action"]
        request = parse(event, REVOKE_FIRST if action == REVOKE_FIRST else None)
        answer = act(request, self.parts())
        read: dict[str, Any] = json.loads(json.dumps(answer))
        return read

    def parts(self) -> ReconcileParts:
        fixture = self.reconciliation
        return _Parts(
            fixture.rotation.client,
            fixture.reconciler().services,
            deadline_of(lambda: fixture.time_left),
            open_reconciler=fixture.reconciler,
        )

    def declaration(self, reason: str = "key-compromise", actor: str = ACTOR) -> Declaration:
        now = self.reconciliation.rotation.now()
        return Declaration(str(uuid.uuid4()), now, reason, actor)

    def declare(self, *, again: bool = False, reason: str = "key-compromise") -> str:
        """Declare the keys compromised, and do nothing else; the declaration's id."""
        declaration = self.declaration(reason)
        self.ask("declare", reason=reason, actor=ACTOR, declaration=declaration.id, again=again)
        return declaration.id

    def force(
        self,
        *,
        again: bool = False,
        arn: str | None = None,
        limit: timedelta = timedelta(minutes=15),
    ) -> Containment:
        """What `rotation force` does."""
        return contain(
            arn or self.arn,
            self.declaration(),
            self.ask,
            log_act=self.acts.append,
            limit=limit,
            clocks=WaitClock(self.reconciliation.rotation.now, self._seconds, self._sleep),
            again=again,
        )

    def run_steps(self) -> None:
        """Secrets Manager runs the steps of the rotation that is staged, if there is one."""
        fixture = self.reconciliation.rotation
        pending, current = fixture.version("AWSPENDING"), fixture.version("AWSCURRENT")
        if pending is None or pending == current:
            return
        for name, step in STEPS.items():
            fixture.time_left = timedelta(minutes=5)
            try:
                step(fixture.rotation(pending))
            except RotationError as error:
                self.acts.append(f"step failed: {error}")
                self.note_failure(pending, name, error)
                return

    def note_failure(self, token: str, step: str, error: RotationError) -> None:
        """What the rotation function does when a step fails."""
        self._invoke(failed_step_event(self.arn, token, step, error))

    def alive(self) -> set[str]:
        """The ids of all signing keys that the vendor accepts."""
        keys = self.reconciliation.rotation.vendor.keys
        return {
            key.id
            for key in keys.all()
            if key.role is Role.SIGNING and keys.accepted(key.id) is not None
        }

    def journal(self) -> Journal:
        return self.reconciliation.journals.read(self.arn)

    def incident(self) -> Incident:
        """The newest incident."""
        return self.journal().incidents[-1]

    def current_key(self) -> str:
        """The id of the key that is current."""
        return str(self.reconciliation.rotation.value("AWSCURRENT")["apiKeyId"])

    def records(self) -> list[dict[str, Any]]:
        """Every record of an incident that was kept."""
        return [
            one for one in self.reconciliation.evidence() if "/incident/" in one.get("schema", "")
        ]

    @contextmanager
    def on(self, arn: str) -> Iterator[None]:
        """Everything is about another secret."""
        rotation = self.reconciliation.rotation
        own, rotation.arn = rotation.arn, arn
        try:
            yield
        finally:
            rotation.arn = own

    @contextmanager
    def answering(
        self, operation: str, answer: Callable[[dict[str, Any]], dict[str, Any] | str | None]
    ) -> Iterator[None]:
        """Secrets Manager answers calls of ``operation`` in another way.

        Args:
            operation: such as ``DescribeSecret``.
            answer: gives, for the request's members, an answer, the code of an error, or None: the
                call goes on as usual.
        """
        events = self.reconciliation.rotation.client.meta.events
        event = f"before-call.secrets-manager.{operation}"

        def short_cut(params: dict[str, Any], **_: Any) -> Any:
            found = answer(json.loads(params["body"]))
            if isinstance(found, str):
                return SimpleNamespace(status_code=400), {"Error": {"Code": found, "Message": ""}}
            return None if found is None else (SimpleNamespace(status_code=200), found)

        events.register(event, short_cut)
        try:
            yield
        finally:
            events.unregister(event, short_cut)

    def _seconds(self) -> float:
        return self.reconciliation.rotation.offset.total_seconds()

    def _sleep(self, seconds: float) -> None:
        self.while_waiting()
        self.run_steps()
        self.reconciliation.rotation.later(timedelta(seconds=seconds))


@dataclass(frozen=True)
class _Parts(ReconcileParts):
    """The parts of a reconciliation fixture, whose clocks are the test's."""

    open_reconciler: Callable[[], Reconciler] | None = None

    def reconciler(self) -> Reconciler:
        assert self.open_reconciler is not None
        return self.open_reconciler()
