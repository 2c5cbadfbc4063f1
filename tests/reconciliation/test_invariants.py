"""What holds of every plan, whatever was found: searched by Hypothesis."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from rotation.core.policy import MOST_RETIREMENT_LABELS, MOST_REVOCATIONS, STRAY_AGE
from rotation.core.ports import VendorKey
from rotation.reconciliation.plan import Plan, Reason, plan
from rotation.reconciliation.situation import ExaminedVersion, Reading, Situation
from rotation.secrets_manager.labels import HOLD_TAG, retirement_label
from tests.reconciliation.situations import (
    ARN,
    CURRENT,
    NOW,
    PENDING,
    POLICY,
    PREVIOUS,
    compromised,
    dead,
    held,
    listed,
    situation,
)

NAMES = [f"v{number}" for number in range(8)]
KEYS = [f"k{number}" for number in range(6)]


@st.composite
def versions(draw: st.DrawFn) -> tuple[ExaminedVersion, ...]:
    """Up to eight versions; AWS's labels sit on one version each, ours on any."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=8))
    aws = {label: draw(st.sampled_from([*names, "none"])) for label in (CURRENT, PENDING, PREVIOUS)}
    found = []
    for name in names:
        labels = {label for label, on in aws.items() if on == name}
        if draw(st.booleans()):
            minutes = draw(st.integers(-300, 300))
            labels.add(retirement_label(name, NOW + timedelta(minutes=minutes)))
        if draw(st.integers(0, 5)) == 0:
            labels.add(dead(name))
        if draw(st.integers(0, 4)) == 0:
            labels.add(compromised(name))
        found.append(
            held(
                name,
                *labels,
                key=draw(st.sampled_from(KEYS)),
                reading=draw(st.sampled_from([Reading.READ, Reading.READ, Reading.READ, *Reading])),
                created_at=NOW - timedelta(minutes=draw(st.integers(0, 3000))),
                answers=draw(st.sampled_from([None, True, False])),
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
def situations(draw: st.DrawFn) -> Situation:
    """Anything that a run may find, sensible or not."""
    return situation(
        *draw(versions()),
        keys=draw(vendor_keys()),
        tags=draw(
            st.sampled_from([{}, {}, {HOLD_TAG: "2027-01-01"}, {HOLD_TAG: "2020-01-01T00:00Z"}])
        ),
        replication=draw(st.sampled_from([{}, {}, {"eu-west-1": "InProgress"}])),
        elsewhere=draw(st.sampled_from([None, frozenset(), frozenset({"k0"})])),
    )


def ordinary(made: Plan) -> list[str]:
    return [one.key_id for one in made.revocations if one.reason is not Reason.COMPROMISED]


def holders(found: Situation, key: str) -> list[ExaminedVersion]:
    return [version for version in found.versions if version.key_id == key]


@given(situations())
def test_no_current_key_dies(found: Situation) -> None:
    """Not even in an incident: another key must be promoted first."""
    for one in plan(found, POLICY).retire:
        assert not any(version.current for version in holders(found, one.key_id))


@given(situations())
def test_no_key_in_flight_dies_outside_of_incidents(found: Situation) -> None:
    """Neither a stored one nor one whose token is staged."""
    tokens = {version.id for version in found.versions if version.pending}
    for key in ordinary(plan(found, POLICY)):
        assert not any(version.pending for version in holders(found, key))
        listing = found.listed(key)
        assert listing is None or listing.label.token not in tokens


@given(situations())
def test_no_key_dies_in_its_grace(found: Situation) -> None:
    """Each version that holds it was marked before and its mark is over, or it was proven dead."""
    for key in ordinary(plan(found, POLICY)):
        for version in holders(found, key):
            if version.dead:
                continue
            assert version.retire_after is not None
            assert version.retire_after <= NOW


@given(situations())
def test_nothing_is_marked_and_revoked_in_one_plan(found: Situation) -> None:
    """A mark has to be seen by a later run first."""
    made = plan(found, POLICY)
    marked = {one.version for one in made.mark}
    for one in made.retire:
        assert not marked & {version.id for version in holders(found, one.key_id)}


@given(situations())
def test_at_most_three_ordinary_keys_die(found: Situation) -> None:
    """More than that is a mistake of somebody's."""
    assert len(ordinary(plan(found, POLICY))) <= MOST_REVOCATIONS


@given(situations())
def test_only_our_keys_die(found: Situation) -> None:
    """A key that no version of this secret holds bears our installation and this secret's ARN."""
    for one in plan(found, POLICY).revocations:
        if not holders(found, one.key_id):
            key = found.listed(one.key_id)
            assert key is not None
            assert (key.label.installation, key.label.secret_arn) == ("fixture", ARN)


@given(situations())
def test_a_key_that_another_secret_uses_dies_in_an_incident_only(found: Situation) -> None:
    """And a key that may be another secret's waits for a run that looked at all of them."""
    for key in ordinary(plan(found, POLICY)):
        assert key not in found.in_use_elsewhere
        assert found.all_seen or found.listed(key) is not None


@given(situations())
def test_a_stray_is_old_by_the_vendor_s_clock(found: Situation) -> None:
    """A younger one may be about to be stored."""
    for one in plan(found, POLICY).revocations:
        key = found.listed(one.key_id)
        if one.reason is Reason.STRAY and key is not None and found.listing is not None:
            assert found.listing.vendor_time - key.created_at >= STRAY_AGE


@given(situations())
def test_what_suspends_suspends_all_but_incidents(found: Situation) -> None:
    """A hold, a replica behind, no list, no current key: nothing ordinary dies."""
    made = plan(found, POLICY)
    if made.suspended or found.listing is None or found.current is None:
        assert ordinary(made) == []


@given(situations())
def test_every_compromised_key_is_dealt_with(found: Situation) -> None:
    """Unless it is current it dies now, or a person was asked and it waits."""
    made = plan(found, POLICY)
    dealt = {one.key_id for one in (*made.retire, *made.waiting)}
    for version in found.versions:
        if version.compromised and version.key_id and version.key_id not in found.in_use:
            assert version.key_id in dealt


@given(situations())
def test_labels_stay_within_their_number(found: Situation) -> None:
    """Room is left for the labels of AWS and of an incident."""
    marked = sum(version.retire_after is not None for version in found.versions)
    made = plan(found, POLICY)
    assert len(made.mark) <= max(0, MOST_RETIREMENT_LABELS - marked)


@given(situations())
def test_a_label_that_protects_is_never_removed(found: Situation) -> None:
    """AWSCURRENT never, AWSPREVIOUS from compromised versions alone, a dead mark when alone."""
    by_id = {version.id: version for version in found.versions}
    for one in plan(found, POLICY).remove:
        version = by_id[one.version]
        assert one.label in version.labels
        assert one.label not in {CURRENT, PENDING}
        assert one.label != PREVIOUS or version.compromised
        assert one.label != dead(version.id) or version.labels == {one.label}
