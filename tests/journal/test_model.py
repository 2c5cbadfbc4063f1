"""What a journal says of keys, versions and incidents."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from rotation.journal.model import (
    BegunRotation,
    Closing,
    Death,
    Declaration,
    Incident,
    Journal,
    KeyLife,
    VersionRecord,
)
from tests.journal.journals import ARN, NOW

HOUR = timedelta(hours=1)
CLOSED = Closing(NOW, "k9", "v9")


def incident(name: str, *suspects: str, **facts: object) -> Incident:
    """An incident that was declared an hour ago."""
    declared = Declaration(name, NOW - HOUR, "key-compromise", "ada")
    return replace(Incident(name, (declared,), dict.fromkeys(suspects, ())), **facts)  # type: ignore[arg-type]


def test_a_suspect_key_stays_suspect_for_ever() -> None:
    """Also when its incident is closed, and by a version that turns out to hold it."""
    journal = Journal(
        ARN,
        incidents=(
            incident("d1", "k1", versions=frozenset({"v1"}), closing=CLOSED),
            incident("d2", "k2"),
        ),
    )
    assert journal.suspect("k1")
    assert journal.suspect("k2")
    assert journal.suspect("k3", "v1")
    assert journal.suspect(None, "v1")
    assert not journal.suspect("k3", "v2")
    assert not journal.suspect(None)


def test_the_open_incident_is_the_one_without_an_end() -> None:
    """A declaration finds its incident, whether that is open or closed."""
    old, new = incident("d1", "k1", closing=CLOSED), incident("d2", "k1")
    journal = Journal(ARN, incidents=(old, new))
    assert journal.open_incident == new
    assert journal.incident_of("d1") == old
    assert journal.incident_of("d3") is None
    assert replace(journal, incidents=(old,)).open_incident is None


def test_an_incident_is_changed_in_its_place() -> None:
    """One of another id comes last."""
    first, second = incident("d1"), incident("d2")
    journal = Journal(ARN).with_incident(first).with_incident(second)
    changed = replace(first, closing=CLOSED)
    assert journal.with_incident(changed).incidents == (changed, second)


def test_when_every_key_was_last_declared_counts() -> None:
    """A declaration that only joins the incident adds no suspects, and does not move the time."""
    found = incident("d1")
    joined = Declaration("d2", NOW, "again", "bob", of_all_keys=False)
    again = Declaration("d3", NOW + HOUR, "again", "bob")
    assert replace(found, declarations=(*found.declarations, joined)).declared_at == NOW - HOUR
    both = replace(found, declarations=(*found.declarations, joined, again))
    assert both.declared_at == NOW + HOUR
    assert both.names("d2")
    assert not both.names("d4")


def test_a_refused_rotation_is_none_that_was_begun() -> None:
    """So the next one has the same number, and the same token."""
    one, two = BegunRotation("t1", NOW), BegunRotation("t2", NOW, refused=True)
    assert incident("d1", rotations=(one, two)).begun == (one,)


def test_a_key_without_a_proof_is_not_dead() -> None:
    """Nor is one of which nothing is known."""
    dead = KeyLife(NOW, death=Death(NOW, {"by": "a proof"}))
    journal = Journal(ARN, keys={"k1": dead, "k2": KeyLife(NOW, accepted=False)})
    assert journal.dead("k1")
    assert not journal.dead("k2")
    assert not journal.dead("k3")
    assert not journal.dead(None)
    assert journal.suspects_alive(incident("d1", "k1", "k2", "k3")) == ["k2", "k3"]


def test_the_holders_of_a_key_are_the_versions_that_were_read() -> None:
    """A version whose value was not read holds no key as far as is known."""
    journal = Journal(
        ARN,
        versions={
            "v1": VersionRecord("k1", was_current=True),
            "v2": VersionRecord("k1"),
            "v3": VersionRecord(was_current=True),
        },
    )
    assert journal.holders("k1") == ("v1", "v2")
    assert journal.holders("k2") == ()
    assert [journal.was_current(version) for version in ("v1", "v2", "v3", "v4")] == [
        True,
        False,
        True,
        False,
    ]
