"""The keys of a leaked pool in a reconciliation: probed, recorded, reported until dead."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from rotation.core.ports import CondemnedKey
from rotation.credential import ApiKey
from rotation.errors import SecretStoreError
from rotation.sandbox.vendor import Role
from tests.reconciliation.reconciliation_fixture import BUCKET, ReconciliationFixture, codes

DECLARED = "2026-11-22T02:00:00.000Z pool leaked somebody"


@dataclass
class CondemnedInMemory:
    """Condemned keys that are kept in memory."""

    keys: dict[str, ApiKey]
    due: bool = True
    name: str = "the-pool"
    asked: int = 0
    alive: list[str] = field(default_factory=list)
    trouble: SecretStoreError | None = None

    def condemned(self) -> list[CondemnedKey]:
        if self.trouble is not None:
            raise self.trouble
        return [CondemnedKey(key, DECLARED, self.due) for key in self.keys.values()]

    def ask_for_revocation(self) -> None:
        self.asked += 1

    def note_alive(self, key_ids: Sequence[str]) -> None:
        self.alive += key_ids

    def forget(self, key_id: str) -> None:
        self.keys.pop(key_id, None)


@pytest.fixture
def condemned(reconciliation: ReconciliationFixture) -> CondemnedInMemory:
    """Two condemned keys, which the vendor still accepts; the secret has a key of its own."""
    reconciliation.rotation.store()
    reconciliation.rotate()
    made = [reconciliation.rotation.vendor.keys.create() for _ in range(2)]
    condemned = CondemnedInMemory({key.id: ApiKey.from_text(key.id, key.material) for key in made})
    reconciliation.condemned_keys = condemned
    return condemned


def test_keys_that_a_person_revoked_are_proven_dead_and_recorded(
    reconciliation: ReconciliationFixture, condemned: CondemnedInMemory
) -> None:
    """Each has a record of its own, kept before the key is dropped."""
    dead, alive = condemned.keys
    reconciliation.rotation.vendor.keys.revoke(dead)
    report = reconciliation.run()
    assert [*condemned.keys] == [alive]
    assert condemned.alive == [alive]
    by_id = {one["keyId"]: one for one in report["issuer"]["condemned"]}
    assert by_id[dead]["state"] == "proven dead"
    assert by_id[dead]["evidence"] == f"s3://{BUCKET}/pools/the-pool/{dead}.json"
    assert by_id[alive]["state"] == "to be revoked by a person"
    body = reconciliation.s3.get_object(Bucket=BUCKET, Key=f"pools/the-pool/{dead}.json")["Body"]
    record = json.loads(body.read())
    assert record["declared"] == {
        "at": "2026-11-22T02:00:00.000Z",
        "reason": "pool leaked",
        "actor": "somebody",
    }
    assert record["keys"][0]["proof"]["verdict"] == "dead"


def test_a_key_that_is_alive_is_an_urgent_warning(
    reconciliation: ReconciliationFixture, condemned: CondemnedInMemory
) -> None:
    """The vendor still accepts it, and the report says so until it does not."""
    report = reconciliation.run()
    assert codes(report) == {"key_alive_after_incident"}
    assert condemned.asked == 1


def test_a_report_asks_nobody_and_probes_nothing(
    reconciliation: ReconciliationFixture, condemned: CondemnedInMemory
) -> None:
    """It lists what is left to revoke."""
    before = len(reconciliation.rotation.vendor.requests)
    report = reconciliation.run(act=False)
    signed = [
        one for one in reconciliation.rotation.vendor.requests[before:] if one.operation == "sign"
    ]
    assert (condemned.asked, signed) == (0, [])
    assert codes(report) == {"manual_revocation_needed"}
    assert {one["keyId"] for one in report["issuer"]["condemned"]} == set(condemned.keys)


def test_a_key_that_is_not_due_buys_no_signature(
    reconciliation: ReconciliationFixture, condemned: CondemnedInMemory
) -> None:
    """It stays in the report all the same."""
    condemned.due = False
    before = len(reconciliation.rotation.vendor.requests)
    report = reconciliation.run()
    assert [
        one for one in reconciliation.rotation.vendor.requests[before:] if one.operation == "sign"
    ] == []
    assert len(report["issuer"]["condemned"]) == 2


def test_without_a_key_that_signs_nothing_is_proven(
    reconciliation: ReconciliationFixture, condemned: CondemnedInMemory
) -> None:
    """A rejection counts only beside an accepted call."""
    for key in reconciliation.rotation.vendor.keys.all():
        if key.role is Role.SIGNING:
            reconciliation.rotation.vendor.keys.revoke(key.id)
    report = reconciliation.run()
    assert "death_unproven" in codes(report)
    assert len(condemned.keys) == 2


def test_a_pool_that_cannot_be_read_does_not_stop_the_run(
    reconciliation: ReconciliationFixture, condemned: CondemnedInMemory
) -> None:
    """It is a warning; the secrets are reconciled."""
    condemned.trouble = SecretStoreError(
        "no answer", operation="GetSecretValue", aws_code="InternalServiceError"
    )
    report = reconciliation.run()
    assert "issuer_unreadable" in codes(report)
    assert report["secrets"][0]["failures"] == []


def test_evidence_that_is_not_kept_keeps_the_key(
    reconciliation: ReconciliationFixture, condemned: CondemnedInMemory
) -> None:
    """A key is dropped only when its record is safe; the next run tries again."""
    for key_id in condemned.keys:
        reconciliation.rotation.vendor.keys.revoke(key_id)
    reconciliation.evidence_bucket = "no-such-bucket"
    reconciliation.run()
    assert len(condemned.keys) == 2
    reconciliation.evidence_bucket = BUCKET
    reconciliation.run()
    assert condemned.keys == {}


def test_a_run_for_some_secrets_leaves_the_pool_to_the_next(
    reconciliation: ReconciliationFixture, condemned: CondemnedInMemory
) -> None:
    """An operator who asks about one secret does not wait for the pool's keys."""
    report = reconciliation.run(reconciliation.rotation.arn)
    assert report["issuer"]["condemned"] == []
    assert condemned.asked == 0
