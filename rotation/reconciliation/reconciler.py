"""One run over many secrets, in phases that stand in their order in `Reconciler.run`.

A secret that fails never stops the others. Calls grow with the number of secrets and no faster,
and stay below the quotas that the account's other users share (`RateLimiter`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from rotation.core.journal_reading import read_journal
from rotation.core.ports import IssuerCondition, Revocation
from rotation.credential import ApiKey, iso_utc, whole_milliseconds
from rotation.deadline import NEXT_SECRET_RESERVE, RECONCILE_CALLS_RESERVE, Deadline
from rotation.errors import (
    CredentialRejectedError,
    JournalError,
    RotationError,
    VendorError,
    VersionStateError,
)
from rotation.incident.attestation import attest, refuse_provable
from rotation.incident.declaration import declare
from rotation.incident.progress import CurrentState, Progress, Stage, advance
from rotation.journal.model import Declaration, Journal
from rotation.privacy.observability import count, logger
from rotation.reconciliation.announcer import PhaseAnnouncer
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
from rotation.reconciliation.late_use import LateUse, to_look_for
from rotation.reconciliation.observation import carry_over, observe
from rotation.reconciliation.plan import Plan, RunOptions, plan
from rotation.reconciliation.prolongation import prolong
from rotation.reconciliation.proof_of_death import DeathProver, ProbedKey, ProbeHistory
from rotation.reconciliation.report import (
    SCHEMA,
    failure,
    issuer_report,
    secret_report,
    unexamined,
    warnings,
)
from rotation.reconciliation.run_order import RunOrder
from rotation.reconciliation.situation import Reading, Situation
from rotation.secrets_manager.discovery import ListedSecret
from rotation.secrets_manager.labels import AWSPENDING, INCIDENT_TAG
from rotation.secrets_manager.snapshot import Snapshot
from rotation.secrets_manager.versions import SecretVersions

_T = TypeVar("_T")
_DAY: Final = timedelta(days=1)


@dataclass
class _SecretRun:
    """One secret in this run: what each phase leaves for the next.

    Attributes:
        arn: the secret's ARN, or its name until the first look.
        secret: the secret.
        look: what is known before a value is read; None: that phase did not succeed.
        before: the journal as it was before this run; None: it could not be read or written.
        examination: what was found; None: that phase did not succeed.
        plan: what is to be done.
        execution: what is being done; None: nothing.
        probed: the keys whose death is to be proven; None: nothing was executed.
        warnings: what people should know.
        failures: what went wrong outside of ``execution``.
        events_waiting: whether a warning says that the bus did not take every event.
    """

    arn: str
    secret: SecretVersions
    look: FirstLook | None = None
    before: Journal | None = None
    examination: Examination | None = None
    plan: Plan = field(default_factory=Plan)
    execution: Execution | None = None
    probed: tuple[ProbedKey, ...] | None = None
    warnings: list[KeyWarning] = field(default_factory=list)
    failures: list[RotationError] = field(default_factory=list)
    events_waiting: bool = False

    def isolate(self, act: Callable[[], _T]) -> _T | None:
        """Do an act of this secret; whatever goes wrong is its failure and nobody else's.

        Without its journal no key of the secret dies, whichever act needed it.
        """
        try:
            return act()
        except RotationError as error:
            self.failures.append(error)
            if isinstance(error, JournalError):
                message = f"No key of this secret is retired: {error}"
                self.warnings.append(KeyWarning(WarningCode.JOURNAL_UNUSABLE, message))
        except Exception as error:  # noqa: BLE001 - one secret must not stop the others
            logger.exception("reconciliation failed unexpectedly", extra={"secret": self.arn})
            self.failures.append(RotationError(f"Failed unexpectedly ({type(error).__name__})."))
        return None


@dataclass(frozen=True)
class Reconciler:
    """Everything that a run needs.

    Attributes:
        open_secret: the versions of a secret, by its ARN or name.
        discover: lists all secrets that name our rotation function.
        condition: asks how the issuer is doing.
        services: what a run uses, shared by all secrets.
        death_prover: proves that keys are dead.
        deadline: when this invocation must have ended.
        workers: how many secrets are worked on at the same time.
    """

    open_secret: Callable[[str], SecretVersions]
    discover: Callable[[], Sequence[ListedSecret]]
    condition: Callable[[], IssuerCondition]
    services: ReconciliationServices
    death_prover: DeathProver
    deadline: Deadline
    workers: int = 8

    def run(
        self,
        secrets: Sequence[str] | None = None,
        *,
        act: bool = True,
        options: RunOptions = RunOptions(),  # noqa: B008 - frozen
        released: str | None = None,
    ) -> dict[str, Any]:
        """Reconcile ``secrets``, or all; with ``act=False`` change nothing and ask no key.

        Args:
            secrets: names or ARNs; None: all.
            act: whether to do anything.
            options: what the caller asks for.
            released: the ARN of the secret whose keys are retired however many they are.

        Returns:
            the report.

        Raises:
            SecretStoreError: the secrets could not be listed.
        """
        services, started, whole = self.services, self.services.clock(), secrets is None

        def options_of(run: _SecretRun) -> RunOptions:
            return RunOptions(eager=True, release=True) if run.arn == released else options

        examiner = self._examiner()
        with ThreadPoolExecutor(self.workers) as threads:

            def each(phase: Callable[[_SecretRun], None]) -> None:
                list(threads.map(phase, runs))

            # Discover the secrets, and what their issuer has to say.
            order = RunOrder(services.journals.store, services.policy.rotation_function)
            runs = self._open(order.arrange(self.discover()) if secrets is None else secrets)
            condition, shared = self._ask_issuer(started)
            shared += _discovery_warnings(runs, whole=whole)
            condemned = CondemnedKeyReview(
                services.condemned_keys if whole or not act else None, services.evidence
            )
            condemned.read()
            each(lambda run: self._look(run, examiner))
            runs = _without_duplicates(runs)
            # Examine: read the journal, versions and values.
            each(lambda run: self._examine(run, examiner))
            _relate(runs, whole=whole)
            # Observe: write in the journal what was found.
            each(lambda run: self._observe(run, store=act))
            if act:
                # Advance open incidents: AWSPENDING, the next rotation. Revokes nothing.
                each(lambda run: self._advance_incident(run, examiner))
                # Announce what is new, before any key is revoked.
                each(self._announce)
                # Ask the vendor about the current keys, which buys signatures.
                each(lambda run: self._ask_vendor(run, examiner))
            # Plan each secret.
            each(lambda run: self._plan(run, options_of(run)))
            deaths: Mapping[tuple[str, str], ProbeHistory] = {}
            if act:
                # Look who still uses the keys that are about to die.
                self._heed_use(runs, options_of)
                # Execute the plans: labels, then revocation.
                each(lambda run: self._execute(run, options_of(run)))
                # Prove deaths, all together.
                probed = [key for run in runs for key in run.probed or ()]
                probed += condemned.keys_to_probe(_current_keys(runs), services.prover)
                deaths = self.death_prover.prove(probed)
                # Conclude: write down what is dead, close incidents, keep evidence.
                each(lambda run: _conclude(run, deaths))
                # Announce deaths, and incidents that were closed.
                each(self._announce)
            condemned.conclude(deaths)
        if whole and act:
            order.keep([run.arn for run in runs if run.examination is None and not run.failures])
        # Report.
        shared += condemned.warnings
        _log_and_count(runs, shared)
        _count_conditions(runs, condition, started)
        if whole and act:
            # An alarm takes the absence of this count for a run that did not take place.
            count("ReconciliationsFinished")
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

    def declare(self, secret: str, declaration: Declaration, *, again: bool) -> Journal:
        """Declare every key of ``secret`` compromised, and return the journal that says so.

        Reads no value, so that nothing but the journal can hold it up: `observe` adds the keys that
        turn out to be in the versions. Does NOT rotate or revoke anything.

        Raises:
            VersionStateError: the secret is scheduled for deletion, or another function rotates it.
            SecretStoreError, JournalError: it may not be declared; asking again is safe.
        """
        run, look = self._only(secret)
        _refuse_deleted(look.snapshot)
        listed = look.listing.keys if look.listing else ()
        keys: dict[str, tuple[str, ...]] = {key.id: () for key in listed if key.active}
        versions = {*look.snapshot.labels, *(one.id for one in run.secret.list_versions())}
        journals = self.services.journals
        before = journals.read(run.arn)
        declared = journals.change(
            before,
            lambda found: declare(found, declaration, keys=keys, versions=versions, again=again),
        )
        return self._announcer().announce(declared, before, None)[0]

    def advance(self, secret: str) -> tuple[Progress, Situation]:
        """Do what the open incident of ``secret`` needs next, and return what was found before.

        Raises:
            VersionStateError: another function rotates the secret, or it is scheduled for deletion.
            SecretStoreError, JournalError: asking again is safe.
        """
        examiner = self._examiner()
        run, look = self._only(secret)
        journal = read_journal(self.services.journals, look.snapshot)
        self.services.rate_limiter()
        examination = examiner.examine(run.secret, look, journal)
        run.examination = replace(
            examination, situation=replace(examination.situation, whole=False, all_seen=False)
        )
        self._write_down(run, journal)
        progress = self._advance(run, run.examination.situation)
        return progress, run.examination.situation

    def attest(self, secret: str, key_id: str, *, actor: str, reason: str) -> Journal:
        """Write down that a person attests the death of a key, which nothing can prove any more.

        Raises:
            VersionStateError: its death can be proven, or nobody knows such a key.
            SecretStoreError, JournalError: asking again is safe.
        """
        run, look = self._only(secret)
        journals, now = self.services.journals, whole_milliseconds(self.services.clock())
        journal = read_journal(journals, look.snapshot)
        self.services.rate_limiter()
        situation = self._examiner().examine(run.secret, look, journal).situation
        held_by = tuple(f"version {one.id}" for one in situation.holders.get(key_id, ()))
        if self.services.find_key(key_id) is not None:
            held_by = (*held_by, "the pool")
        refuse_provable(key_id, run.arn, held_by=held_by, listing=look.listing)
        return journals.change(
            journal, lambda found: attest(found, key_id, actor=actor, reason=reason, now=now)
        )

    def _announcer(self) -> PhaseAnnouncer:
        services = self.services
        return PhaseAnnouncer(
            services.events, services.journals, services.policy.installation, services.clock
        )

    def _examiner(self) -> Examiner:
        services = self.services
        return Examiner(services.issuer, services.prover, services.policy, services.clock)

    def _only(self, secret: str) -> tuple[_SecretRun, FirstLook]:
        """The run of one secret, by its name or ARN, and the first look at it."""
        run = _SecretRun(secret, self.open_secret(secret))
        return run, self._first_look(run, self._examiner())

    def _open(self, names: Sequence[str]) -> list[_SecretRun]:
        return [_SecretRun(name, self.open_secret(name)) for name in dict.fromkeys(names)]

    def _ask_issuer(self, now: datetime) -> tuple[IssuerCondition, list[KeyWarning]]:
        try:
            condition = self.condition()
        except RotationError as error:
            message = f"The issuer's credential or pool cannot be read: {error}"
            return IssuerCondition(), [KeyWarning(WarningCode.ISSUER_UNREADABLE, message)]
        return condition, list(issuer_warnings(condition, now))

    def _look(self, run: _SecretRun, examiner: Examiner) -> None:
        if self._in_time(run):
            run.look = run.isolate(lambda: self._first_look(run, examiner))

    def _first_look(self, run: _SecretRun, examiner: Examiner) -> FirstLook:
        """Look at the secret. What was named in another way is opened anew by its full ARN."""
        look = examiner.look(run.secret)
        if look.snapshot.arn != run.secret.arn:
            run.secret = self.open_secret(look.snapshot.arn)
            look = examiner.look(run.secret)
        run.arn = look.snapshot.arn
        return look

    def _examine(self, run: _SecretRun, examiner: Examiner) -> None:
        look = run.look
        if look is None or not self._in_time(run):
            return
        journal = run.isolate(lambda: read_journal(self.services.journals, look.snapshot))
        # ListSecretVersionIds waits for its turn.
        self.services.rate_limiter()
        run.examination = run.isolate(
            lambda: examiner.examine(run.secret, look, journal or Journal(run.arn))
        )
        run.before = journal
        run.warnings += _listing_warnings(look.listing_error)

    def _observe(self, run: _SecretRun, *, store: bool) -> None:
        examination, before = run.examination, run.before
        if examination is None or before is None:
            return
        run.before = None
        situation = examination.situation
        if store:
            run.isolate(lambda: self._write_down(run, before))
        else:
            journal = observe(before, situation, self.services.policy)
            run.examination = replace(examination, situation=replace(situation, journal=journal))
            run.before = carry_over(before, situation)

    def _write_down(self, run: _SecretRun, before: Journal) -> None:
        """Write in the journal what was found."""
        examination = run.examination
        if examination is None:
            return
        situation, policy = examination.situation, self.services.policy
        journal = self.services.journals.change(
            before, lambda found: observe(found, situation, policy)
        )
        run.examination = replace(examination, situation=replace(situation, journal=journal))
        run.before = carry_over(before, situation)

    def _advance_incident(self, run: _SecretRun, examiner: Examiner) -> None:
        """Do what an open incident needs next, and look again if anything was done."""
        examination, before = run.examination, run.before
        if examination is None or before is None:
            return
        situation, look = examination.situation, run.look
        if situation.journal.open_incident is None or look is None:
            return
        progress = run.isolate(lambda: self._advance(run, situation))
        if progress is not None and progress.problem is not None:
            run.failures.append(progress.problem)
        if progress is None or not progress.acts:
            return
        again = run.isolate(lambda: examiner.look(run.secret))
        if again is not None:
            found = run.isolate(lambda: examiner.examine(run.secret, again, progress.journal))
            run.examination = found and replace(
                found,
                situation=replace(
                    found.situation,
                    in_use_elsewhere=situation.in_use_elsewhere,
                    suspect_elsewhere=situation.suspect_elsewhere,
                    whole=situation.whole,
                    all_seen=situation.all_seen,
                ),
            )

    def _advance(self, run: _SecretRun, situation: Situation) -> Progress:
        if situation.journal.open_incident is None:
            return Progress(Stage.NONE, situation.journal)
        _refuse_deleted(situation.snapshot)
        progress = advance(
            run.secret,
            situation.journal,
            _current_state(situation),
            keeper=self.services.journals,
            now=whole_milliseconds(self.services.clock()),
        )
        for act in progress.acts:
            logger.warning("incident", extra={"secret": run.arn, "act": act})
        return progress

    def _announce(self, run: _SecretRun) -> None:
        """Tell those who depend on the keys of a secret which phases are new.

        It holds nothing up: what is not sent is sent by the next run.
        """
        examination, before = run.examination, run.before
        if examination is None or before is None:
            return
        situation = examination.situation
        late = self.deadline.before(RECONCILE_CALLS_RESERVE).passed()
        if situation.snapshot.deleted_at is not None or late:
            return
        journal = run.execution.journal if run.execution else situation.journal
        announced = run.isolate(lambda: self._announcer().announce(journal, before, situation))
        if announced is None:
            return
        journal, error = announced
        run.examination = replace(examination, situation=replace(situation, journal=journal))
        if error is not None and not run.events_waiting:
            run.events_waiting = True
            message = f"Those who depend on the keys were not told of every phase: {error}"
            run.warnings.append(KeyWarning(WarningCode.EVENTS_WAITING, message))

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

    def _plan(self, run: _SecretRun, options: RunOptions) -> None:
        if run.examination is None:
            return
        if run.before is None:
            run.plan = Plan(suspended="the journal cannot be read or written")
            run.warnings += secret_warnings(run.examination.situation, run.plan)
            return
        situation = run.examination.situation
        run.plan = plan(situation, self.services.policy, run.before, options)
        run.warnings += secret_warnings(situation, run.plan)

    def _heed_use(
        self, runs: Sequence[_SecretRun], options_of: Callable[[_SecretRun], RunOptions]
    ) -> None:
        """Report the keys that still seal in the last minutes of their grace, and prolong it.

        The ledger is looked at once for all secrets, and only if a key is to die before the next
        run. Without an answer every key dies at its time.
        """
        ledger = self.services.ledger
        if ledger is None or self.deadline.before(NEXT_SECRET_RESERVE).passed():
            return
        looked_for = [
            (run, one, since)
            for run in runs
            if run.examination is not None and run.before is not None
            for one, since in to_look_for(run.examination.situation, run.plan)
        ]
        if not looked_for:
            return
        since = {one.key_id: at for _, one, at in looked_for}
        try:
            uses, whole = ledger.uses(since)
        except RotationError as error:
            for run, one, _ in looked_for:
                message = f"Whether key {one.key_id} still seals is not known: {error}"
                run.warnings.append(KeyWarning(WarningCode.KEY_USE_UNKNOWN, message))
            return
        for run, one, _ in looked_for:
            if one.key_id in uses:
                use = LateUse(one.key_id, one.due, uses[one.key_id], whole)
                run.warnings.append(use.warning())
                run.isolate(partial(self._prolong, run, use, options_of(run)))

    def _prolong(self, run: _SecretRun, use: LateUse, options: RunOptions) -> None:
        """Let a key that still seals live until the next run, as far as the settings allow."""
        examination, limit = run.examination, self.services.policy.used_key_grace
        if examination is None or not limit or use.due > examination.situation.now:
            return
        situation = examination.situation
        wish = use.prolongation(situation)
        if wish is None:
            return
        now = situation.now
        try:
            journal = self.services.journals.change(
                situation.journal,
                lambda found: prolong(found, use.key_id, wish, limit=limit, now=now, late=True),
            )
        except VersionStateError:
            # Another run is faster, or the key was declared compromised meanwhile.
            return
        situation = replace(situation, journal=journal)
        run.examination = replace(examination, situation=situation)
        run.plan = plan(situation, self.services.policy, run.before, options)

    def _execute(self, run: _SecretRun, options: RunOptions) -> None:
        examination, before = run.examination, run.before
        if examination is None or before is None or examination.situation.snapshot.deleted_at:
            return
        execution = Execution(
            run.secret, examination, before, run.plan, options=options, services=self.services
        )
        run.execution = execution
        run.probed = run.isolate(execution.execute)


def _refuse_deleted(snapshot: Snapshot) -> None:
    """Refuse an incident of a secret that is scheduled for deletion: nothing rotates it.

    Raises:
        VersionStateError: it is; the message says what to do.
    """
    if snapshot.deleted_at is not None:
        raise VersionStateError(
            f"{snapshot.arn} is scheduled for deletion. Restore it first (aws secretsmanager "
            f"restore-secret --secret-id {snapshot.arn}), or revoke its keys in the vendor's "
            "portal."
        )


def _relate(runs: Sequence[_SecretRun], *, whole: bool) -> None:
    """Tell each secret which of its keys the others use, or were declared compromised with."""
    examined = [(run, run.examination) for run in runs if run.examination is not None]
    all_seen = whole and len(examined) == len(runs)
    users: Counter[str] = Counter()
    for _, examination in examined:
        users.update(examination.situation.in_use | examination.situation.in_flight)
    declared = [
        (key, run.arn)
        for run, examination in examined
        for incident in examination.situation.journal.incidents
        for key in incident.suspects
    ]
    for run, examination in examined:
        situation = examination.situation
        own = situation.in_use | situation.in_flight
        listed = (key.id for key in (situation.listing.keys if situation.listing else ()))
        known = {*situation.holders, *situation.journal.keys, *listed}
        elsewhere = frozenset(key for key in known if users[key] > (1 if key in own else 0))
        suspect = {key: arn for key, arn in declared if arn != run.arn and key in own}
        situation = replace(
            situation,
            in_use_elsewhere=elsewhere,
            suspect_elsewhere=suspect,
            whole=whole,
            all_seen=all_seen,
        )
        run.examination = replace(examination, situation=situation)


def _current_state(situation: Situation) -> CurrentState:
    """What an open incident needs to know of the secret."""
    current = situation.current
    pending = next(
        (one for one in situation.versions if AWSPENDING in one.labels and not one.current), None
    )
    return CurrentState(
        current_is_sound=current is not None
        and current.reading is Reading.READ
        and current.key_id is not None
        and not situation.suspect(current)
        and not situation.journal.dead(current.key_id)
        and situation.current_problem is None,
        pending=pending.id if pending else None,
        pending_is_sound=pending is not None
        and pending.pending
        and not situation.suspect(pending)
        and pending.reading is not Reading.UNREADABLE,
        tag=situation.snapshot.tags.get(INCIDENT_TAG),
    )


def _discovery_warnings(runs: Sequence[_SecretRun], *, whole: bool) -> list[KeyWarning]:
    if runs or not whole:
        return []
    message = (
        "No secret names the rotation function, so nothing is rotated, retired or watched. If the "
        "function was replaced, name the new one: aws secretsmanager rotate-secret --secret-id "
        "SECRET --rotation-lambda-arn ROTATION_FUNCTION_ARN"
    )
    return [KeyWarning(WarningCode.NO_SECRETS, message)]


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
            key = run.examination.keys.get(current.id)
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


def _count_conditions(
    runs: Iterable[_SecretRun], condition: IssuerCondition, now: datetime
) -> None:
    """How old the current keys are, how long they still work, and how many keys the pool has."""
    currents = [run.examination.situation.current for run in runs if run.examination is not None]
    made = [one.issued_at or one.created_at for one in currents if one is not None]
    ages = [(now - at) / _DAY for at in made if at is not None]
    expiries = [one.expires_at for one in currents if one is not None]
    left = [(at - now) / _DAY for at in expiries if at is not None]
    if ages:
        count("OldestCurrentKeyDays", round(max(ages), 2))
    if left:
        count("FirstExpiryDays", round(min(left), 2))
    if condition.keys_left is not None:
        count("PoolKeysLeft", condition.keys_left)
