"""Carries a plan out for one secret: labels first, then revocation, then what the proofs allow.

An `Execution` has two phases, with the proofs of death of all secrets between them:
`Execution.execute` relabels and revokes, `Execution.conclude` marks what was proven dead. Either
may run twice, or at the same time as another run: a label that is gone already is no error, a key
that was revoked already is proven dead all the same, and the next run finds again what failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from rotation.core.listing import list_own_keys
from rotation.core.policy import REMIND_AFTER, ReconciliationPolicy
from rotation.core.ports import (
    CondemnedKeys,
    EvidenceStore,
    KeyIssuer,
    KeyProver,
    Notifier,
    Revocation,
)
from rotation.credential import ApiKey
from rotation.errors import CredentialRejectedError, RotationError
from rotation.privacy.observability import logger
from rotation.reconciliation.examination import Examination, look_again, statement
from rotation.reconciliation.incident_record import record, record_name
from rotation.reconciliation.key_warnings import KeyWarning, WarningCode
from rotation.reconciliation.plan import Label, Plan, Reason, Retirement, plan
from rotation.reconciliation.proof_of_death import DeathVerdict, ProbedKey, ProbeHistory
from rotation.reconciliation.rate_limiter import RateLimiter
from rotation.reconciliation.situation import Reading, Situation
from rotation.secrets_manager.labels import (
    AWSPENDING,
    COMPROMISED_PREFIX,
    DEAD_PREFIX,
    INCIDENT_TAG,
    INCIDENT_TAGS,
    RETIRE_AFTER_PREFIX,
    retirement_label,
)
from rotation.secrets_manager.versions import SecretVersions


@dataclass(frozen=True)
class ReconciliationServices:
    """What a run uses, shared by all secrets.

    Attributes:
        issuer: revokes keys.
        prover: asks whether the current key signs.
        notifier: asks a person.
        evidence: keeps the record of an incident.
        find_key: a key that the issuer itself keeps, by its id.
        condemned_keys: the condemned keys that the issuer keeps, where it keeps any.
        rate_limiter: waits until the next write may be sent.
        clock: our clock, aware UTC.
    """

    issuer: KeyIssuer
    prover: KeyProver
    notifier: Notifier
    evidence: EvidenceStore
    policy: ReconciliationPolicy
    clock: Callable[[], datetime]
    rate_limiter: Callable[[], None] = field(default_factory=RateLimiter)
    find_key: Callable[[str], ApiKey | None] = lambda _: None
    condemned_keys: CondemnedKeys | None = None


@dataclass
class ExecutionResult:
    """What was done to one secret in this run.

    Attributes:
        marked: the versions that got a retirement mark.
        abandoned: the versions that lost AWSPENDING.
        revoked: the issuer's answer to each revocation, by key id.
        deaths: the probes of each key, by key id.
        dead: the keys that are proven dead, or that the vendor lists as not active.
        evidence: where the record of the incident is.
        warnings: what people should know of it.
        failures: what went wrong; the next run tries again.
    """

    marked: list[str] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)
    revoked: dict[str, Revocation] = field(default_factory=dict)
    deaths: dict[str, ProbeHistory] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    evidence: str | None = None
    warnings: list[KeyWarning] = field(default_factory=list)
    failures: list[RotationError] = field(default_factory=list)

    def warn(self, code: WarningCode, message: str) -> None:
        """Add a warning."""
        self.warnings.append(KeyWarning(code, message))


class Execution:
    """One plan for one secret, being carried out.

    Args:
        secret: the secret.
        examination: what the plan was made of.
        planned: the plan.
        services: what the run uses.
    """

    def __init__(
        self,
        secret: SecretVersions,
        examination: Examination,
        planned: Plan,
        services: ReconciliationServices,
    ) -> None:
        self._secret = secret
        self._examination = examination
        self._plan = planned
        self._services = services
        self._due: tuple[Retirement, ...] = ()
        self.result = ExecutionResult()

    def execute(self) -> tuple[ProbedKey, ...]:
        """Relabel, look again and revoke. Returns the keys whose death is to be proven.

        An ordinary retirement goes ahead only if a second look still wants it and the current key
        has just signed. A compromised key that is not current dies whatever else is wrong.
        """
        self._try(self._relabel)
        if not self._plan.retire:
            return ()
        self._examination = look_again(self._secret, self._examination)
        still = plan(self._examination.situation, self._services.policy).retire
        wanted = {(one.key_id, one.reason) for one in self._plan.retire}
        control = self._prove_current_key()
        self._due = tuple(
            one
            for one in still
            if (one.key_id, one.reason) in wanted
            and (control is not None or one.reason is Reason.COMPROMISED)
        )
        for one in self._due:
            if one.revoke:
                self._try(partial(self._revoke, one))
        return tuple(self._keys_to_probe(control)) if control is not None else ()

    def conclude(self, deaths: Mapping[str, ProbeHistory]) -> None:
        """Mark the versions of the keys that were proven dead, and warn about the others.

        Args:
            deaths: the probes of each key that `execute` returned, by key id.
        """
        self.result.deaths = dict(deaths)
        for one in self._due:
            self._try(partial(self._conclude_retirement, one))
        if self._incident_over():
            self._try(self._close_incident)

    def _try(self, act: Callable[[], None]) -> None:
        """Do one act; its failure is in the result and does not keep the others from being done."""
        try:
            act()
        except RotationError as error:
            self.result.failures.append(error)

    def _relabel(self) -> None:
        for version in self._plan.abandon:
            self._remove_label(Label(version, AWSPENDING))
            self.result.abandoned.append(version)
            self._log("stuck rotation abandoned", version=version)
        for label in self._plan.remove:
            self._remove_label(label)
        for label in self._plan.mark:
            self._add_label(label)
            self.result.marked.append(label.version)
            self._log("version marked for retirement", version=label.version, label=label.label)
        if self._plan.untag and self._incident_tag_is_unchanged():
            self._secret.untag(*INCIDENT_TAGS)

    def _incident_tag_is_unchanged(self) -> bool:
        """Whether nobody has declared another incident since this run read the tags."""
        found = self._situation.snapshot.tags.get(INCIDENT_TAG)
        return self._secret.snapshot().tags.get(INCIDENT_TAG) == found

    def _add_label(self, label: Label) -> None:
        self._services.rate_limiter()
        self._secret.add_label(label.label, label.version)

    def _remove_label(self, label: Label) -> None:
        self._services.rate_limiter()
        self._secret.remove_label(label.label, label.version)

    def _mark_dead(self, version: str) -> None:
        """Replace our labels on ``version`` by one that says that its key is dead.

        First the new label, then the old ones go: a crash in between leaves both, and the next
        run finishes. A version that bears no other label needs none: AWS may delete it.
        """
        ours = [
            *self._labels_of(version, RETIRE_AFTER_PREFIX),
            *self._labels_of(version, COMPROMISED_PREFIX),
        ]
        others = self._situation.snapshot.labels.get(version, frozenset()) - set(ours)
        if others and not self._labels_of(version, DEAD_PREFIX):
            self._add_label(Label(version, DEAD_PREFIX + version))
        for label in ours:
            self._remove_label(Label(version, label))

    def _postpone(self, version: str, until: datetime) -> None:
        """Replace the retirement mark of ``version`` by a later one."""
        later = retirement_label(version, until)
        self._add_label(Label(version, later))
        for label in self._labels_of(version, RETIRE_AFTER_PREFIX):
            if label != later:
                self._remove_label(Label(version, label))

    def _labels_of(self, version: str, prefix: str) -> list[str]:
        labels = self._situation.snapshot.labels.get(version, frozenset())
        return sorted(label for label in labels if label.startswith(prefix))

    def _prove_current_key(self) -> ApiKey | None:
        """The current key, if it has just signed."""
        current = self._situation.current
        key = self._examination.keys.get(current.key_id or "") if current else None
        if key is None:
            return None
        try:
            self._services.prover.prove(key, statement(self._secret.arn))
        except RotationError as error:
            if isinstance(error, CredentialRejectedError):
                self.result.warn(
                    WarningCode.CURRENT_KEY_DEAD,
                    f"The current key {key.id} is not accepted by the vendor, so nothing can be "
                    "retired against it. Rotate now.",
                )
            else:
                self.result.failures.append(error)
            return None
        return key

    def _revoke(self, retirement: Retirement) -> None:
        key_id = retirement.key_id
        outcome = self._services.issuer.revoke(key_id)
        self.result.revoked[key_id] = outcome
        if outcome is Revocation.MANUAL_ACTION_NEEDED:
            self.result.warn(
                WarningCode.MANUAL_REVOCATION_NEEDED,
                f"Key {key_id} works until a person revokes it in the vendor's portal.",
            )
        self._log(
            "revocation asked for",
            key_id=key_id,
            reason=retirement.reason.value,
            outcome=outcome.value,
        )

    def _keys_to_probe(self, control: ApiKey) -> list[ProbedKey]:
        probed = []
        for one in self._due:
            key = self._examination.keys.get(one.key_id) or self._services.find_key(one.key_id)
            asked = not one.revoke or one.key_id in self.result.revoked
            if key is not None and asked:
                by_hand = self.result.revoked.get(one.key_id) is Revocation.MANUAL_ACTION_NEEDED
                probed.append(ProbedKey(self._secret.arn, key, control, revoked=not by_hand))
        return probed

    def _conclude_retirement(self, retirement: Retirement) -> None:
        key_id = retirement.key_id
        death = self.result.deaths.get(key_id)
        if self._listed_dead(key_id) if death is None else death.verdict is DeathVerdict.DEAD:
            self.result.dead.add(key_id)
            if retirement.reason is not Reason.COMPROMISED:
                # The issuer forgets last: the next run could not find a key that it does not list.
                for version in retirement.versions:
                    self._mark_dead(version)
                self._services.issuer.forget(key_id)
            self._log("key proven dead", key_id=key_id, reason=retirement.reason.value)
        elif death is not None and death.verdict is DeathVerdict.ALIVE:
            self._report_alive(retirement)
        else:
            self.result.warn(
                WarningCode.DEATH_UNPROVEN,
                f"Key {key_id} is not proven dead yet; the next run tries.",
            )

    def _listed_dead(self, key_id: str) -> bool:
        """Whether the vendor lists a key as not active; False if its material is known."""
        if key_id in self._examination.keys or self._services.find_key(key_id) is not None:
            return False
        listing = list_own_keys(
            self._services.issuer, self._services.policy.installations, self._secret.arn
        )
        return not any(key.id == key_id and key.active for key in listing.keys)

    def _report_alive(self, retirement: Retirement) -> None:
        key_id, compromised = retirement.key_id, retirement.reason is Reason.COMPROMISED
        self.result.warn(
            WarningCode.KEY_ALIVE_AFTER_INCIDENT if compromised else WarningCode.KEY_ALIVE,
            f"The vendor still accepts key {key_id}. If it stays so, revoke it in the vendor's "
            "portal.",
        )
        if self.result.revoked.get(key_id) is not Revocation.ALREADY_GONE:
            return
        # The issuer does not know this key, because a person made it: nobody was asked yet.
        facts = {
            "what to do": "Revoke this API key in the vendor's portal. It works until you do.",
            "key id": key_id,
            "secret": self._secret.arn,
        }
        if not compromised:
            # The later mark makes reconciliation ask about this key, and tell a person, once a day.
            for version in retirement.versions:
                until = self._services.clock() + REMIND_AFTER
                self._postpone(version, until)
        self._services.notifier.notify(f"Revoke API key {key_id}", facts)

    def _incident_over(self) -> bool:
        """Whether this run has proven that every compromised key of this secret is dead."""
        compromised = [version for version in self._situation.versions if version.compromised]
        again = plan(self._situation, self._services.policy)
        wanted = (*again.retire, *again.waiting)
        keys = {one.key_id for one in wanted if one.reason is Reason.COMPROMISED}
        clear = all(
            version.displaced and version.reading in {Reading.READ, Reading.EMPTY}
            for version in compromised
        )
        return bool(keys) and clear and keys <= self.result.dead

    def _close_incident(self) -> None:
        """Keep the record first; only then remove the labels, the pool's entries and the tags."""
        retirements = [one for one in self._due if one.reason is Reason.COMPROMISED]
        versions = [v for v in self._situation.versions if v.compromised and v.key_id is not None]
        facts = record(
            self._situation,
            retirements,
            self.result.deaths,
            installation=self._services.policy.installation,
            completed_at=self._services.clock(),
        )
        name = record_name(
            self._situation.snapshot.name,
            [version.id for version in versions] or [one.key_id for one in retirements],
        )
        self.result.evidence = self._services.evidence.keep(name, facts)
        self._log("incident closed", evidence=self.result.evidence)
        for version in versions:
            self._mark_dead(version.id)
        for one in retirements:
            self._services.issuer.forget(one.key_id)
        # Another incident may have been declared meanwhile; then the tags are of that one.
        closed = {version.id for version in self._situation.versions if version.compromised}
        again = self._secret.snapshot()
        if not any(again.compromised(version) for version in again.labels.keys() - closed):
            self._secret.untag(*INCIDENT_TAGS)

    @property
    def _situation(self) -> Situation:
        return self._examination.situation

    def _log(self, fact: str, **ids: object) -> None:
        logger.info(fact, extra={"secret": self._secret.arn} | ids, stacklevel=2)
