"""Keys are retired: against a Secrets Manager and a vendor on this machine, hour by hour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rotation.errors import SecretStoreError, VendorUnavailableError
from rotation.sandbox.aws.traffic import AwsError
from rotation.sandbox.vendor import Fault, Outage
from rotation.secrets_manager.labels import retirement_mark
from rotation.secrets_manager.snapshot import Snapshot
from rotation.secrets_manager.versions import SecretVersions
from tests.reconciliation.desk import Desk, codes, outcomes

DAY = timedelta(days=1)


def retire(desk: Desk) -> dict[str, Any]:
    """Mark, wait, retire: the report of the run that retires."""
    desk.reconcile()
    desk.pass_grace()
    return desk.reconcile()


def test_a_displaced_key_is_marked_then_retired_then_labelled_dead(desk: Desk) -> None:
    """Two runs and the grace: the old key is revoked and proven dead, the current one signs."""
    old = desk.rotation_fixture.store()
    before = desk.rotation_fixture.version("AWSCURRENT")
    assert before is not None
    token = desk.rotate()

    first = desk.reconcile()
    assert first["done"]["marked"] == [before]
    assert first["done"]["revoked"] == []
    assert desk.alive(old.id)
    [mark] = desk.rotation_fixture.labels()[before] - {"AWSPREVIOUS"}
    assert mark.startswith("rotation-retire-after-")
    assert mark.endswith(f"Z-{before}")

    desk.rotation_fixture.later(timedelta(hours=1, minutes=55))
    assert desk.reconcile()["done"]["revoked"] == []
    assert desk.alive(old.id)

    desk.rotation_fixture.later(timedelta(minutes=10))
    last = desk.reconcile()
    assert outcomes(last) == {old.id: "revoked"}
    assert last["done"]["provenDead"] == [old.id]
    [proof] = last["done"]["proofs"]
    assert [probe["outcome"] for probe in proof["probes"]] == ["rejected"] * 3
    assert proof["controlKeyId"] == desk.rotation_fixture.value("AWSCURRENT")["apiKeyId"]
    assert not desk.alive(old.id)
    assert desk.rotation_fixture.labels() == {
        token: {"AWSCURRENT"},
        before: {"AWSPREVIOUS", f"rotation-dead-{before}"},
    }


def test_when_all_is_done_nothing_is_done(desk: Desk) -> None:
    """A dead key is never read, asked or marked again, and no signature is bought."""
    desk.rotation_fixture.store()
    desk.rotate()
    retire(desk)
    labels, signatures = desk.rotation_fixture.labels(), desk.rotation_fixture.vendor.signatures
    for _ in range(3):
        desk.rotation_fixture.later(timedelta(hours=1))
        report = desk.reconcile()
        assert report["done"]["revoked"] == report["done"]["marked"] == []
        assert report["retirements"] == []
    assert desk.rotation_fixture.labels() == labels
    assert desk.rotation_fixture.vendor.signatures == signatures


def test_a_dead_version_s_label_goes_when_nothing_else_names_it(desk: Desk) -> None:
    """After the next rotation AWS may delete it; the next retirement is that of the next key."""
    desk.rotation_fixture.store()
    first = desk.rotation_fixture.version("AWSCURRENT")
    second = desk.rotate()
    retire(desk)
    third = desk.rotate()
    report = retire(desk)
    assert len(report["done"]["provenDead"]) == 1
    assert desk.rotation_fixture.labels() == {
        third: {"AWSCURRENT"},
        second: {"AWSPREVIOUS", f"rotation-dead-{second}"},
    }
    assert first not in desk.rotation_fixture.labels()
    desk.rotation_fixture.later(timedelta(hours=1))
    assert desk.reconcile()["done"]["marked"] == []


def test_a_key_that_was_displaced_twice_within_the_hour_is_not_lost_from_sight(desk: Desk) -> None:
    """Made by hand and out of AWSPREVIOUS before anybody looked: found among the deprecated."""
    old = desk.rotation_fixture.store()
    lost = desk.rotation_fixture.version("AWSCURRENT")
    desk.rotate()
    desk.rotate()
    assert lost not in desk.rotation_fixture.labels()
    assert lost in desk.reconcile()["done"]["marked"]
    desk.pass_grace()
    assert old.id in desk.reconcile()["done"]["provenDead"]
    assert not desk.alive(old.id)
    assert len(desk.rotation_fixture.active_keys()) == 1


def test_a_rolled_back_key_is_spared(desk: Desk) -> None:
    """AWSCURRENT went back to the marked version: its mark goes, and the other is marked."""
    old = desk.rotation_fixture.store()
    before = desk.rotation_fixture.version("AWSCURRENT")
    assert before is not None
    token = desk.rotate()
    desk.reconcile()
    desk.rotation_fixture.rotation(before).secret.promote(before, token)
    desk.pass_grace()
    report = desk.reconcile()
    assert report["done"]["revoked"] == []
    assert report["done"]["marked"] == [token]
    assert desk.rotation_fixture.labels()[before] == {"AWSCURRENT"}
    assert desk.alive(old.id)


def test_a_rollback_between_the_two_looks_is_seen(desk: Desk) -> None:
    """Planned for death, and current again before the revocation: the second look spares it."""
    old = desk.rotation_fixture.store()
    before = desk.rotation_fixture.version("AWSCURRENT")
    assert before is not None
    token = desk.rotate()
    desk.reconcile()
    desk.pass_grace()
    secret = SecretVersions(desk.rotation_fixture.client, desk.rotation_fixture.arn)
    reads: list[str] = []

    class RolledBack(SecretVersions):
        def snapshot(self) -> Snapshot:
            reads.append("look")
            if len(reads) == 2:
                secret.promote(str(before), token)
            return super().snapshot()

    looking = replace(
        desk.reconciler(), open_secret=lambda name: RolledBack(desk.rotation_fixture.client, name)
    )
    looking.run()
    assert len(reads) >= 2
    assert desk.alive(old.id)
    assert desk.rotation_fixture.version("AWSCURRENT") == before


def test_a_stray_is_retired_once_it_is_half_an_hour_old(desk: Desk) -> None:
    """Its material was never stored, so the vendor's own list is what says that it is dead."""
    desk.rotation_fixture.store()
    desk.rotate()
    stray = desk.rotation_fixture.vendor.keys.create(
        label=f"fixture|{desk.rotation_fixture.arn}|{'f' * 36}"
    )
    desk.rotation_fixture.later(timedelta(minutes=29))
    assert stray.id not in outcomes(desk.reconcile())
    desk.rotation_fixture.later(timedelta(minutes=2))
    report = desk.reconcile()
    assert outcomes(report) == {stray.id: "revoked"}
    assert report["done"]["provenDead"] == [stray.id]


def test_nobody_else_s_key_is_touched(desk: Desk) -> None:
    """Keys of another installation, another secret, or without a label live on."""
    desk.rotation_fixture.store()
    desk.rotate()
    keys = desk.rotation_fixture.vendor.keys
    others = [
        keys.create(label=f"other|{desk.rotation_fixture.arn}|t"),
        keys.create(label=f"fixture|{desk.rotation_fixture.arn}-2|t"),
        keys.create(label="an application"),
        keys.create(),
    ]
    desk.reconcile()
    for _ in range(3):
        desk.rotation_fixture.later(DAY)
        desk.reconcile()
    assert all(desk.alive(key.id) for key in others)


def test_a_key_that_another_secret_uses_is_spared(desk: Desk) -> None:
    """Somebody copied the value: while the copy is current there, the key lives."""
    shared = desk.rotation_fixture.store()
    client = desk.rotation_fixture.client
    text = client.get_secret_value(SecretId=desk.rotation_fixture.arn)["SecretString"]
    copy = client.create_secret(Name="copy", SecretString=text)["ARN"]
    client.rotate_secret(
        SecretId=copy,
        RotationLambdaARN=desk.rotation_fixture.function_arn,
        RotationRules={"AutomaticallyAfterDays": 30},
    )
    desk.rotate()
    for _ in range(3):
        desk.reconcile()
        desk.pass_grace()
    assert desk.alive(shared.id)
    # A run that looks at one secret alone does not know; it leaves keys made by hand to others.
    report = desk.run(desk.rotation_fixture.arn)
    assert report["secrets"][0]["done"]["revoked"] == []
    assert desk.alive(shared.id)


def test_a_secret_that_cannot_be_read_protects_the_keys_that_it_may_use(desk: Desk) -> None:
    """A key made by hand may be current there: it waits for a run that sees every secret."""
    shared = desk.rotation_fixture.store()
    client = desk.rotation_fixture.client
    text = client.get_secret_value(SecretId=desk.rotation_fixture.arn)["SecretString"]
    copy = client.create_secret(Name="copy", SecretString=text)["ARN"]
    client.rotate_secret(
        SecretId=copy,
        RotationLambdaARN=desk.rotation_fixture.function_arn,
        RotationRules={"AutomaticallyAfterDays": 30},
    )
    desk.rotate()
    # It was not current in the other one when it was marked here.
    held = SecretVersions(client, desk.rotation_fixture.arn)
    [before] = [
        version for version, has in desk.rotation_fixture.labels().items() if "AWSPREVIOUS" in has
    ]
    held.attach(retirement_mark(before, desk.rotation_fixture.now()), before)
    desk.rotation_fixture.later(timedelta(minutes=1))

    class Unreadable(SecretVersions):
        def snapshot(self) -> Snapshot:
            raise SecretStoreError("denied", operation="DescribeSecret", aws_code="AccessDenied")

    def opened(name: str) -> SecretVersions:
        return (Unreadable if name == copy else SecretVersions)(client, name)

    report = replace(desk.reconciler(), open_secret=opened).run()
    found = {one["arn"]: one for one in report["secrets"]}
    assert found[copy]["failures"] != []
    assert found[desk.rotation_fixture.arn]["done"]["revoked"] == []
    assert desk.alive(shared.id)


def test_a_stuck_rotation_is_abandoned_after_a_day(desk: Desk) -> None:
    """AWSPENDING blocked every rotation: it is taken off, its key is marked and dies."""
    desk.rotation_fixture.store()
    token = desk.rotation_fixture.stage()
    key = desk.rotation_fixture.stage_key(token)
    desk.rotation_fixture.later(timedelta(hours=23))
    assert desk.reconcile()["done"]["abandoned"] == []
    desk.rotation_fixture.later(timedelta(hours=2))
    report = desk.reconcile()
    assert report["done"]["abandoned"] == [token]
    assert "pending_stuck" in codes(report)
    assert desk.rotation_fixture.version("AWSPENDING") is None
    assert retire(desk)["done"]["provenDead"] == [key.id]
    desk.rotate()
    desk.rotation_fixture.promoted()


def test_a_dead_current_key_stops_retirement_and_not_the_rotation(desk: Desk) -> None:
    """Without a live control nothing is revoked; the next rotation ends well and clears up."""
    old = desk.rotation_fixture.store()
    desk.rotate()
    desk.reconcile()
    desk.rotation_fixture.vendor.keys.revoke(desk.rotation_fixture.value("AWSCURRENT")["apiKeyId"])
    desk.pass_grace()
    report = desk.reconcile()
    assert "current_key_dead" in codes(report)
    assert desk.alive(old.id)
    desk.rotate()
    desk.rotation_fixture.promoted()
    retire(desk)
    assert not desk.alive(old.id)
    assert desk.rotation_fixture.active_keys() == {
        desk.rotation_fixture.value("AWSCURRENT")["apiKeyId"]
    }


def test_the_first_rotation_of_an_expired_key_made_by_hand(desk: Desk) -> None:
    """Adopted as it is, warned about, rotated, and proven dead like any other."""
    old = desk.rotation_fixture.store(expiresAt=(desk.rotation_fixture.now() - DAY).isoformat())
    desk.rotation_fixture.vendor.keys.revoke(old.id)
    desk.rotation_fixture.stage()
    report = desk.run(desk.rotation_fixture.arn)["secrets"][0]
    assert codes(report) >= {"current_key_dead"}
    pending = desk.rotation_fixture.version("AWSPENDING")
    assert pending is not None
    desk.rotation_fixture.rotation(pending).secret.unstage_pending(pending)
    desk.rotate()
    desk.rotation_fixture.promoted()
    assert old.id in retire(desk)["done"]["provenDead"]


class AfterRevoking:
    """An issuer after whose first revocation something happens."""

    def __init__(self, desk: Desk, happens: Callable[[], None]) -> None:
        self._issuer = desk.issuer
        self._happens = happens

    def revoke(self, key_id: str) -> Any:
        outcome = self._issuer.revoke(key_id)
        self._happens()
        return outcome

    def __getattr__(self, name: str) -> Any:
        return getattr(self._issuer, name)


def test_a_run_without_time_for_the_proof_leaves_it_to_the_next(desk: Desk) -> None:
    """The key is revoked, its mark stays; the next run finds it revoked and only proves."""
    old = desk.rotation_fixture.store()
    desk.rotate()
    desk.reconcile()
    desk.pass_grace()
    marked = desk.rotation_fixture.labels()
    issuer = desk.issuer

    def time_is_up() -> None:
        desk.time_left = timedelta(seconds=60)

    desk.issuer = AfterRevoking(desk, time_is_up)
    report = desk.reconcile()
    assert outcomes(report) == {old.id: "revoked"}
    assert "death_unproven" in codes(report)
    assert desk.rotation_fixture.labels() == marked
    desk.issuer, desk.time_left = issuer, timedelta(minutes=15)
    assert desk.reconcile()["done"]["provenDead"] == [old.id]


def test_a_run_without_time_begins_nothing(desk: Desk) -> None:
    """The secret is named as not reached, and nothing of it was touched."""
    desk.rotation_fixture.store()
    desk.rotate()
    desk.time_left = timedelta(seconds=80)
    [report] = desk.run()["secrets"]
    assert codes(report) == {"not_reached"}
    assert "done" not in report


@pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.DISCONNECT, Fault.FORBIDDEN])
def test_a_vendor_that_fails_after_the_revocation_proves_nothing(desk: Desk, fault: Fault) -> None:
    """No label changes; the next run proves what this one could not."""
    old = desk.rotation_fixture.store()
    desk.rotate()
    desk.reconcile()
    desk.pass_grace()
    marked = desk.rotation_fixture.labels()
    issuer = desk.issuer
    faults = desk.rotation_fixture.vendor.faults
    desk.issuer = AfterRevoking(desk, lambda: faults.next("sign", fault, times=None))
    report = desk.reconcile()
    assert outcomes(report) == {old.id: "revoked"}
    assert report["done"]["provenDead"] == []
    assert "death_unproven" in codes(report)
    assert desk.rotation_fixture.labels() == marked
    desk.issuer = issuer
    faults.clear()
    assert desk.reconcile()["done"]["provenDead"] == [old.id]


def test_a_vendor_that_is_down_loses_nobody(desk: Desk) -> None:
    """Marks go on, retirement waits, the report says why; afterwards all is made good."""
    old = desk.rotation_fixture.store()
    desk.rotate()
    desk.rotation_fixture.vendor.outage = Outage.REFUSED
    report = desk.reconcile()
    assert report["done"]["marked"] != []
    assert report["suspended"] == "the vendor's keys cannot be listed"
    assert "vendor_unavailable" in codes(report)
    desk.pass_grace()
    assert desk.reconcile()["done"]["revoked"] == []
    desk.rotation_fixture.vendor.outage = None
    assert desk.reconcile()["done"]["provenDead"] == [old.id]


def test_a_lost_answer_of_the_revocation_is_made_good(desk: Desk) -> None:
    """Four lost answers: the failure is reported; the key is proven dead by the next run."""
    old = desk.rotation_fixture.store()
    desk.rotate()
    desk.reconcile()
    desk.pass_grace()
    desk.rotation_fixture.vendor.faults.next("delete", Fault.SERVER_ERROR, times=3)
    desk.rotation_fixture.vendor.faults.next("delete", Fault.LOSE_REPLY)
    report = desk.reconcile(failing=True)
    assert [one["code"] for one in report["failures"]] == [VendorUnavailableError.code]
    assert not desk.alive(old.id)
    assert desk.reconcile()["done"]["provenDead"] == [old.id]


def test_a_mark_that_cannot_be_written_is_written_by_the_next_run(desk: Desk) -> None:
    """The secret's failure is in the report; nothing was revoked in the meantime."""
    desk.rotation_fixture.store()
    desk.rotate()
    refusal = AwsError("LimitExceededException")
    desk.rotation_fixture.cloud.faults.before("UpdateSecretVersionStage", refusal, times=10)
    report = desk.reconcile(failing=True)
    assert report["failures"][0]["code"] == "secret_store"
    desk.rotation_fixture.cloud.faults.clear()
    assert len(desk.reconcile()["done"]["marked"]) == 1


def test_a_key_that_is_slow_to_die_is_waited_for(desk: Desk) -> None:
    """Accepted for half a minute after its revocation: three rejections come later."""
    old = desk.rotation_fixture.store()
    desk.rotate()
    desk.reconcile()
    desk.pass_grace()
    desk.rotation_fixture.vendor.keys.propagation_delay = timedelta(seconds=20)
    report = desk.reconcile()
    [proof] = report["done"]["proofs"]
    assert [probe["outcome"] for probe in proof["probes"]] == ["accepted", *["rejected"] * 3]
    assert report["done"]["provenDead"] == [old.id]


def test_too_many_retirements_stop_until_a_person_has_looked(desk: Desk) -> None:
    """Four due at once: none is revoked; those revoked in the portal are proven dead."""
    desk.rotation_fixture.store()
    for _ in range(4):
        desk.rotate()
    for _ in range(2):
        desk.reconcile()
        desk.pass_grace()
    report = desk.reconcile()
    assert report["done"]["revoked"] == []
    assert "too_many_retirements" in codes(report)
    refused = [one["keyId"] for one in report["retirements"] if one["state"] == "refused"]
    assert len(refused) == 4
    desk.rotation_fixture.vendor.keys.revoke(refused[-1])
    report = desk.reconcile()
    assert len(outcomes(report)) == 3
    assert set(report["done"]["provenDead"]) == set(refused)


def test_a_hold_pauses_retirement_and_ends_by_itself(desk: Desk) -> None:
    """The tag is read with the labels, no value is needed; the report names the date."""
    old = desk.rotation_fixture.store()
    desk.rotate()
    desk.reconcile()
    until = desk.rotation_fixture.now() + timedelta(days=2)
    desk.tag("rotation:hold-until", until.isoformat())
    desk.pass_grace()
    report = desk.reconcile()
    assert "hold_active" in codes(report)
    assert report["suspended"] == "a person put a hold on it"
    assert report["holdUntil"][:19] == until.isoformat()[:19]
    assert desk.alive(old.id)
    desk.rotation_fixture.later(timedelta(days=2))
    assert desk.reconcile()["done"]["provenDead"] == [old.id]


def test_a_replica_that_is_not_in_sync_pauses_retirement(desk: Desk) -> None:
    """An application in another Region may still be given the old key; in sync, it goes on."""
    old = desk.rotation_fixture.store()
    desk.rotate()
    desk.reconcile()
    client = desk.rotation_fixture.client
    # A secret of the same name makes the replication fail (API_ReplicateSecretToRegions).
    desk.rotation_fixture.cloud.client("secretsmanager", "eu-west-1").create_secret(
        Name="trusted-signatures-api", SecretString="theirs"
    )
    client.replicate_secret_to_regions(
        SecretId=desk.rotation_fixture.arn, AddReplicaRegions=[{"Region": "eu-west-1"}]
    )
    desk.pass_grace()
    report = desk.reconcile()
    assert report["replication"] == {"eu-west-1": "Failed"}
    assert report["suspended"] == "a replica is not in sync"
    assert "replica_out_of_sync" in codes(report)
    assert desk.alive(old.id)
    client.remove_regions_from_replication(
        SecretId=desk.rotation_fixture.arn, RemoveReplicaRegions=["eu-west-1"]
    )
    client.replicate_secret_to_regions(
        SecretId=desk.rotation_fixture.arn, AddReplicaRegions=[{"Region": "eu-central-1"}]
    )
    report = desk.reconcile()
    assert report["replication"] == {"eu-central-1": "InSync"}
    assert report["done"]["provenDead"] == [old.id]


def test_a_secret_that_is_being_deleted_is_reported_and_left_alone(desk: Desk) -> None:
    """Named in the event: its versions are listed, nothing is written."""
    old = desk.rotation_fixture.store()
    desk.rotate()
    desk.reconcile()
    desk.pass_grace()
    desk.rotation_fixture.client.delete_secret(SecretId=desk.rotation_fixture.arn)
    assert desk.run()["secrets"] == []
    [report] = desk.run(desk.rotation_fixture.arn)["secrets"]
    assert report["suspended"] == "the secret is scheduled for deletion"
    assert report["failures"] == []
    assert desk.alive(old.id)


def test_a_report_changes_nothing(desk: Desk) -> None:
    """No label is written, no key revoked, no signature bought; what is due is listed."""
    old = desk.rotation_fixture.store()
    before = desk.rotation_fixture.version("AWSCURRENT")
    desk.rotate()
    desk.reconcile()
    desk.pass_grace()
    labels, signatures = desk.rotation_fixture.labels(), desk.rotation_fixture.vendor.signatures
    [report] = desk.run(act=False)["secrets"]
    assert "done" not in report
    [due] = report["retirements"]
    assert (due["keyId"], due["versionIds"], due["reason"]) == (old.id, [before], "grace_over")
    assert due["state"] == "due"
    assert desk.rotation_fixture.labels() == labels
    assert desk.rotation_fixture.vendor.signatures == signatures
    assert desk.alive(old.id)
