"""Waits for a forced rotation, from the declaration to the proof that the old keys are dead.

The reconcile function does every act and writes it in the journal. So the process that waits here
may die at any point: whoever runs it again goes on, and if nobody does, the hourly reconciliation
finishes. It needs no right but to invoke that function.

An incident is contained if the journal, as it was read back, has it closed, with this declaration
in it and a death for every suspect key, if the record was kept, and if the key that is current then
is not suspect. Nothing else counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from rotation.errors import (
    CmsProfileError,
    ConfigurationError,
    JournalError,
    KeyPoolEmptyError,
    KeyPoolError,
    KeyQuotaError,
    RotationError,
    SealVerificationError,
    SecretStoreError,
    VendorRefusedError,
)
from rotation.incident.progress import Stage
from rotation.journal.model import Declaration

#: Each look invokes the function, which asks AWS and the vendor for their lists, and a rotation may
#: take minutes. So the pauses between the looks grow from the first to the longest.
_FIRST_PAUSE: Final = timedelta(seconds=1)
_LONGEST_PAUSE: Final = timedelta(seconds=5)
_PAUSE_GROWS_BY: Final = 1.5
_RECONCILE_EVERY: Final = timedelta(seconds=5)
#: A rotation that takes longer may find the vendor's quota full of older suspects, which can die.
_ROOM_EVERY: Final = timedelta(seconds=45)
_NEEDS_MENDING: Final = frozenset(
    error.code
    for error in (
        CmsProfileError,
        ConfigurationError,
        JournalError,
        KeyPoolEmptyError,
        KeyPoolError,
        KeyQuotaError,
        SealVerificationError,
        SecretStoreError,
        VendorRefusedError,
    )
)


class Ask(Protocol):
    """Asks the reconcile function to act on one secret, and gives its answer."""

    def __call__(self, action: str, arn: str, **members: str | bool) -> dict[str, Any]:
        """Ask for ``action``; docs/report.md describes each action and its answer."""


@dataclass
class Containment:
    """The result of a forced rotation.

    Attributes:
        arn: the secret.
        declaration: what this command declared.
        declared_at: when the incident was opened, ISO 8601 in UTC; earlier than the declaration if
            an incident was open.
        suspects: the ids of the suspect keys.
        current: the version that is current at the end.
        contained: whether the closed entry that proves every suspect key dead was read back.
        parts: how long each part took, in its order.
        proven_dead: the ids of the suspect keys that are proven dead.
        attested: the ids of the suspect keys whose death a person attests, and nothing proves.
        evidence: where the record is, once there is one.
        set_aside: the versions whose key cannot be known, each with the cause. If one of them holds
            a key, that may still be alive.
        unfinished: what is left to do, for a person to read; empty when contained.
    """

    arn: str
    declaration: Declaration
    declared_at: str
    suspects: tuple[str, ...] = ()
    current: str | None = None
    contained: bool = False
    parts: dict[str, timedelta] = field(default_factory=dict)
    proven_dead: list[str] = field(default_factory=list)
    attested: list[str] = field(default_factory=list)
    evidence: str | None = None
    set_aside: Mapping[str, str] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class WaitClock:
    """The clocks of a process that waits: UTC, seconds that never run backwards, and sleep."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass
class _Wait:
    """One command that waits.

    Attributes:
        ask: asks the reconcile function.
        log_act: called with a sentence about each act.
        limit: how long to wait for the new key, and then for the proofs.
        clocks: the clocks of this process.
        containment: the result, as far as it is known.
        step_failures: the failed steps of the newest rotation that had any, as they were logged.
        suspect_is_current: whether a suspect key was current when the secret was looked at last.
        last_act: what the function did last before a new key was current; empty: nothing yet.
    """

    ask: Ask
    log_act: Callable[[str], None]
    limit: timedelta
    clocks: WaitClock
    containment: Containment
    step_failures: list[Mapping[str, Any]] = field(default_factory=list)
    suspect_is_current: bool = True
    last_act: str = ""

    def elapsed(self, since: float) -> timedelta:
        return timedelta(seconds=self.clocks.monotonic() - since)


def contain(
    arn: str,
    declaration: Declaration,
    ask: Ask,
    *,
    log_act: Callable[[str], None],
    limit: timedelta,
    clocks: WaitClock,
    again: bool = False,
) -> Containment:
    """Declare, rotate, have the suspects revoked and proven dead; wait for each at most ``limit``.

    Args:
        arn: the full ARN of the secret.
        declaration: what to declare. Declaring it twice declares it once.
        ask: asks the reconcile function.
        log_act: called with a sentence about each act.
        limit: how long to wait for the new key, and then for the proofs.
        clocks: the clocks of this process.
        again: whether the keys that came after an open incident are suspect too.

    Raises:
        RotationError: nothing is lost; asking again goes on from there.
    """
    begun = clocks.monotonic()
    answer = ask(
        "declare",
        arn,
        reason=declaration.reason,
        actor=declaration.actor,
        declaration=declaration.id,
        again=again,
    )
    opened = answer["incident"]["declarations"][0]
    containment = Containment(arn, declaration, opened["at"])
    log_act(f"declared: {declaration.reason}")
    if opened["id"] != declaration.id and not again:
        log_act(
            f"an incident was open since {opened['at']}; keys that came after it are suspect only "
            "with --again"
        )
    wait = _Wait(ask, log_act, limit, clocks, containment)
    _read(wait, answer["incident"])
    containment.parts["declared"] = wait.elapsed(begun)
    begun = clocks.monotonic()
    stage = _rotate(wait)
    containment.parts["rotated"] = wait.elapsed(begun)
    if stage is Stage.ROTATING or stage is Stage.EXHAUSTED:
        # No new key is needed for the death of the suspects that are not current.
        _revoke_what_is_not_current(wait)
        containment.unfinished.append(_no_rotation_text(wait))
        return containment
    begun = clocks.monotonic()
    _retire(wait)
    containment.parts["proven dead"] = wait.elapsed(begun)
    return containment


def _rotate(wait: _Wait) -> Stage:
    begun, containment = wait.clocks.monotonic(), wait.containment
    room, pause = _ROOM_EVERY, _FIRST_PAUSE
    while True:
        answer = wait.ask("advance", containment.arn, declaration=containment.declaration.id)
        for act in answer["acts"]:
            if act != wait.last_act:
                wait.log_act(act)
            wait.last_act = act
        containment.current = answer["currentVersion"]
        stage = Stage[answer["stage"].upper()]
        if stage not in (Stage.ROTATING, Stage.EXHAUSTED):
            wait.log_act(f"version {containment.current} is current, and its key is not suspect")
        _read(wait, answer["incident"])
        waited = wait.elapsed(begun)
        failed = _new_failures(wait, answer)
        full = any(one["code"] == KeyQuotaError.code for one in failed)
        if stage is not Stage.ROTATING or waited > wait.limit:
            return stage
        if not full and any(needs_mending(one) for one in failed):
            return stage
        if full or waited >= room:
            _revoke_what_is_not_current(wait)
            room = wait.elapsed(begun) + _ROOM_EVERY
        wait.clocks.sleep(pause.total_seconds())
        pause = min(pause * _PAUSE_GROWS_BY, _LONGEST_PAUSE)


def failure_text(failure: Mapping[str, Any]) -> str:
    """A failed step, as the reconcile function tells it, in words."""
    return f"{failure['step']} failed: {failure['message'].rstrip('.')} [{failure['code']}]"


def needs_mending(failure: Mapping[str, Any]) -> bool:
    """Whether a failed step fails again however often it is repeated, until a person mends it.

    A key that the vendor does not accept yet is no such failure, nor is a version that another hand
    has moved: the same rotation may get through, or the next one.
    """
    return not failure["retryable"] and failure["code"] in _NEEDS_MENDING


def _new_failures(wait: _Wait, answer: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The failed steps of the newest rotation of the incident that were not logged yet."""
    begun = (answer["incident"] or {}).get("rotations", ())
    failures = [
        one
        for one in answer.get("stepFailures", ())
        if begun and one["token"] == begun[-1]["token"]
    ]
    new = [one for one in failures if one not in wait.step_failures]
    for one in new:
        wait.log_act(failure_text(one))
    wait.step_failures += new
    return new


def _no_rotation_text(wait: _Wait) -> str:
    """Why no rotation got through, and what to do."""
    if not wait.step_failures:
        return (
            "no rotation got through yet, and no step has said that it failed: if the rotation "
            "function is ended by Lambda or cannot be run, only its log says so. The last act was: "
            f"{wait.last_act or 'none'}"
        )
    return (
        f"no rotation got through: {failure_text(wait.step_failures[-1])}. When that is mended: "
        f"rotation unstick {wait.containment.arn} --apply, then run this command again"
    )


def _revoke_what_is_not_current(wait: _Wait) -> None:
    """Have the suspects that are not current revoked. They may fill the vendor's quota of keys."""
    try:
        _reconcile(wait)
    except RotationError as error:
        wait.log_act(f"reconciliation failed, and the rotation goes on: {error} [{error.code}]")


def _retire(wait: _Wait) -> None:
    begun, containment = wait.clocks.monotonic(), wait.containment
    while True:
        report = _reconcile(wait)
        if containment.contained:
            containment.unfinished = []
            return
        if containment.evidence is not None and wait.suspect_is_current:
            # The incident is closed, so nobody rotates any more unless a person does.
            text = (
                f"version {containment.current} is current again, and its key was declared "
                "compromised: somebody has moved AWSCURRENT. Rotate once more: rotation rotate "
                f"{containment.arn}"
            )
            containment.unfinished = [text]
            return
        containment.unfinished = _unfinished(containment, report)
        if wait.elapsed(begun) > wait.limit or _needs_a_person(report):
            return
        wait.clocks.sleep(_RECONCILE_EVERY.total_seconds())


def _reconcile(wait: _Wait) -> Mapping[str, Any]:
    """Have the secret reconciled, read the incident back, and return the secret's report."""
    containment = wait.containment
    report: dict[str, Any] = wait.ask("reconcile", containment.arn)["secrets"][0]
    for revoked in report.get("done", {}).get("revoked", ()):
        wait.log_act(f"key {revoked['keyId']}: {revoked['outcome']}")
    answer = wait.ask("advance", containment.arn, declaration=containment.declaration.id)
    containment.current = answer["currentVersion"]
    _read(wait, answer["incident"])
    wait.suspect_is_current = answer["currentKey"] in containment.suspects
    containment.contained = containment.contained and not wait.suspect_is_current
    return report


def _read(wait: _Wait, incident: Mapping[str, Any] | None) -> None:
    """Take over what the journal says of the incident with this declaration.

    Raises:
        JournalError: it says nothing of it any more, so somebody has stored an older state.
    """
    arn, declaration = wait.containment.arn, wait.containment.declaration.id
    if incident is None or all(one["id"] != declaration for one in incident["declarations"]):
        raise JournalError(
            f"The journal of {arn} has lost the declaration {declaration}: somebody has stored an "
            "older state of it. Find out who (docs/journal.md), and run this command again: it "
            "declares anew.",
            retryable=False,
        )
    containment, attested = wait.containment, set(incident.get("attested", ()))
    proven = incident["deaths"].keys() - attested
    for key_id in sorted(proven - set(containment.proven_dead)):
        wait.log_act(f"key {key_id} is proven dead")
    for key_id in sorted(attested - set(containment.attested)):
        wait.log_act(f"key {key_id} is dead as a person attests; nothing proves it")
    containment.suspects = tuple(sorted(incident["suspects"]))
    containment.proven_dead = [key_id for key_id in containment.suspects if key_id in proven]
    containment.attested = [key_id for key_id in containment.suspects if key_id in attested]
    containment.set_aside = incident["setAside"]
    closing = incident["closing"]
    containment.evidence = closing["evidence"] if closing else None
    containment.contained = containment.evidence is not None and {
        *containment.proven_dead,
        *containment.attested,
    } == set(containment.suspects)


def _unfinished(containment: Containment, report: Mapping[str, Any]) -> list[str]:
    """What is left to do before the incident is over, by this report."""
    dead = {*containment.proven_dead, *containment.attested}
    alive = [key_id for key_id in containment.suspects if key_id not in dead]
    unfinished = [f"key {key_id} is not proven dead" for key_id in alive]
    unfinished += [failure["message"] for failure in report.get("failures", ())]
    unfinished += [
        warning["message"]
        for warning in report.get("warnings", ())
        if warning["code"] in _WORTH_SAYING
    ]
    return unfinished or ["the incident is not closed yet"]


_WORTH_SAYING: Final = frozenset(
    {
        "manual_revocation_needed",
        "death_unproven",
        "key_alive_after_incident",
        "journal_unusable",
        "vendor_unavailable",
        "issuer_unreadable",
        "admin_credential_dead",
        "current_key_dead",
    }
)


def _needs_a_person(report: Mapping[str, Any]) -> bool:
    return any(one["code"] == "manual_revocation_needed" for one in report.get("warnings", ()))
