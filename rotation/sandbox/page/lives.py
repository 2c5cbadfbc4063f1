"""The lives of keys as the page draws them: phases, one after the other. It does no IO."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Final

from rotation.sandbox.aws.versions import AWSCURRENT, AWSPENDING

#: How many changes the timeline shows, the newest ones.
MOST_CHANGES: Final = 10


class KeyPhase(StrEnum):
    """A phase in the life of a key. The text is what people read."""

    ISSUED = "issued"
    PENDING = "pending"
    CURRENT = "current"
    GRACE = "grace"
    DEAD = "dead"


@dataclass(frozen=True)
class KeySighting:
    """What can be seen of a key at one moment.

    Attributes:
        id: the vendor's key id.
        created_at: when the vendor made it, aware UTC.
        ended_at: when it was revoked or expired, aware UTC; None: the vendor accepts it.
        labels: the staging labels of all versions that hold it.
    """

    id: str
    created_at: datetime
    ended_at: datetime | None
    labels: frozenset[str]


@dataclass(frozen=True)
class PhaseChange:
    """That a key entered a phase.

    Attributes:
        at: when that was seen or, for the first and the last phase, when it happened; aware UTC.
    """

    phase: KeyPhase
    at: datetime


class KeyLives:
    """The phases of every key that was ever seen. Not safe to use from several threads."""

    def __init__(self) -> None:
        self._changes: dict[str, list[PhaseChange]] = {}

    def observe(self, now: datetime, sightings: Iterable[KeySighting]) -> None:
        """Note every key that is in another phase than it was."""
        for seen in sightings:
            if seen.id not in self._changes:
                self._changes[seen.id] = [PhaseChange(KeyPhase.ISSUED, seen.created_at)]
            changes = self._changes[seen.id]
            phase = _phase(seen, {change.phase for change in changes})
            if phase is not changes[-1].phase:
                changes.append(PhaseChange(phase, seen.ended_at or now))

    def phase(self, key_id: str) -> KeyPhase:
        """The phase that a key is in.

        Raises:
            KeyError: it was never seen.
        """
        return self._changes[key_id][-1].phase

    def timeline(self) -> Timeline:
        """The newest changes of all keys, and every key that lived through one of them."""
        moments = sorted({change.at for changes in self._changes.values() for change in changes})
        shown = tuple(moments[-MOST_CHANGES:])
        rows = (
            TimelineRow(key_id, _spans(changes, shown)) for key_id, changes in self._changes.items()
        )
        newest_first = sorted(
            (row for row in rows if {span.phase for span in row.spans} - {None, KeyPhase.DEAD}),
            key=lambda row: self._changes[row.key_id][0].at,
            reverse=True,
        )
        return Timeline(shown, tuple(newest_first))


@dataclass(frozen=True)
class Span:
    """A phase over some columns of the timeline; None: the key did not exist yet."""

    phase: KeyPhase | None
    columns: int


@dataclass(frozen=True)
class TimelineRow:
    """One key, from the first column to the last."""

    key_id: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Timeline:
    """A column for each change of any key. Columns are equally wide, however long they lasted.

    Attributes:
        moments: when each column begins, aware UTC.
        rows: the keys, newest first.
    """

    moments: tuple[datetime, ...]
    rows: tuple[TimelineRow, ...]


def _phase(seen: KeySighting, before: set[KeyPhase]) -> KeyPhase:
    if seen.ended_at is not None:
        return KeyPhase.DEAD
    if AWSCURRENT in seen.labels:
        return KeyPhase.CURRENT
    if AWSPENDING in seen.labels:
        return KeyPhase.PENDING
    return KeyPhase.GRACE if KeyPhase.CURRENT in before else KeyPhase.ISSUED


def _spans(changes: Iterable[PhaseChange], moments: Iterable[datetime]) -> tuple[Span, ...]:
    known = list(changes)
    phases = [
        next((change.phase for change in reversed(known) if change.at <= moment), None)
        for moment in moments
    ]
    return tuple(Span(phase, len(list(same))) for phase, same in groupby(phases))
