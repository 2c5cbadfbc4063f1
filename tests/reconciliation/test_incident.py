"""Keys that were declared compromised: dead at once, proven, and on record."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rotation.aws.evidence_bucket import S3Evidence
from rotation.core.ports import Revocation
from rotation.errors import EvidenceError
from rotation.incident.declaration import Declaration, declare
from rotation.reconciliation.incident_record import record_name
from rotation.sandbox.aws.traffic import AwsError
from rotation.sandbox.vendor import Fault
from rotation.secrets_manager.versions import SecretVersions
from tests.reconciliation.desk import BUCKET, Desk, codes, outcomes


def test_a_compromised_key_dies_in_the_next_run(desk: Desk) -> None:
    """No mark, no grace: revoked and proven dead in one run, with evidence, then forgotten."""
    old = desk.rotation_fixture.store()
    before = desk.rotation_fixture.version("AWSCURRENT")
    assert before is not None
    desk.declare(before)
    token = desk.rotate()
    report = desk.reconcile()
    assert outcomes(report) == {old.id: "revoked"}
    assert report["done"]["provenDead"] == [old.id]
    assert not desk.alive(old.id)
    assert desk.rotation_fixture.labels() == {token: {"AWSCURRENT"}}
    assert desk.tags() == {}

    [record] = desk.evidence()
    assert report["done"]["evidence"] == (
        f"s3://{BUCKET}/{record_name('trusted-signatures-api', [before])}"
    )
    assert record["declared"]["reason"] == "key-compromise"
    assert record["declared"]["actor"] == "arn:aws:iam::012345678912:user/ada"
    assert [one["versionId"] for one in record["compromisedVersions"]] == [before]
    [key] = record["keys"]
    assert (key["keyId"], key["versionIds"]) == (old.id, [before])
    assert [probe["outcome"] for probe in key["proof"]["probes"]] == ["rejected"] * 3
    assert record["current"]["versionId"] == token
    assert old.material not in json.dumps(record)

    desk.rotation_fixture.later(timedelta(hours=1))
    assert desk.reconcile()["done"]["revoked"] == []
    assert len(desk.evidence()) == 1


def test_while_it_is_current_a_compromised_key_is_not_revoked(desk: Desk) -> None:
    """An outage is not ours to cause: the report says that a rotation is needed."""
    old = desk.rotation_fixture.store()
    before = desk.rotation_fixture.version("AWSCURRENT")
    assert before is not None
    desk.declare(before)
    desk.rotation_fixture.stage()
    report = desk.run(desk.rotation_fixture.arn)["secrets"][0]
    assert codes(report) >= {"incident_open", "compromised_key_current"}
    assert report["done"]["revoked"] == []
    assert desk.alive(old.id)
    assert desk.evidence() == []


def declared_in_tags_alone(desk: Desk) -> tuple[str, str]:
    """Declare a secret's two versions, and stop before any label is written; both, current last."""
    desk.rotation_fixture.store()
    desk.rotate()
    secret = SecretVersions(desk.rotation_fixture.client, desk.rotation_fixture.arn)
    declare(secret, Declaration(desk.rotation_fixture.now(), "key-compromise", "ada"))
    previous = desk.rotation_fixture.version("AWSPREVIOUS")
    current = desk.rotation_fixture.version("AWSCURRENT")
    assert previous is not None
    assert current is not None
    return previous, current


def test_the_report_shows_a_declaration_that_has_only_its_tags(desk: Desk) -> None:
    """A laptop died before the labels were written: the incident is open all the same."""
    suspects = declared_in_tags_alone(desk)
    [report] = desk.run(act=False)["secrets"]
    assert {one["versionId"] for one in report["versions"] if one["compromised"]} == {*suspects}
    assert codes(report) >= {"incident_open", "compromised_key_current"}
    reasons = {one["versionIds"][0]: one["reason"] for one in report["retirements"]}
    assert reasons == {suspects[0]: "compromised"}


def test_a_suspect_key_dies_even_where_no_label_can_be_written(desk: Desk) -> None:
    """The tags are enough for its revocation; AWSPREVIOUS keeps its version from being deleted."""
    previous, _ = declared_in_tags_alone(desk)
    leaked = desk.rotation_fixture.value("AWSPREVIOUS")["apiKeyId"]
    denied = AwsError("AccessDeniedException")
    desk.rotation_fixture.cloud.faults.before("UpdateSecretVersionStage", denied, times=9)
    report = desk.reconcile(failing=True)
    assert outcomes(report) == {leaked: "revoked"}
    assert desk.rotation_fixture.labels()[previous] == {"AWSPREVIOUS"}
    assert desk.tags() != {}


def test_every_key_of_the_moment_dies_together(desk: Desk) -> None:
    """Current, previous, retiring and pending: one record names them all."""
    first = desk.rotation_fixture.store()
    desk.rotate()
    desk.reconcile()
    desk.rotate()
    desk.reconcile()
    pending = desk.rotation_fixture.stage()
    key = desk.rotation_fixture.stage_key(pending)
    suspects = [version for version, labels in desk.rotation_fixture.labels().items() if labels]
    assert len(suspects) == 4
    keys = desk.rotation_fixture.active_keys() | {first.id}
    desk.declare(*suspects)
    # What the responder's command does: free the way, rotate, ask for reconciliation.
    desk.rotation_fixture.rotation(pending).secret.unstage_pending(pending)
    token = desk.rotate()
    report = desk.reconcile()
    assert set(outcomes(report)) == keys
    assert key.id in keys
    assert desk.rotation_fixture.active_keys() == {
        desk.rotation_fixture.value("AWSCURRENT")["apiKeyId"]
    }
    assert desk.rotation_fixture.labels() == {token: {"AWSCURRENT"}}
    [record] = desk.evidence()
    assert {one["keyId"] for one in record["keys"]} == keys
    assert desk.tags() == {}


def test_a_compromised_key_in_flight_loses_its_stage(desk: Desk) -> None:
    """The label alone is enough: AWSPENDING is taken off, and the key dies at once."""
    desk.rotation_fixture.store()
    token = desk.rotation_fixture.stage()
    key = desk.rotation_fixture.stage_key(token)
    desk.declare(token, tag=False)
    report = desk.reconcile()
    assert report["done"]["provenDead"] == [key.id]
    assert desk.rotation_fixture.version("AWSPENDING") is None


def test_a_hold_does_not_protect_a_compromised_key(desk: Desk) -> None:
    """Neither does a mark whose time has not come."""
    old = desk.rotation_fixture.store()
    before = desk.rotation_fixture.version("AWSCURRENT")
    assert before is not None
    desk.rotate()
    desk.reconcile()
    desk.tag("rotation:hold-until", (desk.rotation_fixture.now() + timedelta(days=9)).isoformat())
    desk.declare(before)
    assert desk.reconcile()["done"]["provenDead"] == [old.id]
    assert desk.tags().keys() == {"rotation:hold-until"}


def test_the_label_stays_until_the_death_is_proven(desk: Desk) -> None:
    """A vendor that fails after the revocation: no record, no relabelling; the next run ends it."""
    old = desk.rotation_fixture.store()
    before = desk.rotation_fixture.version("AWSCURRENT")
    assert before is not None
    desk.rotate()
    desk.declare(before)
    desk.rotation_fixture.vendor.faults.next("sign", Fault.SERVER_ERROR, times=None)
    report = desk.reconcile(failing=True)
    assert outcomes(report) == {old.id: "revoked"}
    assert desk.evidence() == []
    assert f"rotation-compromised-{before}" in desk.rotation_fixture.labels()[before]
    assert "AWSPREVIOUS" not in desk.rotation_fixture.labels()[before]
    desk.rotation_fixture.vendor.faults.clear()
    assert desk.reconcile()["done"]["provenDead"] == [old.id]
    assert len(desk.evidence()) == 1


def test_a_compromised_key_that_lives_on_is_an_alarm(desk: Desk) -> None:
    """An issuer that says it revoked and did not: every run says that the key is alive."""
    desk.rotation_fixture.store()
    before = desk.rotation_fixture.version("AWSCURRENT")
    assert before is not None
    desk.rotate()
    desk.declare(before)
    issuer = desk.issuer

    class Liar:
        def revoke(self, key_id: str) -> Revocation:
            return Revocation.REVOKED

        def __getattr__(self, name: str) -> Any:
            return getattr(issuer, name)

    desk.issuer = Liar()
    for _ in range(2):
        report = desk.reconcile()
        assert "key_alive_after_incident" in codes(report)
        assert report["done"]["provenDead"] == []
    assert desk.evidence() == []


@pytest.mark.parametrize("crashed", ["before the record", "after the record"])
def test_a_crash_while_an_incident_closes_leaves_one_record(desk: Desk, crashed: str) -> None:
    """The record comes before the labels, and the first one of its name stays."""
    old = desk.rotation_fixture.store()
    before = desk.rotation_fixture.version("AWSCURRENT")
    assert before is not None
    desk.rotate()
    desk.declare(before)
    desk.rotation_fixture.client.update_secret_version_stage(
        SecretId=desk.rotation_fixture.arn, VersionStage="AWSPREVIOUS", RemoveFromVersionId=before
    )
    operation = {
        "before the record": f"PUT /{BUCKET}/{record_name('trusted-signatures-api', [before])}",
        "after the record": "UpdateSecretVersionStage",
    }[crashed]
    desk.rotation_fixture.cloud.faults.before(
        operation, AwsError("AccessDenied", status=403), times=5
    )
    desk.reconcile(failing=True)
    assert f"rotation-compromised-{before}" in desk.rotation_fixture.labels()[before]
    assert desk.tags() != {}
    records = desk.evidence()
    assert len(records) == (1 if crashed == "after the record" else 0)
    desk.rotation_fixture.cloud.faults.clear()
    desk.rotation_fixture.later(timedelta(minutes=5))
    assert desk.reconcile()["done"]["provenDead"] == [old.id]
    assert len(desk.evidence()) == 1
    if records:
        assert desk.evidence() == records
    assert before not in desk.rotation_fixture.labels()
    assert desk.tags() == {}


def test_a_second_incident_is_a_second_record(desk: Desk) -> None:
    """Other versions, another name: nothing of the first record is touched."""
    desk.rotation_fixture.store()
    for _ in range(2):
        current = desk.rotation_fixture.version("AWSCURRENT")
        assert current is not None
        desk.rotate()
        desk.declare(current)
        desk.reconcile()
    assert len(desk.evidence()) == 2


def test_an_incident_that_is_declared_while_another_closes_stays_open(desk: Desk) -> None:
    """It has only its tags yet: they are not taken for those of the incident that ends."""
    desk.rotation_fixture.store()
    before = desk.rotation_fixture.version("AWSCURRENT")
    assert before is not None
    desk.rotate()
    desk.declare(before)
    current = desk.rotation_fixture.version("AWSCURRENT")
    issuer, secret = (
        desk.issuer,
        SecretVersions(desk.rotation_fixture.client, desk.rotation_fixture.arn),
    )

    class Meanwhile:
        """The last thing that a closing incident does before its tags go."""

        def forget(self, key_id: str) -> None:
            issuer.forget(key_id)
            declare(
                secret, Declaration(desk.rotation_fixture.now(), "the-new-key", "ada"), again=True
            )

        def __getattr__(self, name: str) -> Any:
            return getattr(issuer, name)

    desk.issuer = Meanwhile()
    assert desk.reconcile()["done"]["evidence"] is not None
    assert "the-new-key" in desk.tags()["rotation:incident"]
    desk.issuer = issuer
    report = desk.reconcile()
    suspects = {one["versionId"] for one in report["versions"] if one["state"] == "current"}
    assert suspects == {current}
    assert "compromised_key_current" in codes(report)


def test_the_name_of_a_record_comes_from_the_versions() -> None:
    """In any order the same name; another set, another name."""
    assert record_name("a/b", ["1", "2"]) == record_name("a/b", ["2", "1"])
    assert record_name("a/b", ["1", "2"]) != record_name("a/b", ["1"])
    assert record_name("a/b", ["1"]).startswith("incidents/a/b/")


def test_a_record_is_never_overwritten(desk: Desk) -> None:
    """The second of one name is dropped; a bucket that is missing is an error that says so."""
    store = S3Evidence(desk.s3, BUCKET)
    assert store.keep("incidents/a.json", b"first") == f"s3://{BUCKET}/incidents/a.json"
    assert store.keep("incidents/a.json", b"second") == f"s3://{BUCKET}/incidents/a.json"
    kept = desk.s3.get_object(Bucket=BUCKET, Key="incidents/a.json")["Body"].read()
    assert kept == b"first"
    with pytest.raises(EvidenceError, match="NoSuchBucket") as refused:
        S3Evidence(desk.s3, "nowhere").keep("a", b"{}")
    assert refused.value.retryable
    assert isinstance(refused.value.__cause__, ClientError)
