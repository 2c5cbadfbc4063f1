"""``rotation exposure``, against the deployment on this machine and its CloudTrail."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.deployment import RECONCILE, ROTATE, SECRET
from tests.cli.operator_terminal import OperatorTerminal
from tests.cli.readers import READ, ReaderAccounts, policy, user
from tests.privacy.canary import Canary
from tests.reused_deployment import ReusedDeployment

pytestmark = pytest.mark.slow

AUDITOR: Final = "AKIAAUDITOR000000000"


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
    """Five principals: three may read the secret, and two did, one through another's role."""
    deployment.begin_anew()
    deployment.cloud.event_history.latency = timedelta(0)
    deployment.store_first_key()
    deployment.turn_on_rotation()
    accounts = ReaderAccounts(deployment)
    accounts.create_five()
    return accounts


@pytest.fixture
def operator(deployment: ReusedDeployment) -> OperatorTerminal:
    return OperatorTerminal(deployment)


def names(arns: list[str]) -> list[str]:
    return [one.rpartition("/")[2] for one in arns]


def test_those_who_could_and_those_who_did_are_named(
    accounts: ReaderAccounts, operator: OperatorTerminal
) -> None:
    """Exactly them: by a role, by the secret's policy alone, and not whom a boundary denies."""
    first = operator.deployment.key_id("AWSCURRENT")
    accounts.read_as_alice_through_the_role()
    operator.run("rotate", SECRET)
    operator.deployment.cloud.wait_for_events()
    accounts.read_as_carol(VersionStage="AWSCURRENT")
    accounts.read_as_dave_in_vain()
    found = operator.run_json("exposure", SECRET)

    could = {
        one["principal"].rpartition("/")[2]: one
        for one in found["could"]["readers"]
        if not one["known"]
    }
    assert {name: (one["answer"], one["by"]) for name, one in could.items()} == {
        "alice": ("yes", "role"),
        "operators": ("yes", "identity"),
        "carol": ("yes", "resource-policy"),
    }
    assert names(could["alice"]["through"]) == ["operators"]
    known = [one["principal"] for one in found["could"]["readers"] if one["known"]]
    assert sorted(names(known)) == [f"{RECONCILE}-role", f"{ROTATE}-role"]

    did = {
        one["principal"].rpartition("/")[2]: one
        for one in found["did"]
        if not one["known"] and one["kind"] != "Root"
    }
    assert {name: one["reads"] for name, one in did.items()} == {
        "operators": 1,
        "carol": 1,
        "dave": 0,
    }
    assert names(did["operators"]["through"]) == ["alice"]
    assert did["operators"]["sessions"] == ["night-shift"]
    # CloudTrail's times are whole seconds: the key that followed in the same one is possible too.
    assert first in {one["keyId"] for one in did["operators"]["keys"]}
    assert did["dave"]["refused"] == 1
    assert {one["code"] for one in found["gaps"]} == {
        "copies",
        "policies",
        "latency",
        "older",
        "analyzer",
    }


def test_the_readers_of_a_leaked_key_are_evidence(
    accounts: ReaderAccounts, operator: OperatorTerminal
) -> None:
    """Those who read it before it died, and not who reads the new key; kept beside the record."""
    said = operator.run("exposure", SECRET, "--incident", code=1)
    assert "has no incident that is closed" in said
    leaked = operator.deployment.key_id("AWSCURRENT")
    accounts.read_as_alice_through_the_role()
    accounts.read_as_dave_in_vain()
    operator.run("force", SECRET, "--reason", "key-compromise")
    accounts.read_as_carol()
    found = operator.run_json("exposure", SECRET, "--incident")
    assert found["incident"]["suspects"] == [leaked]
    strangers = [
        one for one in found["did"] if not one["known"] and one["kind"] not in ("Root", "IAMUser")
    ]
    assert [(names([one["principal"]]), names(one["through"])) for one in strangers] == [
        (["operators"], ["alice"])
    ]
    assert [one for one in found["did"] if one["kind"] == "IAMUser"] == []
    assert leaked in {one["keyId"] for one in strangers[0]["keys"]}

    [kept] = operator.run_json("evidence", SECRET)["readers"]
    assert kept["where"] == found["incident"]["where"]
    record = kept["record"]
    assert record["readers"] == found["did"]
    assert record["keys"][0]["death"] is not None
    assert {one["code"] for one in record["gaps"]} >= {"copies", "latency", "older"}
    told = operator.run("evidence", SECRET)
    assert f"role/operators, assumed by {accounts.arn_of('alice')}: 1 readings" in told
    assert "not known: copies, policies, latency, analyzer, older" in told


def test_what_may_not_be_asked_is_said_and_the_rest_is_shown(
    accounts: ReaderAccounts, operator: OperatorTerminal
) -> None:
    """Without the simulator who did is told; without CloudTrail, who could; and neither fails."""
    accounts.read_as_carol()
    auditor = OperatorTerminal(operator.deployment, AUDITOR)
    cloud = operator.deployment.cloud
    cloud.deny(AUDITOR, "SimulatePrincipalPolicy", "GetResourcePolicy", "DescribeTrails")
    found = auditor.run_json("exposure", SECRET)
    assert found["could"] is None
    assert "carol" in names([one["principal"] for one in found["did"]])
    gaps = {one["code"]: one["message"] for one in found["gaps"]}
    assert "iam:SimulatePrincipalPolicy failed: AccessDenied" in gaps["could"]
    assert "secretsmanager:GetResourcePolicy" in gaps["resource_policy"]

    blind = OperatorTerminal(operator.deployment, "AKIABLIND00000000000")
    cloud.deny("AKIABLIND00000000000", "LookupEvents", "Invoke")
    found = blind.run_json("exposure", SECRET, "--known", "user/carol")
    assert found["did"] is None
    by_name = {one["principal"].rpartition("/")[2]: one for one in found["could"]["readers"]}
    assert by_name["carol"]["known"] is True
    gaps = {one["code"]: one["message"] for one in found["gaps"]}
    assert "cloudtrail:LookupEvents failed: AccessDenied" in gaps["did"]
    assert "lambda:InvokeFunction" in gaps["lives"]


def test_people_read_it_in_words(accounts: ReaderAccounts, operator: OperatorTerminal) -> None:
    """No key material and no value is in it; a time in the future is refused."""
    accounts.read_as_carol()
    held = json.loads(
        operator.deployment.cloud.client("secretsmanager").get_secret_value(SecretId=SECRET)[
            "SecretString"
        ]
    )
    said = operator.run("exposure", SECRET)
    assert "  user/alice  by assuming role/operators\n" in said
    assert "  user/carol  by the secret's policy\n" in said
    assert "  user/carol  once, last today" in said
    assert f"role/{ROTATE}-role (known)" in said
    assert "copies: Who got the key from somebody" in said
    canary = Canary()
    canary.plant(held["apiKey"], "the current key")
    told = said + json.dumps(operator.run_json("exposure", SECRET))
    history: Any = operator.deployment.cloud.client
    told += str(history("cloudtrail").lookup_events())
    assert canary.find(told.encode()) is None
    assert "is not in the past" in operator.run("exposure", SECRET, "--since", "2999-01-01", code=2)


def test_the_newest_calls_are_not_told_yet(
    accounts: ReaderAccounts, operator: OperatorTerminal
) -> None:
    """CloudTrail shows a call some minutes later; the gap "latency" says so."""
    accounts.read_as_carol()
    operator.deployment.cloud.event_history.latency = timedelta(minutes=5)
    found: dict[str, Any] = operator.run_json("exposure", SECRET)
    assert found["did"] == []


@pytest.fixture
def long_ago(accounts: ReaderAccounts, deployment: ReusedDeployment) -> str:
    """Carol read the secret before the event history begins; a day before that."""
    deployment.ahead = -timedelta(days=120)
    try:
        accounts.read_as_carol()
        accounts.read_as_alice_through_the_role()
    finally:
        deployment.ahead = timedelta(0)
    accounts.read_as_carol()
    return f"{datetime.now(UTC) - timedelta(days=121):%Y-%m-%d}"


def make_trail(deployment: ReusedDeployment) -> None:
    """A trail that has written its log files."""
    make: Any = deployment.cloud.client
    make("s3").create_bucket(Bucket="trail-logs")
    make("cloudtrail").create_trail(Name="all", S3BucketName="trail-logs", IsMultiRegionTrail=True)
    make("cloudtrail").start_logging(Name="all")
    deployment.cloud.deliver_log_files()


def make_store(deployment: ReusedDeployment) -> None:
    """An event data store of CloudTrail Lake."""
    make: Any = deployment.cloud.client
    make("cloudtrail").create_event_data_store(Name="lake")


def reads(found: dict[str, Any]) -> dict[str, tuple[int, list[str]]]:
    return {
        one["principal"].rpartition("/")[2]: (one["reads"], names(one["through"]))
        for one in found["did"]
        if not one["known"] and one["kind"] != "Root"
    }


@pytest.mark.parametrize(
    ("keep", "name"),
    [
        (make_trail, "the trail all in s3://trail-logs"),
        (make_store, "the event data store lake of CloudTrail Lake"),
    ],
)
def test_calls_that_the_event_history_has_no_more_are_read_where_they_are(
    deployment: ReusedDeployment,
    operator: OperatorTerminal,
    long_ago: str,
    keep: Callable[[ReusedDeployment], None],
    name: str,
) -> None:
    """Only when an earlier day is named; each call counts once, and sessions are followed back."""
    keep(deployment)
    found = operator.run_json("exposure", SECRET)
    assert reads(found) == {"carol": (1, [])}
    found = operator.run_json("exposure", SECRET, "--since", long_ago)
    assert reads(found) == {"carol": (2, []), "operators": (1, ["alice"])}
    assert found["since"].startswith(long_ago)
    [gap] = [one["message"] for one in found["gaps"] if one["code"] == "older"]
    assert f"are told by {name}." in gap
    assert "What was deleted there, or never came there, cannot be told." in gap


def test_a_trail_that_keeps_no_reads_is_not_asked_who_read(
    deployment: ReusedDeployment, operator: OperatorTerminal, long_ago: str
) -> None:
    """Its silence would mean nothing: the older calls are said to be unknown."""
    make_trail(deployment)
    make: Any = deployment.cloud.client
    make("cloudtrail").put_event_selectors(
        TrailName="all",
        EventSelectors=[{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": True}],
    )
    found = operator.run_json("exposure", SECRET, "--since", long_ago)
    assert reads(found) == {"carol": (1, [])}
    [gap] = [one["message"] for one in found["gaps"] if one["code"] == "older"]
    assert "No event data store and no trail of this Region keeps calls that read." in gap


def test_who_may_not_read_the_log_files_is_told_the_newer_calls(
    deployment: ReusedDeployment, operator: OperatorTerminal, long_ago: str
) -> None:
    """And which right is missing."""
    make_trail(deployment)
    auditor = OperatorTerminal(deployment, AUDITOR)
    deployment.cloud.deny(AUDITOR, "GET /trail-logs")
    found = auditor.run_json("exposure", SECRET, "--since", long_ago)
    assert reads(found) == {"carol": (1, [])}
    [gap] = [one["message"] for one in found["gaps"] if one["code"] == "older"]
    assert "s3:ListBucket on trail-logs failed: AccessDenied." in gap


@pytest.fixture
def analyzer(accounts: ReaderAccounts, deployment: ReusedDeployment) -> str:
    """IAM Access Analyzer is on, and the secret's policy lets in another account."""
    make: Any = deployment.cloud.client
    make("accessanalyzer").create_analyzer(analyzerName="account", type="ACCOUNT")
    statements = [
        {**READ, "Principal": {"AWS": [user("carol"), "arn:aws:iam::999999999999:root"]}},
        {
            **READ,
            "Principal": "*",
            "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-exampleorgid"}},
        },
    ]
    make("secretsmanager").put_resource_policy(SecretId=SECRET, ResourcePolicy=policy(*statements))
    return accounts.arn_of("carol")


def test_findings_of_access_analyzer_are_shown(operator: OperatorTerminal, analyzer: str) -> None:
    """Whom the secret's policy lets in from outside, what they may do, and on what it depends."""
    found = operator.run_json("exposure", SECRET)
    assert [(one["principals"], one["conditions"]) for one in found["findings"]] == [
        (["arn:aws:iam::999999999999:root"], []),
        (["*"], ["aws:PrincipalOrgID"]),
    ]
    assert analyzer not in json.dumps(found["findings"])
    assert "analyzer" not in {one["code"] for one in found["gaps"]}
    said = operator.run("exposure", SECRET)
    assert "IAM Access Analyzer found: 2" in said
    assert "* may use the secret (secretsmanager:GetSecretValue), depending on aws:Princip" in said


@pytest.mark.usefixtures("analyzer")
@pytest.mark.parametrize("operation", ["GET /analyzer", "POST /findingv2"])
def test_who_may_not_ask_access_analyzer_is_told_the_rest(
    deployment: ReusedDeployment, operation: str
) -> None:
    """The gap names the right that is missing."""
    auditor = OperatorTerminal(deployment, AUDITOR)
    deployment.cloud.deny(AUDITOR, operation)
    found = auditor.run_json("exposure", SECRET)
    assert found["could"]["readers"]
    [gap] = [one["message"] for one in found["gaps"] if one["code"] == "analyzer"]
    assert re.search(r"access-analyzer:List\w+ failed: AccessDenied\w*\. Allow it to this", gap)
