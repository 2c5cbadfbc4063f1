"""One run over many secrets: who is found, who fails, what it costs, what it warns about."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from rotation.core.ports import IssuerCondition, Proof, Revocation
from rotation.core.steps import STEPS
from rotation.credential import ApiKey
from rotation.errors import InvalidCredentialError
from rotation.journal.keeper import JournalKeeper
from rotation.reconciliation.key_warnings import URGENT, WarningCode
from rotation.reconciliation.rate_limiter import RateLimiter
from rotation.sandbox.aws.traffic import AwsError
from rotation.sandbox.vendor import VendorFault
from rotation.secrets_manager.allowed import ANY_SECRET, AllowedSecrets
from rotation.secrets_manager.discovery import ListedSecret, secrets_rotated_by
from tests.journal.memory_store import MemoryJournalStore
from tests.reconciliation.reconciliation_fixture import ReconciliationFixture, codes
from tests.rotation_fixture import RotationFixture

DAY = timedelta(days=1)


@dataclass
class CountedStore:
    """A journal store that lists the calls to it."""

    store: MemoryJournalStore
    calls: list[str] = field(default_factory=list)

    def read(self, secret_arn: str) -> tuple[bytes, str] | None:
        self.calls.append("read")
        return self.store.read(secret_arn)

    def write(self, secret_arn: str, body: bytes, replaces: str | None) -> str:
        self.calls.append("write")
        return self.store.write(secret_arn, body, replaces)


def operations(rotation_fixture: RotationFixture, since: int) -> list[str]:
    """The Secrets Manager calls since a moment."""
    return [
        call.operation for call in rotation_fixture.cloud.calls[since:] if "/" not in call.operation
    ]


# Why each call is made. A call that is not here is one too many.
CLEAN_ROTATION = [
    ("createSecret", "DescribeSecret", "is the token staged, and whose is the secret"),
    ("createSecret", "GetSecretValue", "has the pending version a value already"),
    ("createSecret", "GetSecretValue", "the current value, whose other members are carried over"),
    ("createSecret", "DescribeSecret", "is the token still staged, now that a key was made"),
    ("createSecret", "PutSecretValue", "store the key as AWSPENDING"),
    ("createSecret", "DescribeSecret", "was the token unstaged while the key was stored"),
    ("createSecret", "GetSecretValue", "read back what is stored: another may have been first"),
    ("setSecret", "DescribeSecret", "is the token staged"),
    ("setSecret", "GetSecretValue", "the pending key, which must live long enough"),
    ("testSecret", "DescribeSecret", "is the token staged"),
    ("testSecret", "GetSecretValue", "the pending key, to prove it"),
    ("finishSecret", "DescribeSecret", "is the token staged"),
    ("finishSecret", "GetSecretValue", "the pending key, to prove it in the same act"),
    ("finishSecret", "DescribeSecret", "the proof took time: who is current now"),
    ("finishSecret", "GetSecretValue", "the current value: were other members changed meanwhile"),
    ("finishSecret", "UpdateSecretVersionStage", "promote, from the version that was looked at"),
    ("finishSecret", "UpdateSecretVersionStage", "remove AWSPENDING, which AWS may leave behind"),
]
CLEAN_RECONCILIATION = [
    ("ListSecrets", "which secrets name our function"),
    ("DescribeSecret", "labels, tags, replicas and schedule"),
    ("ListSecretVersionIds", "deprecated versions too, and when each was made"),
    ("GetSecretValue", "the current key: its id and its expiry"),
]
RETIRING_RECONCILIATION = [
    *CLEAN_RECONCILIATION,
    ("DescribeSecret", "the second look, before anything is revoked"),
    ("GetSecretValue", "the displaced key, which is to be proven dead"),
]
CLEAN_JOURNAL = [
    ("read", "which secrets the last run did not reach"),
    ("read", "what earlier runs saw, and whether a key is suspect"),
]
RETIRING_JOURNAL = [
    *CLEAN_JOURNAL,
    ("read", "the second look, before anything is revoked"),
    ("write", "that the key is about to be revoked"),
    ("write", "the answers, and that the key is dead"),
]


def test_the_calls_of_a_clean_rotation(reconciliation: ReconciliationFixture) -> None:
    """Each has its reason, and there is no other."""
    reconciliation.rotation.store()
    token = reconciliation.rotation.stage()
    made = []
    for name, step in STEPS.items():
        since = len(reconciliation.rotation.cloud.calls)
        step(reconciliation.rotation.rotation(token))
        made += [(name, operation) for operation in operations(reconciliation.rotation, since)]
    assert made == [(step, operation) for step, operation, _ in CLEAN_ROTATION]


def test_the_calls_of_a_clean_reconciliation(reconciliation: ReconciliationFixture) -> None:
    """Four and one for one secret with nothing to do; and none to the vendor but its list."""
    reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.pass_grace()
    store = CountedStore(reconciliation.rotation.journal_store)
    reconciliation.journals = JournalKeeper(store)
    since = len(reconciliation.rotation.cloud.calls)
    reconciliation.reconcile()
    made = operations(reconciliation.rotation, since)
    assert made == [call for call, _ in RETIRING_RECONCILIATION]
    assert store.calls == [call for call, _ in RETIRING_JOURNAL]
    since = len(reconciliation.rotation.cloud.calls)
    asked = len(reconciliation.rotation.vendor.requests)
    store.calls.clear()
    reconciliation.reconcile()
    assert operations(reconciliation.rotation, since) == [call for call, _ in CLEAN_RECONCILIATION]
    assert store.calls == [call for call, _ in CLEAN_JOURNAL]
    assert [one.operation for one in reconciliation.rotation.vendor.requests[asked:]] == ["list"]


def many(reconciliation: ReconciliationFixture, count: int) -> list[str]:
    """That many secrets, each with a key made by hand, all naming the rotation function."""
    arns = []
    for number in range(count):
        value = {"apiKeyId": f"00000000-0000-4000-8000-{number:012}", "apiKey": f"{number:064x}"}
        client = reconciliation.rotation.client
        arn = client.create_secret(Name=f"team-{number}", SecretString=json.dumps(value))["ARN"]
        client.rotate_secret(
            SecretId=arn,
            RotationLambdaARN=reconciliation.rotation.function_arn,
            RotationRules={"AutomaticallyAfterDays": 30},
            RotateImmediately=False,
        )
        arns.append(arn)
    return arns


def test_hundreds_of_secrets_in_one_run(reconciliation: ReconciliationFixture) -> None:
    """Calls grow with the number of secrets and no faster; one that fails stops no other."""
    arns = many(reconciliation, 250)
    reconciliation.rotation.client.put_secret_value(SecretId=arns[125], SecretString="not a key")
    reconciliation.rotation.cloud.faults.before(
        "ListSecretVersionIds", AwsError("AccessDeniedException"), times=1
    )
    store = CountedStore(reconciliation.rotation.journal_store)
    reconciliation.journals = JournalKeeper(store)
    since = len(reconciliation.rotation.cloud.calls)
    report = reconciliation.run()
    made = Counter(operations(reconciliation.rotation, since))
    assert len(report["secrets"]) == 250
    failed = [one for one in report["secrets"] if one["failures"]]
    assert [one["failures"][0]["code"] for one in failed] == ["secret_store"]
    unreadable = [one for one in report["secrets"] if "value_unreadable" in codes(one)]
    assert {one["arn"] for one in unreadable} <= {arns[125]}
    assert made["ListSecrets"] == 3, "a hundred at a time"
    assert made["DescribeSecret"] == made["ListSecretVersionIds"] == 250
    assert made["GetSecretValue"] <= 251
    # What has a quota of 50 a second waits for its turn (UserGuide reference_limits).
    assert len(reconciliation.turns) == made["ListSecretVersionIds"]
    assert set(made) == {
        *("ListSecrets", "DescribeSecret", "ListSecretVersionIds", "GetSecretValue")
    }
    assert len(store.calls) == 1 + 2 * 249 + 1, "the order; a journal read each, begun but for one"
    assert 4 * len(json.dumps(report)) < 6 * 1024 * 1024, "of 1,000, more than Lambda answers"


def test_only_secrets_that_name_our_function_are_found(
    reconciliation: ReconciliationFixture,
) -> None:
    """Others are not touched, not even when somebody names them."""
    arns = many(reconciliation, 3)
    client = reconciliation.rotation.client
    other = client.create_secret(Name="other", SecretString="{}")["ARN"]
    client.tag_resource(SecretId=arns[2], Tags=[{"Key": "rotation:incident", "Value": "x"}])
    assert secrets_rotated_by(client, reconciliation.rotation.function_arn, ANY_SECRET) == [
        ListedSecret(arns[0], has_incident=False),
        ListedSecret(arns[1], has_incident=False),
        ListedSecret(arns[2], has_incident=True),
    ]
    labels = client.describe_secret(SecretId=other)["VersionIdsToStages"]
    report = reconciliation.run(other, "team-1", arns[1])
    assert [one["arn"] for one in report["secrets"]] == [other, arns[1]]
    [refused] = report["secrets"][0]["failures"]
    assert refused["code"] == "version_state"
    assert report["secrets"][1]["failures"] == []
    assert client.describe_secret(SecretId=other)["VersionIdsToStages"] == labels


def test_a_secret_that_may_not_be_rotated_is_not_reconciled(
    reconciliation: ReconciliationFixture,
) -> None:
    """It names the function and would be found; a request for it is refused."""
    ours, others = many(reconciliation, 2)
    reconciliation.policy = replace(reconciliation.policy, rotated_secrets=AllowedSecrets((ours,)))
    assert [one["arn"] for one in reconciliation.run()["secrets"]] == [ours]
    [refused] = reconciliation.run(others)["secrets"]
    assert [one["code"] for one in refused["failures"]] == ["version_state"]


def test_a_dead_admin_credential_is_a_warning_and_no_crash(
    reconciliation: ReconciliationFixture,
) -> None:
    """Nothing can be revoked; the grace begins all the same, and the report says why."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.rotation.vendor.faults.next("list", VendorFault.UNAUTHORIZED, times=None)
    report = reconciliation.reconcile()
    assert "admin_credential_dead" in codes(report)
    assert report["vendorKeys"] is None
    assert reconciliation.life(old.id).displaced_at is not None


@pytest.mark.parametrize(
    ("life", "left", "code"),
    [
        (timedelta(days=29), None, "admin_credential_expiring"),
        (timedelta(days=-1), None, "admin_credential_dead"),
        (timedelta(days=31), None, None),
        (None, 1, "pool_low"),
        (None, 2, None),
    ],
)
def test_how_the_issuer_is_doing(
    reconciliation: ReconciliationFixture,
    life: timedelta | None,
    left: int | None,
    code: str | None,
) -> None:
    """Its credential's expiry, and what is left in a pool, are warned about once a run."""
    expires = None if life is None else reconciliation.rotation.now() + life
    reconciliation.condition = lambda: IssuerCondition("admin", expires, left)
    report = reconciliation.run()
    assert codes(report) - {"no_secrets"} == ({code} if code else set())
    assert report["issuer"]["keysLeft"] == left


def test_an_issuer_whose_secret_cannot_be_read_is_a_warning(
    reconciliation: ReconciliationFixture,
) -> None:
    """The run goes on, and says so."""

    def refused() -> IssuerCondition:
        raise InvalidCredentialError("The value of trusted-signatures-admin is no JSON object.")

    reconciliation.condition = refused
    assert "issuer_unreadable" in codes(reconciliation.run())


def test_a_run_that_finds_no_secret_is_an_urgent_warning(
    reconciliation: ReconciliationFixture,
) -> None:
    """The function may have been replaced; a run that names its secrets says nothing of it."""
    assert codes(reconciliation.run()) == {"no_secrets"}
    assert WarningCode.NO_SECRETS in URGENT
    reconciliation.rotation.stage()
    assert codes(reconciliation.run()) == set()


def test_a_key_near_its_end_is_warned_about(reconciliation: ReconciliationFixture) -> None:
    """Thirty days before it expires, and not a day earlier."""
    reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.rotation.later(timedelta(days=59, hours=12))
    assert "key_expiring" not in codes(reconciliation.reconcile())
    reconciliation.rotation.later(DAY)
    assert "key_expiring" in codes(reconciliation.reconcile())


def test_an_overdue_rotation_is_warned_about(reconciliation: ReconciliationFixture) -> None:
    """Two days past the schedule's interval the current key is too old."""
    reconciliation.rotation.store()
    token = reconciliation.rotation.stage()
    reconciliation.rotation.rotation(token).secret.unstage_pending(token)
    reconciliation.rotation.later(timedelta(days=31))
    assert "rotation_overdue" not in codes(reconciliation.reconcile())
    reconciliation.rotation.later(timedelta(days=2))
    assert "rotation_overdue" in codes(reconciliation.reconcile())


def test_a_current_key_that_was_revoked_in_the_portal_is_found_within_a_day(
    reconciliation: ReconciliationFixture,
) -> None:
    """Nobody's list tells of a key made by hand, so it is asked once a day."""
    key = reconciliation.rotation.store()
    token = reconciliation.rotation.stage()
    reconciliation.rotation.rotation(token).secret.unstage_pending(token)
    reconciliation.rotation.vendor.keys.revoke(key.id)
    found = []
    for hour in range(26):
        found += [hour] if "current_key_dead" in codes(reconciliation.reconcile()) else []
        reconciliation.rotation.later(timedelta(hours=1))
    assert len(found) == 1


def test_a_current_key_that_works_costs_one_signature_a_day(
    reconciliation: ReconciliationFixture,
) -> None:
    """Three days of hourly runs with nothing to do buy three."""
    key = reconciliation.rotation.store()
    token = reconciliation.rotation.stage()
    reconciliation.rotation.rotation(token).secret.unstage_pending(token)
    for _ in range(74):
        reconciliation.reconcile()
        reconciliation.rotation.later(timedelta(hours=1))
    assert reconciliation.rotation.vendor.signatures == {key.id: 3}


def test_a_hand_made_key_that_the_issuer_cannot_revoke_is_put_to_a_person(
    reconciliation: ReconciliationFixture,
) -> None:
    """Nobody revokes it over an interface: somebody is told once a day until it is dead."""
    old = reconciliation.rotation.store()
    reconciliation.rotate()
    reconciliation.reconcile()
    reconciliation.pass_grace()
    issuer = reconciliation.issuer

    class KnowsItNot:
        def revoke(self, key_id: str) -> Revocation:
            return Revocation.ALREADY_GONE

        def __getattr__(self, name: str) -> object:
            return getattr(issuer, name)

    reconciliation.issuer = KnowsItNot()  # type: ignore[assignment]
    for _ in range(26):
        report = reconciliation.reconcile()
        reconciliation.rotation.later(timedelta(hours=1))
    assert len(reconciliation.notifier.messages) == 2, "in the first hour, and a day later"
    subject, facts = reconciliation.notifier.messages[0]
    assert old.id in subject
    assert facts["secret"] == reconciliation.rotation.arn
    assert reconciliation.alive(old.id)
    reconciliation.rotation.vendor.keys.revoke(old.id)
    reconciliation.rotation.later(DAY)
    report = reconciliation.reconcile()
    assert report["done"]["provenDead"] == [old.id]


def test_the_pace_is_kept_by_however_many_threads() -> None:
    """A call waits for its turn, a fortieth of a second after the one before."""
    now = [100.0]
    waited: list[float] = []
    pace = RateLimiter(40, clock=lambda: now[0], sleep=waited.append)
    for _ in range(3):
        pace()
    assert waited == pytest.approx([0.025, 0.05])
    now[0] += 60
    pace()
    assert len(waited) == 2


def test_a_slow_vendor_leaves_time_for_what_has_to_be_done(
    reconciliation: ReconciliationFixture,
) -> None:
    """Once the time for it is over, no further key is asked about, and the plans are executed."""
    many(reconciliation, 3)
    reconciliation.rotation.later(DAY)
    reconciliation.workers = 1
    prover, asked = reconciliation.prover, list[str]()

    class Slow:
        def prove(self, key: ApiKey, statement: str) -> Proof:
            asked.append(statement)
            reconciliation.time_left = timedelta(seconds=80)
            return prover.prove(key, statement)

    reconciliation.prover = Slow()
    report = reconciliation.run()
    assert len(asked) == 1
    assert ["not_reached" in codes(one) for one in report["secrets"]].count(True) == 2
    assert all("done" in one for one in report["secrets"])
