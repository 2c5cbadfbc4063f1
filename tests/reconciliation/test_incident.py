"""Keys that were declared compromised: dead at once, proven, and on record."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rotation.aws.evidence_bucket import S3EvidenceStore
from rotation.core.ports import Revocation
from rotation.errors import EvidenceError
from rotation.incident.closing import record_name
from rotation.sandbox.aws.traffic import AwsError
from rotation.sandbox.vendor import VendorFault
from rotation.secrets_manager.versions import SecretVersions
from tests.incident.incident_fixture import ACTOR, IncidentFixture
from tests.reconciliation.reconciliation_fixture import (
    BUCKET,
    ReconciliationFixture,
    codes,
    outcomes,
)


@pytest.fixture
def incident(reconciliation: ReconciliationFixture) -> IncidentFixture:
    """A secret with a hand-made current key."""
    reconciliation.rotation.store()
    reconciliation.rotation.stage()
    fixture = reconciliation.rotation
    pending = str(fixture.version("AWSPENDING"))
    fixture.rotation(pending).secret.unstage_pending(pending)
    return IncidentFixture(reconciliation)


def declare_and_rotate(incident: IncidentFixture) -> str:
    """Declare the keys compromised, and have the incident's rotation promoted; its version."""
    incident.declare()
    incident.ask("advance")
    incident.run_steps()
    return str(incident.reconciliation.rotation.version("AWSCURRENT"))


def test_a_compromised_key_dies_in_the_next_run(incident: IncidentFixture) -> None:
    """No grace: revoked and proven dead in one run, with evidence, and the incident is closed."""
    fixture = incident.reconciliation
    before, [old] = fixture.rotation.version("AWSCURRENT"), incident.alive()
    material = fixture.rotation.value("AWSCURRENT")["apiKey"]
    token = declare_and_rotate(incident)
    report = fixture.reconcile()
    assert outcomes(report) == {old: "revoked"}
    assert report["done"]["provenDead"] == [old]
    assert not fixture.alive(old)
    assert fixture.tags() == {}

    [record] = fixture.evidence()
    name = record_name(fixture.rotation.arn, incident.incident())
    assert report["done"]["evidence"] == f"s3://{BUCKET}/{name}"
    assert (record["declared"]["reason"], record["declared"]["actor"]) == ("key-compromise", ACTOR)
    [key] = record["keys"]
    assert (key["keyId"], key["versionIds"]) == (old, [before])
    assert [probe["outcome"] for probe in key["death"]["proof"]["probes"]] == ["rejected"] * 3
    assert record["current"]["versionId"] == token
    assert material not in json.dumps(record)

    fixture.rotation.later(timedelta(hours=1))
    assert fixture.reconcile()["done"]["revoked"] == []
    assert len(fixture.evidence()) == 1


def test_while_it_is_current_a_compromised_key_is_not_revoked(incident: IncidentFixture) -> None:
    """An outage is not ours to cause: the report says that a rotation is needed, and begins one."""
    fixture = incident.reconciliation
    [old] = incident.alive()
    incident.declare()
    report = fixture.run(fixture.rotation.arn)["secrets"][0]
    assert codes(report) >= {"incident_open", "compromised_key_current"}
    assert report["done"]["revoked"] == []
    assert fixture.alive(old)
    assert fixture.evidence() == []
    assert len(incident.incident().rotations) == 1


def test_the_report_shows_a_declaration_before_anything_else_was_done(
    incident: IncidentFixture,
) -> None:
    """A laptop died after the declaration: the incident is open all the same."""
    fixture = incident.reconciliation
    previous = fixture.rotation.version("AWSCURRENT")
    current = fixture.rotate()
    incident.declare()
    [report] = fixture.run(act=False)["secrets"]
    assert {one["versionId"] for one in report["versions"] if one["compromised"]} >= {
        previous,
        current,
    }
    assert codes(report) >= {"incident_open", "compromised_key_current"}
    reasons = {one["versionIds"][0]: one["reason"] for one in report["retirements"]}
    assert reasons == {previous: "compromised"}


def test_a_suspect_key_dies_even_where_no_label_can_be_written(incident: IncidentFixture) -> None:
    """Neither the revocation nor the proof needs one."""
    fixture = incident.reconciliation
    [leaked] = incident.alive()
    fixture.rotate()
    incident.declare()
    fixture.rotation.cloud.faults.before(
        "UpdateSecretVersionStage", AwsError("AccessDeniedException"), times=99
    )
    report = fixture.run()["secrets"][0]
    assert outcomes(report) == {leaked: "revoked"}
    # The current key is suspect, so no control can sign: the death is proven after the rotation.
    fixture.rotation.cloud.faults.clear()
    assert incident.force().contained
    assert not fixture.alive(leaked)


def test_every_key_of_the_moment_dies_together(incident: IncidentFixture) -> None:
    """Current, previous, retiring and pending: one record names them all."""
    fixture = incident.reconciliation
    fixture.rotate()
    fixture.reconcile()
    fixture.rotate()
    fixture.reconcile()
    pending = fixture.rotation.stage()
    key = fixture.rotation.stage_key(pending)
    leaked = incident.alive()
    assert len(leaked) == 4
    assert key.id in leaked
    token = declare_and_rotate(incident)
    report = fixture.reconcile()
    assert set(outcomes(report)) == leaked
    assert incident.alive() == {incident.current_key()}
    assert fixture.rotation.version("AWSCURRENT") == token
    [record] = fixture.evidence()
    assert {one["keyId"] for one in record["keys"]} == leaked
    assert fixture.tags() == {}


def test_a_compromised_key_in_flight_loses_its_stage(incident: IncidentFixture) -> None:
    """In the next run, which begins the incident's own rotation; the key dies after that."""
    fixture = incident.reconciliation
    token = fixture.rotation.stage()
    key = fixture.rotation.stage_key(token)
    incident.declare()
    assert outcomes(fixture.reconcile()) == {}
    assert fixture.rotation.version("AWSPENDING") == incident.incident().rotations[-1].token
    incident.run_steps()
    assert outcomes(fixture.reconcile())[key.id] == "revoked"


def test_a_promotion_that_began_before_the_declaration_meets_no_dead_key(
    incident: IncidentFixture,
) -> None:
    """The old rotation moves AWSCURRENT last of all; the key that it promotes still signs."""
    fixture = incident.reconciliation
    before = fixture.rotation.version("AWSCURRENT")
    token = fixture.rotation.stage()
    key = fixture.rotation.stage_key(token)
    incident.declare()
    fixture.reconcile()
    SecretVersions(fixture.rotation.client, fixture.rotation.arn).promote(token, before)
    assert key.id in incident.alive()
    incident.run_steps()
    for _ in range(2):
        fixture.reconcile()
        incident.run_steps()
    fixture.reconcile()
    assert key.id not in incident.alive()
    assert incident.current_key() in incident.alive()


def test_another_secret_that_holds_the_compromised_key_is_told(incident: IncidentFixture) -> None:
    """The key dies for both: the run over all secrets says with which one it was declared."""
    fixture = incident.reconciliation.rotation
    value, [old] = fixture.value("AWSCURRENT"), incident.alive()
    other = fixture.client.create_secret(Name="holds-the-same-key")["ARN"]
    with incident.on(other):
        fixture.stage()
        fixture.put(value)
    declare_and_rotate(incident)
    for _ in range(2):
        reports = {one["arn"]: one for one in incident.reconciliation.run()["secrets"]}
        [warning] = [
            one for one in reports[other]["warnings"] if one["code"] == "compromised_key_current"
        ]
        assert old in warning["message"]
        assert fixture.arn in warning["message"]
        assert "compromised_key_current" not in codes(reports[fixture.arn])
    with incident.on(other):
        incident.force()
        assert incident.current_key() in incident.alive()


def test_why_a_death_is_not_proven_is_said(incident: IncidentFixture) -> None:
    """Clocks that are twelve seconds apart: no rejection counts, and both warnings name that."""
    fixture = incident.reconciliation.rotation
    fixture.offset += timedelta(seconds=12)
    done = incident.force(limit=timedelta(minutes=2))
    assert not done.contained
    assert any("clock_skew" in one for one in done.unfinished)


def test_a_hold_does_not_protect_a_compromised_key(incident: IncidentFixture) -> None:
    """Neither does a grace that is not over, and the hold stays."""
    fixture = incident.reconciliation
    [old] = incident.alive()
    fixture.rotate()
    fixture.reconcile()
    until = (fixture.rotation.now() + timedelta(days=9)).isoformat()
    fixture.tag("rotation:hold-until", until)
    leaked = incident.alive()
    declare_and_rotate(incident)
    assert set(fixture.reconcile()["done"]["provenDead"]) == leaked
    assert old in leaked
    assert fixture.tags() == {"rotation:hold-until": until}


def test_an_incident_is_open_until_each_death_is_proven(incident: IncidentFixture) -> None:
    """A vendor that fails after the revocation: no record; the next run ends it."""
    fixture = incident.reconciliation
    [old] = incident.alive()
    declare_and_rotate(incident)
    fixture.rotation.vendor.faults.next("sign", VendorFault.SERVER_ERROR, times=None)
    report = fixture.reconcile(failing=True)
    assert outcomes(report) == {old: "revoked"}
    assert fixture.evidence() == []
    assert incident.incident().closing is None
    fixture.rotation.vendor.faults.clear()
    assert fixture.reconcile()["done"]["provenDead"] == [old]
    assert len(fixture.evidence()) == 1


def test_a_compromised_key_that_lives_on_is_an_alarm(incident: IncidentFixture) -> None:
    """An issuer that says it revoked and did not: every run says that the key is alive."""
    fixture = incident.reconciliation
    declare_and_rotate(incident)
    issuer = fixture.issuer

    class Liar:
        def revoke(self, key_id: str) -> Revocation:
            return Revocation.REVOKED

        def __getattr__(self, name: str) -> Any:
            return getattr(issuer, name)

    fixture.issuer = Liar()
    for _ in range(2):
        report = fixture.reconcile()
        assert "key_alive_after_incident" in codes(report)
        assert report["done"]["provenDead"] == []
    assert fixture.evidence() == []
    assert incident.incident().closing is None


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_while_an_incident_closes_leaves_one_record(
    incident: IncidentFixture, when: str
) -> None:
    """The entry is closed first, and the first record of its name stays."""
    fixture = incident.reconciliation
    declare_and_rotate(incident)
    faults = fixture.rotation.cloud.faults
    place = record_name(fixture.rotation.arn, incident.incident())
    getattr(faults, when)(f"PUT /{BUCKET}/{place}", AwsError("AccessDenied", status=403), times=5)
    fixture.reconcile(failing=True)
    closing = incident.incident().closing
    assert closing is not None
    assert closing.evidence is None
    kept = fixture.evidence()
    assert len(kept) == (1 if when == "after" else 0)
    faults.clear()
    fixture.rotation.later(timedelta(minutes=5))
    fixture.reconcile()
    assert len(fixture.evidence()) == 1
    assert not kept or fixture.evidence() == kept
    closing = incident.incident().closing
    assert closing is not None
    assert closing.evidence == f"s3://{BUCKET}/{place}"


def test_a_second_incident_is_a_second_record(incident: IncidentFixture) -> None:
    """Another name: nothing of the first record is touched."""
    fixture = incident.reconciliation
    declare_and_rotate(incident)
    fixture.reconcile()
    first = fixture.evidence()
    declare_and_rotate(incident)
    fixture.reconcile()
    assert len(fixture.evidence()) == 2
    assert first[0] in fixture.evidence()


def _declared_while_the_issuer_forgets(incident: IncidentFixture) -> None:
    issuer = incident.reconciliation.issuer

    class Meanwhile:
        def forget(self, key_id: str) -> None:
            incident.reconciliation.issuer = issuer
            issuer.forget(key_id)
            incident.declare(again=True, reason="the-new-key")

        def __getattr__(self, name: str) -> Any:
            return getattr(issuer, name)

    incident.reconciliation.issuer = Meanwhile()


def _declared_while_a_key_is_revoked(incident: IncidentFixture) -> None:
    issuer = incident.reconciliation.issuer

    class Meanwhile:
        def revoke(self, key_id: str) -> Revocation:
            incident.reconciliation.issuer = issuer
            incident.declare(again=True, reason="the-new-key")
            return issuer.revoke(key_id)

        def __getattr__(self, name: str) -> Any:
            return getattr(issuer, name)

    incident.reconciliation.issuer = Meanwhile()


@pytest.mark.parametrize(
    "meanwhile", [_declared_while_the_issuer_forgets, _declared_while_a_key_is_revoked]
)
def test_an_incident_that_is_declared_while_another_closes_stays_open(
    incident: IncidentFixture, meanwhile: Callable[[IncidentFixture], None]
) -> None:
    """It is not taken for the one that ends, and the next run goes on with it."""
    fixture = incident.reconciliation
    token = declare_and_rotate(incident)
    meanwhile(incident)
    fixture.reconcile()
    open_incident = incident.journal().open_incident
    assert open_incident is not None
    assert open_incident.declarations[-1].reason == "the-new-key"
    report = fixture.reconcile()
    [current] = [one for one in report["versions"] if one["state"] == "current"]
    assert (current["versionId"], current["compromised"]) == (token, True)
    assert "compromised_key_current" in codes(report)
    assert "rotation:incident" in fixture.tags()


def test_a_record_is_never_overwritten(reconciliation: ReconciliationFixture) -> None:
    """The second of one name is dropped; a bucket that is missing is an error that says so."""
    store = S3EvidenceStore(reconciliation.s3, BUCKET)
    assert store.keep("incidents/a.json", b"first") == f"s3://{BUCKET}/incidents/a.json"
    assert store.keep("incidents/a.json", b"second") == f"s3://{BUCKET}/incidents/a.json"
    kept = reconciliation.s3.get_object(Bucket=BUCKET, Key="incidents/a.json")["Body"].read()
    assert kept == b"first"
    with pytest.raises(EvidenceError, match="NoSuchBucket") as refused:
        S3EvidenceStore(reconciliation.s3, "nowhere").keep("a", b"{}")
    assert refused.value.retryable
    assert isinstance(refused.value.__cause__, ClientError)
