"""The ledger of seals in S3: what is entered, found and counted, and what becomes of refusals."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from rotation.aws import seal_ledger
from rotation.aws.seal_ledger import S3SealLedger
from rotation.errors import LedgerError
from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.traffic import AwsError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "ledger"
DIGEST, OTHER = bytes(32), bytes([1]) * 32
GET, PUT = (f"{method} /{BUCKET}/seals/{DIGEST.hex()}" for method in ("GET", "PUT"))
FACTS = {"keyId": "k1", "signer": "CN=Seal"}


@pytest.fixture
def s3(shared_cloud: Cloud) -> S3Client:
    """An empty ledger's bucket."""
    shared_cloud.reset()
    client = shared_cloud.client("s3")
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture
def ledger(s3: S3Client) -> S3SealLedger:
    """A ledger below a prefix, which does not wait."""
    return S3SealLedger(s3, BUCKET, "seals/", sleep=lambda _: None)


def test_an_entry_lies_under_the_digest(ledger: S3SealLedger, s3: S3Client) -> None:
    """The name is the digest in hexadecimal, and the entry holds the facts and nothing else."""
    ledger.write(DIGEST, FACTS)
    [listed] = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert listed["Key"] == f"seals/{DIGEST.hex()}"
    body = json.loads(s3.get_object(Bucket=BUCKET, Key=listed["Key"])["Body"].read())
    assert body == {"schema": seal_ledger.SCHEMA, "digest": DIGEST.hex(), **FACTS}
    assert ledger.find(DIGEST) == body
    assert ledger.find(OTHER) is None


def test_the_first_entry_stays(ledger: S3SealLedger) -> None:
    """A repeated write is no error, and changes nothing."""
    ledger.write(DIGEST, FACTS)
    ledger.write(DIGEST, {"keyId": "another"})
    entry = ledger.find(DIGEST)
    assert entry is not None
    assert entry["keyId"] == "k1"


@pytest.mark.parametrize("error", ["SlowDown", "ConditionalRequestConflict"])
def test_a_passing_refusal_is_outlasted(
    error: str, ledger: S3SealLedger, shared_cloud: Cloud
) -> None:
    """S3 that is busy, or that is writing the same entry just now, is asked again."""
    status = 409 if error == "ConditionalRequestConflict" else 503
    shared_cloud.faults.before(PUT, AwsError(error, status=status), times=2)
    ledger.write(DIGEST, FACTS)
    assert ledger.find(DIGEST) is not None


def test_a_lasting_refusal_is_told(ledger: S3SealLedger, shared_cloud: Cloud) -> None:
    """The error names the entry, the setting and the right; it is not retryable."""
    shared_cloud.faults.before(PUT, AwsError("AccessDenied", status=403), times=9)
    with pytest.raises(LedgerError) as failed:
        ledger.write(DIGEST, FACTS)
    assert not failed.value.retryable
    for words in (ledger.place(DIGEST), "AccessDenied", "SEAL_LEDGER", "s3:PutObject"):
        assert words in str(failed.value)


def test_what_may_not_be_read_is_not_missing(ledger: S3SealLedger, shared_cloud: Cloud) -> None:
    """Without s3:ListBucket S3 answers 403 where there is no entry: that tells nothing."""
    shared_cloud.faults.before(GET, AwsError("AccessDenied", status=403), times=9)
    with pytest.raises(LedgerError):
        ledger.find(DIGEST)


def test_a_bucket_that_is_not_there_is_no_empty_ledger(s3: S3Client) -> None:
    """NoSuchBucket is an error, and no answer about a seal."""
    with pytest.raises(LedgerError):
        S3SealLedger(s3, "elsewhere", "").find(DIGEST)


def test_another_object_is_no_entry(ledger: S3SealLedger, s3: S3Client) -> None:
    """What lies there and is no entry vouches for nothing."""
    s3.put_object(Bucket=BUCKET, Key=f"seals/{DIGEST.hex()}", Body=b"{}")
    with pytest.raises(LedgerError, match="no entry of a ledger"):
        ledger.find(DIGEST)


@pytest.mark.parametrize("change", [{"digest": "00"}, {"digest": None}, {"keyId": ["k1"]}])
def test_an_entry_that_was_tampered_with_vouches_for_nothing(
    change: dict[str, Any], ledger: S3SealLedger, s3: S3Client
) -> None:
    """Neither when it is looked up nor when entries are counted, and with a typed error."""
    entry = {"schema": seal_ledger.SCHEMA, "digest": DIGEST.hex(), **FACTS, **change}
    s3.put_object(Bucket=BUCKET, Key=f"seals/{DIGEST.hex()}", Body=json.dumps(entry).encode())
    with pytest.raises(LedgerError, match="no entry of a ledger"):
        ledger.find(DIGEST)
    with pytest.raises(LedgerError, match="no entry of a ledger"):
        ledger.entries(["k1"], None)


def test_the_entries_of_a_key_are_counted(
    ledger: S3SealLedger, s3: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each key has its own digests; what was made before a time is left out."""
    for number in range(5):
        key = "k1" if number < 3 else "k2"
        ledger.write(bytes([number]) * 32, {"keyId": key})
    S3SealLedger(s3, BUCKET, "others/").write(DIGEST, FACTS)
    entries, complete = ledger.entries(["k1", "k3"], None)
    assert {key: len(found) for key, found in entries.items()} == {"k1": 3, "k3": 0}
    assert complete
    later = datetime.now(UTC) + timedelta(days=1)
    assert ledger.entries(["k1"], later) == ({"k1": frozenset()}, True)
    monkeypatch.setattr(seal_ledger, "MOST_ENTRIES", 4)
    assert not ledger.entries(["k1"], None)[1]


def used(at: datetime, key: str = "k1", place: str = "in/a.pdf") -> dict[str, Any]:
    """The facts of a seal."""
    bucket, _, name = place.partition("/")
    return {"keyId": key, "time": at.isoformat(), "source": {"bucket": bucket, "key": name}}


def test_who_used_a_key_lately_is_told_by_the_folder_of_the_document(
    ledger: S3SealLedger,
) -> None:
    """Each key from its own time on; other keys and earlier seals do not count."""
    now = datetime.now(UTC)
    earlier = now - timedelta(minutes=5)
    for number, facts in enumerate(
        [
            used(now, place="in/letters/a.pdf"),
            used(earlier, place="in/letters/b.pdf"),
            used(now, place="in/c.pdf"),
            used(now - timedelta(hours=1)),
            used(now, key="k2"),
            used(earlier, key="k3"),
            {"keyId": "k1", "time": "yesterday"},
            {"keyId": "k1", "time": now.isoformat(), "source": "nowhere"},
        ]
    ):
        ledger.write(bytes([number]) * 32, facts)
    uses, whole = ledger.uses({"k1": earlier, "k3": now})
    assert whole
    assert uses.keys() == {"k1"}
    assert {user: sorted(times) for user, times in uses["k1"].items()} == {
        "in/letters": [earlier, now],
        "in": [now],
        "unknown": [now],
    }


@pytest.mark.parametrize("limit", ["MOST_LISTED", "MOST_READ"])
def test_a_large_ledger_is_looked_at_in_part(
    limit: str, ledger: S3SealLedger, shared_cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it costs is bounded, and the answer says that it is not whole."""
    monkeypatch.setattr(seal_ledger, limit, 2)
    now = datetime.now(UTC)
    for number in range(4):
        ledger.write(bytes([number]) * 32, used(now))
    before = len(shared_cloud.calls)
    uses, whole = ledger.uses({"k1": now})
    assert (len(uses["k1"]["in"]), whole) == (2, False)
    assert len(shared_cloud.calls) - before <= 3


def test_entries_that_are_old_are_not_read(ledger: S3SealLedger, shared_cloud: Cloud) -> None:
    """They are listed alone, which costs a thousandth of a request each."""
    ledger.write(DIGEST, FACTS)
    before = len(shared_cloud.calls)
    assert ledger.uses({"k1": datetime.now(UTC) + timedelta(hours=1)}) == ({}, True)
    assert len(shared_cloud.calls) - before == 1
