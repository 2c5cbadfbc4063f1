"""What the reconcile function can be asked: its events, validated."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rotation.errors import InvalidEventError
from rotation.incident.tag_text import ACTOR, REASON

RECONCILE: Final = "reconcile"
REPORT: Final = "report"
ROLLBACK: Final = "rollback"
EVIDENCE: Final = "evidence"
CONDEMN_POOL: Final = "condemn-pool"
#: The action, and the alias of the function through which alone it may be asked for.
REVOKE_FIRST: Final = "revoke-first"

#: What an event has beside its action: what it must have, and what it may have.
_MEMBERS: Final = {
    RECONCILE: (frozenset(), frozenset({"secrets"})),
    REPORT: (frozenset(), frozenset({"secrets"})),
    ROLLBACK: (frozenset({"secrets"}), frozenset()),
    EVIDENCE: (frozenset({"secrets"}), frozenset()),
    CONDEMN_POOL: (frozenset({"reason", "actor"}), frozenset({"again"})),
    REVOKE_FIRST: (frozenset({"secrets", "reason", "actor"}), frozenset({"again"})),
}
_ONE_SECRET: Final = frozenset({ROLLBACK, EVIDENCE, REVOKE_FIRST})
# API_CreateSecret, Name; and the ARN that it becomes part of.
_SECRET: Final = re.compile(
    r"(?:arn:aws[\w-]*:secretsmanager:[\w-]+:\d{12}:secret:)?[A-Za-z0-9/_+=.@-]{1,520}"
)
_MOST_SECRETS: Final = 1000
_TEXTS: Final = {"reason": REASON, "actor": ACTOR}


@dataclass(frozen=True)
class Request:
    """What an event asks for.

    Attributes:
        action: one of the actions above.
        secrets: names or ARNs; None: all.
        reason: why keys are declared compromised; empty where they are not.
        actor: by whom, as the caller says it.
        again: whether it leaked once more: what came after an open incident is suspect too.
    """

    action: str
    secrets: Sequence[str] | None = None
    reason: str = ""
    actor: str = ""
    again: bool = False


def parse(event: object, alias: str | None = None) -> Request:
    """What an event asks for.

    Args:
        event: the event.
        alias: the alias through which the function was invoked, if any.

    Raises:
        InvalidEventError: the event is none that ``docs/reconciliation.md`` describes.
    """
    if not isinstance(event, dict):
        raise InvalidEventError("The event is not a JSON object.")
    if (event.get("source"), event.get("detail-type")) == ("aws.events", "Scheduled Event"):
        return Request(RECONCILE)
    action = event.get("action", None if event else RECONCILE)
    if not isinstance(action, str) or action not in _MEMBERS:
        raise InvalidEventError(f'"action" is none of {", ".join(_MEMBERS)}.')
    if action == REVOKE_FIRST and alias != REVOKE_FIRST:
        raise InvalidEventError(
            f'"{REVOKE_FIRST}" is done only through the alias {REVOKE_FIRST} of this function.'
        )
    needed, allowed = _MEMBERS[action]
    if not needed <= event.keys() - {"action"} <= needed | allowed:
        members = ", ".join(sorted(needed | allowed)) or "no other member"
        raise InvalidEventError(
            f'"{action}" goes with {members}, and needs all but "secrets" and "again".'
        )
    _validate(action, event)
    return Request(
        action,
        event.get("secrets"),
        event.get("reason", ""),
        event.get("actor", ""),
        event.get("again", False),
    )


def _validate(action: str, event: Mapping[str, Any]) -> None:
    secrets = event.get("secrets")
    if secrets is not None and not _named(secrets):
        raise InvalidEventError(
            f'"secrets" is not a list of 1 to {_MOST_SECRETS} names or ARNs of secrets.'
        )
    if action in _ONE_SECRET and (secrets is None or len(secrets) != 1):
        raise InvalidEventError(f'"{action}" takes one secret.')
    if not isinstance(event.get("again", False), bool):
        raise InvalidEventError('"again" is neither true nor false.')
    for name, pattern in _TEXTS.items():
        text = event.get(name)
        if name in event and not (isinstance(text, str) and pattern.fullmatch(text)):
            raise InvalidEventError(
                f'"{name}" is empty, too long, or has a character that a tag may not have.'
            )


def _named(secrets: object) -> bool:
    return (
        isinstance(secrets, list)
        and 1 <= len(secrets) <= _MOST_SECRETS
        and all(isinstance(one, str) and _SECRET.fullmatch(one) for one in secrets)
    )
