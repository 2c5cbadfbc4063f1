"""Proof of death: does the vendor refuse a revoked key everywhere?

A 401 alone proves nothing: a vendor that is half down, a gateway or a wrong clock answers 401 too.
So it counts only between two calls that the same endpoint accepted, signed with the secret's
current key (the control), and only if the vendor's clock and ours agree (`CLOCK_TOLERANCE`).
`REJECTIONS` that count, spread over the vendor's propagation limit, are a proof. A timeout, a 5xx
or a control that is not accepted is inconclusive, and never a proof.

Many keys share the rounds, so that probing a thousand takes one propagation limit. Each control
that is accepted buys a signature, and so does each key that is still alive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from rotation.core.policy import CLOCK_TOLERANCE, REJECTIONS
from rotation.core.ports import KeyProver
from rotation.core.statements import OF_A_CONTROL, of_a_death
from rotation.credential import ApiKey, iso_utc
from rotation.deadline import DEATH_WATCH_RESERVE, Deadline
from rotation.errors import ClockSkewError, CredentialRejectedError, RotationError, VendorError

_MOST_ROUNDS: Final = 7
#: How many keys are tried for a control.
_MOST_CONTROLS: Final = 3
#: The proof for a key whose material nobody has any more, so that it cannot be probed.
LISTED_AS_NOT_ACTIVE: Final[Mapping[str, Any]] = {"by": "the vendor lists it as not active"}


class ProbeOutcome(Enum):
    """The answer to one probe of a key."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"


class DeathVerdict(Enum):
    """The conclusion from all probes of a key."""

    DEAD = "dead"
    ALIVE = "alive"
    UNPROVEN = "unproven"


@dataclass(frozen=True)
class Probe:
    """One call with a key, and its answer.

    Attributes:
        at: our clock when the answer was there, aware UTC.
        outcome: whether the key was accepted.
        vendor_time: the vendor's clock in the answer, where it gave one.
        detail: why it is inconclusive, as an error's code; empty otherwise.
    """

    at: datetime
    outcome: ProbeOutcome
    vendor_time: datetime | None = None
    detail: str = ""


@dataclass(frozen=True)
class ProbedKey:
    """A key that should be dead, and is probed to prove it.

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
    """Every probe of one key in this run, and the conclusion.

    Attributes:
        control_id: the key that was accepted before and after each probe that counts.
        probes: every probe, in order.
        verdict: the conclusion.
    """

    control_id: str
    probes: list[Probe] = field(default_factory=list)
    verdict: DeathVerdict = DeathVerdict.UNPROVEN


@dataclass(frozen=True)
class DeathProver:
    """Probes keys in rounds until each is proven dead, is found alive, or no time is left.

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

    def prove(self, keys: Sequence[ProbedKey]) -> Mapping[tuple[str, str], ProbeHistory]:
        """The probes of each key, by secret ARN and key id. No key makes it raise an error.

        A key that is given with several materials is dead if each of them was rejected.
        """
        histories = [ProbeHistory(one.control.id) for one in keys]
        gap = self.limit / (REJECTIONS - 1)
        for number in range(_MOST_ROUNDS):
            undecided = [
                (one, history)
                for one, history in zip(keys, histories, strict=True)
                if not self._decided(one, history)
            ]
            if not undecided:
                break
            if number > 0:
                if self.deadline.before(DEATH_WATCH_RESERVE).left() < gap:
                    break
                self.sleep(gap.total_seconds())
            self._probe_round(undecided)
        united: dict[tuple[str, str], ProbeHistory] = {}
        for one, history in zip(keys, histories, strict=True):
            history.verdict = self._verdict(history)
            name = one.secret_arn, one.key.id
            united[name] = _united(united[name], history) if name in united else history
        return united

    def _probe_round(self, keys: Iterable[tuple[ProbedKey, ProbeHistory]]) -> None:
        groups: dict[tuple[str, str], list[tuple[ProbedKey, ProbeHistory]]] = {}
        for one, history in keys:
            groups.setdefault((one.secret_arn, one.control.id), []).append((one, history))
        with ThreadPoolExecutor(self.workers) as threads:
            for asked in threads.map(self._probe_group, groups.values()):
                for history, probe in asked:
                    history.probes.append(probe)

    def _probe_group(
        self, group: list[tuple[ProbedKey, ProbeHistory]]
    ) -> list[tuple[ProbeHistory, Probe]]:
        first = group[0][0]
        before = self._probe(first, first.control)
        probes = [(history, self._probe(one, one.key)) for one, history in group]
        after = self._probe(first, first.control)
        if before.outcome is after.outcome is ProbeOutcome.ACCEPTED:
            return probes
        return [
            (history, probe)
            if probe.outcome is ProbeOutcome.ACCEPTED
            else (
                history,
                Probe(probe.at, ProbeOutcome.INCONCLUSIVE, probe.vendor_time, "no_live_control"),
            )
            for history, probe in probes
        ]

    def _probe(self, probed: ProbedKey, key: ApiKey) -> Probe:
        statement = of_a_death(probed.secret_arn)
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

    def _decided(self, probed: ProbedKey, history: ProbeHistory) -> bool:
        if not history.probes:
            return False
        last = history.probes[-1]
        if last.outcome is ProbeOutcome.ACCEPTED:
            return not probed.revoked or last.at - history.probes[0].at >= self.limit
        return self._verdict(history) is DeathVerdict.DEAD

    def _verdict(self, history: ProbeHistory) -> DeathVerdict:
        if history.probes and history.probes[-1].outcome is ProbeOutcome.ACCEPTED:
            return DeathVerdict.ALIVE
        counted: list[datetime] = []
        for probe in history.probes:
            if probe.outcome is ProbeOutcome.ACCEPTED:
                counted = []
            elif probe.outcome is ProbeOutcome.REJECTED:
                counted.append(probe.at)
        if len(counted) >= REJECTIONS and counted[-1] - counted[0] >= self.limit:
            return DeathVerdict.DEAD
        return DeathVerdict.UNPROVEN


def _united(one: ProbeHistory, other: ProbeHistory) -> ProbeHistory:
    """The probes of two materials of one key: alive if one is, dead if both are."""
    verdicts = {one.verdict, other.verdict}
    first = (DeathVerdict.ALIVE, DeathVerdict.UNPROVEN, DeathVerdict.DEAD)
    verdict = next(verdict for verdict in first if verdict in verdicts)
    return ProbeHistory(one.control_id, [*one.probes, *other.probes], verdict)


def find_control(keys: Iterable[ApiKey], prover: KeyProver) -> ApiKey | None:
    """The first of a few keys that the vendor accepts just now; None: it accepts none of them.

    It is for keys that no secret with a current key holds, so that another secret's has to do.
    """
    for key, _ in zip(keys, range(_MOST_CONTROLS), strict=False):
        try:
            prover.prove(key, OF_A_CONTROL)
        except RotationError:
            continue
        return key
    return None


def death_facts(death: ProbeHistory) -> dict[str, Any]:
    """The probes of one key, as JSON members."""
    return {
        "by": "rejections between accepted calls of the control key",
        "controlKeyId": death.control_id,
        "verdict": death.verdict.value,
        "probes": [
            {
                "at": iso_utc(probe.at),
                "vendorTime": None if probe.vendor_time is None else iso_utc(probe.vendor_time),
                "outcome": probe.outcome.value,
                **({"detail": probe.detail} if probe.detail else {}),
            }
            for probe in death.probes
        ],
    }
