"""The plan, case by case: which keys must die, which may not, and what is relabelled."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from freezegun import freeze_time

from rotation.handlers.wiring.vendor import utc_now
from rotation.reconciliation.plan import Reason, plan
from rotation.reconciliation.situation import Reading, Situation, once_a_day, time_to_ask
from rotation.secrets_manager.labels import HOLD_TAG, INCIDENT_TAG, retirement_label
from tests.reconciliation.situations import (
    CURRENT,
    HOUR,
    NOW,
    PENDING,
    POLICY,
    PREVIOUS,
    compromised,
    dead,
    due,
    held,
    listed,
    situation,
)

AFTER_GRACE = POLICY.grace
OLD = timedelta(hours=25)


@dataclass(frozen=True)
class Case:
    """What is found, and what the plan then has; what is not named must be empty."""

    name: str
    found: Situation
    mark: set[str] = field(default_factory=set)
    remove: set[tuple[str, str]] = field(default_factory=set)
    abandon: set[str] = field(default_factory=set)
    retire: set[tuple[str, Reason]] = field(default_factory=set)
    prove: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    suspended: str = ""


GRACE, STRAY, LEAKED = Reason.GRACE_OVER, Reason.STRAY, Reason.COMPROMISED
NEW = held("new", CURRENT)

CASES = [
    Case("one key", situation(NEW)),
    Case("a version seen displaced is marked", situation(NEW, held("old", PREVIOUS)), mark={"old"}),
    Case(
        "a key that was issued for another secret is left to that one",
        situation(NEW, held("old", PREVIOUS, issued_at=NOW - OLD)),
    ),
    Case(
        "even if it was marked before",
        situation(NEW, held("old", PREVIOUS, due("old"), issued_at=NOW - OLD)),
    ),
    Case(
        "a leaked key dies whoever issued it",
        situation(NEW, held("old", PREVIOUS, compromised("old"), issued_at=NOW - OLD)),
        remove={("old", PREVIOUS)},
        retire={("k-old", LEAKED)},
    ),
    Case(
        "a key that only the incident's tags name dies, and keeps the label that keeps its version",
        situation(NEW, held("old", PREVIOUS, declared=True)),
        retire={("k-old", LEAKED)},
    ),
    Case(
        "a key in flight that only the incident's tags name loses AWSPENDING and dies",
        situation(NEW, held("next", PENDING, declared=True)),
        abandon={"next"},
        retire={("k-next", LEAKED)},
    ),
    Case(
        "a key that was proven dead is not compromised any more, whatever the tags say",
        situation(NEW, held("old", PREVIOUS, dead("old"), declared=True)),
    ),
    Case(
        "in its grace it waits",
        situation(NEW, held("old", PREVIOUS, due("old", -HOUR))),
        waiting={"k-old"},
    ),
    Case(
        "after its grace it dies",
        situation(NEW, held("old", PREVIOUS, due("old"))),
        retire={("k-old", GRACE)},
    ),
    Case(
        "of several marks the latest counts",
        situation(NEW, held("old", due("old"), due("old", -HOUR))),
        waiting={"k-old"},
    ),
    Case(
        "a mark that is no time is none",
        situation(NEW, held("old", PREVIOUS, "rotation-retire-after-20261399T000000Z-old")),
        mark={"old"},
    ),
    Case(
        "a key that the vendor lists as dead is proven dead only",
        situation(NEW, held("old", due("old")), keys=(listed("k-old", "old", active=False),)),
        prove={"k-old"},
    ),
    Case(
        "rolled back to, it is spared and loses its mark",
        situation(held("old", CURRENT, due("old")), held("new", PREVIOUS)),
        mark={"new"},
        remove={("old", due("old"))},
    ),
    Case(
        "a version in flight is spared and loses its mark",
        situation(NEW, held("next", PENDING, due("next"))),
        remove={("next", due("next"))},
    ),
    Case(
        "a displaced version of the current key is neither marked nor retired",
        situation(NEW, held("old", PREVIOUS, due("old"), key="k-new")),
        remove={("old", due("old"))},
    ),
    Case(
        "a displaced version of a key in flight is spared",
        situation(NEW, held("old", due("old"), key="k-next"), held("next", PENDING)),
        remove={("old", due("old"))},
    ),
    Case(
        "a key that another secret uses is spared",
        situation(NEW, held("old", PREVIOUS, due("old")), elsewhere=frozenset({"k-old"})),
        remove={("old", due("old"))},
    ),
    Case(
        "a key made by hand waits until all secrets were looked at",
        situation(NEW, held("old", PREVIOUS, due("old")), elsewhere=None),
        waiting={"k-old"},
    ),
    Case(
        "a key of ours does not",
        situation(
            NEW,
            held("old", PREVIOUS, due("old")),
            keys=(listed("k-old", "old"),),
            elsewhere=None,
        ),
        retire={("k-old", GRACE)},
    ),
    Case(
        "two versions of one key: both marks must be over",
        situation(NEW, held("a", due("a"), key="k"), held("b", due("b", -HOUR), key="k")),
        waiting={"k"},
    ),
    Case(
        "two versions of one key: an unmarked one has all its grace left",
        situation(NEW, held("a", due("a"), key="k"), held("b", PREVIOUS, key="k")),
        mark={"b"},
    ),
    Case("a deprecated version of a dead key is left alone", situation(NEW, held("old"))),
    Case(
        "a deprecated version whose key is listed as active is marked",
        situation(NEW, held("old"), keys=(listed("k-old", "old"),)),
        mark={"old"},
    ),
    Case(
        "a deprecated version whose key the vendor accepts is marked",
        situation(NEW, held("old", answers=True)),
        mark={"old"},
    ),
    Case(
        "a deprecated version whose key the vendor rejects is left alone",
        situation(NEW, held("old", answers=False)),
    ),
    Case(
        "a dead version keeps its label beside another",
        situation(NEW, held("old", PREVIOUS, dead("old"), reading=Reading.NOT_READ)),
    ),
    Case(
        "a dead version that nothing else names may go",
        situation(NEW, held("old", dead("old"), reading=Reading.NOT_READ)),
        remove={("old", dead("old"))},
    ),
    Case(
        "a burial that was cut off is finished",
        situation(NEW, held("old", PREVIOUS, dead("old"), due("old"))),
        remove={("old", due("old"))},
    ),
    Case(
        "a stray dies after half an hour",
        situation(NEW, keys=(listed("lost", "gone", age=timedelta(minutes=31)),)),
        retire={("lost", STRAY)},
    ),
    Case(
        "a young stray waits",
        situation(NEW, keys=(listed("lost", "gone", age=timedelta(minutes=29)),)),
        waiting={"lost"},
    ),
    Case(
        "a key whose token is staged is in flight",
        situation(
            NEW, held("next", PENDING, reading=Reading.EMPTY), keys=(listed("made", "next"),)
        ),
    ),
    Case(
        "a dead stray needs nothing",
        situation(NEW, keys=(listed("lost", "gone", active=False),)),
    ),
    Case(
        "another installation's key is not ours",
        situation(NEW, keys=(listed("theirs", "gone", installation="other"),)),
    ),
    Case(
        "another secret's key is not ours",
        situation(NEW, keys=(listed("theirs", "gone", arn="arn:other"),)),
    ),
    Case(
        "no stray is known while a version was not read",
        situation(NEW, held("old", reading=Reading.NOT_READ), keys=(listed("lost", "gone"),)),
    ),
    Case(
        "no stray is known while a version cannot be read",
        situation(
            NEW,
            held("old", PREVIOUS, reading=Reading.UNREADABLE),
            keys=(listed("lost", "gone"),),
        ),
    ),
    Case(
        "a compromised key dies at once",
        situation(NEW, held("old", compromised("old"))),
        retire={("k-old", LEAKED)},
    ),
    Case(
        "another version of a compromised key needs no mark",
        situation(NEW, held("old", compromised("old"), key="k"), held("copy", PREVIOUS, key="k")),
        retire={("k", LEAKED)},
    ),
    Case(
        "a compromised version loses AWSPREVIOUS",
        situation(NEW, held("old", PREVIOUS, compromised("old"))),
        retire={("k-old", LEAKED)},
        remove={("old", PREVIOUS)},
    ),
    Case(
        "a compromised key is not revoked while it is current",
        situation(held("old", CURRENT, compromised("old"))),
    ),
    Case(
        "a compromised key in flight dies, and its rotation is abandoned",
        situation(NEW, held("next", PENDING, compromised("next"))),
        retire={("k-next", LEAKED)},
        abandon={"next"},
    ),
    Case(
        "a key issued for a compromised token dies though no version has it",
        situation(
            NEW,
            held("next", PENDING, compromised("next"), reading=Reading.EMPTY),
            keys=(listed("made", "next"),),
        ),
        retire={("made", LEAKED)},
        abandon={"next"},
    ),
    Case(
        "a compromised key that is current under another version waits",
        situation(NEW, held("old", compromised("old"), key="k-new")),
    ),
    Case(
        "a compromised version that never got a value is forgotten after a day",
        situation(
            NEW, held("void", compromised("void"), reading=Reading.EMPTY, created_at=NOW - OLD)
        ),
        remove={("void", compromised("void"))},
    ),
    Case(
        "a rotation that nothing will finish is abandoned",
        situation(NEW, held("next", PENDING, created_at=NOW - OLD)),
        abandon={"next"},
    ),
    Case(
        "one of this morning is not",
        situation(NEW, held("next", PENDING, created_at=NOW - timedelta(hours=23))),
    ),
    Case(
        "without a date the last change of the secret tells",
        situation(
            NEW,
            replace(held("next", PENDING, reading=Reading.EMPTY), created_at=None),
            changed_at=NOW - OLD,
        ),
        abandon={"next"},
    ),
    Case(
        "AWSPENDING on the current version blocks nothing",
        situation(held("new", CURRENT, PENDING, created_at=NOW - OLD)),
    ),
    Case(
        "four at once are none",
        situation(NEW, *(held(f"v{n}", due(f"v{n}", 6 * HOUR)) for n in range(4))),
        refused={"k-v0", "k-v1", "k-v2", "k-v3"},
    ),
    Case(
        "three are three",
        situation(NEW, *(held(f"v{n}", due(f"v{n}")) for n in range(3))),
        retire={("k-v0", GRACE), ("k-v1", GRACE), ("k-v2", GRACE)},
    ),
    Case(
        "those that a person revoked at the vendor do not count",
        situation(
            NEW,
            *(held(f"v{n}", due(f"v{n}", 6 * HOUR)) for n in range(4)),
            keys=(listed("k-v0", "v0", active=False),),
        ),
        retire={("k-v1", GRACE), ("k-v2", GRACE), ("k-v3", GRACE)},
        prove={"k-v0"},
    ),
    Case(
        "refused keys that are not listed are asked now and then",
        situation(NEW, *(held(f"v{n}", due(f"v{n}", 24 * HOUR)) for n in range(4))),
        refused={"k-v0", "k-v1", "k-v2", "k-v3"},
        prove={"k-v0", "k-v1", "k-v2", "k-v3"},
    ),
    Case(
        "a compromised key dies among too many others",
        situation(
            NEW,
            *(held(f"v{n}", due(f"v{n}", 6 * HOUR)) for n in range(4)),
            held("leak", compromised("leak")),
        ),
        refused={"k-v0", "k-v1", "k-v2", "k-v3"},
        retire={("k-leak", LEAKED)},
    ),
    Case(
        "only so many versions are marked, the newest first",
        situation(
            *(held(f"v{n}", f"label-{n}") for n in range(7)),
            held("marked", due("marked", -HOUR)),
            NEW,
        ),
        mark={"v6", "v5", "v4", "v3", "v2"},
        waiting={"k-marked"},
    ),
    Case(
        "a key that waits for a person is not asked every hour",
        situation(
            NEW,
            held("old", PREVIOUS, due("old", 6 * HOUR)),
            keys=(listed("k-old", "old", revocation_asked=True),),
        ),
        waiting={"k-old"},
    ),
    Case(
        "it is asked when a day went by",
        situation(
            NEW,
            held("old", PREVIOUS, due("old", 24 * HOUR + HOUR / 2)),
            keys=(listed("k-old", "old", revocation_asked=True),),
        ),
        retire={("k-old", GRACE)},
    ),
    Case(
        "a hold suspends ordinary retirement",
        situation(
            NEW,
            held("old", PREVIOUS, due("old")),
            held("leak", compromised("leak")),
            tags={HOLD_TAG: (NOW + HOUR).isoformat()},
        ),
        suspended="hold",
        waiting={"k-old"},
        retire={("k-leak", LEAKED)},
    ),
    Case(
        "a hold that cannot be read suspends too",
        situation(NEW, held("old", PREVIOUS, due("old")), tags={HOLD_TAG: "tomorrow"}),
        suspended="hold",
        waiting={"k-old"},
    ),
    Case(
        "a hold that is over does not",
        situation(NEW, held("old", due("old")), tags={HOLD_TAG: "2026-11-21T23:14:59Z"}),
        retire={("k-old", GRACE)},
    ),
    Case(
        "a replica that is behind suspends",
        situation(NEW, held("old", PREVIOUS, due("old")), replication={"eu-west-1": "InProgress"}),
        suspended="replica",
        waiting={"k-old"},
    ),
    Case(
        "a replica in sync does not",
        situation(NEW, held("old", due("old")), replication={"eu-west-1": "InSync"}),
        retire={("k-old", GRACE)},
    ),
    Case(
        "without the vendor's list nothing ordinary dies, and versions are marked",
        situation(NEW, held("a", due("a")), held("b", PREVIOUS), keys=None),
        suspended="listed",
        waiting={"k-a"},
        mark={"b"},
    ),
    Case(
        "without a current key nothing ordinary dies",
        situation(held("old", due("old")), keys=(listed("lost", "gone"),)),
        suspended="no current key",
        waiting={"k-old", "lost"},
    ),
    Case(
        "an unreadable current value suspends",
        situation(held("new", CURRENT, reading=Reading.UNREADABLE), held("old", due("old"))),
        suspended="not an API key",
        waiting={"k-old"},
    ),
    Case(
        "a secret that is scheduled for deletion is left alone",
        situation(NEW, held("old", due("old")), held("b", compromised("b")), deleted=True),
        suspended="deletion",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_plan(case: Case) -> None:
    """Each situation has the plan that its name says, and nothing else is planned."""
    made = plan(case.found, POLICY)
    assert {one.version for one in made.mark} == case.mark
    assert {one.label for one in made.mark} == {
        retirement_label(version, NOW + AFTER_GRACE) for version in case.mark
    }
    assert {(one.version, one.label) for one in made.remove} == case.remove
    assert set(made.abandon) == case.abandon
    assert {(one.key_id, one.reason) for one in made.revocations} == case.retire
    assert {one.key_id for one in made.retire if not one.revoke} == case.prove
    assert {one.key_id for one in made.waiting} == case.waiting
    assert {one.key_id for one in made.refused} == case.refused
    assert case.suspended in (made.suspended or "")
    assert bool(made.suspended) == bool(case.suspended)
    assert not made.untag


def test_the_tag_of_an_incident_is_removed_when_nothing_is_left_of_it() -> None:
    """Only after a day, since whoever declares one may write the tag before the labels."""
    for age, untag in ((timedelta(hours=23), False), (OLD, True)):
        tags = {INCIDENT_TAG: f"{(NOW - age).isoformat()} key-compromise arn:aws:iam::1:user/a"}
        assert plan(situation(NEW, tags=tags), POLICY).untag is untag
        open_still = situation(NEW, held("old", compromised("old")), tags=tags)
        assert plan(open_still, POLICY).untag is False


@pytest.mark.parametrize("displaced", ["2026-12-31T23:15:00Z", "2028-02-28T22:30:00Z"])
def test_a_key_is_retired_at_its_hour(displaced: str) -> None:
    """It waits until the second before its grace is over, whatever day has begun meanwhile."""
    with freeze_time(displaced) as clock:
        mark = retirement_label("old", utc_now() + POLICY.grace)
        found = situation(NEW, held("old", PREVIOUS, mark))
        clock.tick(POLICY.grace - timedelta(seconds=1))
        early = plan(replace(found, now=utc_now()), POLICY)
        clock.tick()
        due_now = plan(replace(found, now=utc_now()), POLICY)
    assert [one.key_id for one in early.waiting] == ["k-old"]
    assert early.retire == ()
    assert due_now.waiting == ()
    assert [(one.key_id, one.reason) for one in due_now.revocations] == [("k-old", GRACE)]


def test_a_mark_is_never_early() -> None:
    """A label has whole seconds: the time in it is rounded up."""
    exact = retirement_label("v", NOW)
    assert exact == "rotation-retire-after-20261121T231500Z-v"
    assert retirement_label("v", NOW + timedelta(microseconds=1)).endswith("T231501Z-v")


def test_a_live_key_is_asked_ever_less() -> None:
    """Of 73 hourly runs the first asks, then those that cross 1, 2, 4, 8, 24, 48 and 72 hours."""
    since = NOW + timedelta(minutes=20)
    asked = [hours for hours in range(1, 74) if time_to_ask(since, NOW + timedelta(hours=hours))]
    assert asked == [1, 2, 3, 5, 9, 25, 49, 73]


def test_once_a_day_is_once_a_day() -> None:
    """Ten days of hourly runs hold nine whole days after the first hour."""
    since = NOW + timedelta(minutes=20)
    asked = [hours for hours in range(1, 241) if once_a_day(since, NOW + timedelta(hours=hours))]
    assert asked == [24 * day + 1 for day in range(1, 10)]
