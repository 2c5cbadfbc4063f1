"""Rehearses a leak, step by step. Each step looks first whether it was taken already.

What is true is in AWS: the drill's secret, its labels, and its journal. So a rehearsal that was
killed at any point goes on when the command is run again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import click

from rotation.cli.drill.throwaway import RECOVERY_DAYS, ThrowawaySecrets
from rotation.cli.rotate import RotationWait
from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.errors import error_text
from rotation.cli.shared.waiting import WaitLog
from rotation.errors import RotationError, VersionStateError
from rotation.incident.containment import WaitClock, contain
from rotation.incident.declaration import from_free_text
from rotation.incident.drill import refuse_other_secrets
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING
from rotation.secrets_manager.snapshot import Snapshot

REASON: Final = "drill"
_LOOK_EVERY: Final = 1.0
CLEAN_UP: Final = "rotation drill --clean-up"


@dataclass
class DrillResult:
    """What became of one drill.

    Attributes:
        name: the name of its secret.
        arn: the full ARN of its secret.
        contained: whether the leak is over, with every leaked key proven dead.
        deleted: whether its secret is scheduled for deletion.
        times: when the incident reached each of its ends, as the reconcile function tells it.
        evidence: where the record of the incident is.
        record: where the record of the drill is.
        left: what is left to do, each as a sentence.
    """

    name: str
    arn: str
    contained: bool = False
    deleted: bool = False
    times: Mapping[str, Any] | None = None
    evidence: str | None = None
    record: str | None = None
    left: list[str] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether nothing of the drill is left, and its targets were met if it came so far."""
        return not self.left and (self.times is None or self.times["withinTargets"])

    def as_json(self) -> dict[str, Any]:
        """The members of the answer."""
        return {
            "secret": self.name,
            "arn": self.arn,
            "contained": self.contained,
            "deleted": self.deleted,
            "times": self.times,
            "evidence": self.evidence,
            "record": self.record,
            "left": self.left,
        }


@dataclass(frozen=True)
class Rehearsal:
    """Rehearses a leak, and cleans up.

    Attributes:
        account: where.
        actor: who rehearses, for the record.
        pattern: the secret whose rotation is rehearsed; nothing is done to it.
        limit: how long to wait for each step.
        log: shows each step.
    """

    account: AwsAccount
    actor: str
    pattern: str
    limit: timedelta
    log: WaitLog

    @property
    def _secrets(self) -> ThrowawaySecrets:
        return ThrowawaySecrets(self.account)

    def run(self) -> DrillResult:
        """Rehearse a leak, or go on with a rehearsal that was cut off.

        Raises:
            click.ClickException, RotationError: a step failed; running again goes on from there.
        """
        unfinished: Snapshot | None = None
        for found in self._secrets.all():
            if found.deleted_at is None:
                unfinished = unfinished or found
                continue
            earlier = DrillResult(found.name, found.arn, deleted=True)
            if self._clean_up(earlier):
                # It was cut off after its last step but this one.
                return earlier
        if unfinished is None:
            unfinished = self._secrets.make(self.pattern)
        else:
            self.log.log(unfinished.name, "goes on with the drill that was begun")
        refuse_other_secrets(unfinished)
        result = DrillResult(unfinished.name, unfinished.arn)
        self._check(unfinished)
        self._rotate(unfinished)
        self._leak(result)
        if result.contained:
            self._clean_up(result)
        return result

    def clean_up(self) -> list[DrillResult]:
        """Delete the secrets of all drills, and have every key of theirs revoked.

        The secrets of earlier drills are among them, as long as AWS can still restore them: a
        rotation that was under way may have left a key. One that fails does not stop the others.
        """
        results = []
        for found in self._secrets.all():
            result = DrillResult(found.name, found.arn, deleted=found.deleted_at is not None)
            pending = found.version_with(AWSPENDING)
            under_way = pending is not None and not found.has(pending, AWSCURRENT)
            try:
                self._clean_up(result)
            except click.ClickException as error:
                result.left.append(error.message)
            except RotationError as error:
                result.left.append(error_text(error))
            if under_way and found.deleted_at is None:
                result.left.append(
                    "a rotation was under way, and may still leave a key: in 15 minutes run "
                    f"{CLEAN_UP} once more"
                )
            results.append(result)
        return results

    def _check(self, found: Snapshot) -> None:
        """Delete a secret again that may not be rotated. It has no key, and never had one."""
        try:
            self.account.ask("end-drill", [found.arn])
        except click.ClickException as error:
            if found.rotation_function is not None:
                raise
            self._secrets.delete_unused(found.arn)
            raise click.ClickException(
                f"{error.message} {found.name} had no key yet, and is deleted again. Which secrets "
                "a drill may make is for whoever deploys to decide: docs/drill.md."
            ) from None

    def _rotate(self, found: Snapshot) -> None:
        """Have the secret get its first key, by a rotation."""
        versions = self.account.secret(found.arn)
        snapshot = versions.snapshot()
        if snapshot.version_with(AWSCURRENT) is not None:
            return
        token = snapshot.version_with(AWSPENDING)
        if token is None:
            token = self._secrets.begin_rotation(found.arn, self.pattern)
            self.log.log(found.name, f"rotation to version {token} has begun")
        self.log.now_waiting_for("the first key of the drill's secret")
        wait = RotationWait(
            found.name,
            token,
            look=versions.snapshot,
            failures=lambda: self.account.ask("watch", [found.arn])["stepFailures"],
            log=self.log,
        )
        problem = wait.run(self.limit)
        if problem is not None:
            raise click.ClickException(
                f"The drill's secret got no key. {problem} After that, go on with the drill: "
                f"rotation drill {self.pattern}; or give it up: {CLEAN_UP}"
            )
        self.log.log(found.name, f"version {token} is current: its key is the one that leaks")

    def _leak(self, result: DrillResult) -> None:
        """Declare the key compromised, and wait as `rotation force` does."""
        self.log.now_waiting_for("the new key, and then the death of the leaked one")
        declaration = from_free_text(datetime.now(UTC), REASON, self.actor)
        containment = contain(
            result.arn,
            # The secret's name, so that whoever goes on declares nothing new.
            replace(declaration, id=result.name),
            lambda action, arn, **members: self.account.ask(action, [arn], alias=None, **members),
            log_act=partial(self.log.log, result.name),
            limit=self.limit,
            clocks=WaitClock(),
        )
        result.contained, result.evidence = containment.contained, containment.evidence
        result.left = [*containment.unfinished]
        if not containment.contained:
            result.left.append(f"when that is done, go on: rotation drill {self.pattern}")

    def _clean_up(self, result: DrillResult) -> bool:
        """Schedule the secret for deletion, and have its last key revoked.

        Returns:
            whether anything of the drill was left until now.
        """
        self.log.now_waiting_for("the end of the drill's last key")
        if not result.deleted:
            self._secrets.delete(result.arn)
            self.log.log(result.name, f"to be deleted, {RECOVERY_DAYS} days from now")
        begun = time.monotonic()
        while not (answer := self.account.ask("end-drill", [result.arn]))["ended"]:
            # DescribeSecret is eventually consistent.
            if time.monotonic() - begun > self.limit.total_seconds():
                raise VersionStateError(
                    f"{result.arn} does not show yet that it is to be deleted. Run: {CLEAN_UP}"
                )
            time.sleep(_LOOK_EVERY)
        for one in answer["revoked"]:
            self.log.log(result.name, f"key {one['keyId']}: {one['outcome']}")
        result.deleted, result.times, result.record = True, answer["times"], answer["record"]
        result.evidence, result.contained = answer["evidence"], answer["times"] is not None
        result.left = [*answer["left"]]
        if result.left:
            result.left.append(f"when that is done: {CLEAN_UP}")
        return bool(answer["revoked"])
