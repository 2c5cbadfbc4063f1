"""Which phases are new, and who hears of them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from rotation.core.policy import MOST_WAITING_EVENTS
from rotation.core.steps import STEPS
from rotation.credential import iso_utc
from rotation.journal.model import Journal, Phases
from rotation.reconciliation.phases import Phase, note_phases, without_events
from rotation.reconciliation.situation import Reading, Situation
from rotation.sandbox.aws.traffic import AwsError, Dropped
from rotation.sandbox.vendor import PortalKey
from tests.paths import ROOT
from tests.reconciliation.phase_bus import PhaseBus
from tests.reconciliation.reconciliation_fixture import ReconciliationFixture, codes
from tests.reconciliation.situations import (
    CURRENT,
    DAY,
    HOUR,
    NOW,
    PREVIOUS,
    dead,
    due,
    held,
    incident,
    journal_of,
    situation,
)

KNOWN = Phases()


def noted(found: Situation, *, phases: Phases | None = KNOWN) -> Journal:
    """The journal after a run that found this, and that knew these phases before."""
    journal = replace(found.journal, phases=phases)
    return note_phases(journal, found.journal, found, NOW)


def new(journal: Journal) -> list[str]:
    assert journal.phases is not None
    return sorted(one.phase for one in journal.phases.waiting)


def again(journal: Journal, found: Situation) -> Journal:
    """A later run, after the bus has taken everything."""
    assert journal.phases is not None
    taken = without_events(journal, frozenset(one.id for one in journal.phases.waiting))
    later = replace(taken, keys=found.journal.keys, incidents=found.journal.incidents)
    return note_phases(later, later, found, NOW + HOUR)


CASES: dict[str, tuple[Situation, list[str]]] = {
    "a key is current": (situation(held("new", CURRENT)), ["promoted"]),
    "a rotation comes within a day": (
        situation(held("new", CURRENT), next_rotation=NOW + HOUR),
        ["planned", "promoted"],
    ),
    "a rotation comes later": (
        situation(held("new", CURRENT), next_rotation=NOW + 2 * DAY),
        ["promoted"],
    ),
    "a rotation is missed": (
        situation(held("new", CURRENT), next_rotation=NOW - HOUR),
        ["promoted"],
    ),
    "rotation is turned off": (
        situation(held("new", CURRENT), next_rotation=NOW + HOUR, rotation_enabled=False),
        ["promoted"],
    ),
    "the current version cannot be read": (
        situation(held("new", CURRENT, reading=Reading.UNREADABLE)),
        [],
    ),
    "a key is in its grace": (
        situation(held("old", PREVIOUS), held("new", CURRENT), lives={"k-old": due(-HOUR)}),
        ["promoted", "retiring"],
    ),
    "a key is dead": (
        situation(held("old"), held("new", CURRENT), lives={"k-old": dead()}),
        ["dead", "promoted"],
    ),
    "an incident is open, and its key has no grace": (
        situation(
            held("old", PREVIOUS),
            held("new", CURRENT),
            lives={"k-old": due(-HOUR)},
            incidents=(incident("k-old"),),
        ),
        ["incident_opened", "promoted"],
    ),
    "an incident is over": (
        situation(
            held("old", PREVIOUS),
            held("new", CURRENT),
            lives={"k-old": dead()},
            incidents=(incident("k-old", closed=True),),
        ),
        ["contained", "dead", "incident_opened", "promoted"],
    ),
}


@pytest.mark.parametrize(("found", "phases"), CASES.values(), ids=CASES.keys())
def test_each_phase_is_found_and_told_once(found: Situation, phases: list[str]) -> None:
    """A phase becomes one event, and the next run, which finds the same, makes none."""
    first = noted(found)
    assert new(first) == phases
    assert new(again(first, found)) == []


def test_what_was_before_events_were_turned_on_is_no_news() -> None:
    """Nobody hears of old deaths, closed incidents, or a key that has long been current."""
    for found, _ in CASES.values():
        versions = {
            one: replace(record, was_current=True) for one, record in found.journal.versions.items()
        }
        before = replace(found.journal, versions=versions)
        journal = note_phases(before, before, found, NOW)
        assert [one for one in new(journal) if one != "planned"] == []


def test_the_first_run_over_a_secret_tells_no_promotion() -> None:
    """Nobody knows since when the key is current."""
    assert new(noted(situation(held("new", CURRENT), begun=False), phases=None)) == []


def test_a_promotion_just_before_events_were_turned_on_is_told() -> None:
    """The journal has the version, and never saw it current."""
    found = situation(held("old", PREVIOUS, was_current=True), held("new", CURRENT))
    assert new(noted(found, phases=None)) == ["promoted"]


def test_a_rollback_is_a_promotion_of_its_own() -> None:
    """The key that is current again is told again, with another id."""
    old, new_key = situation(held("old", CURRENT)), situation(held("new", CURRENT))
    first = noted(old)
    assert first.phases is not None
    back = again(again(first, new_key), old)
    assert back.phases is not None
    [promoted] = back.phases.waiting
    assert promoted.facts["versionId"] == "old"
    assert promoted.id != first.phases.waiting[0].id


def test_nothing_is_concluded_from_a_current_version_that_is_not_seen() -> None:
    """A run that cannot read it, and the next that can, tell nothing."""
    seen, unseen = situation(held("new", CURRENT)), situation(held("new"))
    assert new(again(again(noted(seen), unseen), seen)) == []


def test_another_end_of_the_grace_is_told() -> None:
    """Whoever waits for a time hears that it has moved."""
    first = situation(held("old", PREVIOUS), held("new", CURRENT), lives={"k-old": due(-HOUR)})
    longer = situation(held("old", PREVIOUS), held("new", CURRENT), lives={"k-old": due(-2 * HOUR)})
    moved = again(noted(first), longer)
    assert moved.phases is not None
    [event] = moved.phases.waiting
    assert event.facts == {"keyId": "k-old", "retiresAfter": iso_utc(NOW + 2 * HOUR)}


def test_no_more_events_wait_than_the_journal_has_room_for() -> None:
    """A bus that never answers does not let the journal grow for ever."""
    journal = noted(situation(held("v", CURRENT)))
    for number in range(MOST_WAITING_EVENTS + 5):
        journal = note_phases(journal, journal, situation(held(f"v{number}", CURRENT)), NOW)
    assert journal.phases is not None
    assert len(journal.phases.waiting) == MOST_WAITING_EVENTS


def test_an_event_without_room_comes_later_and_is_not_lost() -> None:
    """Those of an incident come first, and what is left is found anew when there is room."""
    lives = {f"k{number:03}": dead() for number in range(MOST_WAITING_EVENTS + 5)}
    closed = incident(*lives, closed=True)
    empty = journal_of((), {}, ())
    begun = replace(empty, phases=Phases())
    journal = note_phases(replace(begun, keys=lives, incidents=(closed,)), begun, None, NOW)
    told: list[str] = []
    while journal.phases is not None and journal.phases.waiting:
        told += [one.phase for one in journal.phases.waiting]
        sent = without_events(journal, frozenset(one.id for one in journal.phases.waiting))
        journal = note_phases(sent, sent, None, NOW)
    assert told[:2] == ["incident_opened", "contained"]
    assert told[2:] == ["dead"] * len(lives)


@pytest.fixture
def bus(reconciliation: ReconciliationFixture) -> PhaseBus:
    """A bus on which the fixture's reconciliations announce phases."""
    made = PhaseBus(reconciliation.rotation.cloud)
    reconciliation.events = made.bus
    return made


def turn_on(reconciliation: ReconciliationFixture) -> PortalKey:
    """A secret with a first key and a rotation function, which never rotated."""
    key = reconciliation.rotation.store()
    pending = reconciliation.rotation.stage()
    reconciliation.rotation.rotation(pending).secret.unstage_pending(pending)
    reconciliation.reconcile()
    return key


def phases_of(heard: dict[str, list[dict[str, Any]]]) -> list[str]:
    return sorted(phase for phase, events in heard.items() for _ in events)


SCHEMA = json.loads((ROOT / "docs" / "phase-event.schema.json").read_text())


def test_every_phase_is_matched_by_its_rule(
    reconciliation: ReconciliationFixture, bus: PhaseBus
) -> None:
    """From a rotation to the death of its key, and through an incident; nothing in between."""
    old = turn_on(reconciliation)
    reconciliation.reconcile()
    assert bus.heard() == {}

    heard: dict[str, list[dict[str, Any]]] = {}
    reconciliation.rotate()
    reconciliation.reconcile()
    heard |= bus.heard()
    assert phases_of(heard) == ["promoted", "retiring"]
    assert heard["retiring"][0]["keyId"] == old.id
    end = reconciliation.life(old.id).retire_after
    assert end is not None
    assert heard["retiring"][0]["retiresAfter"] == iso_utc(end)
    reconciliation.reconcile()
    assert bus.heard() == {}

    reconciliation.pass_grace()
    reconciliation.reconcile()
    death = bus.heard()
    assert phases_of(death) == ["dead"]
    assert (death["dead"][0]["keyId"], death["dead"][0]["attested"]) == (old.id, False)

    declared = reconciliation.declare()
    opened = bus.heard()
    assert phases_of(opened) == ["incident_opened"]
    assert opened["incident_opened"][0]["incidentId"] == declared
    reconciliation.reconcile()
    pending = reconciliation.rotation.version("AWSPENDING")
    assert pending is not None
    for step in STEPS.values():
        reconciliation.rotation.time_left = timedelta(minutes=5)
        step(reconciliation.rotation.rotation(pending))
    reconciliation.reconcile()
    reconciliation.rotation.later(timedelta(minutes=20))
    reconciliation.reconcile()
    closed = bus.heard()
    assert set(closed) >= {"promoted", "dead", "contained"}, closed
    assert closed["contained"][0]["incidentId"] == declared
    reconciliation.reconcile()
    assert bus.heard() == {}

    validator = Draft202012Validator(SCHEMA)
    for events in (heard | death | opened | closed).values():
        for one in events:
            validator.validate(one)
            assert one["secret"] == reconciliation.rotation.arn
            assert old.material not in json.dumps(one)


@pytest.mark.parametrize("fault", [AwsError("InternalFailure", status=500), Dropped()])
@pytest.mark.parametrize("after", [False, True])
def test_a_bus_that_fails_stops_no_run_and_loses_no_event(
    reconciliation: ReconciliationFixture, bus: PhaseBus, fault: Any, after: bool
) -> None:
    """The key is retired all the same, a warning says so, and the next run sends what waits."""
    faults = reconciliation.rotation.cloud.faults
    old = turn_on(reconciliation)
    reconciliation.rotate()
    for _ in range(2):
        (faults.after if after else faults.before)("PutEvents", fault, times=20)
        report = reconciliation.reconcile()
        assert "events_waiting" in codes(report)
        reconciliation.pass_grace()
    assert not reconciliation.alive(old.id)
    first = bus.heard()

    reconciliation.rotation.cloud.faults.clear()
    report = reconciliation.reconcile()
    assert "events_waiting" not in codes(report)
    told = bus.heard()
    assert phases_of(told) == ["dead", "promoted", "retiring"]
    for phase, events in first.items():
        assert after
        assert {one["id"] for one in events} == {told[phase][0]["id"]}


def test_a_run_announces_nothing_once_events_are_turned_off(
    reconciliation: ReconciliationFixture, bus: PhaseBus
) -> None:
    """What happened meanwhile is no news when they are turned on again."""
    turn_on(reconciliation)
    reconciliation.events = None
    reconciliation.rotate()
    reconciliation.reconcile()
    assert reconciliation.journals.read(reconciliation.rotation.arn).phases is None
    reconciliation.events = bus.bus
    reconciliation.reconcile()
    assert bus.heard() == {}


def test_a_report_tells_nobody(reconciliation: ReconciliationFixture, bus: PhaseBus) -> None:
    """It changes nothing, so it announces nothing."""
    turn_on(reconciliation)
    reconciliation.rotate()
    reconciliation.run(act=False)
    assert bus.heard() == {}


def test_the_schema_knows_every_phase() -> None:
    """And no other."""
    assert {one["properties"]["phase"]["const"] for one in SCHEMA["oneOf"]} == {
        one.value for one in Phase
    }
