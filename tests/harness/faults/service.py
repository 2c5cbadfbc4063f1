"""Secrets Manager's side of a rotation, and the processes that our functions run in.

A rotation is the four steps, each in a process of its own; when one fails the whole is repeated
with the same ClientRequestToken (UserGuide rotate-secrets_lambda), five times at most here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from rotation.core.steps import STEPS
from rotation.errors import RotationError
from rotation.incident.containment import Containment, WaitClock, contain
from rotation.incident.declaration import from_free_text
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING
from tests.harness.faults.boundary import Killed
from tests.harness.faults.world import World

MOST_ATTEMPTS = 5
_PAUSE = timedelta(minutes=1)


class FunctionFailedError(RotationError):
    """A function that was invoked did not answer."""


@dataclass
class Service:
    """Runs the processes of one world.

    Attributes:
        under_way: the attempts that each rotation has had.
        succeeded: the rotations that went through.
    """

    world: World
    under_way: dict[str, int] = field(default_factory=dict)
    succeeded: list[str] = field(default_factory=list)

    def process(self, actor: str, act: Callable[[], Any]) -> bool:
        """Run ``act`` in a process of its own; whether it ended well."""
        judge, errors = self.world.judge, self.world.errors
        with self.world.boundary.running(actor):
            try:
                act()
            except Killed:
                errors.append(f"{actor}: killed")
            except RotationError as error:
                errors.append(f"{actor}: {error}")
            except Exception as error:  # noqa: BLE001 - the product must raise its own
                judge.find("5 error", f"{actor} raised {type(error).__name__}: {error}")
            else:
                return True
        return False

    def step(self, name: str, token: str) -> bool:
        """One invocation of the rotation function."""
        return self.process(name, lambda: STEPS[name](self.world.rotation(token)))

    def notice(self) -> None:
        """Take over a rotation that somebody has begun: its token is staged and has no value."""
        for judge in self.world.judges:
            for version, held in judge.secret.versions.items():
                fresh = version not in self.under_way and "secret_string" not in held
                if fresh and AWSPENDING in held["version_stages"]:
                    self.under_way[version] = 0

    def attempt(self) -> None:
        """Try each rotation that is under way once."""
        self.notice()
        for token, attempts in list(self.under_way.items()):
            if token in self.succeeded or attempts >= MOST_ATTEMPTS:
                continue
            self.under_way[token] += 1
            if all(self.step(name, token) for name in STEPS):
                self.succeeded.append(token)

    def attempt_together(self) -> None:
        """Try each rotation that is under way once, all of them step by step."""
        self.notice()
        tried = [
            token
            for token, attempts in self.under_way.items()
            if token not in self.succeeded and attempts < MOST_ATTEMPTS
        ]
        failed: set[str] = set()
        for token in tried:
            self.under_way[token] += 1
        for name in STEPS:
            for token in tried:
                if token not in failed and not self.step(name, token):
                    failed.add(token)
        self.succeeded += [token for token in tried if token not in failed]

    def finish(self) -> None:
        """Let every rotation under way come to its end."""
        self.notice()
        while any(
            token not in self.succeeded and attempts < MOST_ATTEMPTS
            for token, attempts in self.under_way.items()
        ):
            self.attempt()
            self.world.clock.later(_PAUSE)

    def rotate(self, arn: str | None = None) -> str:
        """A whole rotation as the schedule begins it; its token."""
        token = self.world.begin_rotation(arn)
        self.finish()
        return token

    def reconcile(self, *secrets: str) -> Mapping[str, Any] | None:
        """One invocation of the reconcile function; its report, or None if it gave none."""
        reports: list[Mapping[str, Any]] = []
        self.process(
            "reconcile",
            lambda: reports.append(self.world.reconciler().run(list(secrets) or None)),
        )
        return reports[0] if reports else None

    def force(self) -> bool:
        """The operator's command, once; whether every suspect key was proven dead."""
        world, held = self.world, []
        declaration = from_free_text(world.clock(), "key-compromise", "ada")

        def command() -> None:
            held.append(
                contain(
                    world.arn,
                    declaration,
                    self._ask,
                    log_act=lambda _: None,
                    limit=timedelta(minutes=20),
                    clocks=WaitClock(world.clock, world.clock.monotonic, self._meanwhile),
                )
            )

        self.process("force", command)
        ended: list[Containment] = held
        contained = bool(ended) and ended[0].contained
        if contained:
            self._judge_containment(declaration.id)
        return contained

    def _judge_containment(self, declaration: str) -> None:
        """Whoever is told that it is over may go to bed: every key that they declared is dead."""
        judge = self.world.judge
        suspects = judge.state().suspects_of(declaration)
        for key in sorted(suspects & judge.alive()):
            judge.find("5 contained", f"the command said that it is over, and {key} is alive")
        if not suspects:
            judge.find("5 contained", "the command said that it is over, and no key is suspect")

    def declare(self, *, again: bool = False) -> None:
        """What a responder does first: declare, unstage, begin a rotation."""

        def command() -> None:
            words: dict[str, str | bool] = {"reason": "key-compromise", "actor": "ada"}
            self._ask("declare", self.world.arn, **words, again=again)
            self._ask("advance", self.world.arn)

        self.process("responder", command)

    def current(self) -> str | None:
        """The version that is current."""
        return self.world.judge.state().bearer(AWSCURRENT)

    def _ask(self, action: str, arn: str, **members: str | bool) -> dict[str, Any]:
        answers: list[dict[str, Any]] = []
        self.process(action, lambda: answers.append(self.world.ask(action, arn, **members)))
        if not answers:
            raise FunctionFailedError("the reconcile function did not answer")
        return answers[0]

    def _meanwhile(self, seconds: float) -> None:
        """What happens while the command waits."""
        self.world.clock.sleep(seconds)
        self.attempt()
