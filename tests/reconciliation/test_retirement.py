"""Keys are retired: against a Secrets Manager and a vendor on this machine, hour by hour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rotation.errors import SecretStoreError, VendorUnavailableError
from rotation.sandbox.aws.traffic import AwsError
from rotation.sandbox.vendor import Outage, VendorFault
from rotation.secrets_manager.labels import retirement_label
from rotation.secrets_manager.snapshot import Snapshot
from rotation.secrets_manager.versions import SecretVersions
from tests.reconciliation.reconciliation_fixture import ReconciliationFixture, codes, outcomes

DAY = timedelta(days=1)


def retire(reconciliation: ReconciliationFixture) -> dict[str, Any]:
    """Mark, wait, retire: the report of the run that retires."""
    reconciliation.reconcile()
    reconciliation.pass_grace()
    return reconciliation.reconcile()


def test_a_displaced_key_is_marked_then_retired_then_labelled_dead(
    reconciliation: ReconciliationFixture,
) -> None:
    """Two runs and the grace: the old key is revoked and proven dead, the current one signs."""
    old = reconciliation.rotation.store()
    before = reconciliation.rotation.version("AWSCURRENT")
    assert before is not None
    token = reconciliation.rotate()

    first = reconciliation.reconcile()
    assert first["done"]["marked"] == [before]
    assert first["done"]["revoked"] == []
    assert reconciliation.alive(old.id)
    [mark] = reconciliation.rotation.labels()[before] - {"AWSPREVIOUS"}
    assert mark.startswith("rotation-retire-after-")
    assert mark.endswith(f"Z-{before}")

    reconciliation.rotation.later(timedelta(hours=1, minutes=55))
    assert reconciliation.reconcile()["done"]["revoked"] == []
    assert reconciliation.alive(old.id)

    reconciliation.rotation.later(timedelta(minutes=10))
    last = reconciliation.reconcile()
    assert outcomes(last) == {old.id: "revoked"}
    assert last["done"]["provenDead"] == [old.id]
    [proof] = last["done"]["proofs"]
    assert [probe["outcome"] for probe in proof["probes"]] == ["rejected"] * 3
    assert proof["controlKeyId"] == reconciliation.rotation.value("AWSCURRENT")["apiKeyId"]
    assert not reconciliation.alive(old.id)
    assert reconciliation.rotation.labels() == {
        token: {"AWSCURRENT"},
        before: {"AWSPREVIOUS", f"rotation-dead-{before}"},
    }


def test_when_all_is_done_nothing_is_done(reconciliation: ReconciliationFixture) -> None:
    """A dead key is never read, asked or marked again, and no signature is bought."""
    reconciliation.rotation.store()
    reconciliation.rotate()
    retire(reconciliation)
    labels, signatures = reconciliation.rotation.labels(), reconciliation.rotation.vendor.signatures
    for _ in range(3):
        reconciliation.rotation.later(timedelta(hours=1))
        report = reconciliation.reconcile()
        assert report["done"]["revoked"] == report["done"]["marked"] == []
        assert report["retirements"] == []
    assert reconciliation.rotation.labels() == labels
    assert reconciliation.rotation.vendor.signatures == signatures


def test_a_dead_version_s_label_goes_when_nothing_else_names_it(
    reconciliation: ReconciliationFixture,
) -> None:
    """After the next rotation AWS may delete it; the next retirement is that of the next key."""
    reconciliation.rotation.store()
    first = reconciliation.rotation.version("AWSCURRENT")
    second = reconciliation.rotate()
    retire(reconciliation)
    third = reconciliation.rotate()
    report = retire(reconciliation)
    assert len(report["done"]["provenDead"]) == 1
    assert reconciliation.rotation.labels() == {
        third: {"AWSCURRENT"},
        second: {"AWSPREVIOUS", f"rotation-dead-{second}"},
    }
    assert first not in reconciliation.rotation.labels()
    reconciliation.rotation.later(timedelta(hours=1))
    assert reconciliation.reconcile()["done"]["marked"] == []


def test_a_key_that_was_displaced_twice_within_the_hour_is_not_lost_from_sight(
    reconciliation: ReconciliationFixture,
) -> None:
    """Made by hand and out of AWSPREVIOUS before anybody looked: found among the deprecated."""
    old = reconciliation.rotation.store()
    lost = reconciliation.rotation.version("AWSCURRENT")
    reconciliation.rotate()
    reconciliation.rotate()
    assert lost not in reconciliation.rotation.labels()
    assert lost in reconciliation.reconcile()["done"]["marked"]
    reconciliation.pass_grace()
    assert old.id in reconciliation.reconcile()["done"]["provenDead"]
    assert not reconciliation.alive(old.id)
    assert len(reconciliation.rotation.active_keys()) == 1


def test_a_rolled_back_key_is_spared(reconciliation: ReconciliationFixture) -> None:
    """AWSCURRENT went back to the marked version: its mark goes, and the other is marked."""
    old = reconciliation.rotation.store()
    before = reconciliation.rotation.version("AWSCURRENT")
    assert before is not None
    token = reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.rotation.rotation(before).secret.promote(before, token)
    reconciliation.pass_grace()
    report = reconciliation.reconcile()
    assert report["done"]["revoked"] == []
    assert report["done"]["marked"] == [token]
    assert reconciliation.rotation.labels()[before] == {"AWSCURRENT"}
    assert reconciliation.alive(old.id)


def test_a_rollback_between_the_two_looks_is_seen(reconciliation: ReconciliationFixture) -> None:
    """Planned for death, and current again before the revocation: the second look spares it."""
    old = reconciliation.rotation.store()
    before = reconciliation.rotation.version("AWSCURRENT")
    assert before is not None
    token = reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.pass_grace()
    secret = SecretVersions(reconciliation.rotation.client, reconciliation.rotation.arn)
    reads: list[str] = []

    class RolledBackMeanwhile(SecretVersions):
        def snapshot(self) -> Snapshot:
            reads.append("look")
            if len(reads) == 2:
                secret.promote(str(before), token)
            return super().snapshot()

    looking = replace(
        reconciliation.reconciler(),
        open_secret=lambda name: RolledBackMeanwhile(reconciliation.rotation.client, name),
    )
    looking.run()
    assert len(reads) >= 2
    assert reconciliation.alive(old.id)
    assert reconciliation.rotation.version("AWSCURRENT") == before


def test_a_stray_is_retired_once_it_is_half_an_hour_old(
    reconciliation: ReconciliationFixture,
) -> None:
    """Its material was never stored, so the vendor's own list is what says that it is dead."""
    reconciliation.rotation.store()
    reconciliation.rotate()
    stray = reconciliation.rotation.vendor.keys.create(
        label=f"fixture|{reconciliation.rotation.arn}|{'f' * 36}"
    )
    reconciliation.rotation.later(timedelta(minutes=29))
    assert stray.id not in outcomes(reconciliation.reconcile())
    reconciliation.rotation.later(timedelta(minutes=2))
    report = reconciliation.reconcile()
    assert outcomes(report) == {stray.id: "revoked"}
    assert report["done"]["provenDead"] == [stray.id]


def test_nobody_else_s_key_is_touched(reconciliation: ReconciliationFixture) -> None:
    """Keys of another installation, another secret, or without a label live on."""
    reconciliation.rotation.store()
    reconciliation.rotate()
    keys = reconciliation.rotation.vendor.keys
    others = [
        keys.create(label=f"other|{reconciliation.rotation.arn}|t"),
        keys.create(label=f"fixture|{reconciliation.rotation.arn}-2|t"),
        keys.create(label="an application"),
        keys.create(),
    ]
    reconciliation.reconcile()
    for _ in range(3):
        reconciliation.rotation.later(DAY)
        reconciliation.reconcile()
    assert all(reconciliation.alive(key.id) for key in others)


def test_a_key_that_another_secret_uses_is_spared(reconciliation: ReconciliationFixture) -> None:
    """Somebody copied the value: while the copy is current there, the key lives."""
    shared = reconciliation.rotation.store()
    client = reconciliation.rotation.client
    text = client.get_secret_value(SecretId=reconciliation.rotation.arn)["SecretString"]
    copy = client.create_secret(Name="copy", SecretString=text)["ARN"]
    client.rotate_secret(
        SecretId=copy,
        RotationLambdaARN=reconciliation.rotation.function_arn,
        RotationRules={"AutomaticallyAfterDays": 30},
    )
    reconciliation.rotate()
    for _ in range(3):
        reconciliation.reconcile()
        reconciliation.pass_grace()
    assert reconciliation.alive(shared.id)
    # A run that looks at one secret alone does not know; it leaves keys made by hand to others.
    report = reconciliation.run(reconciliation.rotation.arn)
    assert report["secrets"][0]["done"]["revoked"] == []
    assert reconciliation.alive(shared.id)


def test_a_secret_that_cannot_be_read_protects_the_keys_that_it_may_use(
    reconciliation: ReconciliationFixture,
) -> None:
    """A key made by hand may be current there: it waits for a run that sees every secret."""
    shared = reconciliation.rotation.store()
    client = reconciliation.rotation.client
    text = client.get_secret_value(SecretId=reconciliation.rotation.arn)["SecretString"]
    copy = client.create_secret(Name="copy", SecretString=text)["ARN"]
    client.rotate_secret(
        SecretId=copy,
        RotationLambdaARN=reconciliation.rotation.function_arn,
        RotationRules={"AutomaticallyAfterDays": 30},
    )
    reconciliation.rotate()
    # It was not current in the other one when it was marked here.
    held = SecretVersions(client, reconciliation.rotation.arn)
    [before] = [
        version for version, has in reconciliation.rotation.labels().items() if "AWSPREVIOUS" in has
    ]
    held.add_label(retirement_label(before, reconciliation.rotation.now()), before)
    reconciliation.rotation.later(timedelta(minutes=1))

    class Unreadable(SecretVersions):
        def snapshot(self) -> Snapshot:
            raise SecretStoreError("denied", operation="DescribeSecret", aws_code="AccessDenied")

    def opened(name: str) -> SecretVersions:
        return (Unreadable if name == copy else SecretVersions)(client, name)

    report = replace(reconciliation.reconciler(), open_secret=opened).run()
    found = {one["arn"]: one for one in report["secrets"]}
    assert found[copy]["failures"] != []
    assert found[reconciliation.rotation.arn]["done"]["revoked"] == []
    assert reconciliation.alive(shared.id)


def test_a_stuck_rotation_is_abandoned_after_a_day(reconciliation: ReconciliationFixture) -> None:
    """AWSPENDING blocked every rotation: it is taken off, its key is marked and dies."""
    reconciliation.rotation.store()
    token = reconciliation.rotation.stage()
    key = reconciliation.rotation.stage_key(token)
    reconciliation.rotation.later(timedelta(hours=23))
    assert reconciliation.reconcile()["done"]["abandoned"] == []
    reconciliation.rotation.later(timedelta(hours=2))
    report = reconciliation.reconcile()
    assert report["done"]["abandoned"] == [token]
    assert "pending_stuck" in codes(report)
    assert reconciliation.rotation.version("AWSPENDING") is None
    assert retire(reconciliation)["done"]["provenDead"] == [key.id]
    reconciliation.rotate()
    reconciliation.rotation.promoted()


def test_a_dead_current_key_stops_retirement_and_not_the_rotation(
    reconciliation: ReconciliationFixture,
) -> None:
    """Without a live control nothing is revoked; the next rotation ends well and clears up."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.rotation.vendor.keys.revoke(
        reconciliation.rotation.value("AWSCURRENT")["apiKeyId"]
    )
    reconciliation.pass_grace()
    report = reconciliation.reconcile()
    assert "current_key_dead" in codes(report)
    assert reconciliation.alive(old.id)
    reconciliation.rotate()
    reconciliation.rotation.promoted()
    retire(reconciliation)
    assert not reconciliation.alive(old.id)
    assert reconciliation.rotation.active_keys() == {
        reconciliation.rotation.value("AWSCURRENT")["apiKeyId"]
    }


def test_the_first_rotation_of_an_expired_key_made_by_hand(
    reconciliation: ReconciliationFixture,
) -> None:
    """Adopted as it is, warned about, rotated, and proven dead like any other."""
    old = reconciliation.rotation.store(expiresAt=(reconciliation.rotation.now() - DAY).isoformat())
    reconciliation.rotation.vendor.keys.revoke(old.id)
    reconciliation.rotation.stage()
    report = reconciliation.run(reconciliation.rotation.arn)["secrets"][0]
    assert codes(report) >= {"current_key_dead"}
    pending = reconciliation.rotation.version("AWSPENDING")
    assert pending is not None
    reconciliation.rotation.rotation(pending).secret.unstage_pending(pending)
    reconciliation.rotate()
    reconciliation.rotation.promoted()
    assert old.id in retire(reconciliation)["done"]["provenDead"]


class AfterRevoking:
    """An issuer after whose first revocation something happens."""

    def __init__(self, reconciliation: ReconciliationFixture, happens: Callable[[], None]) -> None:
        self._issuer = reconciliation.issuer
        self._happens = happens

    def revoke(self, key_id: str) -> Any:
        outcome = self._issuer.revoke(key_id)
        self._happens()
        return outcome

    def __getattr__(self, name: str) -> Any:
        return getattr(self._issuer, name)


def test_a_run_without_time_for_the_proof_leaves_it_to_the_next(
    reconciliation: ReconciliationFixture,
) -> None:
    """The key is revoked, its mark stays; the next run finds it revoked and only proves."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.pass_grace()
    marked = reconciliation.rotation.labels()
    issuer = reconciliation.issuer

    def time_is_up() -> None:
        reconciliation.time_left = timedelta(seconds=60)

    reconciliation.issuer = AfterRevoking(reconciliation, time_is_up)
    report = reconciliation.reconcile()
    assert outcomes(report) == {old.id: "revoked"}
    assert "death_unproven" in codes(report)
    assert reconciliation.rotation.labels() == marked
    reconciliation.issuer, reconciliation.time_left = issuer, timedelta(minutes=15)
    assert reconciliation.reconcile()["done"]["provenDead"] == [old.id]


def test_a_run_without_time_begins_nothing(reconciliation: ReconciliationFixture) -> None:
    """The secret is named as not reached, and nothing of it was touched."""
    reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.time_left = timedelta(seconds=80)
    [report] = reconciliation.run()["secrets"]
    assert codes(report) == {"not_reached"}
    assert "done" not in report


@pytest.mark.parametrize(
    "fault", [VendorFault.SERVER_ERROR, VendorFault.DISCONNECT, VendorFault.FORBIDDEN]
)
def test_a_vendor_that_fails_after_the_revocation_proves_nothing(
    reconciliation: ReconciliationFixture, fault: VendorFault
) -> None:
    """No label changes; the next run proves what this one could not."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.pass_grace()
    marked = reconciliation.rotation.labels()
    issuer = reconciliation.issuer
    faults = reconciliation.rotation.vendor.faults
    reconciliation.issuer = AfterRevoking(
        reconciliation, lambda: faults.next("sign", fault, times=None)
    )
    report = reconciliation.reconcile()
    assert outcomes(report) == {old.id: "revoked"}
    assert report["done"]["provenDead"] == []
    assert "death_unproven" in codes(report)
    assert reconciliation.rotation.labels() == marked
    reconciliation.issuer = issuer
    faults.clear()
    assert reconciliation.reconcile()["done"]["provenDead"] == [old.id]


def test_a_vendor_that_is_down_loses_nobody(reconciliation: ReconciliationFixture) -> None:
    """Marks go on, retirement waits, the report says why; afterwards all is made good."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.rotation.vendor.outage = Outage.REFUSED
    report = reconciliation.reconcile()
    assert report["done"]["marked"] != []
    assert report["suspended"] == "the vendor's keys cannot be listed"
    assert "vendor_unavailable" in codes(report)
    reconciliation.pass_grace()
    assert reconciliation.reconcile()["done"]["revoked"] == []
    reconciliation.rotation.vendor.outage = None
    assert reconciliation.reconcile()["done"]["provenDead"] == [old.id]


def test_a_lost_answer_of_the_revocation_is_made_good(
    reconciliation: ReconciliationFixture,
) -> None:
    """Four lost answers: the failure is reported; the key is proven dead by the next run."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.pass_grace()
    reconciliation.rotation.vendor.faults.next("delete", VendorFault.SERVER_ERROR, times=3)
    reconciliation.rotation.vendor.faults.next("delete", VendorFault.LOSE_REPLY)
    report = reconciliation.reconcile(failing=True)
    assert [one["code"] for one in report["failures"]] == [VendorUnavailableError.code]
    assert not reconciliation.alive(old.id)
    assert reconciliation.reconcile()["done"]["provenDead"] == [old.id]


def test_a_mark_that_cannot_be_written_is_written_by_the_next_run(
    reconciliation: ReconciliationFixture,
) -> None:
    """The secret's failure is in the report; nothing was revoked in the meantime."""
    reconciliation.rotation.store()
    reconciliation.rotate()
    refusal = AwsError("LimitExceededException")
    reconciliation.rotation.cloud.faults.before("UpdateSecretVersionStage", refusal, times=10)
    report = reconciliation.reconcile(failing=True)
    assert report["failures"][0]["code"] == "secret_store"
    reconciliation.rotation.cloud.faults.clear()
    assert len(reconciliation.reconcile()["done"]["marked"]) == 1


def test_a_key_that_is_slow_to_die_is_waited_for(reconciliation: ReconciliationFixture) -> None:
    """Accepted for half a minute after its revocation: three rejections come later."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.pass_grace()
    reconciliation.rotation.vendor.keys.propagation_delay = timedelta(seconds=20)
    report = reconciliation.reconcile()
    [proof] = report["done"]["proofs"]
    assert [probe["outcome"] for probe in proof["probes"]] == ["accepted", *["rejected"] * 3]
    assert report["done"]["provenDead"] == [old.id]


def test_too_many_retirements_stop_until_a_person_has_looked(
    reconciliation: ReconciliationFixture,
) -> None:
    """Four due at once: none is revoked; those revoked in the portal are proven dead."""
    reconciliation.rotation.store()
    for _ in range(4):
        reconciliation.rotate()
    for _ in range(2):
        reconciliation.reconcile()
        reconciliation.pass_grace()
    report = reconciliation.reconcile()
    assert report["done"]["revoked"] == []
    assert "too_many_retirements" in codes(report)
    refused = [one["keyId"] for one in report["retirements"] if one["state"] == "refused"]
    assert len(refused) == 4
    reconciliation.rotation.vendor.keys.revoke(refused[-1])
    report = reconciliation.reconcile()
    assert len(outcomes(report)) == 3
    assert set(report["done"]["provenDead"]) == set(refused)


def test_a_hold_pauses_retirement_and_ends_by_itself(reconciliation: ReconciliationFixture) -> None:
    """The tag is read with the labels, no value is needed; the report names the date."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.reconcile()
    until = reconciliation.rotation.now() + timedelta(days=2)
    reconciliation.tag("rotation:hold-until", until.isoformat())
    reconciliation.pass_grace()
    report = reconciliation.reconcile()
    assert "hold_active" in codes(report)
    assert report["suspended"] == "a person put a hold on it"
    assert report["holdUntil"][:19] == until.isoformat()[:19]
    assert reconciliation.alive(old.id)
    reconciliation.rotation.later(timedelta(days=2))
    assert reconciliation.reconcile()["done"]["provenDead"] == [old.id]


def test_a_replica_that_is_not_in_sync_pauses_retirement(
    reconciliation: ReconciliationFixture,
) -> None:
    """An application in another Region may still be given the old key; in sync, it goes on."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.reconcile()
    client = reconciliation.rotation.client
    # A secret of the same name makes the replication fail (API_ReplicateSecretToRegions).
    reconciliation.rotation.cloud.client("secretsmanager", "eu-west-1").create_secret(
        Name="trusted-signatures-api", SecretString="theirs"
    )
    client.replicate_secret_to_regions(
        SecretId=reconciliation.rotation.arn, AddReplicaRegions=[{"Region": "eu-west-1"}]
    )
    reconciliation.pass_grace()
    report = reconciliation.reconcile()
    assert report["replication"] == {"eu-west-1": "Failed"}
    assert report["suspended"] == "a replica is not in sync"
    assert "replica_out_of_sync" in codes(report)
    assert reconciliation.alive(old.id)
    client.remove_regions_from_replication(
        SecretId=reconciliation.rotation.arn, RemoveReplicaRegions=["eu-west-1"]
    )
    client.replicate_secret_to_regions(
        SecretId=reconciliation.rotation.arn, AddReplicaRegions=[{"Region": "eu-central-1"}]
    )
    report = reconciliation.reconcile()
    assert report["replication"] == {"eu-central-1": "InSync"}
    assert report["done"]["provenDead"] == [old.id]


def test_a_secret_that_is_being_deleted_is_reported_and_left_alone(
    reconciliation: ReconciliationFixture,
) -> None:
    """Named in the event: its versions are listed, nothing is written."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.pass_grace()
    reconciliation.rotation.client.delete_secret(SecretId=reconciliation.rotation.arn)
    assert reconciliation.run()["secrets"] == []
    [report] = reconciliation.run(reconciliation.rotation.arn)["secrets"]
    assert report["suspended"] == "the secret is scheduled for deletion"
    assert report["failures"] == []
    assert reconciliation.alive(old.id)


def test_a_report_changes_nothing(reconciliation: ReconciliationFixture) -> None:
    """No label is written, no key revoked, no signature bought; what is due is listed."""
    old = reconciliation.rotation.store()
    before = reconciliation.rotation.version("AWSCURRENT")
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.pass_grace()
    labels, signatures = reconciliation.rotation.labels(), reconciliation.rotation.vendor.signatures
    [report] = reconciliation.run(act=False)["secrets"]
    assert "done" not in report
    [due] = report["retirements"]
    assert (due["keyId"], due["versionIds"], due["reason"]) == (old.id, [before], "grace_over")
    assert due["state"] == "due"
    assert reconciliation.rotation.labels() == labels
    assert reconciliation.rotation.vendor.signatures == signatures
    assert reconciliation.alive(old.id)
