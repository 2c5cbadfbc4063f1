"""The operator's commands, as a person types them, against the deployment on this machine."""

from __future__ import annotations

import signal
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rotation.cli.commands import rotation
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.deployment import EVIDENCE_BUCKET, SECRET, SOURCE_BUCKET
from rotation.sandbox.vendor import Outage, VendorFault
from tests.cli.operator_terminal import OperatorTerminal
from tests.journal.graces import let_graces_end
from tests.privacy.canary import Canary
from tests.reused_deployment import ReusedDeployment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReusedDeployment]:
    """A deployment for all tests of the module; keys die within two seconds."""
    with ReusedDeployment(
        tmp_path_factory.mktemp("deployment"),
        retries=RetryPolicy(()),
        propagation_limit=timedelta(seconds=0.5),
    ) as deployment:
        yield deployment


@pytest.fixture
def operator(reused: ReusedDeployment) -> OperatorTerminal:
    """A terminal beside a deployment with a key and a schedule, in which nothing else is."""
    reused.begin_anew()
    reused.store_first_key()
    reused.turn_on_rotation()
    return OperatorTerminal(reused)


def test_a_forced_rotation_ends_with_every_older_key_proven_dead(
    operator: OperatorTerminal,
) -> None:
    """One command: the new key is current, all others are dead, with evidence and durations."""
    operator.run("rotate", SECRET)
    before = operator.live_keys()
    assert len(before) == 2
    answer = operator.run_json("force", SECRET, "--reason", "key-compromise")["secrets"][0]
    assert answer["contained"] is True
    assert set(answer["provenDead"]) == before
    assert operator.live_keys() == {operator.deployment.key_id("AWSCURRENT")}
    assert list(answer["seconds"]) == ["declared", "rotated", "proven dead"]
    assert operator.labels()[answer["current"]] == {"AWSCURRENT"}
    assert operator.tags() == {}
    listed = operator.deployment.cloud.client("s3").list_objects_v2(Bucket=EVIDENCE_BUCKET)
    places = [one["Key"] for one in listed["Contents"]]
    assert answer["evidence"].removeprefix(f"s3://{EVIDENCE_BUCKET}/") in places
    assert len(operator.records()) == 1


def test_a_killed_command_run_again_joins_the_first_declaration(
    operator: OperatorTerminal,
) -> None:
    """What was declared first holds: its suspects, and its reason in the record."""
    operator.run("rotate", SECRET)
    suspects = operator.live_keys()
    # So that it cannot end before it is killed.
    operator.deployment.vendor.outage = Outage.UNAVAILABLE
    process = operator.start("force", SECRET, "--reason", "laptop-lost")
    assert process.stdout is not None
    assert "declared" in process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    operator.deployment.vendor.outage = None
    answer = operator.run_json("force", SECRET, "--reason", "another-word")["secrets"][0]
    assert answer["contained"] is True
    assert set(answer["suspects"]) == suspects
    [record] = operator.records()
    assert record["declared"]["reason"] == "laptop-lost"
    reasons = [one["reason"] for one in record["incident"]["declarations"]]
    assert reasons == ["laptop-lost", "another-word"]


def test_an_interrupted_command_leaves_its_work_to_aws(operator: OperatorTerminal) -> None:
    """Ctrl-C ends the wait at once, with exit code 130 and how to see what goes on."""
    operator.deployment.vendor.outage = Outage.UNAVAILABLE
    for arguments, begun, left in (
        (("rotate", SECRET), "has begun", "Secrets Manager goes on with the rotation"),
        (("force", SECRET, "--reason", "x", "--json"), "declared", "stays declared"),
    ):
        process = operator.start(*arguments)
        assert process.stderr is not None
        while begun not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=300)
        assert process.returncode == 130, said
        assert left in said
        assert f"rotation status {SECRET}" in said


def test_an_incident_left_alone_is_finished_by_reconciliation(operator: OperatorTerminal) -> None:
    """Killed right after the declaration: the hourly runs rotate, revoke and prove."""
    before = operator.live_keys()
    process = operator.start("force", SECRET, "--reason", "key-compromise")
    assert process.stdout is not None
    assert "declared" in process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for _ in range(4):
        operator.deployment.reconcile()
        for run in operator.deployment.cloud.rotations:
            operator.deployment.cloud.wait_for_rotation(SECRET, run.token)
        operator.deployment.cloud.wait_for_events()
        if operator.records():
            break
    assert operator.tags() == {}
    assert operator.live_keys() & before == set()
    assert len(operator.records()) == 1


def test_one_failing_secret_does_not_hold_up_the_others(operator: OperatorTerminal) -> None:
    """A name that does not exist is an error of its own; the other secret is contained."""
    answer = operator.run_json("force", "no-such-secret", SECRET, "--reason", "x", code=1)
    wrong, right = answer["secrets"]
    assert wrong["contained"] is False
    assert "no-such-secret" in wrong["error"]
    assert right["contained"] is True


def test_secrets_are_found_by_their_tag(operator: OperatorTerminal) -> None:
    """Somebody left: every secret that bears the team's tag is rotated at once."""
    operator.deployment.cloud.client("secretsmanager").tag_resource(
        SecretId=SECRET, Tags=[{"Key": "team", "Value": "archive"}]
    )
    answer = operator.run_json("force", "--tag", "team=archive", "--reason", "left")
    assert [one["contained"] for one in answer["secrets"]] == [True]
    assert operator.tags() == {"team": "archive"}
    said = operator.run("force", "--tag", "team=nobody", "--reason", "left", code=2)
    assert "Name a secret" in said


def test_a_tag_that_others_use_too_touches_no_secret_of_theirs(
    operator: OperatorTerminal,
) -> None:
    """It is named as another function's, and bears no label and no tag of ours; ours is rotated."""
    client = operator.deployment.cloud.client("secretsmanager")
    team: Any = [{"Key": "team", "Value": "archive"}]
    client.create_secret(Name="theirs", SecretString='{"password": "x"}', Tags=team)
    client.tag_resource(SecretId=SECRET, Tags=team)
    before = operator.describe("theirs")
    answer = operator.run_json("force", "--tag", "team=archive", "--reason", "left", code=1)
    by_arn = {one["secret"]: one for one in answer["secrets"]}
    assert by_arn[operator.deployment.secret_arn]["contained"] is True
    refused = by_arn[before["ARN"]]
    assert refused["contained"] is False
    assert "theirs" in refused["error"]
    assert "is not rotated by" in refused["error"]
    after = operator.describe("theirs")
    assert (after["VersionIdsToStages"], after["Tags"]) == (before["VersionIdsToStages"], team)
    assert operator.incidents("theirs") == []


def test_an_auditor_gets_a_report_and_a_bundle(operator: OperatorTerminal, tmp_path: Path) -> None:
    """Of a leak that ended well; offline it is in order, and no key is in anything of it."""
    operator.run("rotate", SECRET)
    operator.deployment.cloud.wait_for_events()
    leaked = operator.deployment.key_id("AWSCURRENT")
    operator.run("force", SECRET, "--reason", "key-compromise")
    page, bundle, incident = (str(tmp_path / name) for name in ("a.html", "a.zip", "b.html"))
    asked = ("report", SECRET, "--evidence-bucket", EVIDENCE_BUCKET)
    facts = operator.run_json(*asked, "--html", page, "--bundle", bundle)
    conditions = {one["keyId"]: one["condition"] for one in facts["keys"]}
    assert conditions[leaked] == "dead"
    assert conditions[operator.deployment.key_id("AWSCURRENT")] == "current"
    assert facts["exceptions"] == []
    assert {one["agrees"] for one in facts["journal"]["states"]} == {True}
    assert operator.run_json("verify-bundle", bundle)["ok"] is True
    operator.run("evidence", SECRET, "--html", incident)
    assert leaked in Path(incident).read_text()
    said = operator.run("evidence", SECRET, "--html", incident, "--incident", "other", code=1)
    assert "There is no record of the incident other" in said
    assert leaked in operator.run(*asked)
    with zipfile.ZipFile(bundle) as archive:
        # What is compressed, the search of the whole run would not see.
        archive.extractall(tmp_path / "unpacked")
    canary = Canary()
    for key in operator.deployment.vendor.keys.all():
        canary.plant(key.material, f"key {key.id}")
    assert len(canary.planted) > 3
    assert canary.findings(tmp_path) == []


def test_a_report_says_what_its_maker_may_not_see(operator: OperatorTerminal) -> None:
    """The policy and the records; without the journal there is no report."""
    operator.run("rotate", SECRET)
    operator.deployment.cloud.wait_for_events()
    asked = ("report", SECRET, "--evidence-bucket", EVIDENCE_BUCKET)
    auditor = OperatorTerminal(operator.deployment, caller="AKIAAUDITOR")
    operator.deployment.cloud.deny(auditor.caller, "GetResourcePolicy")
    facts = auditor.run_json(*asked)
    assert facts["notSeen"] == {"the resource policy of the secret": "AccessDeniedException"}
    assert facts["access"]["policy"] is None
    assert "not_seen" in {one["code"] for one in facts["exceptions"]}
    said = operator.run("report", SECRET, "--evidence-bucket", SOURCE_BUCKET, code=1)
    assert "Nothing follows from that: check the bucket" in said
    said = operator.run("report", SECRET, "--evidence-bucket", "no-such-bucket", code=1)
    assert "could not be read: NoSuchBucket" in said
    assert "s3:ListBucketVersions" in said


def test_status_shows_keys_and_what_becomes_of_them(operator: OperatorTerminal) -> None:
    """Without reading a value: states, and when the displaced key will be retired."""
    operator.run("rotate", SECRET)
    operator.deployment.cloud.wait_for_events()
    report = operator.run_json("status", SECRET)["secrets"][0]
    states = {version["state"] for version in report["versions"]}
    assert states == {"current", "retiring"}
    said = operator.run("status", SECRET)
    assert "  retires " in said
    assert operator.deployment.key_id("AWSCURRENT")[:8] in said


def test_rolling_back_and_forth(operator: OperatorTerminal) -> None:
    """The plan first; with --apply the previous key, proven, is current again, and recorded."""
    old = operator.deployment.key_id("AWSCURRENT")
    operator.run("rotate", SECRET)
    said = operator.run("rollback", SECRET)
    assert "Nothing was done" in said
    said = OperatorTerminal(operator.deployment, is_screen=True).run("rollback", SECRET, "--apply")
    assert "waiting for the reconcile function, which has the previous key sign first" in said
    assert f"key {old} is current" in said
    assert f"s3://{EVIDENCE_BUCKET}/rollbacks/" in said
    assert operator.deployment.key_id("AWSCURRENT") == old


def test_an_interrupted_rollback_says_what_goes_on(operator: OperatorTerminal) -> None:
    """Ctrl-C while the previous key is proven: exit code 130 at once, and how to see the end."""
    operator.run("rotate", SECRET)
    faults = operator.deployment.vendor.faults
    faults.next("sign", VendorFault.HANG)
    process = operator.start("rollback", SECRET, "--apply")
    assert faults.wait_until_holding(timedelta(seconds=120))
    process.send_signal(signal.SIGINT)
    said, complained = process.communicate(timeout=120)
    faults.release()
    assert process.returncode == 130, said + complained
    assert "moves from version" in said
    assert "is asked to go back to version" in complained
    assert "Interrupted. The reconcile function may go on with it." in complained
    assert f"rotation status {SECRET}" in complained


def test_what_changes_a_secret_answers_programs(operator: OperatorTerminal) -> None:
    """Each with one object as its schema says: the plan, what was done, and nothing to do."""
    operator.run("rotate", SECRET)
    for applied in (False, True):
        rest = ("--apply",) if applied else ()
        moved = operator.run_json("rollback", SECRET, *rest)
        assert (moved["applied"], moved["keyId"] is not None) == (applied, applied)
        freed = operator.run_json("unstick", SECRET, *rest)
        assert (freed["applied"], freed["version"]) == (applied, None)
    until = f"{datetime.now(UTC) + timedelta(days=3):%Y-%m-%d}"
    assert operator.run_json("hold", SECRET, "--until", until)["holdUntil"].startswith(until)
    assert operator.run_json("hold", SECRET, "--release")["holdUntil"] is None


def test_a_stuck_rotation_is_freed(operator: OperatorTerminal) -> None:
    """Why it is stuck is said at once. The plan, then --apply; then the secret rotates again."""
    operator.deployment.vendor.keys.quota = 1
    said = operator.run("rotate", SECRET, code=1)
    assert "createSecret failed: " in said
    assert "[key_quota]. When that is mended: rotation unstick" in said
    assert "1 failed so far: createSecret failed: " in operator.run("status", SECRET)
    operator.deployment.vendor.keys.quota = 20
    assert "Nothing was done" in operator.run("unstick", SECRET)
    assert "can be rotated again" in operator.run("unstick", SECRET, "--apply")
    assert "Nothing is stuck" in operator.run("unstick", SECRET, "--apply")
    assert "is current after" in operator.run("rotate", SECRET)


def test_keys_that_are_too_many_are_released(operator: OperatorTerminal) -> None:
    """The refused keys are listed; with --apply each is revoked and proven dead."""
    deployment = operator.deployment
    for _ in range(4):
        operator.run("rotate", SECRET)
        deployment.cloud.wait_for_events()
    old = operator.live_keys() - {deployment.key_id("AWSCURRENT")}
    let_graces_end(deployment.cloud.client("s3"), EVIDENCE_BUCKET, deployment.secret_arn)
    deployment.reconcile()
    assert len(old) == 4
    said = operator.run("release", SECRET)
    assert all(key in said for key in old)
    assert "Nothing was done" in said
    assert operator.live_keys() >= old
    answer = operator.run_json("release", SECRET, "--apply")
    assert set(answer["refused"]) == set(answer["provenDead"]) == old
    assert operator.live_keys() == {deployment.key_id("AWSCURRENT")}
    assert "No retirement" in operator.run("release", SECRET, "--apply")


def test_a_release_spares_a_key_that_another_secret_uses(operator: OperatorTerminal) -> None:
    """Five displaced keys are too many; the one that somebody copied elsewhere goes on working."""
    deployment = operator.deployment
    client = deployment.cloud.client("secretsmanager")
    shared = client.get_secret_value(SecretId=SECRET)["SecretString"]
    client.create_secret(Name="copied", SecretString=shared)
    begun = client.rotate_secret(
        SecretId="copied",
        RotationLambdaARN=operator.describe()["RotationLambdaARN"],
        RotationRules={"AutomaticallyAfterDays": 30},
        RotateImmediately=False,
    )
    deployment.cloud.wait_for_rotation("copied", begun["VersionId"], timedelta(minutes=5))
    copied = deployment.key_id("AWSCURRENT")
    for _ in range(5):
        operator.run("rotate", SECRET)
        deployment.cloud.wait_for_events()
    current = deployment.key_id("AWSCURRENT")
    old = operator.live_keys() - {current, copied}
    let_graces_end(deployment.cloud.client("s3"), EVIDENCE_BUCKET, deployment.secret_arn)
    deployment.reconcile()
    assert len(old) == 4
    answer = operator.run_json("release", SECRET, "--apply")
    assert set(answer["refused"]) == set(answer["provenDead"]) == old
    assert operator.live_keys() == {current, copied}


def test_a_hold_is_set_and_released(operator: OperatorTerminal) -> None:
    """A tag on the secret; the status shows it; a date too far off is refused."""
    soon = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
    operator.run("hold", SECRET, "--until", soon)
    assert operator.run_json("status", SECRET)["secrets"][0]["holdUntil"] is not None
    operator.run("hold", SECRET, "--release")
    assert operator.run_json("status", SECRET)["secrets"][0]["holdUntil"] is None
    said = operator.run("hold", SECRET, "--release", code=1)
    assert "is not on hold; nothing was released" in said


@pytest.mark.parametrize(
    "command",
    [
        "demo",
        "doctor",
        "drill",
        "evidence",
        "exposure",
        "force",
        "hold",
        "leaver",
        "migrate",
        "pool",
        "release",
        "report",
        "rollback",
        "rotate",
        "sandbox",
        "seal",
        "status",
        "unstick",
        "verify",
        "verify-bundle",
    ],
)
def test_every_command_teaches_itself(command: str) -> None:
    """--help says what the command does, in sentences."""
    done = CliRunner().invoke(rotation, [command, "--help"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "Usage: rotation" in done.stdout
    assert len(done.stdout.splitlines()) >= 8
