"""How long a drill took is read from the journal, and compared with the targets."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rotation.core.policy import DRILL_CURRENT
from rotation.credential import iso_utc
from rotation.errors import VersionStateError
from rotation.incident.drill import (
    NAME_PREFIX,
    drill_record,
    measured,
    refuse_other_secrets,
)
from rotation.journal.model import Closing, Death, Declaration, Incident, Journal, KeyLife
from rotation.secrets_manager.labels import DRILL_TAG
from rotation.secrets_manager.snapshot import Snapshot

ARN = "arn:aws:secretsmanager:eu-central-1:012345678912:secret:rotation-drill-2026-11-27-AbCdEf"
DECLARED = datetime(2026, 11, 27, 3, tzinfo=UTC)
LIMIT = timedelta(minutes=1)
SNAPSHOT = Snapshot(
    arn=ARN,
    deleted_at=None,
    rotation_enabled=True,
    rotation_function=None,
    labels={},
    rotation_interval=None,
    name="rotation-drill-2026-11-27",
    tags={DRILL_TAG: "2026-11-27T03:00:00Z"},
)


def after(seconds: float) -> datetime:
    return DECLARED + timedelta(seconds=seconds)


def life(displaced: float | None, *probes: tuple[float, str]) -> KeyLife:
    facts = [{"at": iso_utc(after(at)), "outcome": outcome} for at, outcome in probes]
    return KeyLife(
        first_seen_at=DECLARED,
        displaced_at=None if displaced is None else after(displaced),
        death=Death(after(200), {"by": "rejections", "probes": facts}),
    )


def closed(**lives: KeyLife) -> tuple[Journal, Incident]:
    incident = Incident(
        SNAPSHOT.name,
        (Declaration(SNAPSHOT.name, DECLARED, "drill", "arn:aws:iam::012345678912:user/somebody"),),
        suspects=dict.fromkeys(lives, ()),
        closing=Closing(after(210), "new", "version", "s3://evidence/incidents/one.json"),
    )
    return Journal(ARN, keys=lives, incidents=(incident,)), incident


def test_the_times_are_those_of_the_last_key() -> None:
    """A key counts as refused from its first rejection that counted, not from its death."""
    journal, incident = closed(
        one=life(90, (95, "accepted"), (100, "rejected"), (160, "rejected")),
        other=life(91, (97, "inconclusive"), (103, "rejected"), (163, "rejected")),
    )
    times = measured(journal, incident, LIMIT)
    assert times.as_json()["seconds"] == {"current": 91.0, "refused": 103.0, "contained": 210.0}
    assert times.within_targets


def test_what_nobody_saw_was_not_in_time() -> None:
    """A key that could not be asked about has no time, and nothing is concluded from that."""
    journal, incident = closed(stray=life(None))
    times = measured(journal, incident, LIMIT)
    assert times.as_json()["seconds"] == {"current": None, "refused": None, "contained": 210.0}
    assert not times.within_targets


def test_a_target_is_missed_by_a_moment() -> None:
    """The targets contain the propagation limit, over which a new key is proven."""
    target = (DRILL_CURRENT + LIMIT).total_seconds()
    for took, met in ((target, True), (target + 0.001, False)):
        journal, incident = closed(one=life(took, (100, "rejected")))
        assert measured(journal, incident, LIMIT).within_targets is met


def test_the_record_says_who_rehearsed_what() -> None:
    """With the times as they are answered, and the place of the incident's own record."""
    journal, incident = closed(one=life(90, (100, "rejected")))
    times = measured(journal, incident, LIMIT)
    kept = json.loads(drill_record(SNAPSHOT, incident, times, installation="stack"))
    assert kept["suspects"] == ["one"]
    assert kept["actor"].endswith("somebody")
    assert kept["evidence"] == "s3://evidence/incidents/one.json"
    assert {name: kept[name] for name in times.as_json()} == times.as_json()


def test_a_drill_is_known_by_its_name_and_its_tag() -> None:
    """Either alone is not enough: a tag can be set on any secret."""
    refuse_other_secrets(SNAPSHOT)
    assert SNAPSHOT.name.startswith(NAME_PREFIX)
    for other in (replace(SNAPSHOT, name="trusted-signatures-api"), replace(SNAPSHOT, tags={})):
        with pytest.raises(VersionStateError, match="no secret of a drill"):
            refuse_other_secrets(other)
