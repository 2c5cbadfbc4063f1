"""One run over many secrets: find them, look, plan, carry out, and report.

A secret that fails never stops the others. Calls grow with the number of secrets and no faster,
and stay below the quotas that the account's other users share (UserGuide reference_limits):
a pace holds ListSecretVersionIds and UpdateSecretVersionStage, 50 a second each, to 40 together.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock
from typing import Any, TypeVar

from rotation.core.ports import IssuerCondition, Revocation
from rotation.credential import ApiKey, iso_utc
from rotation.deadline import NEXT_SECRET_RESERVE, Deadline
from rotation.errors import CredentialRejectedError, RotationError, VendorError
from rotation.incident.declaration import advance
from rotation.privacy.observability import count, logger
from rotation.reconciliation.examination import Examination, Examiner
from rotation.reconciliation.execution import Execution, ExecutionResult, ReconciliationServices
from rotation.reconciliation.key_warnings import (
    URGENT,
    KeyWarning,
    WarningCode,
    concerns,
    issuer_warnings,
)
from rotation.reconciliation.leaked_pool import CondemnedKeyReview
from rotation.reconciliation.plan import Plan, plan
from rotation.reconciliation.proof_of_death import DeathProver, ProbedKey, ProbeHistory
from rotation.reconciliation.report import (
    SCHEMA,
    issuer_report,
    secret_report,
    unexamined,
    warnings,
)
from rotation.secrets_manager.labels import INCIDENT_TAG
from rotation.secrets_manager.versions import SecretVersions

_T = TypeVar("_T")


class RateLimiter:
    """Lets through so many calls a second, from however many threads.

    Args:
        per_second: how many.
        clock: seconds that only ever grow.
        sleep: waits a number of seconds.
    """

    def __init__(
        self,
        per_second: float = 40.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gap = 1 / per_second
        self._clock = clock
        self._sleep = sleep
        self._lock = Lock()
        self._next = 0.0

    def __call__(self) -> None:
        """Wait for this call's turn."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._gap
        if turn > now:
            self._sleep(turn - now)


@dataclass
class _Case:
    """One secret in this run."""

    arn: str
    secret: SecretVersions
    examined: Examination | None = None
    plan: Plan = field(default_factory=Plan)
    execution: Execution | None = None
    suspects: tuple[ProbedKey, ...] = ()
    concerns: list[KeyWarning] = field(default_factory=list)
    failure: RotationError | None = None


@dataclass(frozen=True)
class Reconciler:
    """Everything that a run needs.

    Attributes:
        open_secret: the versions of a secret, by its ARN or name.
        discover: the ARNs of all secrets that name our rotation function, those with an open
            incident first.
        condition: asks how the issuer is doing.
        parts: what carrying out a plan needs.
        watch: proves deaths.
        deadline: when this invocation ends.
        workers: how many secrets are worked on at the same time.
    """

    open_secret: Callable[[str], SecretVersions]
    discover: Callable[[], Sequence[str]]
    condition: Callable[[], IssuerCondition]
    services: ReconciliationServices
    death_prover: DeathProver
    deadline: Deadline
    workers: int = 8

    def run(self, secrets: Sequence[str] | None = None, *, act: bool = True) -> dict[str, Any]:
        """Reconcile ``secrets``, or all; with ``act=False`` change nothing and ask no key.

        Returns:
            the report.

        Raises:
            SecretStoreError: the secrets could not be listed.
        """
        services = self.services
        started = services.clock()
        named = list(dict.fromkeys(self.discover() if secrets is None else secrets))
        cases = [_Case(name, self.open_secret(name)) for name in named]
        condition, shared = self._condition(started)
        review = CondemnedKeyReview(
            self.services.condemned_keys if secrets is None or not act else None,
            self.services.evidence,
        )
        review.look()
        examiner = Examiner(
            self.services.issuer,
            self.services.prover,
            self.services.policy,
            act,
            self.services.clock,
        )
        with ThreadPoolExecutor(self.workers) as threads:
            list(threads.map(lambda case: self._examine(case, examiner, act), cases))
            # A secret may have been named twice, by its name and by its ARN.
            cases = list({case.arn: case for case in cases}.values())
            self._plan(cases, whole=secrets is None)
            if act:
                list(threads.map(self._begin, cases))
                suspects = [one for case in cases for one in case.suspects]
                suspects += review.suspects(_current_keys(cases), self.services.prover)
                deaths = self.death_prover.watch(suspects)
                list(threads.map(lambda case: self._conclude(case, deaths), cases))
            review.conclude(deaths if act else {})
            shared += review.concerns
        _tell(cases, shared)
        return {
            "schema": SCHEMA,
            "action": "reconcile" if act else "report",
            "installation": self.services.policy.installation,
            "startedAt": iso_utc(started),
            "finishedAt": iso_utc(self.services.clock()),
            "issuer": issuer_report(condition) | {"condemned": review.report()},
            "warnings": warnings(shared),
            "secrets": [_report(case, act=act) for case in cases],
        }

    def _condition(self, now: datetime) -> tuple[IssuerCondition, list[KeyWarning]]:
        try:
            condition = self.condition()
        except RotationError as error:
            message = f"The issuer's credential or pool cannot be read: {error}"
            return IssuerCondition(), [KeyWarning(WarningCode.ISSUER_UNREADABLE, message)]
        return condition, list(issuer_warnings(condition, now))

    def _examine(self, case: _Case, examiner: Examiner, act: bool) -> None:
        if self.deadline.before(NEXT_SECRET_RESERVE).passed():
            message = "No time was left for this secret; the next run looks at it."
            case.concerns.append(KeyWarning(WarningCode.NOT_REACHED, message))
            return
        self.services.rate_limiter()
        case.examined = _guarded(case, lambda: examiner.examine(case.secret))
        if act and case.examined is not None and self._advance(case):
            case.examined = _guarded(case, lambda: examiner.examine(case.secret))
        if case.examined is not None:
            case.arn = case.examined.situation.snapshot.arn
            case.concerns += _trouble(case.examined.trouble)

    def _advance(self, case: _Case) -> bool:
        """Do what an open incident needs next; whether anything was done."""
        examined = case.examined
        if examined is None or INCIDENT_TAG not in examined.situation.snapshot.tags:
            return False
        progress = _guarded(case, lambda: advance(case.secret, self.services.clock()))
        acts = progress.acts if progress else ()
        for one in acts:
            logger.warning("incident", extra={"secret": case.arn, "act": one})
        return bool(acts)

    def _plan(self, cases: Sequence[_Case], *, whole: bool) -> None:
        """Plan each secret, knowing which keys the others use."""
        found = [(case, case.examined) for case in cases if case.examined is not None]
        all_seen = whole and len(found) == len(cases)
        users: Counter[str] = Counter()
        for _, examined in found:
            users.update(examined.situation.in_use | examined.situation.in_flight)
        for case, examined in found:
            own = examined.situation.in_use | examined.situation.in_flight
            listing = examined.situation.listing
            known = {*examined.keys, *(key.id for key in (listing.keys if listing else ()))}
            elsewhere = frozenset(key for key in known if users[key] > (1 if key in own else 0))
            situation = replace(examined.situation, in_use_elsewhere=elsewhere, all_seen=all_seen)
            case.examined = replace(examined, situation=situation)
            case.plan = plan(situation, self.services.policy)
            case.concerns += concerns(situation, case.plan)

    def _begin(self, case: _Case) -> None:
        if case.examined is None:
            return
        execution = Execution(case.secret, case.examined, case.plan, self.services)
        case.execution = execution
        case.suspects = _guarded(case, execution.begin) or ()

    def _conclude(self, case: _Case, deaths: Any) -> None:
        execution = case.execution
        if execution is None or case.failure is not None:
            return
        own: dict[str, ProbeHistory] = {
            one.key.id: deaths[one.secret_arn, one.key.id] for one in case.suspects
        }
        _guarded(case, lambda: execution.conclude(own))
        case.concerns += execution.done.concerns


def _current_keys(cases: Iterable[_Case]) -> Iterator[ApiKey]:
    """The current key of each secret that was looked at."""
    for case in cases:
        if case.examined is not None and (current := case.examined.situation.current) is not None:
            key = case.examined.keys.get(current.key_id or "")
            if key is not None:
                yield key


def _guarded(case: _Case, act: Callable[[], _T]) -> _T | None:
    """Run one secret's part; whatever goes wrong is that secret's failure and nobody else's."""
    try:
        return act()
    except RotationError as error:
        case.failure = error
    except Exception as error:  # noqa: BLE001 - one secret must not stop the others
        logger.exception("reconciliation failed unexpectedly", extra={"secret": case.arn})
        case.failure = RotationError(f"Failed unexpectedly ({type(error).__name__}).")
    return None


def _trouble(error: RotationError | None) -> list[KeyWarning]:
    """Why the vendor's keys could not be listed: the admin credential is dead, or the vendor is."""
    if error is None:
        return []
    if isinstance(error, CredentialRejectedError):
        message = f"The vendor does not accept the admin credential: {error} Store another one."
        return [KeyWarning(WarningCode.ADMIN_CREDENTIAL_DEAD, message)]
    if isinstance(error, VendorError):
        return [
            KeyWarning(
                WarningCode.VENDOR_UNAVAILABLE, f"The vendor's keys cannot be listed: {error}"
            )
        ]
    message = f"The issuer's credential or pool cannot be read: {error}"
    return [KeyWarning(WarningCode.ISSUER_UNREADABLE, message)]


def _report(case: _Case, *, act: bool) -> dict[str, Any]:
    if case.examined is None:
        if case.failure is None:
            return {"arn": case.arn, "warnings": warnings(case.concerns), "failures": []}
        return unexamined(case.arn, case.failure)
    done = (case.execution.done if case.execution else ExecutionResult()) if act else None
    report = secret_report(case.examined.situation, case.plan, case.concerns, done)
    if case.failure is not None:
        report["failures"] += unexamined(case.arn, case.failure)["failures"]
    return report


def _tell(cases: Iterable[_Case], shared: Iterable[KeyWarning]) -> None:
    """Count and log what came of the run, in the thread that owns the metrics."""
    totals: Counter[str] = Counter()
    codes = [one.code for one in shared]
    for case in cases:
        done = case.execution.done if case.execution else ExecutionResult()
        failures = [*done.failures, *([case.failure] if case.failure else [])]
        codes += [one.code for one in case.concerns]
        totals["SecretsReconciled"] += 1
        totals["KeysRevoked"] += [*done.revoked.values()].count(Revocation.REVOKED)
        totals["KeysProvenDead"] += len(done.dead)
        totals["ReconciliationsFailed"] += bool(failures)
        for error in failures:
            logger.error(
                "reconciliation failed",
                extra={"secret": case.arn, "code": error.code, "reason": str(error)},
            )
        for one in case.concerns:
            logger.warning(
                "key warning",
                extra={"secret": case.arn, "code": one.code.value, "reason": one.message},
            )
    totals.update(f"Warnings.{code.value}" for code in codes)
    totals["UrgentWarnings"] += sum(code in URGENT for code in codes)
    for name, number in totals.items():
        count(name, number)
