"""Writes down in the journal what a run has found. It does no IO.

The first run for a secret also carries over what version 0.2 and older kept in labels and tags
(`rotation.secrets_manager.former_labels`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from rotation.core.policy import ReconciliationPolicy
from rotation.credential import iso_utc, whole_milliseconds
from rotation.incident.declaration import read_tag
from rotation.journal.model import Death, Incident, Journal, KeyLife, VersionRecord
from rotation.reconciliation.situation import Reading, Situation
from rotation.secrets_manager.former_labels import (
    is_compromised,
    is_proven_dead,
    retire_after,
)
from rotation.secrets_manager.labels import AWSPREVIOUS, INCIDENT_TAG

_NEVER_GOT_A_VALUE: Final = "it has no value"


def observe(journal: Journal, situation: Situation, policy: ReconciliationPolicy) -> Journal:
    """The journal with everything that a run found.

    Args:
        journal: the journal, which others may have changed since the run read it.
        situation: what the run found.
        policy: the grace of a displaced key.
    """
    if situation.snapshot.deleted_at is not None:
        return journal
    now = whole_milliseconds(situation.now)
    journal = carry_over(replace(journal, versions=_versions(journal, situation)), situation)
    journal = replace(journal, keys=_keys(journal, situation, now, policy.grace))
    incident = journal.open_incident
    if incident is not None:
        journal = journal.with_incident(_with_all_suspects(incident, journal, situation))
    return _without_what_is_over(journal, situation, now, policy.longest_key_life)


def _as_kept(time: datetime | None) -> datetime | None:
    return None if time is None else whole_milliseconds(time)


def _versions(journal: Journal, situation: Situation) -> Mapping[str, VersionRecord]:
    known = dict(journal.versions)
    for version in situation.versions:
        before = known.get(version.id, VersionRecord())
        was_current = version.was_current or version.current or AWSPREVIOUS in version.labels
        if version.key_id is not None:
            known[version.id] = VersionRecord(
                version.key_id,
                before.was_current or was_current,
                _as_kept(version.issued_at),
                _as_kept(version.expires_at),
            )
        elif was_current:
            known[version.id] = replace(before, was_current=True)
    return known


def _keys(
    journal: Journal, situation: Situation, now: datetime, grace: timedelta
) -> Mapping[str, KeyLife]:
    """The lives of the keys: first seen now, displaced now, or in use again."""
    lives = dict(journal.keys)
    for key_id in {*lives, *situation.holders}:
        life = lives.get(key_id) or KeyLife(now)
        if life.death is not None and life.death.attested and _seen_again(key_id, situation):
            # What a person attests does not outweigh what can be seen.
            life = replace(life, death=None)
        if life.death is not None:
            continue
        if key_id in situation.protected:
            life = life.used_again()
        elif (
            life.displaced_at is None
            and not situation.issued_for_another_secret(key_id)
            # A stray that the issuer was asked to revoke was in no version, and has no grace.
            and (key_id in situation.holders or life.asked_at is None)
        ):
            life = replace(life, displaced_at=now, retire_after=now + grace)
        lives[key_id] = life
    return lives


def _seen_again(key_id: str, situation: Situation) -> bool:
    """Whether a version holds the key, or the vendor lists it as active."""
    listed = situation.listed(key_id)
    return key_id in situation.holders or (listed is not None and listed.active)


def _with_all_suspects(incident: Incident, journal: Journal, situation: Situation) -> Incident:
    """The open incident with every key that turns out to be suspect.

    A version that existed at the declaration may be read only now, and one that was made a moment
    before it may be listed only now: the list of versions is eventually consistent. The same holds
    for a key that a rotation had been issued, and had not stored yet.
    """
    own = {one.token for one in incident.rotations if one.at >= incident.declared_at}
    versions = set(incident.versions)
    set_aside = dict(incident.set_aside)
    for version in situation.versions:
        made = version.created_at
        if made is not None and made <= incident.declared_at and version.id not in own:
            versions.add(version.id)
    suspects = dict(incident.suspects)
    seen = {version.id: version for version in situation.versions}
    for version_id in versions:
        found = seen.get(version_id)
        record = journal.versions.get(version_id)
        key_id = None if record is None else record.key_id
        if key_id is not None:
            set_aside.pop(version_id, None)
            if not journal.dead(key_id):
                suspects.setdefault(key_id, ())
        elif found is None or (found.reading is Reading.EMPTY and found.displaced):
            set_aside[version_id] = _NEVER_GOT_A_VALUE
        elif found.reading is Reading.UNREADABLE:
            set_aside[version_id] = found.problem
    for key in situation.listing.keys if situation.listing else ():
        ours = key.label.secret_arn == situation.snapshot.arn
        before = key.created_at <= incident.declared_at and key.label.token not in own
        if ours and key.active and (before or key.label.token in versions):
            suspects.setdefault(key.id, ())
    return replace(
        incident,
        suspects={one: _united(suspects[one], journal.holders(one)) for one in suspects},
        versions=frozenset(versions),
        set_aside=set_aside,
    )


def _united(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))


def _without_what_is_over(
    journal: Journal, situation: Situation, now: datetime, longest_life: timedelta
) -> Journal:
    """Forget keys that have been dead for longer than any key lives, unless a version holds them.

    A key that an incident names stays. The former states of the journal still have the others.
    """
    named = {key_id for incident in journal.incidents for key_id in incident.suspects}
    over = {
        key_id
        for key_id, life in journal.keys.items()
        if life.death is not None
        and now - life.death.at > 2 * longest_life
        and key_id not in situation.holders
        and key_id not in named
    }
    if not over:
        return journal
    existing = {version.id for version in situation.versions}
    return replace(
        journal,
        keys={one: life for one, life in journal.keys.items() if one not in over},
        versions={
            one: record
            for one, record in journal.versions.items()
            if record.key_id not in over or one in existing
        },
    )


def carry_over(journal: Journal, situation: Situation) -> Journal:
    """The journal with what version 0.2 and older wrote in labels and tags.

    A new journal takes over all of it. Later an old copy of the command line can still declare keys
    compromised in that way: whoever did so believes it, so it holds at any time. What else such a
    copy writes later is worth nothing, since the journal knows it better.
    """
    new = journal.begun_at is None
    now, tags = whole_milliseconds(situation.now), situation.snapshot.tags
    suspect = {
        version.id
        for version in situation.versions
        if is_compromised(version.id, version.labels, tags)
        and (new or not journal.suspect(version.key_id, version.id))
    }
    if new:
        journal = replace(journal, keys=_former_lives(journal, situation, now), begun_at=now)
    if not suspect:
        return journal
    declaration = read_tag(tags.get(INCIDENT_TAG, ""), now)
    if journal.incident_of(declaration.id) is not None:
        declaration = replace(declaration, id=f"{declaration.id}-{iso_utc(now)}")
    suspects = {
        key_id: tuple(version.id for version in versions)
        for key_id, versions in situation.holders.items()
        if any(version.id in suspect for version in versions)
    }
    # Somebody may have declared the keys compromised before the first run.
    incident = journal.open_incident or Incident(declaration.id, ())
    return journal.with_incident(
        replace(
            incident,
            declarations=(*incident.declarations, declaration),
            suspects={**suspects, **incident.suspects},
            versions=incident.versions | suspect,
        )
    )


def _former_lives(journal: Journal, situation: Situation, now: datetime) -> Mapping[str, KeyLife]:
    """The lives of the keys with the deaths and graces that labels tell of."""
    lives = dict(journal.keys)
    for version in situation.versions:
        if version.key_id is None:
            continue
        life = lives.get(version.key_id) or KeyLife(now)
        after = retire_after(version.labels)
        if is_proven_dead(version.labels):
            proof = {"by": f"the label on version {version.id}, by version 0.2 or older"}
            life = replace(life, death=Death(now, proof))
        elif after is not None and version.key_id not in situation.protected:
            until = max(after, life.retire_after or after)
            life = replace(life, displaced_at=now, retire_after=until)
        lives[version.key_id] = life
    return lives
