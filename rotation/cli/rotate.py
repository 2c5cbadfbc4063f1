"""``rotation rotate``: rotates a secret and waits for its new key."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import click

from rotation.cli.shared.account import AwsAccount
from rotation.cli.shared.errors import (
    deletion_text,
    error_text,
    no_function_text,
    readable_errors,
    replica_text,
)
from rotation.cli.shared.options import json_option, reconcile_function_option, timeout_option
from rotation.cli.shared.output import plain_console
from rotation.cli.shared.waiting import WaitLog, in_background, told_when_interrupted
from rotation.errors import SecretStoreError
from rotation.incident.containment import WaitClock, failure_text, needs_mending
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING
from rotation.secrets_manager.snapshot import Snapshot
from rotation.secrets_manager.versions import SecretVersions

#: DescribeSecret is asked this often, and the reconcile function at these growing pauses, for each
#: question to it is an invocation.
_LOOK_EVERY: Final = timedelta(seconds=1)
_FIRST_QUESTION: Final = timedelta(seconds=1)
_LONGEST_PAUSE: Final = timedelta(seconds=5)
_PAUSE_GROWS_BY: Final = 1.5
#: How long a version may be without labels before that counts: DescribeSecret is eventually
#: consistent, and the cause of a failed step comes by an asynchronous invocation.
_SETTLING_TIME: Final = timedelta(seconds=5)


@click.command()
@click.argument("secret")
@timeout_option(300, "Seconds to wait for the new key.")
@json_option
@reconcile_function_option
def rotate(secret: str, timeout: int, as_json: bool, reconcile_function: str) -> None:
    """Rotate SECRET and wait until its new key is current.

    The old key keeps working for the grace period. Exits 1 if the new key is not current in time,
    or as soon as it is certain that it will not be, and says why. The cause comes from the
    reconcile function; a caller who may not invoke it is not told the cause.
    """
    with readable_errors():
        account = AwsAccount(reconcile_function)
        versions = account.secret(secret)
        snapshot = versions.snapshot()
        refuse_unrotatable(snapshot)
        previous = snapshot.version_with(AWSCURRENT)
        token = str(uuid.uuid4())
        _begin(versions, token, secret)
        log = WaitLog(plain_console(stderr=True))
        goes_on = (
            f"Secrets Manager goes on with the rotation to version {token}. "
            f"See how it ends: rotation status {secret}"
        )
        awaited = "the steps createSecret, setSecret, testSecret, finishSecret"
        with told_when_interrupted(goes_on), log.waiting(awaited):
            log.log(secret, f"rotation to version {token} has begun")
            wait = RotationWait(
                secret,
                token,
                look=versions.snapshot,
                failures=lambda: account.ask("watch", [versions.arn])["stepFailures"],
                log=log,
            )
            problem = in_background(lambda: wait.run(timedelta(seconds=timeout)))
    if problem is not None:
        raise click.ClickException(
            f"Version {token} is not current after {log.seconds:.0f} s; {previous} still is, and "
            f"sealing goes on with it. {problem}"
        )
    seconds = round(log.seconds, 1)
    if as_json:
        report = {"secret": versions.arn, "previous": previous, "current": token}
        click.echo(json.dumps({**report, "seconds": seconds}))
    else:
        click.echo(f"Version {token} is current after {seconds} s.")


@dataclass
class RotationWait:
    """Waits until a version is current, or until it is certain that it will not be.

    Attributes:
        name: the secret, as the person named it.
        token: the version.
        look: describes the secret.
        failures: asks the reconcile function for the failed steps of the newest rotation.
        log: shows each failed step.
        clocks: the clocks of this process.
    """

    name: str
    token: str
    look: Callable[[], Snapshot]
    failures: Callable[[], Sequence[Mapping[str, Any]]]
    log: WaitLog
    clocks: WaitClock = field(default_factory=WaitClock)
    _logged: list[Mapping[str, Any]] = field(default_factory=list)
    _not_answered: str | None = None

    def run(self, limit: timedelta) -> str | None:
        """None if the version is current; why not, and what to do, if it is not.

        Args:
            limit: how long to wait.
        """
        begun = asked = self.clocks.monotonic()
        pause = _FIRST_QUESTION
        unstaged_since: float | None = None
        while True:
            snapshot, now = self.look(), self.clocks.monotonic()
            if snapshot.has(self.token, AWSCURRENT):
                return None
            pending = snapshot.has(self.token, AWSPENDING)
            unstaged_since = None if pending else (unstaged_since or now)
            if now - asked >= pause.total_seconds():
                self._ask()
                asked, pause = now, min(pause * _PAUSE_GROWS_BY, _LONGEST_PAUSE)
            if pending and self._logged and needs_mending(self._logged[-1]):
                return f"{failure_text(self._logged[-1])}. {_mend_first(self.name)}"
            if unstaged_since is not None and now - unstaged_since > _SETTLING_TIME.total_seconds():
                return self._unstaged_text()
            if now - begun > limit.total_seconds():
                return self._out_of_time_text()
            self.clocks.sleep(_LOOK_EVERY.total_seconds())

    def _ask(self) -> None:
        """Log the failed steps that are new; after an error nobody is asked again."""
        if self._not_answered is not None:
            return
        try:
            failures = self.failures()
        except click.ClickException as error:
            self._not_answered = error.message
            return
        for one in failures:
            if one["token"] == self.token and one not in self._logged:
                self._logged.append(one)
                self.log.log(self.name, failure_text(one))
                self.log.now_waiting_for(
                    f"Secrets Manager to repeat the rotation; {len(self._logged)} failed so far"
                )

    def _unstaged_text(self) -> str:
        cause = f" {failure_text(self._logged[-1])}." if self._logged else ""
        return (
            "AWSPENDING is off it: the rotation function gave it up, or somebody took the label "
            f"away.{cause} When the cause is mended: rotation rotate {self.name}"
        )

    def _out_of_time_text(self) -> str:
        if self._logged:
            return (
                f"{failure_text(self._logged[-1])}. That may pass by itself, and Secrets Manager "
                f"may still repeat the rotation: rotation status {self.name}"
            )
        if self._not_answered is not None:
            return f"The cause is not known. {self._not_answered}"
        return (
            "No step has said that it failed. If the rotation function is ended by Lambda or "
            f"cannot be run, only its log says so. {_mend_first(self.name)}"
        )


def _mend_first(name: str) -> str:
    """How to go on once the cause of a failed rotation is mended."""
    return f"When that is mended: rotation unstick {name} --apply, then: rotation rotate {name}"


def refuse_unrotatable(snapshot: Snapshot) -> None:
    """Refuse what AWS would refuse too, with advice that fits.

    Raises:
        click.ClickException: it is a replica, is to be deleted, or has no rotation function.
    """
    if snapshot.replicated_from is not None:
        raise click.ClickException(replica_text(snapshot.arn, snapshot.replicated_from))
    if snapshot.deleted_at is not None:
        raise click.ClickException(deletion_text(snapshot.arn))
    if snapshot.rotation_function is None:
        raise click.ClickException(no_function_text(snapshot.arn))


def _begin(versions: SecretVersions, token: str, name: str) -> None:
    """Begin the rotation, or explain why AWS refuses it."""
    try:
        versions.rotate(token)
    except SecretStoreError as error:
        snapshot = versions.snapshot()
        pending = snapshot.version_with(AWSPENDING)
        message = error_text(error)
        refuse_unrotatable(snapshot)
        if pending is not None and not snapshot.has(pending, AWSCURRENT):
            message = (
                f"{name} cannot be rotated: an earlier rotation has left AWSPENDING on version "
                f"{pending}, or is still running. If it has failed for good: rotation unstick "
                f"{name} --apply"
            )
        raise click.ClickException(message) from None
