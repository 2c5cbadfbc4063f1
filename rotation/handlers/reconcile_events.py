"""What the reconcile function can be asked: the requests, and how an event is read as one of them.

An event is validated before anything is done. Its members are the fields of its request: those
without a default it must have, the others it may have. A field ``secret`` stands for a member
``secrets`` with exactly one name or ARN. To add a request, add its class to `REQUESTS` and what
runs it to `rotation.handlers.reconcile_actions.ACTIONS`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

from rotation.core.steps import STEPS
from rotation.errors import InvalidEventError
from rotation.handlers.objection import is_objection, objection_request
from rotation.incident.readers import refuse_malformed
from rotation.incident.tag_text import ACTOR, REASON
from rotation.journal.model import LONGEST_FAILURE_MESSAGE

#: The alias of the function through which alone a key is revoked before it is replaced.
REVOKE_FIRST: Final = "revoke-first"

# API_CreateSecret, Name; and the ARN that it becomes part of.
_SECRET: Final = re.compile(
    r"(?:arn:aws[\w-]*:secretsmanager:[\w-]+:\d{12}:secret:)?[A-Za-z0-9/_+=.@-]{1,520}"
)
_MOST_SECRETS: Final = 1000
#: A rule of EventBridge, and EventBridge Scheduler with a target that has no Input. Programs that
#: receive the latter show this source; API_Target of Scheduler does not say what it sends.
_SCHEDULES: Final = ("aws.events", "aws.scheduler")
_TEXTS: Final = {
    "reason": REASON,
    "actor": ACTOR,
    "declaration": re.compile(r"[A-Za-z0-9-]{8,64}"),
    "key": re.compile(r"[!-~]{1,256}"),
    # API_RotateSecret names the least and the greatest length of a ClientRequestToken, no pattern.
    "token": re.compile(r".{32,64}", re.DOTALL),
    "step": re.compile("|".join(STEPS)),
    "code": re.compile(r"[a-z_]{1,64}"),
    "message": re.compile(rf".{{0,{LONGEST_FAILURE_MESSAGE}}}", re.DOTALL),
    "until": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)"),
}
_FLAGS: Final = ("again", "release", "retryable")


@dataclass(frozen=True, kw_only=True)
class ReconcileRequest:
    """What an event asks for.

    Attributes:
        action: its name in the event.
        alias: the alias of the function through which alone it may be asked for; None: any.
    """

    action: ClassVar[str]
    alias: ClassVar[str | None] = None

    @classmethod
    def required(cls) -> set[str]:
        """The members that its event must have, besides ``action``."""
        return {_member(one) for one in dataclasses.fields(cls) if _must_be_given(one)}

    @classmethod
    def optional(cls) -> set[str]:
        """The members that its event may have."""
        return {_member(one) for one in dataclasses.fields(cls) if not _must_be_given(one)}


def _member(field: dataclasses.Field[Any]) -> str:
    return "secrets" if field.name == "secret" else field.name


def _must_be_given(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING


@dataclass(frozen=True, kw_only=True)
class Reconcile(ReconcileRequest):
    """Reconcile secrets.

    Attributes:
        secrets: names or ARNs; None: all.
        release: whether to retire the keys that are due, however many they are; of one secret.
    """

    action = "reconcile"
    secrets: Sequence[str] | None = None
    release: bool = False


@dataclass(frozen=True, kw_only=True)
class Report(ReconcileRequest):
    """Say what a reconciliation would do. ``secrets`` as in `Reconcile`."""

    action = "report"
    secrets: Sequence[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Declare(ReconcileRequest):
    """Declare the keys of a secret compromised.

    Attributes:
        secret: a name or ARN.
        reason: why.
        actor: who declares it, as the caller says it.
        again: whether keys leaked once more: those made since the open incident are suspect too.
        declaration: names the declaration, so that a repeated request declares once; empty: a new
            one.
    """

    action = "declare"
    secret: str
    reason: str
    actor: str
    again: bool = False
    declaration: str = ""


@dataclass(frozen=True, kw_only=True)
class Advance(ReconcileRequest):
    """Do what the open incident of a secret needs next; ``declaration`` says which to answer of."""

    action = "advance"
    secret: str
    declaration: str = ""


@dataclass(frozen=True, kw_only=True)
class Watch(ReconcileRequest):
    """Say how far the rotation of a secret is."""

    action = "watch"
    secret: str


@dataclass(frozen=True, kw_only=True)
class NoteFailure(ReconcileRequest):
    """Write in the journal that a step of a rotation failed.

    Attributes:
        secret: a name or ARN.
        token: the ClientRequestToken of the rotation.
        step: the step.
        code: the code of its error.
        message: the message of its error.
        retryable: whether the step may succeed when it is repeated.
    """

    action = "note-failure"
    secret: str
    token: str
    step: str
    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, kw_only=True)
class NoteDeparture(ReconcileRequest):
    """Write in the journal that a secret is rotated because somebody leaves.

    Attributes:
        secret: a name or ARN.
        reason: who leaves.
        actor: who has it rotated, as the caller says it.
        token: the ClientRequestToken of the rotation.
    """

    action = "note-departure"
    secret: str
    reason: str
    actor: str
    token: str


@dataclass(frozen=True, kw_only=True)
class Attest(ReconcileRequest):
    """Write down that ``actor`` attests the death of the key with the id ``key``."""

    action = "attest"
    secret: str
    key: str
    reason: str
    actor: str


@dataclass(frozen=True, kw_only=True)
class Object(ReconcileRequest):
    """Put off the retirement of the key with the id ``key``, for ``actor``, who still needs it.

    Attributes:
        until: until when it is to work, as ISO 8601 with an offset.
    """

    action = "object"
    secret: str
    key: str
    until: str
    reason: str
    actor: str


@dataclass(frozen=True, kw_only=True)
class RollBack(ReconcileRequest):
    """Go back to the previous key of a secret."""

    action = "rollback"
    secret: str


@dataclass(frozen=True, kw_only=True)
class Evidence(ReconcileRequest):
    """Read the newest records of a secret's incidents."""

    action = "evidence"
    secret: str


@dataclass(frozen=True, kw_only=True)
class NoteReaders(ReconcileRequest):
    """Keep who read the suspect keys of the newest closed incident of a secret.

    Attributes:
        secret: a name or ARN.
        actor: who found it out, as the caller says it.
        found: what was found; `rotation.incident.readers` has its form.
    """

    action = "note-readers"
    secret: str
    actor: str
    found: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class EndDrill(ReconcileRequest):
    """End the drill of a secret: its keys die, and the record of its times is kept."""

    action = "end-drill"
    secret: str


@dataclass(frozen=True, kw_only=True)
class CondemnPool(ReconcileRequest):
    """Declare the pool's free keys compromised; ``again``: also those that were added since."""

    action = "condemn-pool"
    reason: str
    actor: str
    again: bool = False


@dataclass(frozen=True, kw_only=True)
class RevokeFirst(ReconcileRequest):
    """Revoke the keys of a secret before they are replaced. The members are those of `Declare`."""

    action = REVOKE_FIRST
    alias = REVOKE_FIRST
    secret: str
    reason: str
    actor: str
    again: bool = False
    declaration: str = ""


#: Every request, by the name of its action.
REQUESTS: Final[Mapping[str, type[ReconcileRequest]]] = {
    one.action: one
    for one in (
        Reconcile,
        Report,
        Declare,
        Advance,
        Watch,
        NoteFailure,
        NoteDeparture,
        Attest,
        Object,
        RollBack,
        Evidence,
        NoteReaders,
        EndDrill,
        CondemnPool,
        RevokeFirst,
    )
}


def parse(event: object, alias: str | None = None) -> ReconcileRequest:
    """Read an event.

    Args:
        event: the event.
        alias: the alias through which the function was invoked, if any.

    Raises:
        InvalidEventError: ``docs/report.md`` describes no such event.
    """
    if not isinstance(event, dict):
        raise InvalidEventError("The event is not a JSON object.")
    if event.get("source") in _SCHEDULES and event.get("detail-type") == "Scheduled Event":
        return Reconcile()
    if is_objection(event):
        event = objection_request(event)
    name = event.get("action", None if event else Reconcile.action)
    if not isinstance(name, str) or name not in REQUESTS:
        raise InvalidEventError(f'"action" is none of {", ".join(REQUESTS)}.')
    kind = REQUESTS[name]
    if kind.alias is not None and alias != kind.alias:
        raise InvalidEventError(
            f'"{name}" is done only through the alias {kind.alias} of this function.'
        )
    members = {member: value for member, value in event.items() if member != "action"}
    required, optional = kind.required(), kind.optional()
    if not required <= members.keys() <= required | optional:
        raise InvalidEventError(
            f'"{name}" needs {_listed(required)}, and may have {_listed(optional)}.'
        )
    names_one = "secret" in {field.name for field in dataclasses.fields(kind)}
    _validate(name, members, names_one=names_one)
    if names_one:
        [members["secret"]] = members.pop("secrets")
    return kind(**members)


def _listed(members: set[str]) -> str:
    return ", ".join(f'"{member}"' for member in sorted(members)) or "no other member"


def _validate(name: str, members: Mapping[str, Any], *, names_one: bool) -> None:
    secrets = members.get("secrets")
    if secrets is not None and not _are_secrets(secrets):
        raise InvalidEventError(
            f'"secrets" is not a list of 1 to {_MOST_SECRETS} names or ARNs of secrets.'
        )
    if (names_one or members.get("release") is True) and (secrets is None or len(secrets) != 1):
        released = "" if names_one else ' with "release"'
        raise InvalidEventError(f'"{name}"{released} takes one secret.')
    for flag in _FLAGS:
        if not isinstance(members.get(flag, False), bool):
            raise InvalidEventError(f'"{flag}" is neither true nor false.')
    for member, pattern in _TEXTS.items():
        text = members.get(member)
        if member in members and not (isinstance(text, str) and pattern.fullmatch(text)):
            raise InvalidEventError(
                f'"{member}" is empty, too long, or has a character that it may not have.'
            )
    if "found" in members:
        refuse_malformed(members["found"])
    if "until" in members and not _is_time(members["until"]):
        raise InvalidEventError('"until" is no time.')


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _are_secrets(secrets: object) -> bool:
    return (
        isinstance(secrets, list)
        and 1 <= len(secrets) <= _MOST_SECRETS
        and all(isinstance(one, str) and _SECRET.fullmatch(one) for one in secrets)
    )
