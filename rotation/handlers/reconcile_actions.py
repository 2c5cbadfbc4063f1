"""The actions of the reconcile function: what runs each request of `reconcile_events`.

Nothing here knows a vendor: whoever has the `ReconcileParts` can run the actions
(`docs/examples/payment-gateway.md`).
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools.utilities.typing import LambdaContext

from rotation.core.journal_reading import read_journal
from rotation.core.policy import LONGEST_OBJECTION
from rotation.core.ports import IssuerCondition
from rotation.credential import TRUSTED_SIGNATURES, KeyFormat, iso_utc, whole_milliseconds
from rotation.deadline import Deadline
from rotation.errors import (
    ConfigurationError,
    InvalidEventError,
    RotationError,
    VersionStateError,
)
from rotation.handlers.objection import is_objection
from rotation.handlers.reconcile_events import (
    Advance,
    Attest,
    CondemnPool,
    Declare,
    EndDrill,
    Evidence,
    NoteDeparture,
    NoteFailure,
    NoteReaders,
    Object,
    Reconcile,
    ReconcileRequest,
    Report,
    RevokeFirst,
    RollBack,
    Watch,
    parse,
)
from rotation.incident.closing import record_folder
from rotation.incident.declaration import tag_text
from rotation.incident.drill import drill_record, drill_record_name, measured, refuse_other_secrets
from rotation.incident.readers import SCHEMA as READERS
from rotation.incident.readers import newest_closed, readers_name, readers_record
from rotation.incident.revoke_first import revoke_first
from rotation.incident.rollback import keep_record, roll_back
from rotation.journal.document import incident_members, step_failure_members
from rotation.journal.model import (
    Declaration,
    DepartureNote,
    Journal,
    Prolongation,
    StepFailure,
)
from rotation.key_pool.incident import PoolIncident
from rotation.privacy.observability import count, logger, set_function_dimension
from rotation.reconciliation.drill_end import end_drill
from rotation.reconciliation.execution import ReconciliationServices
from rotation.reconciliation.plan import RunOptions
from rotation.reconciliation.prolongation import prolong
from rotation.reconciliation.proof_of_death import DeathProver
from rotation.reconciliation.reconciler import Reconciler
from rotation.secrets_manager.discovery import secrets_rotated_by
from rotation.secrets_manager.labels import AWSCURRENT, AWSPENDING
from rotation.secrets_manager.snapshot import Snapshot
from rotation.secrets_manager.versions import SecretVersions

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


@dataclass(frozen=True)
class ReconcileParts:
    """What the actions need in one invocation. A wiring builds it, for any vendor.

    Attributes:
        secrets: a boto3 Secrets Manager client.
        services: what a reconciliation uses.
        deadline: when the invocation ends.
        condition: asks how the issuer is doing.
        key_format: how a secret holds its key.
        pool: the leaked keys of the key pool, where there is one.
    """

    secrets: SecretsManagerClient
    services: ReconciliationServices
    deadline: Deadline
    condition: Callable[[], IssuerCondition] = IssuerCondition
    key_format: KeyFormat = TRUSTED_SIGNATURES
    pool: PoolIncident | None = None

    def open_secret(self, name: str) -> SecretVersions:
        """The versions of a secret, by its ARN or name."""
        return SecretVersions(self.secrets, name, key_format=self.key_format)

    def reconciler(self) -> Reconciler:
        """Reconciles secrets."""
        services, policy = self.services, self.services.policy
        return Reconciler(
            open_secret=self.open_secret,
            discover=lambda: secrets_rotated_by(
                self.secrets, policy.rotation_function, policy.rotated_secrets
            ),
            condition=self.condition,
            services=services,
            death_prover=DeathProver(
                prover=services.prover,
                limit=services.policy.propagation_limit,
                deadline=self.deadline,
                clock=services.clock,
                sleep=time.sleep,
            ),
            deadline=self.deadline,
        )


def run_action(
    event: Any, context: LambdaContext, open_parts: Callable[[Deadline], ReconcileParts]
) -> dict[str, Any]:
    """Do what an event asks for, and return the answer. A secret that fails is in the answer.

    Args:
        event: the event.
        context: the Lambda context.
        open_parts: builds the parts of one invocation, once the event has been validated.

    Raises:
        InvalidEventError: ``docs/report.md`` describes no such event; nothing was done.
        RotationError: no secret could be looked at; nothing confidential in its message or causes.
    """
    set_function_dimension(context.function_name)
    count("Reconciliations")
    failure: RotationError
    try:
        request = parse(event, _alias(context))
        answer = act(request, open_parts(Deadline.of(context)))
        return {"action": request.action} | answer
    except InvalidEventError as error:
        if is_objection(event):
            return {"action": "object"} | _refused(error)
        failure = error
        logger.error("nothing reconciled", extra={"code": error.code, "reason": str(error)})
    except RotationError as error:
        failure = error
        logger.error("nothing reconciled", extra={"code": error.code, "reason": str(error)})
    except Exception as error:  # noqa: BLE001 - whatever it is, it is scrubbed and named
        failure = RotationError(f"Reconciliation failed unexpectedly ({type(error).__name__}).")
        logger.exception("nothing reconciled, unexpectedly")
    count("ReconciliationsFailed")
    raise failure


def _alias(context: LambdaContext) -> str | None:
    """Through which alias the function was invoked: the ARN's eighth part, where it has one."""
    return dict(enumerate(context.invoked_function_arn.split(":"))).get(7)


def act(request: ReconcileRequest, parts: ReconcileParts) -> dict[str, Any]:
    """Do what is asked for, and return the members of the answer."""
    return ACTIONS[type(request)](request, parts)


def _own_secret(name: str, parts: ReconcileParts) -> Snapshot:
    """A secret by its name or ARN, which must name our rotation function, and may.

    Whoever acts on it opens it anew by the full ARN, for a name may be another secret's later.
    """
    snapshot = parts.open_secret(name).snapshot()
    policy = parts.services.policy
    snapshot.require_rotated_by(policy.rotation_function)
    policy.rotated_secrets.require(snapshot.arn)
    return snapshot


def _reconcile(request: Reconcile, parts: ReconcileParts) -> dict[str, Any]:
    if request.release:
        # Only a run over all secrets sees whether another secret uses one of the keys.
        [name] = request.secrets or ()
        arn = _own_secret(name, parts).arn
        report = parts.reconciler().run(released=arn)
        return report | {"secrets": [one for one in report["secrets"] if one["arn"] == arn]}
    # Whoever names a secret waits for the answer.
    options = RunOptions(eager=request.secrets is not None)
    return parts.reconciler().run(request.secrets, options=options)


def _report(request: Report, parts: ReconcileParts) -> dict[str, Any]:
    return parts.reconciler().run(request.secrets, act=False)


def _declare(request: Declare, parts: ReconcileParts) -> dict[str, Any]:
    declared = _declaration(request, parts, request.declaration)
    journal = parts.reconciler().declare(request.secret, declared, again=request.again)
    facts = {"secret": journal.secret_arn, "declaration": declared.id}
    return facts | _incident(journal, declared.id)


def _advance(request: Advance, parts: ReconcileParts) -> dict[str, Any]:
    progress, situation = parts.reconciler().advance(request.secret)
    current = situation.current
    return {
        "secret": progress.journal.secret_arn,
        "stage": progress.stage.name.lower(),
        "acts": list(progress.acts),
        "currentVersion": current.id if current else None,
        "currentKey": current.key_id if current else None,
        "stepFailures": step_failure_members(progress.journal),
    } | _incident(progress.journal, request.declaration)


def _watch(request: Watch, parts: ReconcileParts) -> dict[str, Any]:
    """How far the rotation of one secret is. It reads no value, and asks no vendor."""
    snapshot = _own_secret(request.secret, parts)
    journal = read_journal(parts.services.journals, snapshot)
    pending, current = snapshot.version_with(AWSPENDING), snapshot.version_with(AWSCURRENT)
    return {
        "secret": snapshot.arn,
        "currentVersion": current,
        "pendingVersion": None if pending == current else pending,
        "stepFailures": step_failure_members(journal),
    }


def _note_failure(request: NoteFailure, parts: ReconcileParts) -> dict[str, Any]:
    """Write in the journal that a step of a rotation failed.

    Whoever may invoke the rotation function can make it fail for any token, so the failure is only
    noted if the secret has such a version, and it is not current.
    """
    snapshot = _own_secret(request.secret, parts)
    secret, token = parts.open_secret(snapshot.arn), request.token
    known = snapshot.has(token, AWSPENDING) or any(
        one.id == token for one in secret.list_versions()
    )
    if not known or snapshot.has(token, AWSCURRENT):
        return {"secret": snapshot.arn, "noted": False}
    failure = StepFailure(
        token,
        whole_milliseconds(parts.services.clock()),
        request.step,
        request.code,
        request.message,
        request.retryable,
    )
    journals = parts.services.journals
    journals.change(
        read_journal(journals, snapshot), lambda found: found.with_step_failure(failure)
    )
    return {"secret": snapshot.arn, "noted": True}


def _note_departure(request: NoteDeparture, parts: ReconcileParts) -> dict[str, Any]:
    """Write in the journal that the secret is rotated because somebody leaves. It rotates nothing.

    ``wasCurrent`` says whether the rotation with this token has made its version current before:
    whoever was interrupted learns that nothing is left to do.
    """
    snapshot = _own_secret(request.secret, parts)
    now = whole_milliseconds(parts.services.clock())
    note = DepartureNote(request.token, now, request.reason, request.actor)
    journals = parts.services.journals
    journal = journals.change(
        read_journal(journals, snapshot), lambda found: found.with_departure(note)
    )
    current = snapshot.has(request.token, AWSCURRENT) or journal.was_current(request.token)
    return {"secret": snapshot.arn, "wasCurrent": current}


def _declaration(
    request: Declare | CondemnPool | RevokeFirst, parts: ReconcileParts, name: str = ""
) -> Declaration:
    """The declaration that a request makes now; without a name, a new one."""
    at = whole_milliseconds(parts.services.clock())
    return Declaration(name or str(uuid.uuid4()), at, request.reason, request.actor)


def _incident(journal: Journal, declaration: str) -> dict[str, Any]:
    """The incident that has the declaration, or the one that is open, as a member of an answer."""
    incident = journal.incident_of(declaration) or journal.open_incident
    if incident is None:
        return {"incident": None}
    lives = {key_id: journal.keys.get(key_id) for key_id in incident.suspects}
    deaths = {
        key_id: iso_utc(life.death.at) for key_id, life in lives.items() if life and life.death
    }
    attested = sorted(
        key_id
        for key_id, life in lives.items()
        if life is not None and life.death is not None and life.death.attested
    )
    return {"incident": incident_members(incident) | {"deaths": deaths, "attested": attested}}


def _attest(request: Attest, parts: ReconcileParts) -> dict[str, Any]:
    journal = parts.reconciler().attest(
        request.secret, request.key, actor=request.actor, reason=request.reason
    )
    death = journal.keys[request.key].death
    return {
        "secret": journal.secret_arn,
        "key": request.key,
        "death": None if death is None else {"at": iso_utc(death.at), "proof": dict(death.proof)},
    }


def _object(request: Object, parts: ReconcileParts) -> dict[str, Any]:
    """Put off the retirement of one key, for somebody who still needs it.

    A refusal is an answer and no error: Lambda would repeat the event, and an alarm tell operators
    of a mistake of somebody else's.
    """
    services, until = parts.services, datetime.fromisoformat(request.until)
    now = whole_milliseconds(services.clock())
    wish = Prolongation(request.actor, now, until, until, request.reason)
    try:
        snapshot = _own_secret(request.secret, parts)
        journal = services.journals.change(
            read_journal(services.journals, snapshot),
            lambda found: prolong(found, request.key, wish, limit=LONGEST_OBJECTION, now=now),
        )
    except RotationError as error:
        if error.retryable:
            raise
        return _refused(error)
    end = journal.keys[request.key].retire_after
    logger.warning(
        "retirement put off",
        extra={"secret": snapshot.arn, "key_id": request.key, "by": request.actor},
    )
    return {
        "secret": snapshot.arn,
        "key": request.key,
        "objected": True,
        "retiresAfter": None if end is None else iso_utc(end),
    }


def _refused(error: RotationError) -> dict[str, Any]:
    """The answer to an objection that has no effect."""
    logger.warning("objection refused", extra={"code": error.code, "reason": str(error)})
    return {"objected": False, "code": error.code, "problem": str(error)}


def _roll_back(request: RollBack, parts: ReconcileParts) -> dict[str, Any]:
    secret, services = parts.open_secret(_own_secret(request.secret, parts).arn), parts.services
    done = roll_back(secret, services.prover, services.journals, services.clock)
    return keep_record(done, services.evidence)


def _evidence(request: Evidence, parts: ReconcileParts) -> dict[str, Any]:
    """The newest records of a secret's incidents, those of version 0.2 and older too.

    These lie in a folder that is named after the secret, and so may hold records of another secret
    whose name begins with the same words.
    """
    found = _own_secret(request.secret, parts)
    evidence = parts.services.evidence
    kept = [
        *evidence.records(record_folder(found.arn)),
        *evidence.records(f"incidents/{found.name}/"),
    ]
    records = [
        {"where": place, "record": record}
        for place, text in kept
        if (record := json.loads(text))["secret"]["arn"] == found.arn
    ]
    return {
        "secret": found.arn,
        "records": [one for one in records if one["record"].get("schema") != READERS],
        "readers": [one for one in records if one["record"].get("schema") == READERS],
    }


def _note_readers(request: NoteReaders, parts: ReconcileParts) -> dict[str, Any]:
    """Keep who read the suspect keys of the newest closed incident, beside its record."""
    snapshot, services = _own_secret(request.secret, parts), parts.services
    journal = read_journal(services.journals, snapshot)
    incident, now = newest_closed(journal), whole_milliseconds(services.clock())
    body = readers_record(
        journal,
        incident,
        request.found,
        secret_name=snapshot.name,
        actor=request.actor,
        at=now,
    )
    place = services.evidence.keep(readers_name(snapshot.arn, incident, now), body)
    return {"secret": snapshot.arn, "incident": incident.id, "where": place}


def _end_drill(request: EndDrill, parts: ReconcileParts) -> dict[str, Any]:
    """End the drill of one secret: its keys die, and the record of its times is kept.

    Before the secret is scheduled for deletion nothing is done: the answer then tells whoever
    rehearses that the secret may be rotated.
    """
    services = parts.services
    snapshot = parts.open_secret(request.secret).snapshot()
    refuse_other_secrets(snapshot)
    if snapshot.rotation_function is not None:
        snapshot.require_rotated_by(services.policy.rotation_function)
    services.policy.rotated_secrets.require(snapshot.arn)
    if snapshot.deleted_at is None:
        return {"secret": snapshot.arn, "ended": False}
    done = end_drill(parts.reconciler(), snapshot)
    return {
        "secret": snapshot.arn,
        "ended": True,
        "revoked": [
            {"keyId": key_id, "outcome": outcome.value} for key_id, outcome in done.outcomes.items()
        ],
        "left": list(done.left),
    } | _drill_record(snapshot, done.journal, parts.services)


def _drill_record(
    snapshot: Snapshot, journal: Journal, services: ReconciliationServices
) -> dict[str, Any]:
    """The times of a drill, and where they are kept; null if its incident was not closed."""
    # The declaration of a drill is called as its secret is.
    incident = journal.incident_of(snapshot.name)
    if incident is None or incident.closing is None:
        return {"times": None, "evidence": None, "record": None}
    policy = services.policy
    times = measured(journal, incident, policy.propagation_limit)
    facts = drill_record(snapshot, incident, times, installation=policy.installation)
    return {
        "times": times.as_json(),
        "evidence": incident.closing.evidence,
        "record": services.evidence.keep(drill_record_name(snapshot.arn, incident), facts),
    }


def _condemn_pool(request: CondemnPool, parts: ReconcileParts) -> dict[str, Any]:
    pool, declared = parts.pool, tag_text(_declaration(request, parts))
    if pool is None:
        raise ConfigurationError("This deployment issues keys itself; it has no key pool.")
    done = pool.condemn(declared, again=request.again)
    return {
        "pool": pool.name,
        "declared": declared,
        "condemned": list(done.keys),
        "leasedTo": list(done.leased_to),
        "spared": list(done.spared),
        "asked": done.asked,
        "unreadable": list(done.unreadable),
    }


def _revoke_first(request: RevokeFirst, parts: ReconcileParts) -> dict[str, Any]:
    arn, services = _own_secret(request.secret, parts).arn, parts.services
    declared = _declaration(request, parts, request.declaration)
    reconciler = parts.reconciler()
    reconciler.declare(arn, declared, again=request.again)
    # The keys in the versions are known only when the values have been read.
    progress, _ = reconciler.advance(arn)
    incident = progress.journal.open_incident
    if incident is None:
        raise VersionStateError(f"The incident on {arn} was closed meanwhile. Declare it again.")
    done = revoke_first(
        progress.journal, incident, services.journals, services.issuer, services.clock()
    )
    return {
        "secret": arn,
        "declaration": declared.id,
        "declared": tag_text(incident.declarations[0]),
    } | done.as_json()


#: What runs a request, by its class.
ACTIONS: Final[Mapping[type[ReconcileRequest], Callable[[Any, ReconcileParts], dict[str, Any]]]] = {
    Reconcile: _reconcile,
    Report: _report,
    Declare: _declare,
    Advance: _advance,
    Watch: _watch,
    NoteFailure: _note_failure,
    NoteDeparture: _note_departure,
    Attest: _attest,
    Object: _object,
    RollBack: _roll_back,
    Evidence: _evidence,
    NoteReaders: _note_readers,
    EndDrill: _end_drill,
    CondemnPool: _condemn_pool,
    RevokeFirst: _revoke_first,
}
