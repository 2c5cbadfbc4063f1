"""The grace of a key that somebody still needs, and where it ends all the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from rotation.core.policy import LONGEST_OBJECTION, MOST_OBJECTORS
from rotation.core.ports import Revocation
from rotation.credential import iso_utc
from rotation.errors import InvalidEventError, VersionStateError
from rotation.handlers.objection import CONSUMERS, DETAIL_TYPE
from rotation.handlers.reconcile_actions import ReconcileParts, run_action
from rotation.handlers.reconcile_events import REQUESTS, parse
from rotation.journal.model import Journal, Prolongation
from rotation.reconciliation.prolongation import prolong
from rotation.sandbox.aws.cloud import Cloud
from tests.reconciliation.phase_bus import BUS, PhaseBus
from tests.reconciliation.reconciliation_fixture import ReconciliationFixture, codes
from tests.reconciliation.situations import (
    CURRENT,
    HOUR,
    NOW,
    PREVIOUS,
    asked,
    dead,
    due,
    held,
    incident,
    planned,
    situation,
)

WISH = Prolongation("a", NOW, NOW + 3 * HOUR, NOW, "a release is late")


def journal_with(life: Any, **more: Any) -> Journal:
    """A journal in which the key ``k-old`` is displaced and has this life."""
    found = situation(held("old", PREVIOUS), held("new", CURRENT), lives={"k-old": life}, **more)
    return found.journal


def end_of(journal: Journal) -> datetime | None:
    return journal.keys["k-old"].retire_after


def put_off(journal: Journal, wish: Prolongation = WISH, **more: Any) -> Journal:
    return prolong(journal, "k-old", wish, limit=LONGEST_OBJECTION, now=NOW, **more)


def test_a_key_lives_until_the_time_that_is_asked_for() -> None:
    """And the journal says who asked, and when the key was to die."""
    found = put_off(journal_with(due(-HOUR)))
    assert end_of(found) == WISH.until
    [noted] = found.keys["k-old"].prolongations
    assert noted == replace(WISH, former_end=NOW + HOUR)


def test_no_grace_becomes_shorter() -> None:
    """An earlier time changes nothing."""
    journal = journal_with(due(-4 * HOUR))
    assert put_off(journal) == journal


def test_however_often_somebody_asks_the_limit_holds() -> None:
    """It counts from the time at which the key was to die at first."""
    journal = journal_with(due(-HOUR))
    for days in range(1, 30):
        wish = replace(WISH, by=f"consumer-{days % 7}", until=NOW + timedelta(days=days))
        journal = put_off(journal, wish)
    assert end_of(journal) == NOW + HOUR + LONGEST_OBJECTION
    assert {one.former_end for one in journal.keys["k-old"].prolongations} >= {NOW + HOUR}


def test_only_so_many_may_object() -> None:
    """A journal does not grow for ever."""
    journal = journal_with(due(-HOUR))
    for number in range(MOST_OBJECTORS):
        until = NOW + 2 * HOUR + timedelta(minutes=number)
        journal = put_off(journal, replace(WISH, by=f"consumer-{number}", until=until))
    with pytest.raises(VersionStateError, match="20 have done so"):
        put_off(journal, replace(WISH, by="another", until=NOW + DAY))
    again = put_off(journal, replace(WISH, by="consumer-3", until=NOW + DAY))
    assert len(again.keys["k-old"].prolongations) == MOST_OBJECTORS


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("journal", "problem"),
    [
        (journal_with(due(-HOUR), incidents=(incident("k-old"),)), "declared compromised"),
        (
            journal_with(due(-HOUR), incidents=(incident("k-old", closed=True),)),
            "declared compromised",
        ),
        (journal_with(dead()), "is dead"),
        (journal_with(due(HOUR)), "was over at"),
        (
            journal_with(asked(Revocation.REVOKED, answered=HOUR, accepted=True)),
            "asked to be revoked",
        ),
        (situation(held("old", CURRENT)).journal, "is in use"),
        (situation(held("new", CURRENT)).journal, "does not know it"),
    ],
)
def test_nothing_is_put_off_that_has_no_grace(journal: Journal, problem: str) -> None:
    """Least of all the death of a suspect key."""
    with pytest.raises(VersionStateError, match=problem):
        put_off(journal)
    with pytest.raises(VersionStateError, match="is over"):
        put_off(journal_with(due(-HOUR)), replace(WISH, until=NOW))


def test_an_incident_that_is_declared_later_is_not_held() -> None:
    """The suspect key is retired at once, however long its grace was to be."""
    life = put_off(journal_with(due(-HOUR))).keys["k-old"]
    found = situation(
        held("old", PREVIOUS),
        held("new", CURRENT),
        lives={"k-old": life},
        incidents=(incident("k-old"),),
    )
    _, made = planned(found)
    assert [one.key_id for one in made.retire] == ["k-old"]


def test_a_key_that_is_used_again_has_no_objections_left() -> None:
    """If it is displaced once more, it gets its ordinary grace."""
    life = put_off(journal_with(due(-HOUR))).keys["k-old"]
    seen, _ = planned(situation(held("old", CURRENT), lives={"k-old": life}))
    assert seen.journal.keys["k-old"].prolongations == ()
    assert seen.journal.keys["k-old"].retire_after is None


class Consumer:
    """Somebody who depends on the key, hears of its retirement, and puts an objection on the bus.

    A rule like the template's has the reconcile function, which runs in the test, hear of it.
    """

    def __init__(self, fixture: ReconciliationFixture) -> None:
        self.fixture = fixture
        self.bus = PhaseBus(fixture.rotation.cloud)
        fixture.events = self.bus.bus
        cloud: Cloud = fixture.rotation.cloud
        self._events: Any = cloud.client("events")  # type: ignore[call-overload]
        self.answers: list[dict[str, Any]] = []
        pattern = {"source": [{"prefix": CONSUMERS}], "detail-type": [DETAIL_TYPE]}
        self.bus.listen("objections", pattern)

    def object(self, key: str, until: datetime, wrong: Mapping[str, Any] | None = None) -> Any:
        """Object, with members of the detail that may be wrong; what the function answers."""
        told = {
            "secret": self.fixture.rotation.arn,
            "keyId": key,
            "until": iso_utc(until),
            "reason": "a release is late",
            **(wrong or {}),
        }
        entry = {
            "EventBusName": BUS,
            "Source": f"{CONSUMERS}billing",
            "DetailType": DETAIL_TYPE,
            "Detail": json.dumps(told),
        }
        assert self._events.put_events(Entries=[entry])["FailedEntryCount"] == 0
        [event] = self.bus.envelopes("objections")
        return self.invoke(event)

    def invoke(self, event: Any) -> Any:
        class Context:
            function_name = "reconcile"
            invoked_function_arn = "arn:aws:lambda:us-east-1:012345678912:function:reconcile"

            def get_remaining_time_in_millis(self) -> int:
                return 900_000

        fixture, context = self.fixture, Context()
        return run_action(
            event,
            context,  # type: ignore[arg-type]
            lambda deadline: ReconcileParts(
                fixture.rotation.client, fixture.reconciler().services, deadline
            ),
        )


def test_an_objection_holds_and_expires(reconciliation: ReconciliationFixture) -> None:
    """By an event: the key works until its time, the report names the objector, then it dies."""
    consumer = Consumer(reconciliation)
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.reconcile()
    [retiring] = consumer.bus.heard()["retiring"]
    end = datetime.fromisoformat(retiring["retiresAfter"])
    until = end + timedelta(hours=5)
    answer = consumer.object(retiring["keyId"], until)
    assert answer["objected"] is True
    assert answer["retiresAfter"] == iso_utc(until)

    reconciliation.pass_grace()
    report = reconciliation.reconcile()
    assert reconciliation.alive(old.id)
    [warning] = [one for one in report["warnings"] if one["code"] == "retirement_put_off"]
    name = f"{CONSUMERS}billing@{reconciliation.rotation.cloud.account}"
    assert name in warning["message"]
    [key] = [one for one in report["keys"] if one["keyId"] == old.id]
    [noted] = key["prolongations"]
    assert (noted["by"], noted["formerEnd"]) == (name, iso_utc(end))
    [again] = consumer.bus.heard()["retiring"]
    assert again["retiresAfter"] == iso_utc(until)

    reconciliation.rotation.later(timedelta(hours=5))
    assert "retirement_put_off" not in codes(reconciliation.reconcile())
    assert not reconciliation.alive(old.id)
    late = consumer.object(old.id, until + timedelta(days=1))
    assert late["objected"] is False
    assert "is dead" in late["problem"]


def test_an_objection_cannot_hold_an_incident(reconciliation: ReconciliationFixture) -> None:
    """Neither one that came before the declaration, nor one that comes after it."""
    consumer = Consumer(reconciliation)
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.reconcile()
    assert consumer.object(old.id, reconciliation.rotation.now() + DAY)["objected"]
    reconciliation.declare()
    reconciliation.reconcile()
    assert not reconciliation.alive(old.id)
    refused = consumer.object(old.id, reconciliation.rotation.now() + DAY)
    assert refused["objected"] is False
    assert "declared compromised" in refused["problem"] or "is dead" in refused["problem"]


@pytest.mark.parametrize(
    "detail",
    [
        {"until": "tomorrow"},
        {"until": "2026-99-99T00:00:00Z"},
        {"until": None},
        {"keyId": ["k"]},
        {"reason": "<b>"},
        {"secret": "arn:aws:secretsmanager:us-east-1:012345678912:secret:none-AbCdEf"},
        {"secret": 5},
    ],
)
def test_an_objection_that_is_wrong_is_answered_and_fails_nothing(
    reconciliation: ReconciliationFixture, detail: dict[str, Any]
) -> None:
    """It would be repeated by Lambda and raise an alarm, for a mistake of somebody else's."""
    consumer = Consumer(reconciliation)
    reconciliation.rotation.store()
    answer = consumer.object("k", reconciliation.rotation.now() + DAY, detail)
    assert answer["objected"] is False
    assert answer["problem"]


def test_only_a_consumer_objects() -> None:
    """An event of another source is refused, even if a rule let it pass."""
    event = {"source": "another", "detail-type": DETAIL_TYPE, "account": "1", "detail": {}}
    with pytest.raises(InvalidEventError, match="source"):
        parse(event)
    with pytest.raises(InvalidEventError, match="no JSON object"):
        parse(event | {"source": f"{CONSUMERS}a", "detail": "{}"})
    assert "object" in REQUESTS
