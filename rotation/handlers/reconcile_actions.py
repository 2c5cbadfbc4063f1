"""The actions of the reconcile function: what an event must say to ask for one, and what runs it.

An event is validated against the table `ACTIONS` before anything is done. To add an action, add a
row and the function that it names. Nothing here knows a vendor: whoever has the `ReconcileParts`
can run the actions (`docs/examples/payment-gateway.md`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from aws_lambda_powertools.utilities.typing import LambdaContext

from rotation.core.policy import ReconciliationPolicy
from rotation.core.ports import EvidenceStore, KeyIssuer, KeyProver
from rotation.deadline import Deadline
from rotation.errors import InvalidEventError, RotationError
from rotation.incident.declaration import Declaration
from rotation.incident.revoke_first import revoke_first
from rotation.incident.rollback import keep_record, roll_back
from rotation.incident.tag_text import ACTOR, REASON
from rotation.key_pool.incident import PoolIncident
from rotation.privacy.observability import count, logger, set_function_dimension
from rotation.reconciliation.incident_record import incidents_of
from rotation.reconciliation.reconciler import Reconciler
from rotation.secrets_manager.snapshot import Snapshot
from rotation.secrets_manager.versions import SecretVersions

#: The alias of the function through which alone a key is revoked before it is replaced.
REVOKE_FIRST: Final = "revoke-first"

# API_CreateSecret, Name; and the ARN that it becomes part of.
_SECRET: Final = re.compile(
    r"(?:arn:aws[\w-]*:secretsmanager:[\w-]+:\d{12}:secret:)?[A-Za-z0-9/_+=.@-]{1,520}"
)
_MOST_SECRETS: Final = 1000
_TEXTS: Final = {"reason": REASON, "actor": ACTOR}


@dataclass(frozen=True)
class ReconcileRequest:
    """What an event asks for.

    Attributes:
        action: the name of the action.
        secrets: names or ARNs; None: all.
        reason: why keys are declared compromised; empty where they are not.
        actor: who declares it, as the caller says it.
        again: whether keys leaked once more: those made since the open incident are suspect too.
    """

    action: str
    secrets: Sequence[str] | None = None
    reason: str = ""
    actor: str = ""
    again: bool = False

    def declaration(self, at: datetime) -> Declaration:
        """The declaration that the event makes, at the time ``at``, aware UTC."""
        return Declaration(at, self.reason, self.actor)


class ReconcileParts(Protocol):
    """What the actions need. `rotation.handlers.wiring.reconciliation` builds it from settings."""

    @property
    def evidence(self) -> EvidenceStore:
        """Keeps records of incidents."""

    @property
    def policy(self) -> ReconciliationPolicy:
        """What the organisation decided."""

    def clock(self) -> datetime:
        """Our clock, aware UTC."""

    def open_secret(self, name: str) -> SecretVersions:
        """The versions of a secret, by its ARN or name."""

    def prover(self, deadline: Deadline) -> KeyProver:
        """Asks the vendor whether it accepts a key, in one invocation."""

    def issuer(self, deadline: Deadline) -> KeyIssuer:
        """Lists and revokes keys in one invocation."""

    def reconciler(self, deadline: Deadline) -> Reconciler:
        """Reconciles secrets in one invocation."""

    def pool_incident(self) -> PoolIncident:
        """The leaked keys of the pool.

        Raises:
            ConfigurationError: this deployment has no pool.
        """


@dataclass(frozen=True)
class Action:
    """One thing that the reconcile function can be asked to do.

    Attributes:
        run: does it, and returns the members of the answer.
        required: the members that its event must have, besides ``action``.
        optional: the members that its event may have.
        one_secret: whether ``secrets`` must name exactly one.
        alias: the alias of the function through which alone it may be asked for; None: any.
    """

    run: Callable[[ReconcileRequest, ReconcileParts, Deadline], dict[str, Any]]
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    one_secret: bool = False
    alias: str | None = None


def run_action(
    event: Any, context: LambdaContext, open_parts: Callable[[], ReconcileParts]
) -> dict[str, Any]:
    """Do what an event asks for, and return the answer. A secret that fails is in the answer.

    Args:
        event: the event.
        context: the Lambda context.
        open_parts: gives the parts. It is called once the event has been validated.

    Raises:
        InvalidEventError: ``docs/reconciliation.md`` describes no such event; nothing was done.
        RotationError: no secret could be looked at; nothing confidential in its message or causes.
    """
    set_function_dimension(context.function_name)
    count("Reconciliations")
    failure: RotationError
    try:
        request = parse(event, _alias(context))
        answer = ACTIONS[request.action].run(request, open_parts(), Deadline.of(context))
        return {"action": request.action} | answer
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


def parse(event: object, alias: str | None = None) -> ReconcileRequest:
    """Read an event.

    Args:
        event: the event.
        alias: the alias through which the function was invoked, if any.

    Raises:
        InvalidEventError: ``docs/reconciliation.md`` describes no such event.
    """
    if not isinstance(event, dict):
        raise InvalidEventError("The event is not a JSON object.")
    if (event.get("source"), event.get("detail-type")) == ("aws.events", "Scheduled Event"):
        return ReconcileRequest("reconcile")
    name = event.get("action", None if event else "reconcile")
    if not isinstance(name, str) or name not in ACTIONS:
        raise InvalidEventError(f'"action" is none of {", ".join(ACTIONS)}.')
    action = ACTIONS[name]
    if action.alias is not None and alias != action.alias:
        raise InvalidEventError(
            f'"{name}" is done only through the alias {action.alias} of this function.'
        )
    if not action.required <= event.keys() - {"action"} <= action.required | action.optional:
        raise InvalidEventError(
            f'"{name}" needs {_listed(action.required)}, and may have {_listed(action.optional)}.'
        )
    _validate(name, action, event)
    return ReconcileRequest(
        name,
        event.get("secrets"),
        event.get("reason", ""),
        event.get("actor", ""),
        event.get("again", False),
    )


def _listed(members: frozenset[str]) -> str:
    return ", ".join(f'"{member}"' for member in sorted(members)) or "no other member"


def _validate(name: str, action: Action, event: Mapping[str, Any]) -> None:
    secrets = event.get("secrets")
    if secrets is not None and not _are_secrets(secrets):
        raise InvalidEventError(
            f'"secrets" is not a list of 1 to {_MOST_SECRETS} names or ARNs of secrets.'
        )
    if action.one_secret and (secrets is None or len(secrets) != 1):
        raise InvalidEventError(f'"{name}" takes one secret.')
    if not isinstance(event.get("again", False), bool):
        raise InvalidEventError('"again" is neither true nor false.')
    for member, pattern in _TEXTS.items():
        text = event.get(member)
        if member in event and not (isinstance(text, str) and pattern.fullmatch(text)):
            raise InvalidEventError(
                f'"{member}" is empty, too long, or has a character that a tag may not have.'
            )


def _are_secrets(secrets: object) -> bool:
    return (
        isinstance(secrets, list)
        and 1 <= len(secrets) <= _MOST_SECRETS
        and all(isinstance(one, str) and _SECRET.fullmatch(one) for one in secrets)
    )


def _own_secret(request: ReconcileRequest, parts: ReconcileParts) -> Snapshot:
    """The one secret that the event names, which must name our rotation function.

    Whoever acts on it opens it anew by the full ARN, for a name may be another secret's later.
    """
    [name] = request.secrets or ()
    snapshot = parts.open_secret(name).snapshot()
    snapshot.require_rotated_by(parts.policy.rotation_function)
    return snapshot


def _reconcile(
    request: ReconcileRequest, parts: ReconcileParts, deadline: Deadline
) -> dict[str, Any]:
    return parts.reconciler(deadline).run(request.secrets)


def _report(request: ReconcileRequest, parts: ReconcileParts, deadline: Deadline) -> dict[str, Any]:
    return parts.reconciler(deadline).run(request.secrets, act=False)


def _roll_back(
    request: ReconcileRequest, parts: ReconcileParts, deadline: Deadline
) -> dict[str, Any]:
    found = _own_secret(request, parts)
    done = roll_back(parts.open_secret(found.arn), parts.prover(deadline), parts.clock)
    return keep_record(done, found.name, parts.evidence)


def _evidence(request: ReconcileRequest, parts: ReconcileParts, _: Deadline) -> dict[str, Any]:
    found = _own_secret(request, parts)
    kept = parts.evidence.records(incidents_of(found.name))
    return {
        "secret": found.arn,
        "records": [{"where": place, "record": json.loads(record)} for place, record in kept],
    }


def _condemn_pool(request: ReconcileRequest, parts: ReconcileParts, _: Deadline) -> dict[str, Any]:
    pool, declared = parts.pool_incident(), request.declaration(parts.clock()).tag()
    done = pool.condemn(declared, again=request.again)
    return {
        "pool": pool.name,
        "declared": declared,
        "condemned": list(done.keys),
        "leasedTo": list(done.leased_to),
        "asked": done.asked,
    }


def _revoke_first(
    request: ReconcileRequest, parts: ReconcileParts, deadline: Deadline
) -> dict[str, Any]:
    secret = parts.open_secret(_own_secret(request, parts).arn)
    declaration, issuer = request.declaration(parts.clock()), parts.issuer(deadline)
    return revoke_first(secret, declaration, issuer, again=request.again).as_json()


_SECRETS: Final = frozenset({"secrets"})
_DECLARATION: Final = frozenset({"reason", "actor"})
_AGAIN: Final = frozenset({"again"})

ACTIONS: Final[Mapping[str, Action]] = {
    "reconcile": Action(_reconcile, optional=_SECRETS),
    "report": Action(_report, optional=_SECRETS),
    "rollback": Action(_roll_back, required=_SECRETS, one_secret=True),
    "evidence": Action(_evidence, required=_SECRETS, one_secret=True),
    "condemn-pool": Action(_condemn_pool, required=_DECLARATION, optional=_AGAIN),
    REVOKE_FIRST: Action(
        _revoke_first,
        required=_SECRETS | _DECLARATION,
        optional=_AGAIN,
        one_secret=True,
        alias=REVOKE_FIRST,
    ),
}
