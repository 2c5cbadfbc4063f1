"""Proof of death: is a revoked key refused everywhere?

A 401 alone proves nothing: a vendor that is half down, a gateway or a wrong clock answers 401 too.
So it counts only between two calls that the same endpoint accepted, signed with the secret's
current key, and only if the vendor's clock and ours agree within ten seconds. Three that count,
spread over the vendor's propagation limit, are a proof. A timeout, a 5xx or a control that is not
accepted is inconclusive, never a proof.

Many keys share the rounds, so that watching a thousand takes one propagation limit. Each control
that is accepted buys a signature, and so does each key that is still alive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from rotation.core.policy import CLOCK_TOLERANCE, REJECTIONS
from rotation.core.ports import KeyProver
from rotation.credential import ApiKey
from rotation.deadline import DEATH_WATCH_RESERVE, Deadline
from rotation.errors import ClockSkewError, CredentialRejectedError, RotationError, VendorError

_MOST_ROUNDS: Final = 7


class ProbeOutcome(Enum):
    """What one question said of a key."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"


class DeathVerdict(Enum):
    """What a watch said of a key."""

    DEAD = "dead"
    ALIVE = "alive"
    UNPROVEN = "unproven"


@dataclass(frozen=True)
class Probe:
    """One question and its answer.

    Attributes:
        at: our clock when the answer was there, aware UTC.
        outcome: what it said.
        vendor_time: the vendor's clock in the answer, where it gave one.
        detail: why it is inconclusive, as an error's code; empty otherwise.
    """

    at: datetime
    outcome: ProbeOutcome
    vendor_time: datetime | None = None
    detail: str = ""


@dataclass(frozen=True)
class ProbedKey:
    """A key that should be dead.

    Attributes:
        secret_arn: the secret that it was a key of.
        key: the key.
        control: the secret's current key, which must be accepted before and after.
        revoked: whether it was revoked, so that it may be accepted a little longer.
    """

    secret_arn: str
    key: ApiKey
    control: ApiKey
    revoked: bool


@dataclass
class ProbeHistory:
    """What the watch saw of one key.

    Attributes:
        control_id: the key that was accepted before and after each probe that counts.
        probes: every probe, in order.
        verdict: what they prove.
    """

    control_id: str
    probes: list[Probe] = field(default_factory=list)
    verdict: DeathVerdict = DeathVerdict.UNPROVEN


@dataclass(frozen=True)
class DeathProver:
    """What a watch needs.

    Attributes:
        prover: asks the vendor for a test seal.
        limit: over how long the rejections must be spread: the vendor's propagation limit.
        deadline: when this invocation ends.
        clock: our clock, aware UTC.
        sleep: waits a number of seconds.
        workers: how many secrets are asked about at the same time.
    """

    prover: KeyProver
    limit: timedelta
    deadline: Deadline
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    workers: int = 4

    def watch(self, suspects: Sequence[ProbedKey]) -> Mapping[tuple[str, str], ProbeHistory]:
        """What can be said of each key, by secret ARN and key id. Never raises for one of them."""
        deaths = {_name(one): ProbeHistory(one.control.id) for one in suspects}
        gap = self.limit / (REJECTIONS - 1)
        for turn in range(_MOST_ROUNDS):
            open_cases = [one for one in suspects if not self._decided(one, deaths[_name(one)])]
            if not open_cases:
                break
            if turn > 0:
                if self.deadline.before(DEATH_WATCH_RESERVE).left() < gap:
                    break
                self.sleep(gap.total_seconds())
            self._round(open_cases, deaths)
        for one in suspects:
            deaths[_name(one)].verdict = self._verdict(deaths[_name(one)])
        return deaths

    def _round(
        self, suspects: Iterable[ProbedKey], deaths: Mapping[tuple[str, str], ProbeHistory]
    ) -> None:
        groups: dict[tuple[str, str], list[ProbedKey]] = {}
        for one in suspects:
            groups.setdefault((one.secret_arn, one.control.id), []).append(one)
        with ThreadPoolExecutor(self.workers) as threads:
            for asked in threads.map(self._ask_group, groups.values()):
                for one, probe in asked:
                    deaths[_name(one)].probes.append(probe)

    def _ask_group(self, group: list[ProbedKey]) -> list[tuple[ProbedKey, Probe]]:
        before = self._ask(group[0], group[0].control)
        probes = [(one, self._ask(one, one.key)) for one in group]
        after = self._ask(group[0], group[0].control)
        if before.outcome is after.outcome is ProbeOutcome.ACCEPTED:
            return probes
        return [
            (one, probe)
            if probe.outcome is ProbeOutcome.ACCEPTED
            else (
                one,
                Probe(probe.at, ProbeOutcome.INCONCLUSIVE, probe.vendor_time, "no_live_control"),
            )
            for one, probe in probes
        ]

    def _ask(self, suspect: ProbedKey, key: ApiKey) -> Probe:
        statement = f"proof of death of a key of {suspect.secret_arn}"
        try:
            proof = self.prover.prove(key, statement)
        except CredentialRejectedError as error:
            now, theirs = self.clock(), error.vendor_time
            if theirs is None or abs(theirs - now) > CLOCK_TOLERANCE:
                return Probe(now, ProbeOutcome.INCONCLUSIVE, theirs, ClockSkewError.code)
            return Probe(now, ProbeOutcome.REJECTED, theirs)
        except VendorError as error:
            return Probe(self.clock(), ProbeOutcome.INCONCLUSIVE, error.vendor_time, error.code)
        except RotationError as error:
            return Probe(self.clock(), ProbeOutcome.INCONCLUSIVE, detail=error.code)
        return Probe(self.clock(), ProbeOutcome.ACCEPTED, proof.vendor_time)

    def _decided(self, suspect: ProbedKey, death: ProbeHistory) -> bool:
        if not death.probes:
            return False
        last = death.probes[-1]
        if last.outcome is ProbeOutcome.ACCEPTED:
            return not suspect.revoked or last.at - death.probes[0].at >= self.limit
        return self._verdict(death) is DeathVerdict.DEAD

    def _verdict(self, death: ProbeHistory) -> DeathVerdict:
        if death.probes and death.probes[-1].outcome is ProbeOutcome.ACCEPTED:
            return DeathVerdict.ALIVE
        counted: list[datetime] = []
        for probe in death.probes:
            if probe.outcome is ProbeOutcome.ACCEPTED:
                counted = []
            elif probe.outcome is ProbeOutcome.REJECTED:
                counted.append(probe.at)
        if len(counted) >= REJECTIONS and counted[-1] - counted[0] >= self.limit:
            return DeathVerdict.DEAD
        return DeathVerdict.UNPROVEN


def _name(suspect: ProbedKey) -> tuple[str, str]:
    return suspect.secret_arn, suspect.key.id
