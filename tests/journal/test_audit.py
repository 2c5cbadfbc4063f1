"""What an auditor can tell from the former states of a journal, without any other source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from rotation.aws.journal_bucket import S3JournalStore, object_name
from rotation.errors import JournalError
from rotation.journal.document import parse
from rotation.journal.keeper import JournalKeeper
from rotation.journal.model import Journal
from rotation.journal.succession import broken_succession
from tests.incident.incident_fixture import IncidentFixture
from tests.reconciliation.reconciliation_fixture import BUCKET


@dataclass
class AuditedLife:
    """The life of one key, as the former states tell it: when each state first said something.

    Attributes:
        events: what happened, each with its time, in the order of the states.
    """

    events: list[tuple[str, datetime]] = field(default_factory=list)

    def add(self, event: str, at: datetime | None) -> None:
        if at is not None and (event, at) not in self.events:
            self.events.append((event, at))

    @property
    def story(self) -> list[str]:
        return [event for event, _ in self.events]


def rebuild(states: Iterable[Journal]) -> dict[str, AuditedLife]:
    """The life of every key, from the states of one journal, oldest first."""
    lives: dict[str, AuditedLife] = {}
    for state in states:
        for key_id, life in state.keys.items():
            found = lives.setdefault(key_id, AuditedLife())
            found.add("seen", life.first_seen_at)
            found.add("displaced", life.displaced_at)
            for incident in state.incidents:
                if key_id in incident.suspects:
                    found.add("declared compromised", incident.declared_at)
            found.add("asked to be revoked", life.asked_at)
            found.add("dead", life.death.at if life.death else None)
    return lives


def states(incident: IncidentFixture) -> list[Journal]:
    """Every state that the journal of the secret ever had, oldest first, out of the bucket."""
    s3 = incident.reconciliation.s3
    name = object_name(incident.arn)
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET, Prefix=name)
    versions = [one for page in pages for one in page["Versions"]]
    found = []
    for one in reversed(versions):
        state = s3.get_object(Bucket=BUCKET, Key=name, VersionId=one["VersionId"])
        found.append(parse(state["Body"].read(), incident.arn, ""))
    return found


@pytest.fixture
def audited(incident: IncidentFixture) -> IncidentFixture:
    """The journal is in a bucket with Object Lock, as in a deployment."""
    reconciliation = incident.reconciliation
    reconciliation.s3.put_object_lock_configuration(
        Bucket=BUCKET,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 400}},
        },
    )
    keeper = JournalKeeper(S3JournalStore(reconciliation.s3, BUCKET))
    reconciliation.journals = reconciliation.rotation.journals = keeper
    return incident


def test_the_life_of_every_key_is_rebuilt_from_the_former_states(
    audited: IncidentFixture,
) -> None:
    """Displaced, revoked and dead in this order; and a leaked key, declared before it died."""
    reconciliation = audited.reconciliation
    displaced = audited.alive() - {audited.current_key()}
    reconciliation.reconcile()
    reconciliation.pass_grace()
    reconciliation.reconcile()
    leaked = audited.current_key()
    audited.force()
    assert broken_succession(states(audited)) == []
    lives = rebuild(states(audited))
    [first] = displaced
    assert lives[first].story == ["seen", "displaced", "asked to be revoked", "dead"]
    assert set(lives[leaked].story) == {
        *("seen", "displaced", "declared compromised", "asked to be revoked", "dead")
    }
    assert lives[leaked].story.index("declared compromised") < lives[leaked].story.index("dead")
    assert lives[audited.current_key()].story == ["seen"]
    for life in lives.values():
        times = dict(life.events)
        if "dead" in times:
            assert times["asked to be revoked"] <= times["dead"]
    grace = dict(lives[first].events)
    assert grace["asked to be revoked"] - grace["displaced"] >= timedelta(hours=2)


def test_a_key_that_is_current_again_has_two_graces(audited: IncidentFixture) -> None:
    """Displaced, rolled back to, and displaced once more: the states tell both times."""
    reconciliation = audited.reconciliation
    rotation = reconciliation.rotation
    reconciliation.rotate()
    reconciliation.reconcile()
    previous = rotation.value("AWSPREVIOUS")["apiKeyId"]
    audited.ask("rollback")
    reconciliation.reconcile()
    rotation.later(timedelta(hours=1))
    reconciliation.rotate()
    reconciliation.reconcile()
    story = rebuild(states(audited))[previous].story
    assert story.count("displaced") == 2


def test_no_former_state_can_be_removed(audited: IncidentFixture) -> None:
    """A deletion makes a marker, which is seen; a version under Object Lock stays."""
    audited.reconciliation.reconcile()
    s3, name = audited.reconciliation.s3, object_name(audited.arn)
    before = states(audited)
    [version, *_] = s3.list_object_versions(Bucket=BUCKET, Prefix=name)["Versions"]
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=BUCKET, Key=name, VersionId=version["VersionId"])
    s3.delete_object(Bucket=BUCKET, Key=name)
    with pytest.raises(JournalError, match="was deleted"):
        audited.journal()
    assert states(audited) == before
