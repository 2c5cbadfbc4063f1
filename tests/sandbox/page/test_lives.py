"""The phases of keys, and the timeline that is drawn of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rotation.sandbox.page.lives import (
    MOST_CHANGES,
    KeyLives,
    KeyPhase,
    KeySighting,
    Span,
    Timeline,
)

T0 = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def sighting(key: str, *labels: str, made: float = 0, ended: float | None = None) -> KeySighting:
    ended_at = None if ended is None else at(ended)
    return KeySighting(key, at(made), ended_at, frozenset(labels))


def drawn(timeline: Timeline) -> dict[str, list[tuple[str | None, int]]]:
    return {row.key_id: [(span.phase, span.columns) for span in row.spans] for row in timeline.rows}


def test_a_rotation_goes_through_every_phase() -> None:
    """Each change of any key is a column; a key that does not exist yet has an empty cell."""
    lives = KeyLives()
    lives.observe(at(1), [sighting("old", "AWSCURRENT")])
    lives.observe(at(3), [sighting("old", "AWSCURRENT"), sighting("new", "AWSPENDING", made=2)])
    lives.observe(at(4), [sighting("old", "AWSPREVIOUS"), sighting("new", "AWSCURRENT", made=2)])
    lives.observe(at(9), [sighting("old", ended=8), sighting("new", "AWSCURRENT", made=2)])
    timeline = lives.timeline()
    assert timeline.moments == tuple(at(minutes) for minutes in (0, 1, 2, 3, 4, 8))
    assert drawn(timeline) == {
        "new": [(None, 2), ("issued", 1), ("pending", 1), ("current", 2)],
        "old": [("issued", 1), ("current", 3), ("grace", 1), ("dead", 1)],
    }


def test_the_newest_key_is_on_top() -> None:
    """People look for what has just come."""
    lives = KeyLives()
    lives.observe(at(5), [sighting("first", made=1), sighting("second", made=2)])
    assert [row.key_id for row in lives.timeline().rows] == ["second", "first"]


def test_a_key_that_is_pending_and_current_is_current() -> None:
    """AWSPENDING stays on a promoted version for a moment."""
    lives = KeyLives()
    lives.observe(at(1), [sighting("key", "AWSPENDING", "AWSCURRENT")])
    assert lives.phase("key") is KeyPhase.CURRENT


def test_a_rollback_ends_the_grace() -> None:
    """A key that is current again is in no grace period."""
    lives = KeyLives()
    for labels in (["AWSCURRENT"], ["AWSPREVIOUS"], ["AWSCURRENT"]):
        lives.observe(at(1), [sighting("key", *labels)])
    assert lives.phase("key") is KeyPhase.CURRENT


def test_a_pending_key_that_is_abandoned_is_no_displaced_one() -> None:
    """Grace is for keys that applications may have; nobody ever had this one."""
    lives = KeyLives()
    lives.observe(at(1), [sighting("key", "AWSPENDING")])
    lives.observe(at(2), [sighting("key")])
    assert lives.phase("key") is KeyPhase.ISSUED


def test_a_revoked_key_is_dead_even_where_it_is_current() -> None:
    """The label says what applications take, and not what the vendor accepts."""
    lives = KeyLives()
    lives.observe(at(3), [sighting("key", "AWSCURRENT", ended=2)])
    assert lives.phase("key") is KeyPhase.DEAD
    assert lives.timeline().moments == (at(0), at(2))


def test_only_the_newest_changes_are_drawn() -> None:
    """A key that died before them is left out; one that lives is not, however old it is."""
    lives = KeyLives()
    lives.observe(at(1), [sighting("dead", ended=1), sighting("living", "AWSCURRENT")])
    for minute in range(2, 2 + MOST_CHANGES):
        lives.observe(at(minute), [sighting(f"made {minute}", made=minute)])
    timeline = lives.timeline()
    assert len(timeline.moments) == MOST_CHANGES
    rows = {row.key_id: row.spans for row in timeline.rows}
    assert "dead" not in rows
    assert rows["living"] == (Span(KeyPhase.CURRENT, MOST_CHANGES),)


def test_nothing_is_drawn_where_there_is_no_key() -> None:
    """As in a sandbox that was started with --empty."""
    assert KeyLives().timeline() == Timeline((), ())
