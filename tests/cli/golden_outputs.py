"""What commands print for people, of data that does not change: for the golden files.

``python -m tests.cli.golden_outputs`` prints it on whatever it runs on.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import click

from rotation.cli.doctor.command import print_result as print_check
from rotation.cli.doctor.result import Check, CheckResult, CheckStatus, not_checked, ok
from rotation.cli.drill.command import print_results as print_drills
from rotation.cli.drill.rehearsal import DrillResult
from rotation.cli.force.command import ForceResult
from rotation.cli.force.command import print_result as print_secret
from rotation.cli.pool.keys import print_pool
from rotation.cli.seal.output import print_result as print_document
from rotation.cli.seal.run import DocumentResult, DocumentStatus, DocumentToSeal
from rotation.cli.shared.output import plain_console
from rotation.cli.shared.waiting import WaitLog
from rotation.cli.verify.verification import FileVerification, print_totals, print_verification
from rotation.core.ports import KeyLabel
from rotation.credential import ApiKey, Confidential
from rotation.errors import NoPagesError
from rotation.incident.containment import Containment
from rotation.journal.model import Declaration
from rotation.key_pool.document import KeyState, Lease, PoolDocument, PoolEntry
from rotation.sealing.request import ObjectLocation
from rotation.sealing.verification.report import FileReport, Finding, Problem, SealReport

ARN = "arn:aws:secretsmanager:eu-central-1:012345678912:secret:trusted-signatures-api-AbCdEf"
NOW = datetime(2026, 11, 27, 3, tzinfo=UTC)
VERSION = "54fa75ee-5667-5777-92a5-9734f0a620a6"
KEY = "0b0fee09-aaa1-4feb-a42b-97c9844107b6"
OTHER = "3acdb06c-e561-4a74-8b33-b92138a4ec8a"


def print_all() -> None:
    """Print one sample after the other, each below its name."""
    for name, print_sample in SAMPLES.items():
        click.echo(f"--- {name}")
        print_sample()


def _rotate() -> None:
    log = WaitLog(plain_console())
    log.log("trusted-signatures-api", f"rotation to version {VERSION} has begun")
    log.log(
        "trusted-signatures-api",
        "createSecret failed: the vendor's account has no room for another key [key_quota]",
    )


def _force() -> None:
    console = plain_console()
    declaration = Declaration("one", NOW, "key-compromise", "arn:aws:iam::012345678912:user/mia")
    over = Containment(ARN, declaration, "2026-11-27T03:00:00Z", suspects=(KEY,), contained=True)
    over.parts = {"declared": timedelta(seconds=0.7), "rotated": timedelta(seconds=62.9)}
    over.evidence = f"s3://evidence/incidents/{ARN}/one.json"
    left = Containment(ARN, declaration, "2026-11-27T03:00:00Z", suspects=(KEY, OTHER))
    left.parts = {"declared": timedelta(seconds=0.7)}
    left.unfinished = [f"key {OTHER} works until a person revokes it in the vendor's portal"]
    left.set_aside = {VERSION: "its value is no API key"}
    for result in (
        ForceResult("trusted-signatures-api", over),
        ForceResult("archive-signatures-api", left),
        ForceResult("no-such-secret", problem="There is no such secret."),
    ):
        print_secret(console, result)


def _drill() -> None:
    ends = ("current", "refused", "contained")
    times = {
        "seconds": dict(zip(ends, (64.2, 70.1, None), strict=True)),
        "targets": dict(zip(ends, (360, 660, 720), strict=True)),
        "withinTargets": False,
    }
    print_drills(
        plain_console(),
        [
            DrillResult("rotation-drill-2026-11-27", ARN, contained=True, times=times),
            DrillResult(
                "rotation-drill-2026-11-27-2", ARN, left=[f"key {KEY} is not proven dead yet"]
            ),
        ],
    )


def _seal() -> None:
    console = plain_console()
    here, there = ObjectLocation("a", "b"), ObjectLocation("c", "d")
    document = DocumentToSeal(here, there, "incoming/[draft] :secret: 2026.pdf", "sealed/a.pdf", 1)
    for result in (
        DocumentResult(document, DocumentStatus.SEALED),
        DocumentResult(document, DocumentStatus.EXISTS),
        DocumentResult(document, DocumentStatus.FAILED, error=NoPagesError("It has no pages.")),
    ):
        print_document(console, result)


def _doctor() -> None:
    console = plain_console()
    for result in (
        ok(Check.CREDENTIALS, "arn:aws:sts::012345678912:assumed-role/application/session"),
        CheckResult(
            Check.KEY,
            CheckStatus.PROBLEM,
            f"The vendor rejects key {KEY}, and the clocks agree.",
            "credential_rejected",
            "Rotate: rotation rotate trusted-signatures-api",
        ),
        not_checked(Check.SIGNER, "the key does not sign"),
    ):
        print_check(console, result)


def _pool() -> None:
    def entry(number: int, state: KeyState, lease: Lease | None, days: int) -> PoolEntry:
        key = ApiKey(
            str(uuid.UUID(int=number, version=4)),
            Confidential(f"{number:02x}" * 32),
            expires_at=NOW + timedelta(days=days),
        )
        return PoolEntry(key, state, added_at=NOW - timedelta(days=9), lease=lease)

    leased = Lease(KeyLabel("stack", ARN, VERSION), NOW - timedelta(days=3))
    print_pool(
        PoolDocument(
            keys=(
                entry(1, KeyState.FREE, None, 180),
                entry(2, KeyState.LEASED, leased, 90),
                entry(3, KeyState.RETIRED, leased, -1),
            )
        ),
        NOW,
    )


def _verify() -> None:
    console = plain_console()
    good = SealReport(
        "TrustedSignaturesSeal",
        intact=True,
        trusted=True,
        covers_whole_file=True,
        subject="Common Name: An Organisation Seal, Organization: An Organisation, Country: XX",
        organization="An Organisation",
        claimed_time=NOW,
        covered=38_167,
    )
    changed = Finding(Problem.ALTERED, "The bytes that the signature covers were changed.")
    bad = SealReport(
        "TrustedSignaturesSeal", False, True, False, good.subject, findings=(changed,), covered=9
    )
    files = [
        FileVerification("sealed/a.pdf", FileReport(38_167, (good,), ())),
        FileVerification("sealed/b.pdf", FileReport(38_168, (bad,), ())),
        FileVerification("sealed/c.pdf", unreadable="There is no such file."),
    ]
    for one in files:
        print_verification(console, one)
    print_totals(console, files)


SAMPLES = {
    "rotate": _rotate,
    "force": _force,
    "drill": _drill,
    "seal": _seal,
    "doctor": _doctor,
    "pool list": _pool,
    "verify": _verify,
}


def wait_a_moment() -> None:
    """Show what a command waits for, and one line above it."""
    log = WaitLog(plain_console())
    with log.waiting("the new keys, and then the deaths of the old ones"):
        log.log(
            "trusted-signatures-api", f"version {VERSION} is current, and its key is not suspect"
        )


if __name__ == "__main__":
    print_all()
    wait_a_moment()
