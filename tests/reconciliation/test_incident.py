"""Keys that were declared compromised: dead at once, proven, and on record."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rotation.aws.evidence_bucket import S3EvidenceStore
from rotation.core.ports import Proof, Revocation
from rotation.credential import ApiKey
from rotation.errors import EvidenceError
from rotation.incident.declaration import Declaration, declare
from rotation.reconciliation.incident_record import record_name
from rotation.sandbox.aws.traffic import AwsError
from rotation.sandbox.vendor import VendorFault
from rotation.secrets_manager.versions import SecretVersions
from tests.reconciliation.reconciliation_fixture import (
    BUCKET,
    ReconciliationFixture,
    codes,
    outcomes,
)


def test_a_compromised_key_dies_in_the_next_run(reconciliation: ReconciliationFixture) -> None:
    """No mark, no grace: revoked and proven dead in one run, with evidence, then forgotten."""
    old = reconciliation.rotation.store()
    before = reconciliation.rotation.version("AWSCURRENT")
    assert before is not None
    reconciliation.declare(before)
    token = reconciliation.rotate()
    report = reconciliation.reconcile()
    assert outcomes(report) == {old.id: "revoked"}
    assert report["done"]["provenDead"] == [old.id]
    assert not reconciliation.alive(old.id)
    assert reconciliation.rotation.labels() == {token: {"AWSCURRENT"}}
    assert reconciliation.tags() == {}

    [record] = reconciliation.evidence()
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

    reconciliation.rotation.later(timedelta(hours=1))
    assert reconciliation.reconcile()["done"]["revoked"] == []
    assert len(reconciliation.evidence()) == 1


def test_while_it_is_current_a_compromised_key_is_not_revoked(
    reconciliation: ReconciliationFixture,
) -> None:
    """An outage is not ours to cause: the report says that a rotation is needed."""
    old = reconciliation.rotation.store()
    before = reconciliation.rotation.version("AWSCURRENT")
    assert before is not None
    reconciliation.declare(before)
    reconciliation.rotation.stage()
    report = reconciliation.run(reconciliation.rotation.arn)["secrets"][0]
    assert codes(report) >= {"incident_open", "compromised_key_current"}
    assert report["done"]["revoked"] == []
    assert reconciliation.alive(old.id)
    assert reconciliation.evidence() == []


def declared_in_tags_alone(reconciliation: ReconciliationFixture) -> tuple[str, str]:
    """Declare a secret's two versions, and stop before any label is written; both, current last."""
    reconciliation.rotation.store()
    reconciliation.rotate()
    secret = SecretVersions(reconciliation.rotation.client, reconciliation.rotation.arn)
    declare(secret, Declaration(reconciliation.rotation.now(), "key-compromise", "ada"))
    previous = reconciliation.rotation.version("AWSPREVIOUS")
    current = reconciliation.rotation.version("AWSCURRENT")
    assert previous is not None
    assert current is not None
    return previous, current


def test_the_report_shows_a_declaration_that_has_only_its_tags(
    reconciliation: ReconciliationFixture,
) -> None:
    """A laptop died before the labels were written: the incident is open all the same."""
    suspects = declared_in_tags_alone(reconciliation)
    [report] = reconciliation.run(act=False)["secrets"]
    assert {one["versionId"] for one in report["versions"] if one["compromised"]} == {*suspects}
    assert codes(report) >= {"incident_open", "compromised_key_current"}
    reasons = {one["versionIds"][0]: one["reason"] for one in report["retirements"]}
    assert reasons == {suspects[0]: "compromised"}


def test_a_suspect_key_dies_even_where_no_label_can_be_written(
    reconciliation: ReconciliationFixture,
) -> None:
    """The tags are enough for its revocation; AWSPREVIOUS keeps its version from being deleted."""
    previous, _ = declared_in_tags_alone(reconciliation)
    leaked = reconciliation.rotation.value("AWSPREVIOUS")["apiKeyId"]
    denied = AwsError("AccessDeniedException")
    reconciliation.rotation.cloud.faults.before("UpdateSecretVersionStage", denied, times=9)
    report = reconciliation.reconcile(failing=True)
    assert outcomes(report) == {leaked: "revoked"}
    assert report["done"]["provenDead"] == [leaked]
    assert reconciliation.rotation.labels()[previous] == {"AWSPREVIOUS"}
    assert reconciliation.tags() != {}


def test_every_key_of_the_moment_dies_together(reconciliation: ReconciliationFixture) -> None:
    """Current, previous, retiring and pending: one record names them all."""
    first = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.rotate()
    reconciliation.reconcile()
    pending = reconciliation.rotation.stage()
    key = reconciliation.rotation.stage_key(pending)
    suspects = [version for version, labels in reconciliation.rotation.labels().items() if labels]
    assert len(suspects) == 4
    keys = reconciliation.rotation.active_keys() | {first.id}
    reconciliation.declare(*suspects)
    # What the responder's command does: free the way, rotate, ask for reconciliation.
    reconciliation.rotation.rotation(pending).secret.unstage_pending(pending)
    token = reconciliation.rotate()
    report = reconciliation.reconcile()
    assert set(outcomes(report)) == keys
    assert key.id in keys
    assert reconciliation.rotation.active_keys() == {
        reconciliation.rotation.value("AWSCURRENT")["apiKeyId"]
    }
    assert reconciliation.rotation.labels() == {token: {"AWSCURRENT"}}
    [record] = reconciliation.evidence()
    assert {one["keyId"] for one in record["keys"]} == keys
    assert reconciliation.tags() == {}


def test_a_compromised_key_in_flight_loses_its_stage(reconciliation: ReconciliationFixture) -> None:
    """The label alone is enough: AWSPENDING is taken off, and the key dies at once."""
    reconciliation.rotation.store()
    token = reconciliation.rotation.stage()
    key = reconciliation.rotation.stage_key(token)
    reconciliation.declare(token, tag=False)
    report = reconciliation.reconcile()
    assert report["done"]["provenDead"] == [key.id]
    assert reconciliation.rotation.version("AWSPENDING") is None


def test_a_hold_does_not_protect_a_compromised_key(reconciliation: ReconciliationFixture) -> None:
    """Neither does a mark whose time has not come."""
    old = reconciliation.rotation.store()
    before = reconciliation.rotation.version("AWSCURRENT")
    assert before is not None
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.tag(
        "rotation:hold-until", (reconciliation.rotation.now() + timedelta(days=9)).isoformat()
    )
    reconciliation.declare(before)
    assert reconciliation.reconcile()["done"]["provenDead"] == [old.id]
    assert reconciliation.tags().keys() == {"rotation:hold-until"}


def test_the_label_stays_until_the_death_is_proven(reconciliation: ReconciliationFixture) -> None:
    """A vendor that fails after the revocation: no record, no relabelling; the next run ends it."""
    old = reconciliation.rotation.store()
    before = reconciliation.rotation.version("AWSCURRENT")
    assert before is not None
    reconciliation.rotate()
    reconciliation.declare(before)
    reconciliation.rotation.vendor.faults.next("sign", VendorFault.SERVER_ERROR, times=None)
    report = reconciliation.reconcile(failing=True)
    assert outcomes(report) == {old.id: "revoked"}
    assert reconciliation.evidence() == []
    assert f"rotation-compromised-{before}" in reconciliation.rotation.labels()[before]
    assert "AWSPREVIOUS" not in reconciliation.rotation.labels()[before]
    reconciliation.rotation.vendor.faults.clear()
    assert reconciliation.reconcile()["done"]["provenDead"] == [old.id]
    assert len(reconciliation.evidence()) == 1


def test_a_compromised_key_that_lives_on_is_an_alarm(reconciliation: ReconciliationFixture) -> None:
    """An issuer that says it revoked and did not: every run says that the key is alive."""
    reconciliation.rotation.store()
    before = reconciliation.rotation.version("AWSCURRENT")
    assert before is not None
    reconciliation.rotate()
    reconciliation.declare(before)
    issuer = reconciliation.issuer

    class Liar:
        def revoke(self, key_id: str) -> Revocation:
            return Revocation.REVOKED

        def __getattr__(self, name: str) -> Any:
            return getattr(issuer, name)

    reconciliation.issuer = Liar()
    for _ in range(2):
        report = reconciliation.reconcile()
        assert "key_alive_after_incident" in codes(report)
        assert report["done"]["provenDead"] == []
    assert reconciliation.evidence() == []


@pytest.mark.parametrize("crashed", ["before the record", "after the record"])
def test_a_crash_while_an_incident_closes_leaves_one_record(
    reconciliation: ReconciliationFixture, crashed: str
) -> None:
    """The record comes before the labels, and the first one of its name stays."""
    old = reconciliation.rotation.store()
    before = reconciliation.rotation.version("AWSCURRENT")
    assert before is not None
    reconciliation.rotate()
    reconciliation.declare(before)
    reconciliation.rotation.client.update_secret_version_stage(
        SecretId=reconciliation.rotation.arn, VersionStage="AWSPREVIOUS", RemoveFromVersionId=before
    )
    operation = {
        "before the record": f"PUT /{BUCKET}/{record_name('trusted-signatures-api', [before])}",
        "after the record": "UpdateSecretVersionStage",
    }[crashed]
    reconciliation.rotation.cloud.faults.before(
        operation, AwsError("AccessDenied", status=403), times=5
    )
    reconciliation.reconcile(failing=True)
    assert f"rotation-compromised-{before}" in reconciliation.rotation.labels()[before]
    assert reconciliation.tags() != {}
    records = reconciliation.evidence()
    assert len(records) == (1 if crashed == "after the record" else 0)
    reconciliation.rotation.cloud.faults.clear()
    reconciliation.rotation.later(timedelta(minutes=5))
    assert reconciliation.reconcile()["done"]["provenDead"] == [old.id]
    assert len(reconciliation.evidence()) == 1
    if records:
        assert reconciliation.evidence() == records
    assert before not in reconciliation.rotation.labels()
    assert reconciliation.tags() == {}


def test_a_second_incident_is_a_second_record(reconciliation: ReconciliationFixture) -> None:
    """Other versions, another name: nothing of the first record is touched."""
    reconciliation.rotation.store()
    for _ in range(2):
        current = reconciliation.rotation.version("AWSCURRENT")
        assert current is not None
        reconciliation.rotate()
        reconciliation.declare(current)
        reconciliation.reconcile()
    assert len(reconciliation.evidence()) == 2


def test_an_incident_that_is_declared_while_another_closes_stays_open(
    reconciliation: ReconciliationFixture,
) -> None:
    """It has only its tags yet: they are not taken for those of the incident that ends."""
    reconciliation.rotation.store()
    before = reconciliation.rotation.version("AWSCURRENT")
    assert before is not None
    reconciliation.rotate()
    reconciliation.declare(before)
    current = reconciliation.rotation.version("AWSCURRENT")
    issuer, secret = (
        reconciliation.issuer,
        SecretVersions(reconciliation.rotation.client, reconciliation.rotation.arn),
    )

    class Meanwhile:
        """The last thing that a closing incident does before its tags go."""

        def forget(self, key_id: str) -> None:
            issuer.forget(key_id)
            declare(
                secret, Declaration(reconciliation.rotation.now(), "the-new-key", "ada"), again=True
            )

        def __getattr__(self, name: str) -> Any:
            return getattr(issuer, name)

    reconciliation.issuer = Meanwhile()
    assert reconciliation.reconcile()["done"]["evidence"] is not None
    assert "the-new-key" in reconciliation.tags()["rotation:incident"]
    reconciliation.issuer = issuer
    report = reconciliation.reconcile()
    suspects = {one["versionId"] for one in report["versions"] if one["state"] == "current"}
    assert suspects == {current}
    assert "compromised_key_current" in codes(report)


def test_the_name_of_a_record_comes_from_the_versions() -> None:
    """In any order the same name; another set, another name."""
    assert record_name("a/b", ["1", "2"]) == record_name("a/b", ["2", "1"])
    assert record_name("a/b", ["1", "2"]) != record_name("a/b", ["1"])
    assert record_name("a/b", ["1"]).startswith("incidents/a/b/")


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


def test_an_incident_that_is_declared_meanwhile_keeps_its_tags(
    reconciliation: ReconciliationFixture,
) -> None:
    """Tags that were left behind are removed only while they are still those."""
    reconciliation.rotation.store()
    reconciliation.rotate()
    arn, client = reconciliation.rotation.arn, reconciliation.rotation.client
    left_behind = (reconciliation.rotation.now() - timedelta(days=2)).isoformat()
    reconciliation.tag("rotation:incident", f"{left_behind} left-behind ada")
    reconciliation.rotation.later(timedelta(days=1))
    prover = reconciliation.prover

    class Meanwhile:
        def prove(self, key: ApiKey, statement: str) -> Proof:
            declaration = Declaration(reconciliation.rotation.now(), "a-new-leak", "ada")
            declare(SecretVersions(client, arn), declaration, again=True)
            return prover.prove(key, statement)

    reconciliation.prover = Meanwhile()
    reconciliation.reconcile()
    assert "a-new-leak" in reconciliation.tags()["rotation:incident"]
