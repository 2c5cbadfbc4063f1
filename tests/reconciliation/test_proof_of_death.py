"""What counts as a proof of death, and what does not: a vendor on a script, time in our hands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from rotation.core.ports import Proof
from rotation.credential import ApiKey
from rotation.errors import (
    ClockSkewError,
    CredentialRejectedError,
    SealVerificationError,
    VendorUnavailableError,
)
from rotation.reconciliation.proof_of_death import (
    DeathProver,
    DeathVerdict,
    ProbedKey,
    ProbeHistory,
    ProbeOutcome,
)
from tests.deadlines import deadline_of

LIMIT = timedelta(seconds=60)
ARN = "arn:aws:secretsmanager:us-east-1:012345678912:secret:a-AbCdEf"


def key(number: int) -> ApiKey:
    return ApiKey.from_text(f"00000000-0000-4000-8000-{number:012}", f"{number:064x}")


CONTROL, OLD, OLDER = key(1), key(2), key(3)


@dataclass
class Vendor:
    """Answers each question by a rule; has a clock that only its own pauses move.

    Attributes:
        rule: what a key is answered: accepted (True), rejected (False), or an error to raise.
    """

    rule: Callable[[ApiKey, int], bool | Exception]
    skew: timedelta = timedelta(0)
    now: datetime = datetime(2026, 11, 21, tzinfo=UTC)
    asked: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    dated: bool = True

    def clock(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)

    def prove(self, asked: ApiKey, statement: str) -> Proof:
        assert ARN in statement
        self.asked.append(asked.id)
        answer = self.rule(asked, self.asked.count(asked.id))
        if isinstance(answer, Exception):
            raise answer
        time = self.now + self.skew if self.dated else None
        if not answer:
            raise CredentialRejectedError("sign", "rejected", status=401, vendor_time=time)
        return Proof(proven_at=self.now, vendor_time=time)

    def prove_dead(
        self, *keys: ApiKey, revoked: bool = True, time_left: timedelta = timedelta(minutes=10)
    ) -> ProbeHistory:
        deadline = deadline_of(lambda: time_left)
        prover = DeathProver(self, LIMIT, deadline, self.clock, self.sleep, workers=1)
        probed = [ProbedKey(ARN, one, CONTROL, revoked) for one in keys]
        return prover.prove(probed)[ARN, keys[0].id]


def dead_is(asked: ApiKey, _: int) -> bool:
    return asked is CONTROL


def test_three_rejections_between_accepted_controls_are_a_proof() -> None:
    """Spread over the propagation limit; each round asks the control before and after."""
    vendor = Vendor(dead_is)
    death = vendor.prove_dead(OLD)
    assert death.verdict is DeathVerdict.DEAD
    assert [probe.outcome for probe in death.probes] == [ProbeOutcome.REJECTED] * 3
    assert death.probes[-1].at - death.probes[0].at >= LIMIT
    assert vendor.asked == [CONTROL.id, OLD.id, CONTROL.id] * 3
    assert death.control_id == CONTROL.id


def test_a_key_that_is_accepted_in_between_is_counted_anew() -> None:
    """One that flickers is not dead: the rejections before it was accepted prove nothing."""
    vendor = Vendor(lambda asked, times: asked is CONTROL or times == 2)
    death = vendor.prove_dead(OLD)
    assert death.verdict is DeathVerdict.DEAD
    outcomes = [probe.outcome for probe in death.probes]
    assert outcomes == [ProbeOutcome.REJECTED, ProbeOutcome.ACCEPTED, *[ProbeOutcome.REJECTED] * 3]


def test_two_keys_share_the_controls() -> None:
    """The price of a proof does not grow with the number of keys."""
    vendor = Vendor(dead_is)
    vendor.prove_dead(OLD, OLDER)
    assert vendor.asked.count(CONTROL.id) == 6


@pytest.mark.parametrize(
    "error",
    [
        VendorUnavailableError("sign", "timeout"),
        VendorUnavailableError("sign", "failed", status=503),
        SealVerificationError("not our signer"),
        ClockSkewError("sign", "clock", status=401),
    ],
)
def test_anything_but_a_rejection_is_inconclusive(error: Exception) -> None:
    """A timeout, a 5xx, a strange signature or a wrong clock is never a pass."""
    vendor = Vendor(lambda asked, _: True if asked is CONTROL else error)
    death = vendor.prove_dead(OLD)
    assert death.verdict is DeathVerdict.UNPROVEN
    assert {probe.outcome for probe in death.probes} == {ProbeOutcome.INCONCLUSIVE}
    assert {probe.detail for probe in death.probes} == {error.code}  # type: ignore[attr-defined]


@pytest.mark.parametrize("failing", [1, 2])
def test_without_a_live_control_a_rejection_does_not_count(failing: int) -> None:
    """A vendor that rejects everybody proves nothing, before the probe or after it."""

    def rule(asked: ApiKey, times: int) -> bool:
        return asked is CONTROL and times % 2 != failing % 2

    death = Vendor(rule).prove_dead(OLD)
    assert death.verdict is DeathVerdict.UNPROVEN
    assert {probe.detail for probe in death.probes} == {"no_live_control"}


@pytest.mark.parametrize("seconds", [-11, 11])
def test_a_rejection_by_another_clock_does_not_count(seconds: int) -> None:
    """More than ten seconds apart, the 401 may be about the time and not about the key."""
    death = Vendor(dead_is, skew=timedelta(seconds=seconds)).prove_dead(OLD)
    assert death.verdict is DeathVerdict.UNPROVEN


@pytest.mark.parametrize("seconds", [-10, 10])
def test_ten_seconds_are_close_enough(seconds: int) -> None:
    """The vendor's Date has whole seconds, and an answer takes a moment."""
    assert (
        Vendor(dead_is, skew=timedelta(seconds=seconds)).prove_dead(OLD).verdict
        is DeathVerdict.DEAD
    )


def test_a_rejection_without_a_date_does_not_count() -> None:
    """Nobody can tell whether the clocks agreed."""
    assert Vendor(dead_is, dated=False).prove_dead(OLD).verdict is DeathVerdict.UNPROVEN


def test_a_revoked_key_may_linger() -> None:
    """Accepted at first, rejected three times later: the count begins anew after an acceptance."""
    death = Vendor(lambda asked, times: asked is CONTROL or times == 1).prove_dead(OLD)
    assert death.verdict is DeathVerdict.DEAD
    assert [probe.outcome for probe in death.probes] == [
        ProbeOutcome.ACCEPTED,
        *[ProbeOutcome.REJECTED] * 3,
    ]


def test_an_inconclusive_round_is_made_up_for() -> None:
    """One outage in between costs a round, not the proof."""

    def rule(asked: ApiKey, times: int) -> bool | Exception:
        if asked is OLD and times == 2:
            return VendorUnavailableError("sign", "timeout")
        return asked is CONTROL

    death = Vendor(rule).prove_dead(OLD)
    assert death.verdict is DeathVerdict.DEAD
    assert len(death.probes) == 4


def test_a_revoked_key_that_lives_on_is_asked_for_the_limit_and_no_longer() -> None:
    """Three signatures are bought to know it, and the verdict is that it lives."""
    vendor = Vendor(lambda asked, _: True)
    assert vendor.prove_dead(OLD).verdict is DeathVerdict.ALIVE
    assert vendor.asked.count(OLD.id) == 3


def test_a_key_that_waits_for_a_person_is_asked_once() -> None:
    """Accepted once, it lives: no further signature is bought."""
    vendor = Vendor(lambda asked, _: True)
    assert vendor.prove_dead(OLD, revoked=False).verdict is DeathVerdict.ALIVE
    assert vendor.asked.count(OLD.id) == 1


def test_without_time_the_watch_ends_unproven() -> None:
    """What is left of the function's time is for the labels; the next run goes on."""
    vendor = Vendor(dead_is)
    death = vendor.prove_dead(OLD, time_left=timedelta(seconds=89))
    assert death.verdict is DeathVerdict.UNPROVEN
    assert len(death.probes) == 1
    assert vendor.slept == []


def test_a_vendor_that_is_down_is_not_asked_for_ever() -> None:
    """Seven rounds at most."""
    vendor = Vendor(lambda asked, _: VendorUnavailableError("sign", "timeout"))
    assert vendor.prove_dead(OLD).verdict is DeathVerdict.UNPROVEN
    assert len(vendor.slept) == 6
