"""Prolongs the grace of a key that somebody still needs, up to a limit. It does no IO.

A suspect key has no grace, so nothing here can hold up an incident: not one that is open, and not
one that is declared later.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from rotation.core.policy import MOST_OBJECTORS
from rotation.credential import iso_utc, whole_milliseconds
from rotation.errors import VersionStateError
from rotation.journal.model import Journal, KeyLife, Prolongation


def prolong(
    journal: Journal,
    key_id: str,
    wish: Prolongation,
    *,
    limit: timedelta,
    now: datetime,
    late: bool = False,
) -> Journal:
    """The journal with a longer grace of one key. It never becomes shorter.

    Args:
        journal: the journal, as it is just now.
        key_id: the key.
        wish: who wants it and why; its ``until`` may be later than the limit, which then holds.
        limit: how much later than it was to the grace ends at most, whoever asks and how often.
        now: our clock, aware UTC.
        late: whether the grace may be over already, as long as nobody was asked to revoke the key.

    Raises:
        VersionStateError: the key has no grace, or it is over.
    """
    life = journal.keys.get(key_id)
    problem = _problem(journal, key_id, life, wish, now)
    if problem is None and not late and life and life.retire_after and life.retire_after <= now:
        problem = f"its grace was over at {iso_utc(life.retire_after)}"
    if problem is not None or life is None or life.retire_after is None:
        raise VersionStateError(f"The retirement of key {key_id} cannot be put off: {problem}.")
    first_end = min([life.retire_after, *(one.former_end for one in life.prolongations)])
    until = whole_milliseconds(min(wish.until, first_end + limit))
    if until <= max(life.retire_after, now):
        return journal
    earlier = next((one for one in life.prolongations if one.by == wish.by), None)
    others = tuple(one for one in life.prolongations if one.by != wish.by)
    if len(others) >= MOST_OBJECTORS:
        raise VersionStateError(
            f"The retirement of key {key_id} cannot be put off: {MOST_OBJECTORS} have done so."
        )
    former_end = life.retire_after if earlier is None else earlier.former_end
    noted = replace(wish, until=until, former_end=former_end)
    return journal.with_key(
        key_id, replace(life, retire_after=until, prolongations=(*others, noted))
    )


def _problem(
    journal: Journal, key_id: str, life: KeyLife | None, wish: Prolongation, now: datetime
) -> str | None:
    """Why the grace of a key cannot be prolonged."""
    if life is None:
        return "the journal does not know it"
    problems = {
        "it was declared compromised": journal.suspect(key_id),
        "it is dead": life.death is not None,
        "it is in use, and nothing retires it": life.retire_after is None,
        "it was asked to be revoked already": life.asked_at is not None,
        f"{iso_utc(wish.until)} is over": wish.until <= now,
    }
    return next((problem for problem, true in problems.items() if true), None)
