"""What a run writes down in the journal: nothing is forgotten, nothing concluded from absence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

import pytest

from rotation.incident.declaration import declare
from rotation.journal.model import Closing, Declaration, Journal, VersionRecord
from rotation.reconciliation.observation import carry_over, observe
from rotation.reconciliation.situation import Reading, Situation
from rotation.secrets_manager.labels import INCIDENT_TAG
from tests.reconciliation.situations import (
    ARN,
    CURRENT,
    DAY,
    HOUR,
    IN_USE,
    NOW,
    PENDING,
    POLICY,
    PREVIOUS,
    dead,
    due,
    held,
    incident,
    journal_of,
    listed,
    situation,
)

NEW = held("new", CURRENT)


def seen(found: Situation) -> Journal:
    """The journal after a run that found this."""
    return observe(found.journal, found, POLICY)


def test_the_first_run_begins_the_journal() -> None:
    """Every version that was read, and every key that a version holds, is in it."""
    found = situation(NEW, held("old", PREVIOUS, issued_at=NOW - DAY), begun=False)
    journal = seen(found)
    assert journal.begun_at == NOW
    assert journal.versions == {
        "new": VersionRecord("k-new", was_current=True),
        "old": VersionRecord("k-old", was_current=True, issued_at=NOW - DAY),
    }
    assert journal.keys.keys() == {"k-new", "k-old"}
    assert all(life.first_seen_at == NOW for life in journal.keys.values())


def test_a_run_that_finds_nothing_new_changes_nothing() -> None:
    """However often it is done, so that no state is written for nothing."""
    found = situation(
        NEW,
        held("old", PREVIOUS),
        held("junk", reading=Reading.UNREADABLE),
        held("next", PENDING, reading=Reading.EMPTY),
        keys=(listed("made", "next"), listed("lost", "gone")),
        incidents=(incident("k-old", versions=("old", "junk")),),
    )
    once = seen(found)
    later = replace(found, now=NOW + HOUR, journal=once)
    assert observe(once, later, POLICY) == once


def test_a_time_in_the_journal_has_whole_milliseconds() -> None:
    """So it is read back as it was written."""
    found = situation(NEW, held("old", PREVIOUS), begun=False)
    journal = observe(found.journal, replace(found, now=NOW + timedelta(microseconds=1999)), POLICY)
    moment = NOW + timedelta(milliseconds=1)
    assert journal.begun_at == journal.keys["k-old"].displaced_at == moment
    assert journal.keys["k-old"].retire_after == moment + POLICY.grace


@pytest.mark.parametrize("reading", [Reading.EMPTY, Reading.UNREADABLE, Reading.NOT_READ])
def test_what_is_known_of_a_version_outlives_an_answer_that_lacks_it(reading: Reading) -> None:
    """One missing value makes neither the version nor its key unknown."""
    before = journal_of((NEW, held("old", PREVIOUS)), {"k-old": due(-HOUR)})
    found = situation(NEW, held("old", PREVIOUS, reading=reading), journal=before)
    assert seen(found).versions["old"].key_id == "k-old"
    assert seen(found).keys["k-old"] == due(-HOUR)


@pytest.mark.parametrize("label", [CURRENT, PREVIOUS])
def test_a_version_that_was_current_once_is_known_as_such(label: str) -> None:
    """Also when its value cannot be read, and when the label is gone."""
    first = seen(situation(held("old", label, reading=Reading.UNREADABLE), begun=False))
    assert first.was_current("old")
    second = seen(situation(NEW, held("old", "blue"), journal=first))
    assert second.versions["old"] == VersionRecord("k-old", was_current=True)


def test_a_key_that_is_in_use_again_begins_a_new_grace_when_it_is_displaced() -> None:
    """Rolled back to and displaced again, it has the whole grace."""
    back = seen(situation(held("old", CURRENT), lives={"k-old": due()}))
    assert back.keys["k-old"] == IN_USE
    again = seen(situation(NEW, held("old", PREVIOUS), journal=back))
    assert again.keys["k-old"].retire_after == NOW + POLICY.grace


def test_a_dead_key_is_forgotten_when_no_key_lives_so_long() -> None:
    """With its versions, unless one still exists; the former states have it."""
    old = 2 * POLICY.longest_key_life
    lives = {"gone": dead(old + DAY), "k-old": dead(old + DAY), "k-late": dead(old - DAY)}
    before = journal_of((NEW, held("old"), held("x", key="gone"), held("late")), lives)
    journal = seen(situation(NEW, held("old", PREVIOUS), journal=before))
    assert journal.keys.keys() == {"k-new", "k-old", "k-late"}
    assert journal.versions.keys() == {"new", "old", "late"}


def test_a_dead_suspect_key_is_never_forgotten() -> None:
    """Its incident names it for ever, and it would be taken for alive."""
    life = dead(3 * POLICY.longest_key_life)
    found = situation(NEW, lives={"gone": life}, incidents=(incident("gone", closed=True),))
    journal = seen(found)
    assert journal.keys["gone"] == life
    assert replace(found, journal=journal).suspects == frozenset()


def test_a_secret_that_is_being_deleted_is_not_written_down() -> None:
    """Nothing of it is read."""
    found = situation(NEW, begun=False, deleted=True)
    assert seen(found) == Journal(ARN)


class TestSuspects:
    """Which keys an open incident turns out to be about."""

    def test_a_version_that_is_read_only_now_makes_its_key_suspect(self) -> None:
        """It was named at the declaration, when no value is read."""
        [found] = seen(
            situation(NEW, held("old"), incidents=(incident(versions=("old",), since=DAY),))
        ).incidents
        assert found.suspects == {"k-old": ("old",)}

    def test_a_version_that_was_listed_only_now_is_named(self) -> None:
        """It was made before the declaration; the list is eventually consistent."""
        late = held("late", "blue", created_at=NOW - HOUR)
        [found] = seen(situation(NEW, late, incidents=(incident(since=HOUR),))).incidents
        assert found.versions == {"new", "late"}
        assert found.suspects.keys() == {"k-new", "k-late"}
        after = replace(late, created_at=NOW - HOUR + timedelta(milliseconds=1))
        [found] = seen(situation(after, incidents=(incident(since=HOUR),))).incidents
        assert found.suspects == {}

    def test_a_key_that_was_issued_before_the_declaration_is_suspect(self) -> None:
        """Also if no version has it yet; one that was issued after it is not."""
        keys = (
            listed("before", "t1", age=2 * HOUR),
            listed("after", "t2", age=HOUR / 2),
            listed("dead", "t3", age=2 * HOUR, active=False),
            listed("other", "t4", age=2 * HOUR, arn="arn:other"),
        )
        [found] = seen(situation(keys=keys, incidents=(incident(since=HOUR),))).incidents
        assert found.suspects.keys() == {"before"}

    def test_a_version_that_cannot_be_read_is_set_aside_with_the_cause(self) -> None:
        """It holds up nothing but itself; and when it can be read, its key is suspect."""
        junk = held("junk", PREVIOUS, reading=Reading.UNREADABLE)
        aside = seen(situation(NEW, junk, incidents=(incident(versions=("junk",), since=DAY),)))
        assert aside.incidents[0].set_aside == {"junk": "it is not an API key"}
        [found] = seen(situation(NEW, held("junk", PREVIOUS), journal=aside)).incidents
        assert found.set_aside == {}
        assert found.suspects == {"k-junk": ("junk",)}

    def test_a_version_in_flight_without_a_value_is_not_set_aside(self) -> None:
        """A step may be about to store its key."""
        found = situation(
            NEW,
            held("next", PENDING, reading=Reading.EMPTY),
            incidents=(incident(versions=("next", "void"), since=DAY),),
        )
        assert seen(found).incidents[0].set_aside.keys() == {"void"}


class TestCarriedOver:
    """What version 0.2 kept in labels and tags is read once."""

    TAGS: ClassVar = {INCIDENT_TAG: "2026-11-21T20:00:00.000Z key compromise ada"}

    def test_a_declaration_keeps_its_time_its_reason_and_its_actor(self) -> None:
        """Nobody has to declare it again."""
        found = situation(NEW, held("old", "rotation-compromised-old"), tags=self.TAGS, begun=False)
        [carried] = carry_over(found.journal, found).incidents
        [declared] = carried.declarations
        assert (declared.at, declared.reason, declared.actor) == (
            NOW - timedelta(hours=3, minutes=15),
            "key compromise",
            "ada",
        )
        assert carried.suspects == {"k-old": ("old",)}
        assert carried.closing is None

    def test_labels_alone_are_a_declaration_of_now(self) -> None:
        """By nobody who is known, and of the versions that bear them alone."""
        found = situation(NEW, held("old", "rotation-compromised-old"), begun=False)
        [carried] = carry_over(found.journal, found).incidents
        [declared] = carried.declarations
        assert (declared.at, declared.actor) == (NOW, "unknown")
        [incident] = seen(found).incidents
        assert incident.suspects.keys() == {"k-old"}

    def test_a_suspect_version_that_cannot_be_read_is_named(self) -> None:
        """The key that it turns out to hold is suspect."""
        junk = held("junk", "rotation-compromised-junk", reading=Reading.UNREADABLE)
        [carried] = carry_over(Journal(ARN), situation(NEW, junk, begun=False)).incidents
        assert carried.versions == {"junk"}

    def test_it_joins_an_incident_that_was_declared_before_the_first_run(self) -> None:
        """One incident at most is open."""
        declared = Declaration("d1", NOW - HOUR, "key-compromise", "bob")
        before = declare(Journal(ARN), declared, keys={"k": ()}, versions=["new"])
        found = situation(
            NEW, held("old", "rotation-compromised-old"), tags=self.TAGS, journal=before
        )
        [one] = carry_over(before, found).incidents
        assert one.id == "d1"
        assert one.suspects.keys() == {"k", "k-old"}
        assert one.versions == {"new", "old"}
        assert [each.actor for each in one.declarations] == ["bob", "ada"]
        assert one.declared_at == NOW - HOUR

    def test_what_an_old_command_line_declares_later_holds_too(self) -> None:
        """The journal was begun long ago; labels that the next look still shows declare once."""
        found = situation(NEW, held("old", "rotation-compromised-old"), tags=self.TAGS)
        carried = carry_over(found.journal, found)
        [incident] = carried.incidents
        assert incident.suspects == {"k-old": ("old",)}
        assert [one.actor for one in incident.declarations] == ["ada"]
        assert carry_over(carried, found) == carried

    def test_an_old_command_line_can_declare_again_after_the_end(self) -> None:
        """Another key, and the same tag: it is an incident of its own."""
        first = situation(NEW, held("old", "rotation-compromised-old"), tags=self.TAGS)
        [one] = carry_over(first.journal, first).incidents
        closed = replace(one, closing=Closing(NOW, "k-new", "new"))
        journal = replace(first.journal, incidents=(closed,))
        again = situation(
            NEW, held("later", "rotation-compromised-later"), tags=self.TAGS, journal=journal
        )
        incidents = carry_over(journal, again).incidents
        assert [one.suspects.keys() for one in incidents] == [{"k-old"}, {"k-later"}]
        assert len({one.id for one in incidents}) == 2

    def test_other_labels_of_an_old_command_line_say_nothing_later(self) -> None:
        """No key is dead, and no grace is over, because a label says so."""
        labels = ("rotation-dead-old", "rotation-retire-after-20260101T000000Z-old")
        found = situation(NEW, held("old", *labels))
        assert carry_over(found.journal, found) == found.journal
