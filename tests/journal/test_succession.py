"""Which state of a journal may follow another: nothing that was said is taken back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from rotation.journal.model import (
    BegunRotation,
    Closing,
    Death,
    Declaration,
    Incident,
    Journal,
    KeyLife,
    Prolongation,
    VersionRecord,
)
from rotation.journal.succession import broken_rules, broken_succession
from tests.journal.journals import ARN, NOW

HOUR = timedelta(hours=1)
PROVEN = Death(NOW, {"by": "rejections"})
ATTESTED = Death(NOW, {"by": "attestation", "attestedBy": "ada", "reason": "closed"})
PROLONGED = Prolongation("archive", NOW, NOW + 2 * HOUR, NOW + HOUR, "late")
OPEN = Incident(
    "d1",
    (Declaration("d1", NOW, "key-compromise", "ada"),),
    {"dead": ("v1",), "left": ()},
    frozenset({"v1"}),
    rotations=(BegunRotation("t1", NOW),),
)
CLOSED = replace(OPEN, id="d0", suspects={"dead": ("v1",)}, closing=Closing(NOW, "k", "v2"))
BEFORE = Journal(
    ARN,
    NOW,
    {"v1": VersionRecord("dead", True, NOW, NOW + HOUR), "v2": VersionRecord("k", True)},
    {
        "dead": KeyLife(NOW, NOW, NOW + HOUR, NOW, "revoked", death=PROVEN),
        "left": KeyLife(NOW, NOW, NOW + HOUR),
        "attested": KeyLife(NOW, death=ATTESTED),
        "k": KeyLife(NOW),
    },
    (CLOSED, OPEN),
)


def with_life(key: str, **facts: object) -> Journal:
    return BEFORE.with_key(key, replace(BEFORE.keys[key], **facts))  # type: ignore[arg-type]


def with_open(**facts: object) -> Journal:
    return BEFORE.with_incident(replace(OPEN, **facts))  # type: ignore[arg-type]


def without_key(key: str) -> Journal:
    return replace(BEFORE, keys={one: life for one, life in BEFORE.keys.items() if one != key})


@pytest.mark.parametrize(
    "after",
    [
        BEFORE,
        with_life("k", displaced_at=NOW, retire_after=NOW + HOUR),
        with_life("left", displaced_at=None, retire_after=None),
        with_life("left", asked_at=NOW, death=PROVEN),
        with_life("left", retire_after=PROLONGED.until, prolongations=(PROLONGED,)),
        with_life("attested", death=None),
        without_key("attested"),
        with_open(declarations=(*OPEN.declarations, OPEN.declarations[0])),
        with_open(rotations=(replace(OPEN.rotations[0], refused=True),)),
        BEFORE.with_incident(replace(CLOSED, closing=Closing(NOW, "k", "v2", "s3://here"))),
    ],
)
def test_what_the_functions_do_may_follow(after: Journal) -> None:
    """Displaced, prolonged, in use again, dead; attested and seen again; joined; recorded."""
    assert broken_rules(BEFORE, after) == ()


@pytest.mark.parametrize(
    ("after", "problem"),
    [
        (replace(BEFORE, secret_arn=ARN + "X"), "another secret"),
        (replace(BEFORE, begun_at=NOW + HOUR), "begun"),
        (replace(BEFORE, versions={"v1": BEFORE.versions["v1"]}), "Version v2 is left out"),
        (
            replace(BEFORE, versions={**BEFORE.versions, "v1": VersionRecord("k", True)}),
            "Version v1 holds another value",
        ),
        (
            replace(BEFORE, versions={**BEFORE.versions, "v2": VersionRecord("k")}),
            "Version v2 was current",
        ),
        (without_key("left"), "Key left is left out, and was not dead"),
        (without_key("dead"), "Key dead is left out, and an incident names it"),
        (with_life("dead", death=None), "Key dead: its death is gone"),
        (with_life("dead", death=ATTESTED), "Key dead: its death is gone or has changed"),
        (with_life("dead", asked_at=None), "first asked to revoke"),
        (with_life("dead", outcome=None), "answer is gone"),
        (with_life("k", first_seen_at=NOW + HOUR), "first seen"),
        (with_life("left", retire_after=NOW), "the end of its grace"),
        (with_life("left", retire_after=NOW + 2 * HOUR), "the end of its grace"),
        (
            with_life("left", retire_after=NOW, prolongations=(replace(PROLONGED, until=NOW),)),
            "the end of its grace",
        ),
        (with_life("left", displaced_at=NOW - HOUR), "displaced at another time"),
        (with_life("k", displaced_at=NOW), "without an end of its grace"),
        (replace(BEFORE, incidents=(OPEN,)), "An incident is gone"),
        (BEFORE.with_incident(replace(CLOSED, closing=None)), "it was closed, and has changed"),
        (BEFORE.with_incident(replace(CLOSED, closing=None)), "More than one incident is open"),
        (BEFORE.with_incident(replace(CLOSED, suspects={})), "it was closed, and has changed"),
        (with_open(declarations=()), "a declaration is gone"),
        (with_open(suspects={"dead": ("v1",)}), "key left is no longer suspect"),
        (with_open(versions=frozenset()), "existed at a declaration"),
        (with_open(rotations=()), "a rotation that it began is gone"),
        (with_open(closing=Closing(NOW, "k", "v2")), "may have been alive"),
        (
            with_open(suspects={"dead": ("v1",)}, closing=Closing(NOW, "dead", "v1")),
            "the current key was suspect",
        ),
    ],
)
def test_what_no_change_makes_is_named(after: Journal, problem: str) -> None:
    """A death taken back, a key hidden, an incident closed too early: by key, version, incident."""
    assert [one for one in broken_rules(BEFORE, after) if problem in one]


@pytest.mark.parametrize("change", [lambda one: one, lambda one: replace(one, incidents=())])
def test_a_sequence_names_the_state_that_does_not_follow(
    change: Callable[[Journal], Journal],
) -> None:
    """Counted from 0; the first state follows nothing."""
    found = broken_succession([BEFORE, BEFORE, change(BEFORE)])
    assert {place for place, _ in found} <= {2}
    assert bool(found) == (change(BEFORE) != BEFORE)
