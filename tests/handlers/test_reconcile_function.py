"""The reconcile function in a process of its own: asked by rotations, a schedule and people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotation.aws.journal_bucket import S3JournalStore
from rotation.journal.keeper import JournalKeeper
from rotation.journal.model import Journal
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.aws.traffic import Dropped
from rotation.sandbox.deployment import (
    EVIDENCE_BUCKET,
    RECONCILE,
    ROTATE,
    SECRET,
    Deployment,
)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment with a key and a schedule."""
    folder: Path = tmp_path_factory.mktemp("deployment")
    with Deployment(
        folder, retries=RetryPolicy(()), propagation_limit=timedelta(seconds=0.5)
    ) as running:
        running.store_first_key()
        running.turn_on_rotation()
        yield running


def invoke(deployment: Deployment, event: Any) -> dict[str, Any]:
    answer = deployment.cloud.client("lambda").invoke(
        FunctionName=RECONCILE, Payload=json.dumps(event).encode()
    )
    answered: dict[str, Any] = json.loads(answer["Payload"].read())
    return answered


def labels(deployment: Deployment, version: str) -> set[str]:
    described = deployment.cloud.client("secretsmanager").describe_secret(SecretId=SECRET)
    return set(described["VersionIdsToStages"].get(version, []))


def journal(deployment: Deployment) -> Journal:
    store = S3JournalStore(deployment.cloud.client("s3"), EVIDENCE_BUCKET)
    return JournalKeeper(store).read(deployment.secret_arn)


def rotate(deployment: Deployment) -> str:
    token: str = deployment.cloud.client("secretsmanager").rotate_secret(SecretId=SECRET)[
        "VersionId"
    ]
    outcome = deployment.cloud.wait_for_rotation(SECRET, token, timedelta(minutes=5))
    assert outcome.succeeded, outcome.error
    deployment.cloud.wait_for_events(timedelta(minutes=5))
    return token


@pytest.mark.parametrize(
    "event",
    [
        [],
        7,
        {"action": "revoke"},
        {"action": "reconcile", "secrets": []},
        {"action": "reconcile", "secrets": SECRET},
        {"action": "reconcile", "secrets": [7]},
        {"action": "reconcile", "secrets": ["a b"]},
        {"action": "reconcile", "secrets": [SECRET] * 1001},
        {"secrets": [SECRET]},
        {"action": "report", "grace": 0},
        {"action": "rollback"},
        {"action": "declare", "secrets": [SECRET], "reason": "leaked"},
        {"action": "declare", "secrets": [SECRET, SECRET], "reason": "x", "actor": "me"},
        {"action": "advance", "secrets": [SECRET], "declaration": "a b"},
        {"action": "reconcile", "release": True},
        {"action": "reconcile", "secrets": [SECRET, SECRET], "release": True},
        {"action": "reconcile", "secrets": [SECRET], "release": "yes"},
        {"action": "evidence", "secrets": [SECRET, SECRET]},
        {"action": "condemn-pool", "reason": "leaked"},
        {"action": "condemn-pool", "reason": "", "actor": "somebody"},
        {"action": "condemn-pool", "reason": "leaked", "actor": "two words"},
        {"action": "condemn-pool", "reason": "line\nbreak", "actor": "somebody"},
        {"action": "condemn-pool", "reason": "x" * 121, "actor": "somebody"},
        {"action": "revoke-first", "secrets": [SECRET], "reason": "leaked", "actor": "somebody"},
        {"source": "aws.events"},
    ],
)
def test_an_event_that_is_not_known_is_refused(deployment: Deployment, event: Any) -> None:
    """Nothing is guessed, and nothing is done."""
    since = len(deployment.cloud.calls)
    assert invoke(deployment, event)["errorType"] == "InvalidEventError"
    assert [call.operation for call in deployment.cloud.calls[since:]] == ["Invoke"]


def test_the_schedule_s_event_reconciles_everything(deployment: Deployment) -> None:
    """What EventBridge sends, and an empty object, are the same."""
    scheduled = {
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "012345678912",
        "time": "2026-11-21T23:00:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:012345678912:rule/hourly"],
        "detail": {},
    }
    for event in (scheduled, {}):
        report = invoke(deployment, event)
        assert report["schema"] == "trusted-signatures-rotation/report/1"
        assert [one["name"] for one in report["secrets"]] == [SECRET]
        assert report["secrets"][0]["failures"] == []


def test_a_promotion_asks_for_reconciliation(deployment: Deployment) -> None:
    """The grace of the displaced key begins within moments, not within the hour."""
    before = deployment.key_id("AWSCURRENT")
    rotate(deployment)
    assert journal(deployment).keys[before].retire_after is not None


def test_a_leaked_key_is_dead_with_evidence_soon_after_the_rotation(
    deployment: Deployment,
) -> None:
    """Declared, rotated, and the function that the rotation asked does the rest by itself."""
    key_id = deployment.key_id("AWSCURRENT")
    event = {"secrets": [SECRET], "reason": "key-compromise", "actor": "me"}
    declared = invoke(deployment, {"action": "declare", **event})
    assert declared["incident"]["closing"] is None
    rotate(deployment)
    assert deployment.vendor.keys.accepted(key_id) is None
    s3 = deployment.cloud.client("s3")
    [kept] = s3.list_objects_v2(Bucket=EVIDENCE_BUCKET, Prefix="incidents/")["Contents"]
    record = json.loads(s3.get_object(Bucket=EVIDENCE_BUCKET, Key=kept["Key"])["Body"].read())
    assert key_id in {one["keyId"] for one in record["keys"]}
    assert record["declared"]["actor"] == "me"
    [incident] = journal(deployment).incidents
    assert incident.names(declared["declaration"])
    assert incident.closing is not None


def test_a_report_for_people_holds_no_key(deployment: Deployment) -> None:
    """By name; key ids and dates, nothing that signs; it is what status commands show."""
    report = deployment.reconcile("report", SECRET)
    text = json.dumps(report)
    [secret] = report["secrets"]
    assert report["action"] == "report"
    assert secret["versions"][-1]["keyId"] == deployment.key_id("AWSCURRENT")
    for key in deployment.vendor.keys.all():
        assert key.material not in text


def test_a_metric_counts_what_was_done(deployment: Deployment) -> None:
    """One line of the embedded metric format holds the run's counts."""
    invoke(deployment, {})
    log = (deployment.logs / f"{RECONCILE}.log").read_text()
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    counted = [line for line in lines if "Reconciliations" in line]
    assert any(line.get("KeysProvenDead", [0.0])[0] >= 1 for line in counted)
    assert all(line["ReconciliationsFailed"] == [0.0] for line in counted if "KeysRevoked" in line)


def test_a_reconciliation_that_cannot_be_asked_for_stops_no_rotation(
    deployment: Deployment,
) -> None:
    """The key is promoted; the log says that nobody was asked, and the next hour makes it good."""
    deployment.cloud.faults.before("Invoke", Dropped(), times=2)
    rotate(deployment)
    before = deployment.key_id("AWSCURRENT")
    token = rotate(deployment)
    assert labels(deployment, token) == {"AWSCURRENT"}
    assert "reconcile function was not asked" in (deployment.logs / f"{ROTATE}.log").read_text()
    assert journal(deployment).keys[before].retire_after is not None
