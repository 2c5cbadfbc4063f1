"""What a declaration writes in the journal of a secret."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotation.handlers.reconcile_events import CondemnPool, Declare, RevokeFirst, parse
from rotation.incident.declaration import (
    declare,
    from_free_text,
    read_tag,
    rotation_token,
    tag_text,
)
from rotation.journal.model import (
    BegunRotation,
    Closing,
    Death,
    Declaration,
    Journal,
    KeyLife,
    VersionRecord,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ARN = "arn:aws:secretsmanager:eu-central-1:012345678912:secret:trusted-signatures-api-AbCdEf"
ALLOWED = set("+-=._:/@ ")
#: As long as IAM lets role and session names be (IAM UserGuide reference_iam-quotas: 64 each).
SSO = (
    "arn:aws-us-gov:sts::012345678912:assumed-role/"
    f"AWSReservedSSO_{'IncidentResponders'.ljust(32, 'x')}_0123456789abcdef/"
    "first.last,on-call@a-company-with-a-long-name.example.com"
)
PATH = f"arn:aws:iam::012345678912:user/{'a-long-path/' * 40}ada"


def declaration(name: str, later: timedelta = timedelta(0)) -> Declaration:
    return Declaration(name, NOW + later, "key-compromise", "ada")


def known(*keys: str) -> Journal:
    """A journal that knows keys, each of them in a version of its own."""
    return Journal(
        ARN,
        NOW,
        {f"version-of-{key}": VersionRecord(key) for key in keys},
        {key: KeyLife(NOW) for key in keys},
    )


def with_death(journal: Journal, key: str) -> Journal:
    return journal.with_key(key, replace(journal.keys[key], death=Death(NOW, {"by": "a test"})))


def declared(
    journal: Journal, name: str, *keys: str, again: bool = False, later: timedelta = timedelta(0)
) -> Journal:
    found = {key: (f"version-of-{key}",) for key in keys}
    versions = [*journal.versions, *(version for held in found.values() for version in held)]
    return declare(journal, declaration(name, later), keys=found, versions=versions, again=again)


def test_every_key_that_is_found_or_known_is_suspect() -> None:
    """Wherever it is: in the journal alone, in a version, or at the vendor alone."""
    journal = declare(
        known("journal"),
        declaration("first"),
        keys={"version": ("v",), "vendor": ()},
        versions=["v", "unread"],
    )
    incident = journal.open_incident
    assert incident is not None
    assert incident.suspects == {
        "journal": ("version-of-journal",),
        "version": ("v",),
        "vendor": (),
    }
    assert incident.versions == {"v", "unread"}
    assert incident.declared_at == NOW


def test_a_key_that_is_proven_dead_is_not_suspect_again() -> None:
    """Its death is on record already, and nothing can undo it."""
    journal = declared(with_death(known("dead", "alive"), "dead"), "first", "dead", "alive")
    assert journal.incidents[-1].suspects.keys() == {"alive"}


def test_however_many_versions_exist_all_are_named() -> None:
    """A secret keeps up to 100 versions; the first design could name 20."""
    versions = [f"version-{number}" for number in range(100)]
    journal = declare(known(), declaration("first"), keys={}, versions=versions)
    assert journal.incidents[-1].versions == set(versions)
    assert all(journal.suspect("any-key", version) for version in versions)


def test_a_declaration_that_is_repeated_is_made_once() -> None:
    """Its answer was lost, and keys came meanwhile: they are not declared compromised by it."""
    journal = declared(known("old"), "first", "old")
    assert declared(journal, "first", "old", "new", again=True) == journal


def test_a_declaration_that_is_repeated_after_the_end_opens_nothing() -> None:
    """The command was slow, and others have closed its incident: it is told so."""
    journal = with_death(declared(known("old"), "first", "old"), "old")
    [incident] = journal.incidents
    journal = journal.with_incident(replace(incident, closing=Closing(NOW, "new", "v", "s3://x")))
    assert declared(journal, "first", "new") == journal
    assert journal.incident_of("first") is not None


def test_a_second_declaration_joins_the_open_incident() -> None:
    """Keys that came after the first one, such as the incident's own, are not suspect."""
    journal = declared(known("old"), "first", "old")
    journal = declared(journal, "second", "old", "new", later=timedelta(minutes=1))
    [incident] = journal.incidents
    assert incident.suspects.keys() == {"old"}
    assert incident.names("first")
    assert incident.names("second")
    assert incident.declared_at == NOW


def test_keys_that_leaked_once_more_are_suspect_too() -> None:
    """Nothing of the first declaration is forgotten, not even a key that is in no version now."""
    journal = declared(known("old"), "first", "old")
    journal = declared(journal, "second", "new", again=True, later=timedelta(minutes=1))
    [incident] = journal.incidents
    assert incident.suspects.keys() == {"old", "new"}
    assert incident.versions == {"version-of-old", "version-of-new"}
    assert incident.declared_at == NOW + timedelta(minutes=1)


def test_a_declaration_after_the_end_is_another_incident() -> None:
    """What was declared before stays suspect, and its incident stays as it is."""
    journal = with_death(declared(known("old"), "first", "old"), "old")
    [first] = journal.incidents
    closed = replace(first, closing=Closing(NOW, "new", "version-of-new"))
    journal = declared(journal.with_incident(closed), "second", "new")
    assert journal.incidents[0] == closed
    assert journal.incidents[1].suspects.keys() == {"new"}
    assert journal.suspect("old")


def test_each_rotation_of_an_incident_has_a_token_of_its_own() -> None:
    """Everybody who asks for the next one gets the same; a refused one does not use it up."""
    [incident] = declared(known("old"), "first", "old").incidents
    [other] = declared(known("old"), "another", "old").incidents
    first = rotation_token(ARN, incident)
    assert first == rotation_token(ARN, incident)
    assert first != rotation_token(ARN, other)
    assert first != rotation_token(ARN + "2", incident)
    refused = replace(incident, rotations=(BegunRotation(first, NOW, refused=True),))
    assert rotation_token(ARN, refused) == first
    begun = replace(incident, rotations=(BegunRotation(first, NOW),))
    assert rotation_token(ARN, begun) != first


def asked(one: Declaration) -> None:
    """The function takes these words, with the pool and with one secret."""
    words: dict[str, Any] = {"reason": one.reason, "actor": one.actor}
    assert parse({"action": "condemn-pool", **words}) == CondemnPool(**words)
    event = {"action": "declare", "secrets": ["s"], "declaration": one.id, **words}
    assert parse(event) == Declare(secret="s", declaration=one.id, **words)
    first = {"action": "revoke-first", "secrets": ["s"], **words}
    assert parse(first, "revoke-first") == RevokeFirst(secret="s", **words)


@pytest.mark.parametrize("actor", [SSO, PATH, "arn:aws:iam::012345678912:root", "unknown"])
@pytest.mark.parametrize(
    "reason", ["key-compromise", "J. Doe's laptop (INC-12): lost, not encrypted!", "why " * 100]
)
def test_whoever_it_is_and_whatever_they_say_it_can_be_declared(actor: str, reason: str) -> None:
    """A long name, commas and brackets at three in the morning stop nobody."""
    one = from_free_text(NOW, reason, actor)
    asked(one)
    assert one.actor.endswith(actor[-20:].replace(",", "-"))
    read = read_tag(tag_text(one), NOW)
    assert (read.at, read.actor) == (NOW, one.actor)


@given(reason=st.text(max_size=300), actor=st.text(max_size=300))
def test_no_words_are_refused(reason: str, actor: str) -> None:
    """The tag has no character that AWS's services may not have, and no more than 256."""
    one = from_free_text(NOW, reason, actor)
    asked(one)
    tag = tag_text(one)
    assert len(tag) <= 256
    assert all(char.isalnum() or char in ALLOWED or char == "_" for char in tag)
    read = read_tag(tag, NOW)
    assert (read.at, read.actor) == (NOW, one.actor)
    assert read.reason


def test_a_long_reason_is_cut_in_the_tag_and_the_actor_is_not() -> None:
    """API_Tag: a value has 256 characters at most."""
    one = Declaration("id", NOW, "a very " + "long " * 80 + "reason", "ada")
    assert len(tag_text(one)) <= 256
    assert tag_text(one).endswith(" ada")


@pytest.mark.parametrize("tag", ["", "soon key-compromise me", "x", "2026-13-99 why who"])
def test_a_tag_that_is_no_declaration_is_one_of_now_by_nobody(tag: str) -> None:
    """What version 0.2 left on a secret is never a reason to fail."""
    read = read_tag(tag, NOW)
    assert (read.at, read.reason, read.actor) == (NOW, "unstated", "unknown")
    assert not read.of_all_keys
