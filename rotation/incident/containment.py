"""Waits for a forced rotation, from the declaration to the proof that the old keys are dead.

`rotation.incident.declaration` and reconciliation do every act, and write it on the secret. So the
process that waits here may die at any point: if it is run again it goes on, and if it is not,
reconciliation finishes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rotation.credential import iso_utc
from rotation.errors import RotationError
from rotation.incident.declaration import (
    SETTLING_TIME,
    Declaration,
    Progress,
    Stage,
    advance,
    declare,
)
from rotation.secrets_manager.versions import SecretVersions

_LOOK_EVERY: Final = timedelta(seconds=1)
_RECONCILE_EVERY: Final = timedelta(seconds=5)
#: A rotation that takes longer may find the vendor's quota full of older suspects, which can die.
_ROOM_EVERY: Final = timedelta(seconds=45)

#: Reconciles one secret, by its ARN, and gives its part of the report (docs/reconciliation.md).
Reconcile = Callable[[str], Mapping[str, Any]]


@dataclass
class Containment:
    """The result of a forced rotation.

    Attributes:
        arn: the secret.
        declaration: the declaration that holds.
        suspects: the versions that were declared compromised.
        current: the version that is current at the end.
        contained: whether every suspect key was proven dead.
        parts: how long each part took, in its order.
        proven_dead: the ids of the keys that were proven dead while this waited.
        evidence: where the record is, once there is one.
        unfinished: what is left to do, for a person to read; empty when contained.
    """

    arn: str
    declaration: Declaration
    suspects: tuple[str, ...] = ()
    current: str | None = None
    contained: bool = False
    parts: dict[str, timedelta] = field(default_factory=dict)
    proven_dead: list[str] = field(default_factory=list)
    evidence: str | None = None
    unfinished: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class WaitClock:
    """The clocks of a process that waits: UTC, seconds that never run backwards, and sleep."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def contain(
    secret: SecretVersions,
    declaration: Declaration,
    reconcile: Reconcile,
    *,
    log_act: Callable[[str], None],
    limit: timedelta,
    clocks: WaitClock,
    again: bool = False,
) -> Containment:
    """Declare, rotate, have the suspects revoked and proven dead; wait for each at most ``limit``.

    Args:
        secret: the secret, by its full ARN.
        declaration: what to declare, unless an incident is open.
        reconcile: has the secret reconciled.
        log_act: called with a sentence about each act.
        limit: how long to wait for the new key, and then for the proofs.
        clocks: the clocks of this process.
        again: declare it even if an incident is open, for the keys that came after that one.

    Raises:
        VersionStateError, SecretStoreError: nothing is lost; asking again goes on from there.
    """
    stopwatch = _Stopwatch(clocks.monotonic)
    containment = Containment(secret.arn, declare(secret, declaration, again=again))
    log_act(
        f"declared at {containment.declaration.at:%H:%M:%S} UTC: {containment.declaration.reason}"
    )
    if iso_utc(containment.declaration.at) != iso_utc(declaration.at):
        log_act("this incident was open; keys that came after it are suspect only with --again")
    containment.parts["declared"] = stopwatch.lap()
    progress = _rotate(secret, containment, reconcile, log_act, limit=limit, clocks=clocks)
    containment.parts["rotated"] = stopwatch.lap()
    if progress.stage is not Stage.RETIRING:
        containment.unfinished.append(
            f"rotation {progress.attempt} did not get through; the rotation function's log says "
            "why (step failed). When that is mended: rotation unstick, then rotation rotate"
        )
        return containment
    log_act(f"version {progress.current} is current, and its key is not suspect")
    _retire(containment, reconcile, log_act, limit, clocks)
    containment.parts["proven dead"] = stopwatch.lap()
    return containment


def _rotate(
    secret: SecretVersions,
    containment: Containment,
    reconcile: Reconcile,
    log_act: Callable[[str], None],
    *,
    limit: timedelta,
    clocks: WaitClock,
) -> Progress:
    begun = clocks.monotonic()
    seen, room = False, _ROOM_EVERY
    while True:
        progress = advance(secret, clocks.now())
        for act in progress.acts:
            log_act(act)
        containment.suspects = progress.suspects or containment.suspects
        containment.current = progress.current
        waited = timedelta(seconds=clocks.monotonic() - begun)
        if progress.stage is Stage.NONE:
            # Either reconciliation has closed the incident, or this look came too early to show it.
            if seen or waited >= SETTLING_TIME:
                return Progress(Stage.RETIRING, current=progress.current)
        elif progress.stage is not Stage.ROTATING or waited > limit:
            return progress
        else:
            seen = True
            if waited >= room:
                _make_room(containment, reconcile, log_act)
                room = timedelta(seconds=clocks.monotonic() - begun) + _ROOM_EVERY
        clocks.sleep(_LOOK_EVERY.total_seconds())


def _make_room(
    containment: Containment, reconcile: Reconcile, log_act: Callable[[str], None]
) -> None:
    """Have the suspects that are not current revoked: they may fill the vendor's quota of keys."""
    try:
        _record_progress(containment, reconcile(containment.arn), log_act)
    except RotationError as error:
        log_act(f"reconciliation failed, and the rotation goes on: {error} [{error.code}]")


def _retire(
    containment: Containment,
    reconcile: Reconcile,
    log_act: Callable[[str], None],
    limit: timedelta,
    clocks: WaitClock,
) -> None:
    until = clocks.monotonic() + limit.total_seconds()
    while True:
        report = reconcile(containment.arn)
        _record_progress(containment, report, log_act)
        containment.unfinished = _unfinished(report)
        if not containment.unfinished:
            containment.contained = True
            return
        if clocks.monotonic() > until or _needs_a_person(report):
            return
        clocks.sleep(_RECONCILE_EVERY.total_seconds())


def _record_progress(
    containment: Containment, report: Mapping[str, Any], log_act: Callable[[str], None]
) -> None:
    """Report what a reconciliation did, and keep it in ``containment``."""
    done = report.get("done", {})
    for revoked in done.get("revoked", ()):
        log_act(f"key {revoked['keyId']}: {revoked['outcome']}")
    for key_id in done.get("provenDead", ()):
        if key_id not in containment.proven_dead:
            containment.proven_dead.append(key_id)
            log_act(f"key {key_id} is proven dead")
    containment.evidence = done.get("evidence") or containment.evidence


def _unfinished(report: Mapping[str, Any]) -> list[str]:
    """What is left to do before the incident is over, by this report."""
    # An older function does not say which versions are compromised: then any of them may be.
    suspects = [v for v in report.get("versions", ()) if v.get("compromised", True)]
    # The report shows what the run found, not what it did: the next run's report shows that.
    finished = bool(report.get("done", {}).get("evidence"))
    unfinished = (
        []
        if finished
        else [f"the key of version {v['versionId']} is not proven dead" for v in suspects]
    )
    if report.get("incident") and not suspects and not finished:
        # It was declared a moment ago, and its tags and labels do not show yet.
        unfinished.append("the incident is still open")
    unfinished += [failure["message"] for failure in report.get("failures", ())]
    if unfinished:
        unfinished += [
            warning["message"]
            for warning in report.get("warnings", ())
            if warning["code"] in {"manual_revocation_needed", "key_alive_after_incident"}
        ]
    return unfinished


def _needs_a_person(report: Mapping[str, Any]) -> bool:
    return any(one["code"] == "manual_revocation_needed" for one in report.get("warnings", ()))


class _Stopwatch:
    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since = monotonic()

    def lap(self) -> timedelta:
        now = self._monotonic()
        took, self._since = now - self._since, now
        return timedelta(seconds=took)
