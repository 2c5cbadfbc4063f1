"""Whether one state of a journal may follow another. It does no IO.

A journal is changed by `rotation.reconciliation`, `rotation.incident` and `rotation.core`, and none
of them takes back what a journal has once said, but for the cases that are named here. Whoever has
the former states can tell by these rules that a state was taken out, put in or written by hand, if
that broke one. A false state that keeps every rule is not found: the rules do not tell who wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rotation.journal.model import Death, Incident, Journal, KeyLife, VersionRecord


def broken_rules(before: Journal, after: Journal) -> tuple[str, ...]:
    """What `after` says that no change of `before` can have made; empty: it may follow.

    Args:
        before: a state.
        after: the state that is said to be the next one.

    Returns:
        Sentences that name the version, the key or the incident.
    """
    return (
        *_of_the_whole(before, after),
        *_of_versions(before, after),
        *_of_keys(before, after),
        *_of_incidents(before, after),
    )


def _of_the_whole(before: Journal, after: Journal) -> Iterator[str]:
    if before.secret_arn != after.secret_arn:
        yield "It is the journal of another secret."
    if before.begun_at is not None and after.begun_at != before.begun_at:
        yield "The time when the journal was begun has changed."
    if sum(one.closing is None for one in after.incidents) > 1:
        yield "More than one incident is open."


def _of_versions(before: Journal, after: Journal) -> Iterator[str]:
    for version, known in before.versions.items():
        found = after.versions.get(version)
        if found is None:
            # A version is left out together with its key, which has been dead for long.
            if known.key_id is None or known.key_id in after.keys:
                yield f"Version {version} is left out, and its key is not."
        elif known.key_id is not None and not _same_value(known, found):
            yield f"Version {version} holds another value; the value of a version never changes."
        elif known.was_current and not found.was_current:
            yield f"Version {version} was current, and no longer is said to have been."


def _same_value(one: VersionRecord, other: VersionRecord) -> bool:
    return replace(one, was_current=True) == replace(other, was_current=True)


def _of_keys(before: Journal, after: Journal) -> Iterator[str]:
    suspects = {key for incident in before.incidents for key in incident.suspects}
    for key, known in before.keys.items():
        found = after.keys.get(key)
        if found is not None:
            for problem in _of_a_life(known, found):
                yield f"Key {key}: {problem}"
            # Until a run has begun the journal, the labels of version 0.2 may say more of a death.
            if before.begun_at is not None and not _may_follow(known.death, found.death):
                yield f"Key {key}: its death is gone or has changed."
        elif known.death is None:
            yield f"Key {key} is left out, and was not dead."
        elif key in suspects:
            yield f"Key {key} is left out, and an incident names it."
    for key, life in after.keys.items():
        if (life.displaced_at is None) != (life.retire_after is None):
            yield f"Key {key}: it is displaced without an end of its grace, or the reverse."


def _of_a_life(before: KeyLife, after: KeyLife) -> Iterator[str]:
    if after.first_seen_at != before.first_seen_at:
        yield "the time when it was first seen has changed."
    if before.asked_at is not None and after.asked_at != before.asked_at:
        yield "the time when the issuer was first asked to revoke it has changed."
    if before.outcome is not None and after.outcome is None:
        yield "the issuer's answer is gone."
    if before.displaced_at is not None and after.displaced_at is not None:
        if after.displaced_at != before.displaced_at:
            yield "it was displaced at another time, and was not in use in between."
        elif after.retire_after != before.retire_after and not _is_prolonged(before, after):
            yield "the end of its grace has changed, and nobody prolonged it."


def _is_prolonged(before: KeyLife, after: KeyLife) -> bool:
    """A grace ends later only if the journal says who wanted that; it never ends earlier."""
    if before.retire_after is None or after.retire_after is None:
        return False
    asked_for = any(one.until == after.retire_after for one in after.prolongations)
    return asked_for and before.retire_after < after.retire_after


def _may_follow(before: Death | None, after: Death | None) -> bool:
    """What a person attests is void when the key is seen again; a proof is never void."""
    return before is None or before == after or (before.attested and after is None)


def _of_incidents(before: Journal, after: Journal) -> Iterator[str]:
    known = [one.id for one in before.incidents]
    if [one.id for one in after.incidents][: len(known)] != known:
        yield "An incident is gone, or the incidents have another order."
    found = {one.id: one for one in after.incidents}
    for incident in before.incidents:
        if incident.id in found:
            for problem in _of_an_incident(incident, found[incident.id]):
                yield f"Incident {incident.id}: {problem}"
    closed = {one.id for one in before.incidents if one.closing is not None}
    for incident in after.incidents:
        if incident.closing is not None and incident.id not in closed:
            for problem in _of_a_closing(incident, after):
                yield f"Incident {incident.id}: {problem}"


def _of_an_incident(before: Incident, after: Incident) -> Iterator[str]:
    if before.closing is not None:
        if after not in (before, _with_evidence_of(after, before)):
            yield "it was closed, and has changed."
        return
    if after.declarations[: len(before.declarations)] != before.declarations:
        yield "a declaration is gone or has changed."
    for key, versions in before.suspects.items():
        if not set(versions) <= set(after.suspects.get(key, ())) or key not in after.suspects:
            yield f"key {key} is no longer suspect, or less is said to hold it."
    if not before.versions <= after.versions:
        yield "a version that existed at a declaration is gone."
    rotations = {(one.token, one.at) for one in after.rotations}
    if not {(one.token, one.at) for one in before.begun} <= rotations:
        yield "a rotation that it began is gone."


def _with_evidence_of(source: Incident, closed: Incident) -> Incident:
    """A closed incident with the place of its record, the only thing that is added to one."""
    place = source.closing.evidence if source.closing is not None else None
    if closed.closing is None or closed.closing.evidence is not None:
        return closed
    return replace(closed, closing=replace(closed.closing, evidence=place))


def _of_a_closing(incident: Incident, after: Journal) -> Iterator[str]:
    if not after.resolved(incident):
        yield "it was closed while a suspect key may have been alive, or a version was not read."
    closing = incident.closing
    if closing is not None and after.suspect(closing.current_key, closing.current_version):
        yield "it was closed while the current key was suspect."


def broken_succession(states: Sequence[Journal]) -> list[tuple[int, str]]:
    """Every broken rule in a sequence of states, oldest first.

    Returns:
        The place of the state in the sequence, counted from 0, and a sentence. The first state
        follows nothing, so nothing is said of it.
    """
    return [
        (place, problem)
        for place in range(1, len(states))
        for problem in broken_rules(states[place - 1], states[place])
    ]
