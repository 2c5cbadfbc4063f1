"""Declares the keys of a secret compromised: opens an entry in its journal. It does no IO.

An incident names keys. Every key that a declaration finds is suspect, wherever it is held: in a
version with or without labels, at the vendor, or in the journal alone. It also names the versions
that exist, so that a key which one of them turns out to hold is suspect as well. A suspect key
stays suspect for ever; `rotation.core` promotes none.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from rotation.credential import iso_utc, whole_milliseconds
from rotation.incident.tag_text import actor_for_tag, reason_for_tag
from rotation.journal.model import Declaration, Incident, Journal

# API_Tag: 256 characters at most.
_LONGEST_TAG: Final = 256
_NAMESPACE: Final = uuid.UUID("6d1c1c0e-6f5e-5d0c-9a58-4f1f0f0a7f11")


def from_free_text(at: datetime, reason: str, actor: str) -> Declaration:
    """A new declaration of what somebody typed; `rotation.incident.tag_text` cleans it."""
    name = str(uuid.uuid4())
    return Declaration(name, whole_milliseconds(at), reason_for_tag(reason), actor_for_tag(actor))


def declare(
    journal: Journal,
    declaration: Declaration,
    *,
    keys: Mapping[str, tuple[str, ...]],
    versions: Iterable[str],
    again: bool = False,
) -> Journal:
    """The journal with the declaration in it: in the open incident, or in a new one.

    An incident can be open for days, while a person has to revoke keys. Keys that were made after
    it was declared are not suspect, unless ``again`` says that they leaked too. A declaration that
    the journal has already changes nothing.

    Args:
        journal: the journal, as it is just now.
        declaration: what is declared.
        keys: the keys that were found just now, each with the versions that hold it.
        versions: the versions that were found just now.
        again: whether the keys that came after the open incident are suspect too.
    """
    if journal.incident_of(declaration.id) is not None:
        return journal
    incident = journal.open_incident
    if incident is not None and not again:
        joins = replace(declaration, of_all_keys=False)
        return journal.with_incident(
            replace(incident, declarations=(*incident.declarations, joins))
        )
    if incident is None:
        incident = Incident(declaration.id, ())
    alive = {key_id for key_id, life in journal.keys.items() if life.death is None}
    suspects = dict(incident.suspects)
    for key_id in {*alive, *keys}:
        if not journal.dead(key_id):
            held = (*suspects.get(key_id, ()), *journal.holders(key_id), *keys.get(key_id, ()))
            suspects[key_id] = tuple(dict.fromkeys(held))
    return journal.with_incident(
        replace(
            incident,
            declarations=(*incident.declarations, declaration),
            suspects=suspects,
            versions=incident.versions | frozenset(versions),
        )
    )


def rotation_token(secret_arn: str, incident: Incident) -> str:
    """The ClientRequestToken of the incident's next rotation; everybody who asks gets the same."""
    name = f"{secret_arn} {incident.id} {len(incident.begun) + 1}"
    return str(uuid.uuid5(_NAMESPACE, name))


def tag_text(declaration: Declaration) -> str:
    """A declaration as the value of a tag: time, reason, actor."""
    reason = " ".join(declaration.reason.split())
    room = _LONGEST_TAG - len(iso_utc(declaration.at)) - len(declaration.actor) - 2
    return f"{iso_utc(declaration.at)} {reason[:room]} {declaration.actor}"


def read_tag(tag: str, now: datetime) -> Declaration:
    """The declaration in a tag that version 0.2 or older wrote.

    Where the tag is missing, or is not one of ours, the declaration is of ``now`` by nobody, and
    only the versions are suspect that something else names: nobody knows when it was declared.
    """
    words = tag.split()
    try:
        at = datetime.fromisoformat(words[0]).astimezone(UTC)
    except (IndexError, ValueError):
        name = f"before-the-journal-{iso_utc(now)}"
        return Declaration(name, now, "unstated", "unknown", of_all_keys=False)
    reason = " ".join(words[1:-1]) or "unstated"
    actor = words[-1] if len(words) > 1 else "unknown"
    return Declaration(f"before-the-journal-{iso_utc(at)}", at, reason, actor)
