"""``make ministack``: what the roles of the template may do is enough, and no more.

Prints what is wrong, and one line with the numbers.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from rotation.sealing.verify import verify
from tests.harness.ministack.account import Account
from tests.harness.ministack.departures import DEPARTURES, UNKNOWN_KEYS
from tests.harness.ministack.emulator import Ministack
from tests.sealing.pdfs import pdf
from tests.unattended.fixtures import as_record, task


def _rotation(account: Account) -> None:
    before = account.current()["apiKeyId"]
    account.rotate()
    assert account.current()["apiKeyId"] != before, "AWSCURRENT did not move"


def _reconciliation(account: Account) -> None:
    # It is told which: the emulator's list of secrets does not say which function rotates them.
    [secret] = account.invoke("Reconcile", {"action": "reconcile", "secrets": [account.secret]})[
        "secrets"
    ]
    assert secret["failures"] == [], secret["failures"]


def _force(account: Account) -> None:
    leaked = account.current()["apiKeyId"]
    event: dict[str, Any] = {"secrets": [account.secret], "reason": "leaked", "actor": "somebody"}
    account.invoke("Reconcile", {"action": "declare", **event})
    advance = {"action": "advance", "secrets": [account.secret]}
    acts = account.invoke("Reconcile", advance)["acts"]
    assert "began rotation 1" in acts, acts
    # The emulator's dates have no fractions: within this second a new version would be a suspect.
    declared = time.time()
    while int(time.time()) <= declared:
        time.sleep(0.05)
    account.rotate()
    account.invoke("Reconcile", advance)
    _reconciliation(account)
    assert account.vendor.keys.accepted(leaked) is None, "the leaked key is alive"
    found = account.invoke("Reconcile", {"action": "evidence", "secrets": [account.secret]})
    assert found["records"], "there is no record"


def _sealed(account: Account, key: str) -> None:
    bucket = account.stack.output("DestinationBucketName")
    content = account.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    report, *_ = verify(content, (account.folder / "anchors.pem").read_bytes())
    assert (report.problem, report.trusted) == (None, True), report


def _seal(account: Account) -> None:
    account.put_source("asked", pdf())
    held = account.current()
    answer = account.invoke(
        "Sealing",
        {
            "source": {"bucket": account.stack.output("SourceBucketName"), "key": "asked"},
            "destination": {
                "bucket": account.stack.output("DestinationBucketName"),
                "key": "asked",
            },
            "credential": {name: held[name] for name in ("apiKey", "apiKeyId")},
        },
    )
    assert answer["status"] == "sealed", answer
    _sealed(account, "asked")


def _seal_in_bulk(account: Account) -> None:
    version = account.put_source("bulk", pdf())
    bucket = account.stack.output("SourceBucketName")
    [result] = account.invoke("SealBatch", task(bucket, "bulk", version))["results"]
    assert result["resultCode"] == "Succeeded", result
    _sealed(account, f"bulk/{version}.pdf")


def _seal_what_arrives(account: Account) -> None:
    """S3 tells EventBridge, whose rule fills the queue, all of it in the emulator."""
    poller = account.client("sqs", "SealEventsRole")
    version = account.put_source("arrived.pdf", pdf())
    answer = poller.receive_message(
        QueueUrl=account.stack.attribute("ArrivalsQueue"),
        AttributeNames=["All"],
        WaitTimeSeconds=20,
    )
    records = [as_record(one) for one in answer.get("Messages", [])]
    assert records, "nothing arrived in the queue"
    assert account.invoke("SealEvents", {"Records": records}) == {"batchItemFailures": []}
    _sealed(account, f"arrived.pdf/{version}.pdf")


FLOWS: Final[Mapping[str, Callable[[Account], None]]] = {
    "rotation": _rotation,
    "reconciliation": _reconciliation,
    "force": _force,
    "a seal on request": _seal,
    "a seal in bulk": _seal_in_bulk,
    "a seal of what arrives": _seal_what_arrives,
}

Attempt = tuple[str, str, Callable[[Account], Any]]


def _journal(account: Account) -> dict[str, str]:
    return {"Bucket": account.stack.output("EvidenceBucketName"), "Key": "journal/one.json"}


def _source(account: Account) -> dict[str, str]:
    return {"Bucket": account.stack.output("SourceBucketName"), "Key": "asked"}


#: What somebody would try who has taken over a role.
ATTEMPTS: Final[tuple[Attempt, ...]] = (
    (
        "RotationRole",
        "a journal that says something else",
        lambda a: a.client("s3", "RotationRole").put_object(**_journal(a), Body=b"{}"),
    ),
    (
        "RotationRole",
        "rights of its own",
        lambda a: a.client("iam", "RotationRole").put_role_policy(
            RoleName=a.stack.attribute("RotationRole"), PolicyName="mine", PolicyDocument="{}"
        ),
    ),
    (
        "ReconcileRole",
        "a key of one's own as the current one",
        lambda a: a.client("secretsmanager", "ReconcileRole").put_secret_value(
            SecretId=a.secret, SecretString="{}"
        ),
    ),
    (
        "ReconcileRole",
        "the end of evidence",
        lambda a: a.client("s3", "ReconcileRole").delete_object(**_journal(a)),
    ),
    (
        "SealingRole",
        "the key",
        lambda a: a.client("secretsmanager", "SealingRole").get_secret_value(SecretId=a.secret),
    ),
    (
        "SealingRole",
        "a source that says something else",
        lambda a: a.client("s3", "SealingRole").put_object(**_source(a), Body=b""),
    ),
    (
        "SealEventsRole",
        "the admin credential",
        lambda a: a.client("secretsmanager", "SealEventsRole").get_secret_value(
            SecretId=a.stack.output("AdminSecretArn")
        ),
    ),
    (
        "SealBatchRole",
        "messages of the queue",
        lambda a: a.client("sqs", "SealBatchRole").receive_message(
            QueueUrl=a.stack.attribute("ArrivalsQueue")
        ),
    ),
    (
        "JobRole",
        "a document",
        lambda a: a.client("s3", "JobRole").get_object(**_source(a)),
    ),
)


def _refused(attempt: Callable[[Account], Any], account: Account) -> bool:
    try:
        attempt(account)
    except ClientError as error:
        return "AccessDenied" in error.response["Error"]["Code"]
    return False


def run(ministack: Ministack, folder: Path) -> list[str]:
    """Everything; what is wrong."""
    wrong = [
        f"no longer so, take it off the list: {one.here}"
        for number, one in enumerate(DEPARTURES)
        if not one.shows(ministack, f"departure-{number}")
    ]
    with Account(ministack, folder).deployed() as account:
        if account.dropped != UNKNOWN_KEYS:
            wrong.append(f"other condition keys are not known: {sorted(account.dropped)}")
        for name, flow in FLOWS.items():
            try:
                flow(account)
            except (AssertionError, BotoCoreError, ClientError) as error:
                wrong.append(f"{name}: {error}")
        wrong += [
            f"{role} got {what}" for role, what, one in ATTEMPTS if not _refused(one, account)
        ]
    return wrong


def main() -> int:
    """Run, and print."""
    with TemporaryDirectory() as folder, Ministack() as ministack:
        wrong = run(ministack, Path(folder))
    line = f"{len(FLOWS)} flows, {len(ATTEMPTS)} attempts, {len(DEPARTURES)} departures from AWS"
    sys.stdout.write("\n".join([*wrong, f"{line}; {len(wrong)} wrong", ""]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
