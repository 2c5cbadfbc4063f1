"""Carries a plan out for one secret: labels first, then revocation, then what the proofs allow.

An `Execution` has two phases, with the proofs of death of all secrets between them:
`Execution.execute` relabels and revokes, `Execution.conclude` writes down what was proven. Either
may run twice, or at the same time as another run: a label that is gone already is no error, a key
that was revoked already is proven dead all the same, and the next run finds again what failed.
What is about to be done is in the journal before it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from rotation.core.listing import list_own_keys
from rotation.core.policy import REMIND_AFTER, RUN_JITTER, ReconciliationPolicy
from rotation.core.ports import (
    CondemnedKeys,
    EventBus,
    EvidenceStore,
    KeyIssuer,
    KeyProver,
    LedgerReader,
    Notifier,
    Revocation,
    SignatureLog,
)
from rotation.core.statements import of_a_reconciliation
from rotation.credential import ApiKey, whole_milliseconds
from rotation.errors import CredentialRejectedError, RotationError, SecretStoreError
from rotation.incident.closing import close, record, record_name, with_evidence
from rotation.incident.seal_counts import seal_counts
from rotation.journal.keeper import JournalKeeper
from rotation.journal.model import Death, Incident, Journal, KeyLife
from rotation.privacy.observability import logger
from rotation.reconciliation.examination import Examination, look_again, read_keys
from rotation.reconciliation.key_warnings import KeyWarning, WarningCode
from rotation.reconciliation.plan import Label, Plan, Reason, Retirement, RunOptions, plan
from rotation.reconciliation.proof_of_death import (
    LISTED_AS_NOT_ACTIVE,
    DeathVerdict,
    ProbedKey,
    ProbeHistory,
    death_facts,
)
from rotation.reconciliation.rate_limiter import RateLimiter
from rotation.reconciliation.situation import Situation
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING, INCIDENT_TAG
from rotation.secrets_manager.versions import SecretVersions


@dataclass(frozen=True)
class ReconciliationServices:
    """What a run uses, shared by all secrets.

    Attributes:
        issuer: revokes keys.
        prover: asks whether the current key signs.
        notifier: asks a person.
        evidence: keeps the record of an incident.
        journals: keeps the journal of each secret.
        find_key: a key that the issuer itself keeps, by its id.
        condemned_keys: the condemned keys that the issuer keeps, where it keeps any.
        ledger: the ledger of seals, where one is kept.
        signatures: what the vendor signed, where it tells.
        events: the bus on which phases are announced, where one is named.
        rate_limiter: waits until the next write may be sent.
        clock: our clock, aware UTC.
    """

    issuer: KeyIssuer
    prover: KeyProver
    notifier: Notifier
    evidence: EvidenceStore
    journals: JournalKeeper
    policy: ReconciliationPolicy
    clock: Callable[[], datetime]
    rate_limiter: Callable[[], None] = field(default_factory=RateLimiter)
    find_key: Callable[[str], ApiKey | None] = lambda _: None
    condemned_keys: CondemnedKeys | None = None
    ledger: LedgerReader | None = None
    signatures: SignatureLog | None = None
    events: EventBus | None = None


@dataclass
class ExecutionResult:
    """What was done to one secret in this run.

    Attributes:
        kept: the versions that got a label which keeps them from being deleted.
        abandoned: the versions that lost AWSPENDING.
        revoked: the issuer's answer to each revocation, by key id.
        deaths: the probes of each key, by key id.
        dead: the keys that are proven dead, or that the vendor lists as not active.
        evidence: where the record of the incident is that was closed.
        warnings: what people should know of it.
        failures: what went wrong; the next run tries again.
    """

    kept: list[str] = field(default_factory=list)
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
        secret: the secret, by its full ARN.
        examination: what the plan was made of.
        before: the journal as it was before this run.
        planned: the plan.
        options: what the caller of the run asks for.
        services: what the run uses.
    """

    def __init__(
        self,
        secret: SecretVersions,
        examination: Examination,
        before: Journal,
        planned: Plan,
        *,
        options: RunOptions,
        services: ReconciliationServices,
    ) -> None:
        self._secret = secret
        self._examination = examination
        self._before = before
        self._plan = planned
        self._options = options
        self._services = services
        self._journal = examination.situation.journal
        self._due: tuple[Retirement, ...] = ()
        self._control: ApiKey | None = None
        self._materials: dict[str, tuple[ApiKey, ...]] = {}
        self._inactive: set[str] = set()
        self.result = ExecutionResult()

    @property
    def journal(self) -> Journal:
        """The journal as this run stored or read it last."""
        return self._journal

    def execute(self) -> tuple[ProbedKey, ...]:
        """Relabel, look again and revoke. Returns the keys whose death is to be proven.

        An ordinary retirement goes ahead only if a second look still wants it and the current key
        has just signed. A suspect key that is not current dies whatever else is wrong. No key is
        revoked before the journal says that it is about to be.
        """
        self._relabel()
        self._forget_dead_keys()
        if not self._plan.retire and self._journal.open_incident is None:
            return ()
        journals = self._services.journals
        self._journal = journals.read(self._secret.arn)
        self._examination = look_again(self._secret, self._examination, self._journal)
        self._control = self._prove_current_key()
        self._journal = journals.change(self._journal, self._note_revocations)
        for one in self._due:
            if one.revoke:
                self._try(partial(self._revoke, one))
            self._try(partial(self._read_materials, one.key_id))
        return tuple(self._keys_to_probe(self._control)) if self._control is not None else ()

    def conclude(self, deaths: Mapping[str, ProbeHistory]) -> None:
        """Write down what was proven, warn about the other keys, and close the incident.

        Args:
            deaths: the probes of each key that `execute` returned, by key id.
        """
        self.result.deaths = dict(deaths)
        dead = [one for one in self._due if self._try_bool(partial(self._is_dead, one))]
        conclusions = partial(self._conclusions, dead=dead)
        incident = self._journal.open_incident
        if incident is not None and conclusions(self._journal).open_incident is None:
            self._try(self._look_at_current)
        self._journal = self._services.journals.change(self._journal, conclusions)
        self.result.dead = {one.key_id for one in dead}
        for one in dead:
            # The issuer forgets last: the next run could not find a key that it does not list.
            self._try(partial(self._services.issuer.forget, one.key_id))
            self._log("key proven dead", key_id=one.key_id, reason=one.reason.value)
        for one in self._due:
            if one not in dead:
                self._try(partial(self._report_undead, one))
        listing = self._situation.listing
        if self._journal.open_incident is not None and listing is not None and not listing.whole:
            self.result.warn(
                WarningCode.ISSUER_UNREADABLE,
                "The incident stays open while an entry of the pool cannot be read: it may be a "
                "suspect key's. Mend the entry: docs/key-pool.md.",
            )
        self._keep_records()

    def _try(self, act: Callable[[], None]) -> None:
        """Do one act; its failure is in the result and does not keep the others from being done."""
        try:
            act()
        except RotationError as error:
            self.result.failures.append(error)

    def _try_bool(self, act: Callable[[], bool]) -> bool:
        try:
            return act()
        except RotationError as error:
            self.result.failures.append(error)
            return False

    def _relabel(self) -> None:
        """Change labels and tags; a label that cannot be changed holds nothing else up."""
        for version in self._plan.abandon:
            self._try(partial(self._abandon, version))
        for label in self._plan.keep:
            self._try(partial(self._keep, label))
        unkept = {one.version for one in self._plan.keep} - {*self.result.kept}
        # Only now, so that no version is without a label in between.
        for label in self._plan.remove:
            if label.version not in unkept:
                self._try(partial(self._remove_label, label))
        if self._plan.untag:
            self._try(lambda: self._secret.untag(*self._plan.untag))

    def _forget_dead_keys(self) -> None:
        """Have the issuer forget the dead keys that an earlier run could not have it forget."""
        listing = self._situation.listing
        for key in listing.keys if listing else ():
            if key.active and self._journal.dead(key.id):
                self._try(partial(self._services.issuer.forget, key.id))

    def _abandon(self, version: str) -> None:
        self._remove_label(Label(version, AWSPENDING))
        self.result.abandoned.append(version)
        self._log("stuck rotation abandoned", version=version)

    def _keep(self, label: Label) -> None:
        self._services.rate_limiter()
        try:
            self._secret.add_label(label.label, label.version)
        except SecretStoreError as error:
            if error.retryable:
                raise
            message = f"Version {label.version} cannot be kept from being deleted: {error}"
            self.result.warn(WarningCode.LABELS_EXHAUSTED, message)
        else:
            self.result.kept.append(label.version)

    def _remove_label(self, label: Label) -> None:
        self._services.rate_limiter()
        self._secret.remove_label(label.label, label.version)

    def _note_revocations(self, journal: Journal) -> Journal:
        """The journal with a note of each revocation that is to follow; sets `_due`.

        The journal may be newer than the plan: what it does not want any more is left out.
        """
        situation = replace(self._situation, journal=journal)
        still = plan(situation, self._services.policy, self._before, self._options).retire
        wanted = {(one.key_id, one.reason) for one in self._plan.retire}
        self._due = tuple(
            one
            for one in still
            if (one.key_id, one.reason) in wanted
            and (self._control is not None or one.reason is Reason.COMPROMISED)
        )
        now = whole_milliseconds(self._services.clock())
        for one in self._due:
            life = situation.life(one.key_id)
            if one.revoke and life.asked_at is None:
                journal = journal.with_key(one.key_id, replace(life, asked_at=now))
        return journal

    def _prove_current_key(self) -> ApiKey | None:
        """The current key, if it has just signed and is not suspect."""
        current = self._situation.current
        key = self._examination.keys.get(current.id) if current else None
        if current is None or key is None or self._situation.suspect(current):
            return None
        try:
            self._services.prover.prove(key, of_a_reconciliation(self._secret.arn))
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

    def _read_materials(self, key_id: str) -> None:
        keys = read_keys(self._secret, self._examination, key_id)
        kept = self._services.find_key(key_id)
        if kept is not None and all(kept.material != key.material for key in keys):
            keys = (*keys, kept)
        self._materials[key_id] = keys

    def _keys_to_probe(self, control: ApiKey) -> Iterator[ProbedKey]:
        for one in self._due:
            outcome = self.result.revoked.get(one.key_id)
            if outcome is None and one.revoke:
                continue
            refused = any(one.key_id == other.key_id for other in self._plan.refused)
            revoked = outcome is not Revocation.MANUAL_ACTION_NEEDED and not refused
            for key in self._materials.get(one.key_id, ()):
                yield ProbedKey(self._secret.arn, key, control, revoked=revoked)

    def _is_dead(self, retirement: Retirement) -> bool:
        key_id = retirement.key_id
        death = self.result.deaths.get(key_id)
        if death is not None:
            return death.verdict is DeathVerdict.DEAD
        # Nobody has the material of this key any more, so it cannot be probed.
        if self._materials.get(key_id) != () or not self._listed_inactive(key_id):
            return False
        self._inactive.add(key_id)
        # When the list first says so, the key may still be accepted somewhere for a while.
        life = self._journal.keys.get(key_id)
        if life is None or life.answered_at is None or life.accepted is not False:
            return False
        limit = self._services.policy.propagation_limit
        return self._services.clock() - life.answered_at >= limit

    def _listed_inactive(self, key_id: str) -> bool:
        """Whether the vendor itself lists a key, whose material is not known, as not active."""
        services = self._services
        listing = list_own_keys(services.issuer, services.policy.installations, self._secret.arn)
        return any(key.id == key_id and not key.active for key in listing.keys)

    def _conclusions(self, journal: Journal, dead: list[Retirement]) -> Journal:
        """The journal with this run's answers, probes and deaths; and the incident closed."""
        now = whole_milliseconds(self._services.clock())
        died = {one.key_id for one in dead}
        for one in self._due:
            life = journal.keys.get(one.key_id) or KeyLife(now)
            if life.death is not None:
                continue
            outcome = self.result.revoked.get(one.key_id)
            death = self.result.deaths.get(one.key_id)
            if outcome is not None:
                life = replace(life, outcome=outcome.value)
            if death is not None:
                accepted = {DeathVerdict.ALIVE: True, DeathVerdict.DEAD: False}.get(death.verdict)
                probes = tuple(death_facts(death)["probes"])
                life = replace(life, answered_at=now, accepted=accepted, probes=probes)
            elif one.key_id in self._inactive and life.accepted is not False:
                life = replace(life, answered_at=now, accepted=False)
            if one.key_id in died:
                proof = death_facts(death) if death else LISTED_AS_NOT_ACTIVE
                life = replace(life, death=Death(now, proof))
            journal = journal.with_key(one.key_id, life)
        return self._closed(journal, now)

    def _look_at_current(self) -> None:
        """Take the control key for one that is not current any more, unless it still is.

        A proof of death takes minutes. Whoever moves AWSCURRENT meanwhile may have made a suspect
        key current, which is dead by now. The incident then stays open, and the next run rotates.
        """
        control, self._control = self._control, None
        snapshot, current = self._secret.snapshot(), self._situation.current
        if (
            current is not None
            and snapshot.deleted_at is None
            and snapshot.version_with(AWSCURRENT) == current.id
        ):
            self._control = control

    def _closed(self, journal: Journal, now: datetime) -> Journal:
        """The journal with the open incident closed, if nothing is left to do about it."""
        current, incident = self._situation.current, journal.open_incident
        if (
            incident is None
            or current is None
            or self._control is None
            or self._situation.listing is None
            or not self._situation.listing.whole
        ):
            return journal
        # One answer does not tell that a version has no key: it was set aside in an earlier run.
        earlier = self._before.incident_of(incident.id)
        if earlier is None or not incident.set_aside.keys() <= earlier.set_aside.keys():
            return journal
        key, version = self._control.id, current.id
        return close(journal, incident.id, current_key=key, current_version=version, now=now)

    def _keep_records(self) -> None:
        """Keep the record of each closed incident that has none, and note where it is."""
        for incident in self._journal.incidents:
            if incident.closing is not None and incident.closing.evidence is None:
                self._try(partial(self._keep_record, incident))

    def _keep_record(self, incident: Incident) -> None:
        name, services = self._situation.snapshot.name, self._services
        seals = None
        if services.ledger is not None:
            seals = seal_counts(
                self._journal, incident, services.ledger, services.signatures, secret_name=name
            )
        facts = record(
            self._journal,
            incident,
            secret_name=name,
            installation=services.policy.installation,
            seals=seals,
        )
        place = self._services.evidence.keep(record_name(self._secret.arn, incident), facts)
        self._journal = self._services.journals.change(
            self._journal, lambda found: with_evidence(found, incident.id, place)
        )
        self.result.evidence = place
        self._log("incident closed", evidence=place)
        if self._journal.open_incident is None:
            self._try(lambda: self._secret.untag(INCIDENT_TAG))

    def _report_undead(self, retirement: Retirement) -> None:
        """Say that a key is not proven dead, and ask a person where the issuer does not know it."""
        key_id = retirement.key_id
        death = self.result.deaths.get(key_id)
        if death is None or death.verdict is not DeathVerdict.ALIVE:
            self.result.warn(
                WarningCode.DEATH_UNPROVEN,
                f"Key {key_id} is not proven dead yet{_why(death)}; the next run tries.",
            )
            return
        compromised = retirement.reason is Reason.COMPROMISED
        self.result.warn(
            WarningCode.KEY_ALIVE_AFTER_INCIDENT if compromised else WarningCode.KEY_ALIVE,
            f"The vendor still accepts key {key_id}. If it stays so, revoke it in the vendor's "
            "portal.",
        )
        unknown = self.result.revoked.get(key_id) is Revocation.ALREADY_GONE
        if not unknown or self._reminded_lately(self._situation.life(key_id)):
            return
        # The issuer does not know this key, because a person made it: nobody was asked yet.
        self._services.notifier.notify(
            f"Revoke API key {key_id}",
            {
                "what to do": "Revoke this API key in the vendor's portal. It works until you do.",
                "key id": key_id,
                "secret": self._secret.arn,
            },
        )

    def _reminded_lately(self, before: KeyLife) -> bool:
        """Whether a person was told, less than a day ago, that the vendor accepts a key."""
        if not before.accepted or before.answered_at is None:
            return False
        return self._services.clock() - before.answered_at < REMIND_AFTER - RUN_JITTER

    @property
    def _situation(self) -> Situation:
        return self._examination.situation

    def _log(self, fact: str, **ids: object) -> None:
        logger.info(fact, extra={"secret": self._secret.arn} | ids, stacklevel=2)


def _why(death: ProbeHistory | None) -> str:
    """Why probes of a key proved nothing, as words that follow "not proven dead yet"."""
    details = {probe.detail for probe in death.probes if probe.detail} if death else set()
    return f" (probes that prove nothing: {', '.join(sorted(details))})" if details else ""
