"""Keys are retired: against a Secrets Manager and a vendor on this machine, hour by hour."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rotation.core.ports import Revocation
from rotation.errors import JournalError, SecretStoreError, VendorUnavailableError
from rotation.journal.keeper import JournalKeeper
from rotation.journal.model import VersionRecord
from rotation.reconciliation.key_warnings import URGENT, WarningCode
from rotation.reconciliation.plan import RunOptions
from rotation.sandbox.aws.traffic import AwsError
from rotation.sandbox.vendor import Outage, VendorFault
from rotation.secrets_manager.snapshot import ListedVersion, Snapshot
from rotation.secrets_manager.versions import SecretVersions, VersionReading
from tests.reconciliation.reconciliation_fixture import (
    GRACE,
    ReconciliationFixture,
    codes,
    outcomes,
)

DAY = timedelta(days=1)


def retire(reconciliation: ReconciliationFixture) -> dict[str, Any]:
    """See the key displaced, wait, retire: the report of the run that retires."""
    reconciliation.reconcile()
    reconciliation.pass_grace()
    return reconciliation.reconcile()


def test_a_displaced_key_is_noted_then_retired_then_dead(
    reconciliation: ReconciliationFixture,
) -> None:
    """Two runs and the grace: the old key is revoked and proven dead, the current one signs."""
    old = reconciliation.rotation.store()
    before = reconciliation.rotation.version("AWSCURRENT")
    assert before is not None
    token = reconciliation.rotate()

    first = reconciliation.reconcile()
    assert first["done"]["revoked"] == []
    assert reconciliation.alive(old.id)
    life = reconciliation.life(old.id)
    assert life.displaced_at is not None
    assert life.retire_after == life.displaced_at + GRACE
    [waiting] = first["retirements"]
    assert (waiting["keyId"], waiting["state"]) == (old.id, "waiting")

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
    life = reconciliation.life(old.id)
    assert life.outcome == "revoked"
    assert life.accepted is False
    assert life.death is not None
    assert life.death.proof["probes"] == proof["probes"]
    assert reconciliation.rotation.labels() == {token: {"AWSCURRENT"}, before: {"AWSPREVIOUS"}}


def test_a_revocation_is_in_the_journal_before_it_is_asked_for(
    reconciliation: ReconciliationFixture,
) -> None:
    """Whoever finds the journal after a crash knows that the key may have been revoked."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.pass_grace()
    noted = []

    def look() -> None:
        noted.append(reconciliation.life(old.id))

    reconciliation.issuer = AfterRevoking(reconciliation, look)
    reconciliation.reconcile()
    [life] = noted
    assert life.asked_at is not None
    assert (life.outcome, life.death) == (None, None)


def test_when_all_is_done_nothing_is_done(reconciliation: ReconciliationFixture) -> None:
    """A dead key is never read or asked about again, and nothing is bought or written."""
    reconciliation.rotation.store()
    reconciliation.rotate()
    retire(reconciliation)
    labels, signatures = reconciliation.rotation.labels(), reconciliation.rotation.vendor.signatures
    states = len(reconciliation.rotation.journal_store.history)
    for _ in range(3):
        reconciliation.rotation.later(timedelta(hours=1))
        report = reconciliation.reconcile()
        assert report["done"]["revoked"] == report["done"]["kept"] == []
        assert report["retirements"] == []
    assert reconciliation.rotation.labels() == labels
    assert reconciliation.rotation.vendor.signatures == signatures
    assert len(reconciliation.rotation.journal_store.history) == states


def test_the_label_that_keeps_a_version_goes_when_its_key_is_dead(
    reconciliation: ReconciliationFixture,
) -> None:
    """It is set when AWS might delete the version; after the proof AWS may."""
    reconciliation.rotation.store()
    first = str(reconciliation.rotation.version("AWSCURRENT"))
    second = reconciliation.rotate()
    third = reconciliation.rotate()
    report = reconciliation.reconcile()
    assert report["done"]["kept"] == [first]
    assert reconciliation.rotation.labels() == {
        third: {"AWSCURRENT"},
        second: {"AWSPREVIOUS"},
        first: {f"rotation-keep-{first}"},
    }
    reconciliation.pass_grace()
    assert len(reconciliation.reconcile()["done"]["provenDead"]) == 2
    reconciliation.reconcile()
    assert reconciliation.rotation.labels() == {third: {"AWSCURRENT"}, second: {"AWSPREVIOUS"}}


def test_labels_of_version_0_2_are_carried_over_once(
    reconciliation: ReconciliationFixture,
) -> None:
    """A grace that is over stays over, a dead key stays dead, and then the labels go."""
    old = reconciliation.rotation.store()
    oldest = str(reconciliation.rotation.version("AWSCURRENT"))
    dead = reconciliation.rotation.store()
    older = str(reconciliation.rotation.version("AWSCURRENT"))
    token = reconciliation.rotate()
    past = (reconciliation.rotation.now() - timedelta(minutes=1)).strftime("%Y%m%dT%H%M%SZ")
    secret = SecretVersions(reconciliation.rotation.client, reconciliation.rotation.arn)
    secret.add_label(f"rotation-retire-after-{past}-{oldest}", oldest)
    secret.add_label(f"rotation-dead-{older}", older)
    relabelled = []

    class Relabelled(SecretVersions):
        def add_label(self, label: str, version: str) -> None:
            relabelled.append("keep" if label == f"rotation-keep-{version}" else label)
            super().add_label(label, version)

        def remove_label(self, label: str, version: str) -> None:
            relabelled.append(label.split("-")[1])
            super().remove_label(label, version)

    reconciler = replace(
        reconciliation.reconciler(),
        open_secret=lambda name: Relabelled(reconciliation.rotation.client, name),
    )
    [report] = reconciler.run()["secrets"]
    assert outcomes(report) == {old.id: "revoked"}
    assert report["done"]["provenDead"] == [old.id]
    assert relabelled == ["keep", "retire", "dead"]
    life = reconciliation.life(dead.id)
    assert life.death is not None
    assert "0.2" in life.death.proof["by"]
    reconciliation.reconcile()
    assert reconciliation.rotation.labels() == {token: {"AWSCURRENT"}, older: {"AWSPREVIOUS"}}


def test_a_label_of_version_0_2_stays_until_the_new_one_is_there(
    reconciliation: ReconciliationFixture,
) -> None:
    """No version is without a label in between, also if the new one is refused."""
    reconciliation.rotation.store()
    before = str(reconciliation.rotation.version("AWSCURRENT"))
    reconciliation.rotate()
    reconciliation.rotate()
    secret = SecretVersions(reconciliation.rotation.client, reconciliation.rotation.arn)
    former = f"rotation-retire-after-20991231T000000Z-{before}"
    secret.add_label(former, before)

    class Full(SecretVersions):
        def add_label(self, label: str, version: str) -> None:
            raise SecretStoreError(
                f"{label} on {version}",
                operation="UpdateSecretVersionStage",
                aws_code="LimitExceededException",
            )

    reconciler = replace(
        reconciliation.reconciler(),
        open_secret=lambda name: Full(reconciliation.rotation.client, name),
    )
    [report] = reconciler.run()["secrets"]
    assert "labels_exhausted" in codes(report)
    assert reconciliation.rotation.labels()[before] == {former}
    reconciliation.reconcile()
    assert reconciliation.rotation.labels()[before] == {f"rotation-keep-{before}"}


def test_a_key_that_was_displaced_twice_within_the_hour_is_not_lost_from_sight(
    reconciliation: ReconciliationFixture,
) -> None:
    """Made by hand and out of AWSPREVIOUS before anybody looked: found among the deprecated."""
    old = reconciliation.rotation.store()
    lost = reconciliation.rotation.version("AWSCURRENT")
    reconciliation.rotate()
    reconciliation.rotate()
    assert lost not in reconciliation.rotation.labels()
    assert lost in reconciliation.reconcile()["done"]["kept"]
    reconciliation.pass_grace()
    assert old.id in reconciliation.reconcile()["done"]["provenDead"]
    assert not reconciliation.alive(old.id)
    assert len(reconciliation.rotation.active_keys()) == 1


def test_a_key_whose_versions_are_gone_is_retired_and_reported(
    reconciliation: ReconciliationFixture,
) -> None:
    """AWS deleted them before the proof: the vendor's own list is what says that it is dead."""
    reconciliation.rotation.store()
    reconciliation.rotate()
    old = str(reconciliation.rotation.value("AWSCURRENT")["apiKeyId"])
    version = str(reconciliation.rotation.version("AWSCURRENT"))
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.pass_grace()

    class Deleted(SecretVersions):
        def snapshot(self) -> Snapshot:
            found = super().snapshot()
            labels = {one: has for one, has in found.labels.items() if one != version}
            return replace(found, labels=labels)

        def list_versions(self) -> tuple[ListedVersion, ...]:
            return tuple(one for one in super().list_versions() if one.id != version)

    reconciler = replace(
        reconciliation.reconciler(),
        open_secret=lambda name: Deleted(reconciliation.rotation.client, name),
    )
    [report] = reconciler.run()["secrets"]
    assert report["failures"] == []
    assert not reconciliation.alive(old)
    [retired] = [one for one in report["retirements"] if one["keyId"] == old]
    assert (retired["versionIds"], retired["reason"]) == ([], "grace_over")
    reconciliation.rotation.later(timedelta(hours=1))
    [report] = reconciler.run()["secrets"]
    assert report["done"]["provenDead"] == [old]


def test_a_version_that_cannot_be_read_holds_up_nothing_but_itself(
    reconciliation: ReconciliationFixture,
) -> None:
    """Text, binary, or a value that KMS does not decrypt: the report names it and the cause."""
    old = reconciliation.rotation.store()
    client, arn = reconciliation.rotation.client, reconciliation.rotation.arn
    client.put_secret_value(SecretId=arn, SecretString="plain text")
    client.put_secret_value(SecretId=arn, SecretBinary=b"\x00\xff")
    sealed = client.put_secret_value(SecretId=arn, SecretString="{}")["VersionId"]
    reconciliation.rotation.store()
    reconciliation.rotate()

    class Undecryptable(SecretVersions):
        def reading(self, version: str) -> VersionReading:
            if version != sealed:
                return super().reading(version)
            problem = SecretStoreError(
                "KMS refused", operation="GetSecretValue", aws_code="DecryptionFailure"
            )
            return VersionReading(None, problem=problem)

    def reconciled() -> dict[str, Any]:
        reconciler = replace(
            reconciliation.reconciler(), open_secret=lambda name: Undecryptable(client, name)
        )
        [report] = reconciler.run()["secrets"]
        return dict(report)

    first = reconciled()
    unreadable = [one for one in first["versions"] if one["state"] == "unreadable"]
    assert len(unreadable) == 3
    assert sum("KMS refused" in one["problem"] for one in unreadable) == 1
    assert [one["code"] for one in first["warnings"]] == ["value_unreadable"] * 3
    assert first["suspended"] is None
    reconciliation.pass_grace()
    assert old.id in reconciled()["done"]["provenDead"]


def test_one_answer_without_a_value_makes_no_stray(
    reconciliation: ReconciliationFixture,
) -> None:
    """ResourceNotFound on a displaced version in its grace: GetSecretValue may lag behind."""
    reconciliation.rotation.store()
    reconciliation.rotate()
    old = str(reconciliation.rotation.value("AWSCURRENT")["apiKeyId"])
    reconciliation.rotate()
    reconciliation.rotation.later(timedelta(hours=1))
    missing = AwsError("ResourceNotFoundException")
    reconciliation.rotation.cloud.faults.before("GetSecretValue", missing, times=2)
    report = reconciliation.run()["secrets"][0]
    assert report["done"]["revoked"] == []
    reconciliation.rotation.cloud.faults.clear()
    reconciliation.rotation.later(timedelta(hours=1))
    assert reconciliation.reconcile()["done"]["revoked"] == []
    assert reconciliation.alive(old)


def test_a_key_is_dead_only_if_each_of_its_materials_is(
    reconciliation: ReconciliationFixture,
) -> None:
    """Somebody stored its id with another material: that one's rejection proves nothing."""
    old = reconciliation.rotation.store()
    reconciliation.rotation.put({"apiKey": "0" * 64, "apiKeyId": old.id})
    reconciliation.rotate()
    issuer = reconciliation.issuer

    class RevokesNothing:
        def revoke(self, key_id: str) -> Revocation:
            return Revocation.REVOKED

        def __getattr__(self, name: str) -> Any:
            return getattr(issuer, name)

    reconciliation.issuer = RevokesNothing()
    report = retire(reconciliation)
    assert outcomes(report) == {old.id: "revoked"}
    assert report["done"]["provenDead"] == []
    assert "key_alive" in codes(report)
    reconciliation.issuer = issuer
    reconciliation.rotation.vendor.keys.revoke(old.id)
    assert reconciliation.reconcile()["done"]["provenDead"] == [old.id]


def test_the_current_key_is_asked_with_its_own_material(
    reconciliation: ReconciliationFixture,
) -> None:
    """A newer version has the same id with another material; the current one signs."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    good = reconciliation.rotation.value("AWSCURRENT")
    version = str(reconciliation.rotation.version("AWSCURRENT"))
    reconciliation.rotation.put(good | {"apiKey": "0" * 64})
    junk = str(reconciliation.rotation.version("AWSCURRENT"))
    reconciliation.rotation.rotation(version).secret.promote(version, junk)
    report = reconciliation.reconcile()
    assert "current_key_dead" not in codes(report)
    reconciliation.pass_grace()
    report = reconciliation.reconcile()
    assert "current_key_dead" not in codes(report)
    assert report["done"]["provenDead"] == [old.id]


class BrokenStore:
    """A journal store that fails while something is wrong with it.

    Attributes:
        reads: whether it can be read.
        writes: how many more writes succeed.
    """

    def __init__(self, reconciliation: ReconciliationFixture) -> None:
        self._store = reconciliation.rotation.journal_store
        self.reads = True
        self.writes = 0

    def read(self, secret_arn: str) -> tuple[bytes, str] | None:
        if not self.reads:
            raise JournalError(f"The journal of {secret_arn} was deleted.", retryable=False)
        return self._store.read(secret_arn)

    def write(self, secret_arn: str, body: bytes, replaces: str | None) -> str:
        self.writes -= 1
        if self.writes < 0:
            raise JournalError(f"The journal of {secret_arn} may not be written.")
        return self._store.write(secret_arn, body, replaces)


@pytest.mark.parametrize(("reads", "declared"), [(False, False), (True, False), (False, True)])
def test_without_its_journal_no_key_dies(
    reconciliation: ReconciliationFixture, reads: bool, declared: bool
) -> None:
    """Not even a suspect one, and an urgent warning says so; with it all is made good."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    if declared:
        reconciliation.declare()
        reconciliation.rotate()
    else:
        reconciliation.reconcile()
        reconciliation.pass_grace()
    labels = reconciliation.rotation.labels()
    store, journals = BrokenStore(reconciliation), reconciliation.journals
    store.reads, reconciliation.journals = reads, JournalKeeper(store)
    report = reconciliation.reconcile(failing=True)
    assert report["done"]["revoked"] == []
    assert [one["code"] for one in report["failures"]] == ["journal"]
    assert codes(report) == {"journal_unusable"}
    assert WarningCode.JOURNAL_UNUSABLE in URGENT
    assert reconciliation.alive(old.id)
    assert reconciliation.rotation.labels() == labels
    reconciliation.journals = journals
    reconciliation.reconcile()
    assert not reconciliation.alive(old.id)


class EmptyStore(BrokenStore):
    """A store from which every version of every document was removed."""

    def read(self, secret_arn: str) -> tuple[bytes, str] | None:
        return None


def test_a_lost_journal_is_not_taken_for_one_that_never_was(
    reconciliation: ReconciliationFixture,
) -> None:
    """The secret bears a label that a run with a journal has set: nothing is concluded."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.pass_grace()
    journals = reconciliation.journals
    reconciliation.journals = JournalKeeper(EmptyStore(reconciliation))
    report = reconciliation.reconcile(failing=True)
    assert [one["code"] for one in report["failures"]] == ["journal"]
    assert "journal_unusable" in codes(report)
    assert "promoted replica" in report["failures"][0]["message"]
    assert reconciliation.alive(old.id)
    reconciliation.journals = journals
    reconciliation.reconcile()
    assert not reconciliation.alive(old.id)


def test_a_death_that_cannot_be_written_down_is_proven_again(
    reconciliation: ReconciliationFixture,
) -> None:
    """The key is revoked, which the journal said before; the warning says what failed."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.pass_grace()
    store, journals = BrokenStore(reconciliation), reconciliation.journals
    store.writes, reconciliation.journals = 1, JournalKeeper(store)
    report = reconciliation.reconcile(failing=True)
    assert outcomes(report) == {old.id: "revoked"}
    assert report["done"]["provenDead"] == []
    assert "journal_unusable" in codes(report)
    assert reconciliation.life(old.id).death is None
    reconciliation.journals = journals
    assert reconciliation.reconcile()["done"]["provenDead"] == [old.id]


def test_a_rolled_back_key_is_spared(reconciliation: ReconciliationFixture) -> None:
    """AWSCURRENT went back to the displaced version: its key is in use, the other is displaced."""
    old = reconciliation.rotation.store()
    before = reconciliation.rotation.version("AWSCURRENT")
    assert before is not None
    token = reconciliation.rotate()
    new = reconciliation.rotation.value("AWSCURRENT")["apiKeyId"]
    reconciliation.reconcile()
    reconciliation.rotation.rotation(before).secret.promote(before, token)
    reconciliation.pass_grace()
    report = reconciliation.reconcile()
    assert report["done"]["revoked"] == []
    assert [one["keyId"] for one in report["retirements"]] == [new]
    assert reconciliation.life(old.id).displaced_at is None
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
    assert report["done"]["provenDead"] == [], "the vendor may accept it a little longer"
    reconciliation.rotation.later(timedelta(hours=1))
    assert reconciliation.reconcile()["done"]["provenDead"] == [stray.id]


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
    [before] = [
        version for version, has in reconciliation.rotation.labels().items() if "AWSPREVIOUS" in has
    ]
    # It was not current in the other one when it was seen displaced here.
    name, reconciliation.policy = copy, replace(reconciliation.policy, grace=timedelta(0))
    client.update_secret(SecretId=name, SecretString=json.dumps({"apiKeyId": "x", "apiKey": "y"}))
    reconciliation.reconcile()
    client.update_secret(SecretId=name, SecretString=text)
    assert before is not None
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
    """AWSPENDING blocked every rotation: it is taken off, and its key dies after the grace."""
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
    """The key is revoked and not dead; the next run finds it revoked and only proves."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.pass_grace()
    issuer = reconciliation.issuer

    def time_is_up() -> None:
        reconciliation.time_left = timedelta(seconds=60)

    reconciliation.issuer = AfterRevoking(reconciliation, time_is_up)
    report = reconciliation.reconcile()
    assert outcomes(report) == {old.id: "revoked"}
    assert "death_unproven" in codes(report)
    assert reconciliation.life(old.id).death is None
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
    """No death is written down; the next run proves what this one could not."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.pass_grace()
    issuer = reconciliation.issuer
    faults = reconciliation.rotation.vendor.faults
    reconciliation.issuer = AfterRevoking(
        reconciliation, lambda: faults.next("sign", fault, times=None)
    )
    report = reconciliation.reconcile()
    assert outcomes(report) == {old.id: "revoked"}
    assert report["done"]["provenDead"] == []
    assert "death_unproven" in codes(report)
    assert reconciliation.life(old.id).death is None
    reconciliation.issuer = issuer
    faults.clear()
    assert reconciliation.reconcile()["done"]["provenDead"] == [old.id]


def test_a_vendor_that_is_down_loses_nobody(reconciliation: ReconciliationFixture) -> None:
    """The grace begins, retirement waits, the report says why; afterwards all is made good."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.rotation.vendor.outage = Outage.REFUSED
    report = reconciliation.reconcile()
    assert reconciliation.life(old.id).displaced_at is not None
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


@pytest.mark.parametrize(("code", "failing"), [("LimitExceededException", False), ("x", True)])
def test_a_label_that_cannot_be_set_is_set_by_the_next_run(
    reconciliation: ReconciliationFixture, code: str, failing: bool
) -> None:
    """A quota is a warning, trouble that may pass a failure; the grace goes on all the same."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.rotate()
    refusal = AwsError("InternalServiceError" if failing else code)
    reconciliation.rotation.cloud.faults.before("UpdateSecretVersionStage", refusal, times=10)
    report = reconciliation.reconcile(failing=failing)
    assert report["done"]["kept"] == []
    assert ("labels_exhausted" in codes(report)) is not failing
    assert reconciliation.life(old.id).displaced_at is not None
    reconciliation.rotation.cloud.faults.clear()
    assert len(reconciliation.reconcile()["done"]["kept"]) == 1


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
    """Four due at once: none is revoked, each is asked about once; the one revoked is dead."""
    reconciliation.rotation.store()
    for _ in range(4):
        reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.pass_grace()
    before = sum(reconciliation.rotation.vendor.signatures.values())
    report = reconciliation.reconcile()
    assert report["done"]["revoked"] == []
    assert "too_many_retirements" in codes(report)
    refused = [one["keyId"] for one in report["retirements"] if one["state"] == "refused"]
    assert len(refused) == 4
    assert sum(reconciliation.rotation.vendor.signatures.values()) - before == 4 + 3
    reconciliation.rotation.vendor.keys.revoke(refused[-1])
    reconciliation.rotation.later(DAY)
    report = reconciliation.reconcile()
    assert refused[-1] in report["done"]["provenDead"]
    assert set(report["done"]["provenDead"]) <= set(refused)


def test_a_person_lets_the_retirements_go_that_were_too_many(
    reconciliation: ReconciliationFixture,
) -> None:
    """All of them are revoked, and proven dead, in the run that was told so."""
    old = reconciliation.rotation.store()
    for _ in range(4):
        reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.pass_grace()
    assert reconciliation.reconcile()["done"]["revoked"] == []
    [report] = reconciliation.reconciler().run(options=RunOptions(release=True))["secrets"]
    assert len(report["done"]["revoked"]) == len(report["done"]["provenDead"]) == 4
    assert old.id in report["done"]["provenDead"]


def test_strays_do_not_count_as_too_many(reconciliation: ReconciliationFixture) -> None:
    """Six of them and a displaced key all die in one run."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    strays = [
        reconciliation.rotation.vendor.keys.create(
            label=f"fixture|{reconciliation.rotation.arn}|stray-{number}"
        ).id
        for number in range(6)
    ]
    reconciliation.reconcile()
    reconciliation.pass_grace()
    assert outcomes(reconciliation.reconcile()) == dict.fromkeys([old.id, *strays], "revoked")


def test_a_key_of_a_closed_incident_that_turns_up_later_dies(
    reconciliation: ReconciliationFixture,
) -> None:
    """Somebody stores it again: it is suspect for ever."""
    leaked = reconciliation.rotation.store()
    reconciliation.rotate()
    value = reconciliation.rotation.value("AWSCURRENT")
    reconciliation.declare()
    reconciliation.rotate()
    reconciliation.reconcile()
    journal = reconciliation.journals.read(reconciliation.rotation.arn)
    [closed] = journal.incidents
    assert closed.closing is not None
    assert journal.dead(leaked.id)

    late = reconciliation.rotation.vendor.keys.create()
    version = next(iter(closed.versions))
    reconciliation.journals.change(
        journal,
        lambda found: replace(found, versions={**found.versions, version: VersionRecord(late.id)}),
    )
    reconciliation.rotation.put(value | {"apiKeyId": late.id, "apiKey": late.material})
    reconciliation.rotate()
    report = reconciliation.reconcile()
    assert outcomes(report) == {late.id: "revoked"}
    assert late.id in report["done"]["provenDead"]


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
