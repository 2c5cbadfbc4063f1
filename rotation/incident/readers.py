"""Who read the suspect keys of an incident, as evidence beside its record. It does no IO.

The functions may not ask CloudTrail and IAM; a person's command may, and hands over what it found
(docs/adr/0029-readers-are-evidence-of-their-own.md). What it hands over is checked for its form,
and is kept as what that person says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeGuard

from rotation.credential import iso_utc
from rotation.errors import InvalidEventError, VersionStateError
from rotation.incident.closing import readers_folder
from rotation.journal.document import key_members
from rotation.journal.model import Incident, Journal
from rotation.privacy.redaction import scrub

SCHEMA: Final = "trusted-signatures-rotation/readers/1"

#: How long the readers and the gaps may be together, as JSON, in characters.
LONGEST: Final = 200_000

_TEXT: Final = re.compile(r"[^\x00-\x1f\x7f]{0,2048}")
_READER: Final[Mapping[str, type | tuple[type, ...]]] = {
    "principal": str,
    "kind": str,
    "through": list,
    "reads": int,
    "refused": int,
    "firstAt": str,
    "lastAt": str,
    "sessions": list,
    "addresses": list,
    "keys": list,
    "known": bool,
}
_KEY: Final[Mapping[str, type | tuple[type, ...]]] = {
    "keyId": (str, type(None)),
    "versionId": (str, type(None)),
    "how": str,
    "reads": int,
}
_GAP: Final[Mapping[str, type | tuple[type, ...]]] = {"code": str, "message": str}
_FOUND: Final[Mapping[str, type | tuple[type, ...]]] = {
    "since": str,
    "until": str,
    "readers": list,
    "gaps": list,
}


def refuse_malformed(found: object) -> None:
    """Refuse what is not found by `rotation exposure`, by its form.

    Args:
        found: since, until, readers and gaps, as JSON members.

    Raises:
        InvalidEventError: it has another form, is too long, or holds what may be a key.
    """
    if not _has(found, _FOUND) or len(text := json.dumps(found)) > LONGEST:
        raise InvalidEventError('"found" is too long, or has another form than an exposure.')
    readers, gaps = found["readers"], found["gaps"]
    if not all(_is_reader(one) for one in readers) or not all(_has(one, _GAP) for one in gaps):
        raise InvalidEventError('"found" has a reader or a gap of another form.')
    if scrub(text) != text:
        raise InvalidEventError('"found" holds what may be a key.')


def newest_closed(journal: Journal) -> Incident:
    """The incident that was closed last.

    Raises:
        VersionStateError: none is closed.
    """
    closed = [one for one in journal.incidents if one.closing is not None]
    if not closed:
        raise VersionStateError(
            f"{journal.secret_arn} has no incident that is closed. Ask again when it is over."
        )
    return closed[-1]


def readers_name(secret_arn: str, incident: Incident, at: datetime) -> str:
    """Where the readers that were found at this time are kept: beside the incident's record."""
    return f"{readers_folder(secret_arn, incident)}{iso_utc(at)}.json"


def readers_record(
    journal: Journal,
    incident: Incident,
    found: Mapping[str, Any],
    *,
    secret_name: str,
    actor: str,
    at: datetime,
) -> bytes:
    """The evidence as JSON: the suspect keys from the journal, and what was found of their readers.

    Args:
        journal: the journal of the secret.
        incident: the incident.
        found: what the command found, whose form was checked.
        secret_name: the name of the secret.
        actor: who asked, as the caller says it.
        at: when it is written, aware UTC.
    """
    document = {
        "schema": SCHEMA,
        "secret": {"arn": journal.secret_arn, "name": secret_name},
        "incident": incident.id,
        "writtenAt": iso_utc(at),
        "foundBy": actor,
        "keys": [
            {"keyId": key_id, "death": key_members(journal.keys[key_id])["death"]}
            for key_id in sorted(incident.suspects)
        ],
        **found,
    }
    return json.dumps(document, indent=2).encode()


def _is_reader(one: object) -> bool:
    return (
        _has(one, _READER)
        and all(_has(key, _KEY) for key in one["keys"])
        and all(
            isinstance(text, str) and _TEXT.fullmatch(text)
            for name in ("through", "sessions", "addresses")
            for text in one[name]
        )
    )


def _has(value: object, form: Mapping[str, type | tuple[type, ...]]) -> TypeGuard[dict[str, Any]]:
    """Whether a value is an object with exactly these members, of these types."""
    return (
        isinstance(value, dict)
        and value.keys() == form.keys()
        and all(isinstance(value[name], wanted) for name, wanted in form.items())
        and all(_TEXT.fullmatch(one) for one in value.values() if isinstance(one, str))
    )
