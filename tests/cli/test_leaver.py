"""``rotation leaver``, against the deployment on this machine: who knew what, and what is done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Any, Final

import botocore.client
import pytest

from rotation.aws.journal_bucket import S3JournalStore
from rotation.journal.keeper import JournalKeeper
from rotation.sandbox.aws import ACCOUNT
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.deployment import EVIDENCE_BUCKET, ROTATE
from tests.cli.operator_terminal import OperatorTerminal
from tests.cli.readers import READ, ReaderAccounts, policy, role, trusting, user
from tests.privacy.canary import Canary
from tests.reused_deployment import ReusedDeployment

pytestmark = pytest.mark.slow

FUNCTION: Final = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{ROTATE}"
#: What alice knows, by how; and what she does not.
OWN: Final = ("own-0", "own-1", "own-2")
THROUGH: Final = ("role-0", "role-1")
NAMED: Final = ("named-0",)
READ_ONCE: Final = ("read-0",)
BY_HAND: Final = ("own-by-hand",)
OTHERS: Final = tuple(f"other-{number}" for number in range(12))
ROTATED: Final = {*OWN, *THROUGH, *NAMED, *READ_ONCE}
#: The calls at which a run is killed, in one run after the other: the operation, which of its
#: calls, and whether it took effect. They begin fewer than seven rotations, so each is reached.
POINTS: Final = (
    ("GetCallerIdentity", 1, True),
    ("Invoke", 1, False),
    ("Invoke", 1, True),
    ("Invoke", 3, True),
    ("DescribeSecret", 1, False),
    ("DescribeSecret", 3, True),
    ("RotateSecret", 1, False),
    ("RotateSecret", 1, True),
    ("RotateSecret", 2, False),
    ("RotateSecret", 2, True),
)


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReusedDeployment]:
    """A deployment for all tests of the module."""
    with ReusedDeployment(
        tmp_path_factory.mktemp("deployment"),
        retries=RetryPolicy(()),
        propagation_limit=timedelta(seconds=0.5),
    ) as running:
        yield running


@pytest.fixture
def accounts(deployment: ReusedDeployment) -> ReaderAccounts:
    """alice, who may read some secrets, and assume a role that may read others."""
    deployment.begin_anew()
    deployment.cloud.event_history.latency = timedelta(0)
    deployment.vendor.keys.quota = 200
    accounts = ReaderAccounts(deployment)
    accounts.create_user("alice")
    accounts.create_user("bob")
    for name, prefix in (("alice", "own"), ("bob", "other")):
        accounts.iam.put_user_policy(
            UserName=name, PolicyName="read", PolicyDocument=policy(reads(prefix))
        )
    accounts.iam.create_role(RoleName="operators", AssumeRolePolicyDocument=trusting(user("alice")))
    accounts.iam.put_role_policy(
        RoleName="operators", PolicyName="read", PolicyDocument=policy(reads("role"))
    )
    return accounts


@pytest.fixture
def operator(deployment: ReusedDeployment) -> OperatorTerminal:
    return OperatorTerminal(deployment)


def reads(prefix: str) -> dict[str, Any]:
    return {**READ, "Resource": f"arn:aws:secretsmanager:*:*:secret:{prefix}-*"}


def create(deployment: ReusedDeployment, *names: str, by_hand: tuple[str, ...] = ()) -> None:
    """Secrets with a key each, which the stack's function rotates, but for those by hand."""
    client = deployment.cloud.client("secretsmanager")
    begun = {}
    for name in (*names, *by_hand):
        key = deployment.vendor.keys.create()
        value = json.dumps({"apiKey": key.material, "apiKeyId": key.id})
        client.create_secret(Name=name, SecretString=value)
    for name in names:
        begun[name] = client.rotate_secret(
            SecretId=name,
            RotationLambdaARN=FUNCTION,
            RotationRules={"AutomaticallyAfterDays": 30},
            RotateImmediately=False,
        )["VersionId"]
    for name, token in begun.items():
        deployment.cloud.wait_for_rotation(name, token, timedelta(seconds=120))


def versions(deployment: ReusedDeployment, name: str) -> int:
    """How many versions a secret has."""
    listed = deployment.cloud.client("secretsmanager").list_secret_version_ids(
        SecretId=name, IncludeDeprecated=True
    )
    return len(listed["Versions"])


def kill_at(
    monkeypatch: pytest.MonkeyPatch, operation: str, number: int, took_effect: bool
) -> None:
    """End the process at a call: before it, or when it took effect. No call is made after it."""
    made: list[str] = []
    lock, original = Lock(), botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    def call(client: Any, called: str, members: Any) -> Any:
        with lock:
            over = made.count(operation) >= number
            made.append(called)
            last = not over and made.count(operation) >= number
        if over or (last and not took_effect):
            raise Killed
        answer = original(client, called, members)
        if last:
            raise Killed
        return answer

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", call)


# What a killed process leaves open, the system closes.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_exactly_what_a_leaver_knew_is_rotated_once_however_often_a_run_is_killed(
    accounts: ReaderAccounts,
    operator: OperatorTerminal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seven of twenty secrets, by right, by role, by name, and by a reading; one is a person's."""
    deployment: Any = operator.deployment
    everything = (*OWN, *THROUGH, *NAMED, *READ_ONCE, *OTHERS)
    create(deployment, *everything, by_hand=BY_HAND)
    assert len(everything) + len(BY_HAND) == 20
    client = deployment.cloud.client("secretsmanager")
    client.put_resource_policy(
        SecretId=NAMED[0], ResourcePolicy=policy({**READ, "Principal": {"AWS": user("alice")}})
    )
    accounts.client("secretsmanager", "alice").get_secret_value(SecretId=READ_ONCE[0])
    accounts.client("secretsmanager", "bob").get_secret_value(SecretId=OTHERS[0])

    plan = str(tmp_path / "alice.json")
    made = operator.run_json("leaver", "user/alice", "--plan", plan)
    assert {one["name"] for one in made["secrets"] if one["action"] == "rotate"} == ROTATED
    [by_hand] = [one for one in made["secrets"] if one["action"] == "person"]
    assert by_hand["name"] == BY_HAND[0]
    assert "No function rotates it" in by_hand["advice"]
    by_name = {one["name"]: one for one in made["secrets"]}
    assert by_name["role-0"]["could"][0]["through"] == [role("operators")]
    assert by_name[READ_ONCE[0]]["could"] == []
    assert by_name[READ_ONCE[0]]["did"][0]["reads"] == 1
    assert {versions(deployment, name) for name in (*everything, *BY_HAND)} == {1}

    accounts.iam.delete_user_policy(UserName="alice", PolicyName="read")
    for point in POINTS:
        with monkeypatch.context() as patched:
            kill_at(patched, *point)
            with pytest.raises(Killed):
                operator.run("leaver", "user/alice", "--plan", plan, "--apply", code=3)
    done = operator.run_json("leaver", "user/alice", "--plan", plan, "--apply", code=3)
    results = {one["name"]: one["result"] for one in done["secrets"]}
    assert {name for name, one in results.items() if one is not None} == ROTATED
    assert [one for one in results.values() if one is not None and one["error"]] == []
    counted = {name: versions(deployment, name) for name in (*everything, *BY_HAND)}
    assert {name for name, number in counted.items() if number == 2} == ROTATED
    assert {number for name, number in counted.items() if name not in ROTATED} == {1}

    journals = JournalKeeper(S3JournalStore(deployment.cloud.client("s3"), EVIDENCE_BUCKET))
    for name in ROTATED:
        [note] = journals.read(operator.describe(name)["ARN"]).departures
        assert note.reason == "left: user/alice"
        assert note.token in operator.labels(name)
    said = operator.run("leaver", "user/alice", "--plan", plan, "--apply", code=3)
    assert "a person has to rotate it. No function rotates it" in said


def test_a_secret_that_fails_does_not_stop_the_others(
    accounts: ReaderAccounts, operator: OperatorTerminal, tmp_path: Path
) -> None:
    """It is named with its error; run again when that is mended, it is rotated too."""
    deployment: Any = operator.deployment
    create(deployment, "own-0", "own-1")
    plan = str(tmp_path / "alice.json")
    refused = operator.run("leaver", "user/alice", "--plan", plan, "--apply", code=2)
    assert "There is no plan in" in refused
    said = operator.run("leaver", "user/alice", "--plan", plan)
    assert "user/alice knew 2 of 4 secrets" in said
    assert "Nothing was done." in said
    assert "is the plan for user/alice" in operator.run(
        "leaver", "user/bob", "--plan", plan, code=1
    )
    client = deployment.cloud.client("secretsmanager")
    client.delete_secret(SecretId="own-0", RecoveryWindowInDays=7)
    answer = operator.run_json("leaver", "user/alice", "--plan", plan, "--apply", code=1)
    results = {one["name"]: one["result"] for one in answer["secrets"]}
    assert "scheduled for deletion" in results["own-0"]["error"]
    assert results["own-1"]["error"] is None
    client.restore_secret(SecretId="own-0")
    answer = operator.run_json("leaver", "user/alice", "--plan", plan, "--apply")
    assert all(one["result"]["error"] is None for one in answer["secrets"])
    assert (versions(deployment, "own-0"), versions(deployment, "own-1")) == (2, 2)
    canary = Canary()
    for key in deployment.vendor.keys.all():
        canary.plant(key.material, key.id)
    assert canary.find((tmp_path / "alice.json").read_bytes()) is None


def test_the_keys_of_a_dangerous_leaver_are_dead_at_the_end(
    accounts: ReaderAccounts, operator: OperatorTerminal, tmp_path: Path
) -> None:
    """With --compromised each secret has an incident, whose reason says who left."""
    deployment: Any = operator.deployment
    create(deployment, "own-0")
    before = operator.live_keys()
    plan = str(tmp_path / "alice.json")
    operator.run("leaver", "user/alice", "--plan", plan)
    answer = operator.run_json("leaver", "user/alice", "--plan", plan, "--apply", "--compromised")
    [one] = answer["secrets"]
    assert one["result"]["done"].startswith("every old key is dead; s3://")
    assert operator.live_keys() & before == set()
    [incident] = operator.incidents("own-0")
    assert incident["declarations"][0]["reason"] == "left: user/alice"
    assert accounts.iam is not None
