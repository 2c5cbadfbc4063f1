"""One run over many secrets, in phases that stand in their order in `Reconciler.run`.

A secret that fails never stops the others. Calls grow with the number of secrets and no faster,
and stay below the quotas that the account's other users share (`RateLimiter`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from rotation.core.ports import IssuerCondition, Revocation
from rotation.credential import ApiKey, iso_utc
from rotation.deadline import NEXT_SECRET_RESERVE, Deadline
from rotation.errors import CredentialRejectedError, RotationError, VendorError
from rotation.incident.declaration import advance
from rotation.privacy.observability import count, logger
from rotation.reconciliation.condemned_keys import CondemnedKeyReview
from rotation.reconciliation.examination import Examination, Examiner, FirstLook
from rotation.reconciliation.execution import Execution, ExecutionResult, ReconciliationServices
from rotation.reconciliation.key_warnings import (
    URGENT,
    KeyWarning,
    WarningCode,
    issuer_warnings,
    secret_warnings,
)
from rotation.reconciliation.plan import Plan, plan
from rotation.reconciliation.proof_of_death import DeathProver, ProbedKey, ProbeHistory
from rotation.reconciliation.report import (
    SCHEMA,
    failure,
    issuer_report,
    secret_report,
    unexamined,
    warnings,
)
from rotation.secrets_manager.labels import INCIDENT_TAG
from rotation.secrets_manager.versions import SecretVersions

_T = TypeVar("_T")


@dataclass
class _SecretRun:
    """One secret in this run: what each phase leaves for the next.

    Attributes:
        arn: the secret's ARN, or its name until the first look.
        secret: the secret.
        look: what is known before a value is read; None: that phase did not succeed.
        examination: what was found; None: that phase did not succeed.
        plan: what is to be done.
        execution: what is being done; None: nothing.
        probed: the keys whose death is to be proven; None: nothing was executed.
        warnings: what people should know.
        failures: what went wrong outside of ``execution``.
    """

    arn: str
    secret: SecretVersions
    look: FirstLook | None = None
    examination: Examination | None = None
    plan: Plan = field(default_factory=Plan)
    execution: Execution | None = None
    probed: tuple[ProbedKey, ...] | None = None
    warnings: list[KeyWarning] = field(default_factory=list)
    failures: list[RotationError] = field(default_factory=list)

    def isolate(self, act: Callable[[], _T]) -> _T | None:
        """Do an act of this secret; whatever goes wrong is its failure and nobody else's."""
        try:
            return act()
        except RotationError as error:
            self.failures.append(error)
        except Exception as error:  # noqa: BLE001 - one secret must not stop the others
            logger.exception("reconciliation failed unexpectedly", extra={"secret": self.arn})
            self.failures.append(RotationError(f"Failed unexpectedly ({type(error).__name__})."))
        return None


@dataclass(frozen=True)
class Reconciler:
    """Everything that a run needs.

    Attributes:
        open_secret: the versions of a secret, by its ARN or name.
        discover: the ARNs of all secrets that name our rotation function, those with an open
            incident first.
        condition: asks how the issuer is doing.
        services: what a run uses, shared by all secrets.
        death_prover: proves that keys are dead.
        deadline: when this invocation must have ended.
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
        services, started, whole = self.services, self.services.clock(), secrets is None
        examiner = Examiner(services.issuer, services.prover, services.policy, services.clock)
        with ThreadPoolExecutor(self.workers) as threads:

            def each(phase: Callable[[_SecretRun], None]) -> None:
                list(threads.map(phase, runs))

            # Discover the secrets, and what their issuer has to say.
            runs = self._discover(secrets)
            condition, shared = self._ask_issuer(started)
            condemned = CondemnedKeyReview(
                services.condemned_keys if whole or not act else None, services.evidence
            )
            condemned.read()
            each(lambda run: self._look(run, examiner))
            runs = _without_duplicates(runs)
            # Advance open incidents: labels, AWSPENDING, the next rotation. Revokes nothing.
            if act:
                each(lambda run: self._advance_incident(run, examiner))
            # Examine: read versions and values. Then ask the vendor, which buys signatures.
            each(lambda run: self._examine(run, examiner))
            if act:
                each(lambda run: self._ask_vendor(run, examiner))
            # Plan each secret, knowing which keys the others use.
            self._plan(runs, whole=whole)
            deaths: Mapping[tuple[str, str], ProbeHistory] = {}
            if act:
                # Execute the plans: labels, then revocation.
                each(self._execute)
                # Prove deaths, all together.
                probed = [key for run in runs for key in run.probed or ()]
                probed += condemned.keys_to_probe(_current_keys(runs), services.prover)
                deaths = self.death_prover.prove(probed)
                # Conclude: mark what is dead, keep evidence, close incidents.
                each(lambda run: _conclude(run, deaths))
            condemned.conclude(deaths)
        # Report.
        shared += condemned.warnings
        _log_and_count(runs, shared)
        return {
            "schema": SCHEMA,
            "action": "reconcile" if act else "report",
            "installation": services.policy.installation,
            "startedAt": iso_utc(started),
            "finishedAt": iso_utc(services.clock()),
            "issuer": issuer_report(condition) | {"condemned": condemned.report()},
            "warnings": warnings(shared),
            "secrets": [_report(run, act=act) for run in runs],
        }

    def _discover(self, secrets: Sequence[str] | None) -> list[_SecretRun]:
        names = dict.fromkeys(self.discover() if secrets is None else secrets)
        return [_SecretRun(name, self.open_secret(name)) for name in names]

    def _ask_issuer(self, now: datetime) -> tuple[IssuerCondition, list[KeyWarning]]:
        try:
            condition = self.condition()
        except RotationError as error:
            message = f"The issuer's credential or pool cannot be read: {error}"
            return IssuerCondition(), [KeyWarning(WarningCode.ISSUER_UNREADABLE, message)]
        return condition, list(issuer_warnings(condition, now))

    def _look(self, run: _SecretRun, examiner: Examiner) -> None:
        if self._in_time(run):
            run.look = run.isolate(lambda: examiner.look(run.secret))
        if run.look is not None:
            run.arn = run.look.snapshot.arn

    def _advance_incident(self, run: _SecretRun, examiner: Examiner) -> None:
        """Do what an open incident needs next, and look again if anything was done."""
        if run.look is None or INCIDENT_TAG not in run.look.snapshot.tags:
            return
        progress = run.isolate(lambda: advance(run.secret, self.services.clock()))
        acts = progress.acts if progress else ()
        for act in acts:
            logger.warning("incident", extra={"secret": run.arn, "act": act})
        if acts:
            run.look = run.isolate(lambda: examiner.look(run.secret))

    def _examine(self, run: _SecretRun, examiner: Examiner) -> None:
        look = run.look
        if look is None or not self._in_time(run):
            return
        # ListSecretVersionIds waits for its turn.
        self.services.rate_limiter()
        run.examination = run.isolate(lambda: examiner.examine(run.secret, look))
        run.warnings += _listing_warnings(look.listing_error)

    def _ask_vendor(self, run: _SecretRun, examiner: Examiner) -> None:
        """Ask the vendor, unless a slow vendor has taken the time: the plans are executed then."""
        examination = run.examination
        if examination is not None and self._in_time(run):
            run.examination = run.isolate(lambda: examiner.ask_vendor(examination))

    def _in_time(self, run: _SecretRun) -> bool:
        """Whether enough time is left for this secret; if not, a warning says so."""
        if not self.deadline.before(NEXT_SECRET_RESERVE).passed():
            return True
        message = "No time was left for this secret; the next run looks at it."
        run.warnings.append(KeyWarning(WarningCode.NOT_REACHED, message))
        return False

    def _plan(self, runs: Sequence[_SecretRun], *, whole: bool) -> None:
        """Plan each secret, knowing which keys the others use."""
        examined = [(run, run.examination) for run in runs if run.examination is not None]
        all_seen = whole and len(examined) == len(runs)
        users: Counter[str] = Counter()
        for _, examination in examined:
            users.update(examination.situation.in_use | examination.situation.in_flight)
        for run, examination in examined:
            own = examination.situation.in_use | examination.situation.in_flight
            listing = examination.situation.listing
            known = {*examination.keys, *(key.id for key in (listing.keys if listing else ()))}
            elsewhere = frozenset(key for key in known if users[key] > (1 if key in own else 0))
            situation = replace(
                examination.situation, in_use_elsewhere=elsewhere, all_seen=all_seen
            )
            run.examination = replace(examination, situation=situation)
            run.plan = plan(situation, self.services.policy)
            run.warnings += secret_warnings(situation, run.plan)

    def _execute(self, run: _SecretRun) -> None:
        if run.examination is None:
            return
        execution = Execution(run.secret, run.examination, run.plan, self.services)
        run.execution = execution
        run.probed = run.isolate(execution.execute)


def _without_duplicates(runs: Sequence[_SecretRun]) -> list[_SecretRun]:
    """One of each secret: a secret may have been named twice, by its name and by its ARN."""
    return list({run.arn: run for run in runs}.values())


def _conclude(run: _SecretRun, deaths: Mapping[tuple[str, str], ProbeHistory]) -> None:
    execution, probed = run.execution, run.probed
    if execution is None or probed is None:
        return
    own = {key.key.id: deaths[key.secret_arn, key.key.id] for key in probed}
    run.isolate(lambda: execution.conclude(own))
    run.warnings += execution.result.warnings


def _current_keys(runs: Iterable[_SecretRun]) -> Iterator[ApiKey]:
    """The current key of each secret that was examined."""
    for run in runs:
        if run.examination is not None and (current := run.examination.situation.current):
            key = run.examination.keys.get(current.key_id or "")
            if key is not None:
                yield key


def _listing_warnings(error: RotationError | None) -> list[KeyWarning]:
    """Why the vendor's keys could not be listed: the admin credential is dead, or the vendor is."""
    if error is None:
        return []
    if isinstance(error, CredentialRejectedError):
        message = f"The vendor does not accept the admin credential: {error} Store another one."
        return [KeyWarning(WarningCode.ADMIN_CREDENTIAL_DEAD, message)]
    if isinstance(error, VendorError):
        message = f"The vendor's keys cannot be listed: {error}"
        return [KeyWarning(WarningCode.VENDOR_UNAVAILABLE, message)]
    message = f"The issuer's credential or pool cannot be read: {error}"
    return [KeyWarning(WarningCode.ISSUER_UNREADABLE, message)]


def _report(run: _SecretRun, *, act: bool) -> dict[str, Any]:
    if run.examination is None:
        return unexamined(run.arn, run.warnings, run.failures)
    result = (run.execution.result if run.execution else ExecutionResult()) if act else None
    report = secret_report(run.examination.situation, run.plan, run.warnings, result)
    report["failures"] += [failure(error) for error in run.failures]
    return report


def _log_and_count(runs: Iterable[_SecretRun], shared: Iterable[KeyWarning]) -> None:
    """Log and count what the run did, in the thread that owns the metrics."""
    totals: Counter[str] = Counter()
    codes = [one.code for one in shared]
    for run in runs:
        result = run.execution.result if run.execution else ExecutionResult()
        failures = [*result.failures, *run.failures]
        codes += [one.code for one in run.warnings]
        totals["SecretsReconciled"] += 1
        totals["KeysRevoked"] += [*result.revoked.values()].count(Revocation.REVOKED)
        totals["KeysProvenDead"] += len(result.dead)
        totals["ReconciliationsFailed"] += bool(failures)
        for error in failures:
            logger.error(
                "reconciliation failed",
                extra={"secret": run.arn, "code": error.code, "reason": str(error)},
            )
        for one in run.warnings:
            logger.warning(
                "key warning",
                extra={"secret": run.arn, "code": one.code.value, "reason": one.message},
            )
    totals.update(f"Warnings.{code.value}" for code in codes)
    totals["UrgentWarnings"] += sum(code in URGENT for code in codes)
    for name, number in totals.items():
        count(name, number)
