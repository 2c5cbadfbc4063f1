"""What holds of every run's plan, whatever was found: searched by Hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from rotation.core.policy import MOST_KEEP_LABELS, MOST_REVOCATIONS, ROOM_FOR_LABELS, STRAY_AGE
from rotation.core.ports import Revocation, VendorKey
from rotation.journal.model import Incident, Journal, KeyLife
from rotation.reconciliation.observation import carry_over, observe
from rotation.reconciliation.plan import Plan, Reason, RunOptions
from rotation.reconciliation.situation import ExaminedVersion, Reading, Situation
from rotation.secrets_manager.labels import HOLD_TAG, KEEP_PREFIX, keep_label
from tests.reconciliation.situations import (
    ARN,
    CURRENT,
    FIRST_SEEN,
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
    planned,
    situation,
)

NAMES = [f"v{number}" for number in range(8)]
KEYS = [f"k{number}" for number in range(6)]
FORMER = (
    "rotation-retire-after-20261121T221500Z-{}",
    "rotation-dead-{}",
    "rotation-compromised-{}",
)


#: What holds of every run; to draw a run takes longer than to look at it from all sides.
INVARIANTS: list[Callable[[Run], None]] = []


class Run(NamedTuple):
    """What a run found, the same with its journal, and its plan."""

    found: Situation
    seen: Situation
    made: Plan


#: The key of each version, and when our rotation issued it: the value of a version never changes.
contents = st.fixed_dictionaries(
    {
        name: st.tuples(st.sampled_from(KEYS), st.sampled_from([None, None, None, FIRST_SEEN]))
        for name in NAMES
    }
)


@st.composite
def versions(
    draw: st.DrawFn, held_by: dict[str, tuple[str, datetime | None]]
) -> tuple[ExaminedVersion, ...]:
    """Up to eight versions; AWS's labels sit on one version each, others on any."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=8))
    aws = {label: draw(st.sampled_from([*names, "none"])) for label in (CURRENT, PENDING, PREVIOUS)}
    found = []
    for name in names:
        labels = {label for label, on in aws.items() if on == name}
        if draw(st.integers(0, 3)) == 0:
            labels.add(keep_label(name))
        if draw(st.integers(0, 3)) == 0:
            labels.add(draw(st.sampled_from(FORMER)).format(name))
        found.append(
            held(
                name,
                *labels,
                key=held_by[name][0],
                reading=draw(st.sampled_from([Reading.READ, Reading.READ, Reading.READ, *Reading])),
                created_at=NOW - timedelta(minutes=draw(st.integers(0, 3000))),
                issued_at=held_by[name][1],
                was_current=draw(st.booleans()),
            )
        )
    return tuple(found)


@st.composite
def vendor_keys(draw: st.DrawFn) -> tuple[VendorKey, ...] | None:
    """Keys of ours, and of other secrets and installations in a list that was not filtered."""
    if draw(st.integers(0, 9)) == 0:
        return None
    names = draw(st.lists(st.sampled_from([*KEYS, "s0", "s1", "s2", "s3"]), unique=True))
    return tuple(
        listed(
            name,
            draw(st.sampled_from([*NAMES, "gone"])),
            age=timedelta(minutes=draw(st.integers(0, 100))),
            active=draw(st.booleans()),
            installation=draw(st.sampled_from(["fixture", "fixture", "other"])),
            arn=draw(st.sampled_from([ARN, ARN, "arn:of:another:secret"])),
            revocation_asked=draw(st.booleans()),
        )
        for name in names
    )


@st.composite
def lives(draw: st.DrawFn) -> KeyLife:
    """A key in use, in its grace, due, asked about, or dead."""
    minutes = timedelta(minutes=draw(st.integers(-300, 300)))
    life = draw(st.sampled_from([IN_USE, due(minutes), due(minutes), dead()]))
    if draw(st.integers(0, 3)) == 0:
        life = replace(
            life,
            asked_at=NOW - timedelta(minutes=draw(st.integers(1, 3000))),
            outcome=draw(st.sampled_from([None, *(one.value for one in Revocation)])),
        )
    if draw(st.integers(0, 3)) == 0:
        life = replace(
            life,
            answered_at=NOW - timedelta(minutes=draw(st.integers(1, 3000))),
            accepted=draw(st.sampled_from([None, True, False])),
        )
    return life


@st.composite
def incidents(draw: st.DrawFn) -> tuple[Incident, ...]:
    """None, an open one, a closed one."""
    if draw(st.booleans()):
        return ()
    return (
        incident(
            *draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=3)),
            versions=tuple(draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))),
            since=timedelta(minutes=draw(st.integers(1, 3000))),
            closed=draw(st.booleans()),
        ),
    )


@st.composite
def journals(draw: st.DrawFn, held_by: dict[str, tuple[str, datetime | None]]) -> Journal:
    """The journal of earlier runs, which saw other versions; or none."""
    if draw(st.integers(0, 4)) == 0:
        return Journal(ARN)
    return journal_of(
        draw(versions(held_by)),
        draw(st.dictionaries(st.sampled_from([*KEYS, "s0", "s1"]), lives(), max_size=6)),
        draw(incidents()),
    )


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """A run that may find anything, sensible or not."""
    held_by = draw(contents)
    found = situation(
        *draw(versions(held_by)),
        keys=draw(vendor_keys()),
        tags=draw(
            st.sampled_from([{}, {}, {HOLD_TAG: "2027-01-01"}, {HOLD_TAG: "2020-01-01T00:00Z"}])
        ),
        replication=draw(st.sampled_from([{}, {}, {"eu-west-1": "InProgress"}])),
        elsewhere=draw(st.sampled_from([None, frozenset(), frozenset({"k0"})])),
        journal=draw(journals(held_by)),
    )
    seen, made = planned(found, POLICY, RunOptions(eager=draw(st.booleans())))
    return Run(found, seen, made)


def invariant(holds: Callable[[Run], None]) -> Callable[[Run], None]:
    """A function that raises AssertionError where the invariant does not hold."""
    INVARIANTS.append(holds)
    return holds


def ordinary(made: Plan) -> list[str]:
    return [one.key_id for one in made.revocations if one.reason is not Reason.COMPROMISED]


def holders(found: Situation, key: str) -> list[ExaminedVersion]:
    return [version for version in found.versions if version.key_id == key]


@invariant
def no_current_key_dies(run: Run) -> None:
    """Not even in an incident: another key must be promoted first."""
    for one in run.made.retire:
        assert not any(version.current for version in holders(run.found, one.key_id))


@invariant
def no_key_in_flight_dies_outside_of_incidents(run: Run) -> None:
    """Neither a stored one nor one whose token is staged."""
    tokens = {version.id for version in run.found.versions if version.pending}
    for key in ordinary(run.made):
        assert not any(version.pending for version in holders(run.found, key))
        listing = run.found.listed(key)
        assert listing is None or listing.label.token not in tokens


@invariant
def no_stored_key_dies_in_its_grace(run: Run) -> None:
    """An earlier run saw it displaced, and its grace is over."""
    before = carry_over(run.found.journal, run.found)
    for one in run.made.revocations:
        if one.reason is Reason.GRACE_OVER:
            life = before.keys[one.key_id]
            assert life.displaced_at is not None
            assert life.retire_after is not None
            assert life.retire_after <= NOW


@invariant
def nothing_is_seen_displaced_and_revoked_in_one_run(run: Run) -> None:
    """Also with a grace of zero: a later run has to see it first."""
    seen, made = planned(run.found, replace(POLICY, grace=timedelta(0)))
    before = carry_over(run.found.journal, run.found)
    for key in ordinary(made):
        life = before.keys.get(key)
        assert life is None or life.displaced_at or life.asked_at
        if life is None:
            assert not holders(seen, key), "a stray, which no version ever held"


@invariant
def at_most_three_ordinary_keys_die_that_nobody_was_asked_to_revoke(run: Run) -> None:
    """More than that is a mistake of somebody's; strays are none of theirs."""
    counted = [
        one
        for one in run.made.revocations
        if one.reason is Reason.GRACE_OVER and run.seen.life(one.key_id).asked_at is None
    ]
    assert len(counted) <= MOST_REVOCATIONS


@invariant
def what_is_refused_is_asked_about(run: Run) -> None:
    """Or it waits, because it was asked about lately; it is never revoked."""
    dealt = {one.key_id for one in (*run.made.retire, *run.made.waiting)}
    assert {one.key_id for one in run.made.refused} <= dealt
    assert not {one.key_id for one in run.made.refused} & {*ordinary(run.made)}


@invariant
def only_our_keys_die(run: Run) -> None:
    """A key that no version of this secret ever held bears our installation and this ARN."""
    for key_id in ordinary(run.made):
        ever = holders(run.found, key_id) or run.seen.journal.holders(key_id)
        known = key_id in run.found.journal.keys
        if not ever and not known:
            key = run.found.listed(key_id)
            assert key is not None
            assert (key.label.installation, key.label.secret_arn) == ("fixture", ARN)


@invariant
def a_key_of_another_secret_dies_in_an_incident_only(run: Run) -> None:
    """One that another secret uses, that was issued for another one, or that may be in one."""
    for key in ordinary(run.made):
        assert key not in run.found.in_use_elsewhere
        listing = run.found.listed(key)
        # What no version ever held was never handed to anybody, so it is in no other secret.
        stray = run.seen.life(key).displaced_at is None
        assert run.found.all_seen or listing is not None or stray
        noted = [one for one in run.seen.journal.versions.values() if one.key_id == key]
        assert listing is not None or all(one.issued_at is None for one in noted)


@invariant
def a_new_stray_is_old_by_the_vendor_s_clock(run: Run) -> None:
    """A younger one may be about to be stored."""
    for one in run.made.revocations:
        key = run.found.listed(one.key_id)
        new = one.key_id not in run.found.journal.keys
        if one.reason is Reason.STRAY and new and key is not None and run.found.listing is not None:
            assert run.found.listing.vendor_time - key.created_at >= STRAY_AGE


@invariant
def what_suspends_suspends_all_but_incidents(run: Run) -> None:
    """A hold, a replica behind, no list, no current key: nothing ordinary dies."""
    if run.made.suspended or run.found.listing is None or run.found.current is None:
        assert ordinary(run.made) == []


@invariant
def every_suspect_key_is_dealt_with(run: Run) -> None:
    """Unless it is current it dies now, or the vendor was asked about it and it waits."""
    dealt = {one.key_id for one in (*run.made.retire, *run.made.waiting)}
    assert run.seen.suspects - run.found.in_use <= dealt


@invariant
def a_dead_key_is_left_alone(run: Run) -> None:
    """It is neither revoked nor probed again."""
    for one in (*run.made.retire, *run.made.waiting):
        assert not run.seen.journal.dead(one.key_id)


@invariant
def labels_stay_within_their_number(run: Run) -> None:
    """Room is left for the labels of AWS."""
    kept = sum(keep_label(version.id) in version.labels for version in run.found.versions)
    used = sum(len(version.labels) for version in run.found.versions)
    assert len(run.made.keep) <= max(0, MOST_KEEP_LABELS - kept)
    assert len(run.made.keep) <= max(0, ROOM_FOR_LABELS - used)


@invariant
def no_label_but_ours_is_removed(run: Run) -> None:
    """AWS's are AWS's; and a version that a proof needs keeps a label, or gets one."""
    by_id = {version.id: version for version in run.found.versions}
    gone: dict[str, set[str]] = {}
    for one in run.made.remove:
        assert one.label in by_id[one.version].labels
        assert one.label.startswith("rotation-")
        gone.setdefault(one.version, set()).add(one.label)
    got = {one.version for one in run.made.keep}
    waiting = {one.key_id for one in (*run.made.retire, *run.made.waiting, *run.made.refused)}
    for name, labels in gone.items():
        if by_id[name].displaced and by_id[name].key_id in waiting:
            left = by_id[name].labels - labels
            assert left or name in got
            assert not any(label.startswith(KEEP_PREFIX) for label in labels)


@invariant
def what_was_found_is_written_down_once(run: Run) -> None:
    """A second run that finds the same has nothing to write."""
    assert observe(run.seen.journal, run.seen, POLICY) == run.seen.journal


@settings(max_examples=200)
@given(runs())
def test_every_invariant_holds(run: Run) -> None:
    """Whatever the run finds, and of each of them."""
    assert len(INVARIANTS) == 15
    for holds in INVARIANTS:
        holds(run)
