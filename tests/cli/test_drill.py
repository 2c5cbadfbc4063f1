"""A leak is rehearsed on a secret that is thrown away, and nothing of it stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from rotation.incident.drill import NAME_PREFIX
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.aws.traffic import AwsError
from rotation.sandbox.deployment import SECRET
from tests.cli.operator_terminal import OperatorTerminal
from tests.docs.test_docs import page
from tests.privacy.canary import Canary
from tests.reused_deployment import ReusedDeployment

pytestmark = pytest.mark.slow

PATIENCE = timedelta(seconds=180)
REFUSED = AwsError("AccessDeniedException", status=400)


@pytest.fixture(scope="module")
def reused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReusedDeployment]:
    """A deployment for all tests of the module; keys die within a second."""
    with ReusedDeployment(
        tmp_path_factory.mktemp("deployment"),
        retries=RetryPolicy(()),
        propagation_limit=timedelta(seconds=0.25),
    ) as deployment:
        yield deployment


@pytest.fixture
def operator(reused: ReusedDeployment) -> OperatorTerminal:
    """A terminal beside a deployment with a key and a schedule, in which nothing else is."""
    reused.begin_anew()
    reused.store_first_key()
    reused.turn_on_rotation()
    return OperatorTerminal(reused)


def drills(operator: OperatorTerminal) -> dict[str, bool]:
    """The secrets of drills, and whether each is scheduled for deletion."""
    client = operator.deployment.cloud.client("secretsmanager")
    listed = client.list_secrets(IncludePlannedDeletion=True)["SecretList"]
    return {
        one["Name"]: "DeletedDate" in one for one in listed if one["Name"].startswith(NAME_PREFIX)
    }


def rights_of_the_page() -> set[str]:
    """The actions in the policy of docs/drill.md, without their service."""
    [block] = page("drill.md").split("```json\n")[1:]
    statements = json.loads(block.partition("```")[0])["Statement"]
    actions = [one["Action"] for one in statements]
    named = {name for one in actions for name in ([one] if isinstance(one, str) else one)}
    return {name.partition(":")[2] for name in named}


def test_a_drill_measures_a_leak_and_leaves_nothing(operator: OperatorTerminal) -> None:
    """The account is as it was but for a secret to be deleted, and the times are kept as evidence.

    The rights are those of the page: no value is read or written.
    """
    before = operator.live_keys(), operator.labels(), operator.tags()
    rehearser = OperatorTerminal(operator.deployment, "AKIAREHEARSER")
    [drill] = rehearser.run_json("drill")["drills"]
    assert drill["contained"]
    assert drill["left"] == []
    assert drill["times"]["withinTargets"]
    seconds = drill["times"]["seconds"]
    assert 0 < seconds["current"] <= seconds["refused"] <= seconds["contained"]
    assert (operator.live_keys(), operator.labels(), operator.tags()) == before
    assert drills(operator) == {drill["secret"]: True}
    [record] = operator.records("drills/")
    canary = Canary()
    for key in operator.deployment.vendor.keys.all():
        canary.plant(key.material, f"key {key.id}")
    assert canary.find(json.dumps([drill, record]).encode()) is None
    assert record["suspects"] == [one["keyId"] for one in operator.records()[0]["keys"]]
    assert {name: record[name] for name in drill["times"]} == drill["times"]
    asked = {
        "InvokeFunction" if call.operation == "Invoke" else call.operation
        for call in operator.deployment.cloud.calls
        if call.caller == "AKIAREHEARSER"
    }
    # Whoever has credentials may ask who they are (API_GetCallerIdentity), and CreateSecret with
    # tags needs TagResource too (API_CreateSecret).
    assert (asked - {"POST /"}) | {"TagResource"} == rights_of_the_page()


def wait_until_idle(operator: OperatorTerminal) -> None:
    """Wait until no rotation is under way."""
    cloud = operator.deployment.cloud
    for name, deleted in drills(operator).items():
        for version in operator.describe(name).get("VersionIdsToStages", {}) if not deleted else ():
            cloud.wait_for_rotation(name, version, PATIENCE)
    cloud.wait_for_events()


def test_a_drill_that_is_cut_off_anywhere_goes_on(operator: OperatorTerminal) -> None:
    """Four times a call has its effect and is answered with an error; the fifth command ends it."""
    before, faults = operator.live_keys(), operator.deployment.cloud.faults
    # The first rotation is begun by the command, and the second by the incident.
    for operation in ("CreateSecret", "RotateSecret", "RotateSecret", "DeleteSecret"):
        faults.after(operation, REFUSED)
        operator.run("drill", code=1)
        wait_until_idle(operator)
    [drill] = operator.run_json("drill")["drills"]
    assert drill["contained"]
    assert drill["left"] == []
    assert drills(operator) == {drill["secret"]: True}
    assert len(operator.records()) == len(operator.records("drills/")) == 1
    assert operator.live_keys() == before


def test_a_drill_can_be_given_up(operator: OperatorTerminal) -> None:
    """Its secret goes, and so does the key that it had; a second time there is nothing to do."""
    before = operator.live_keys()
    operator.deployment.cloud.faults.after("RotateSecret", REFUSED)
    operator.run("drill", code=1)
    wait_until_idle(operator)
    assert len(operator.live_keys()) == len(before) + 1
    said = operator.run("drill", "--clean-up")
    assert "given up, and nothing of it is left" in said
    assert operator.live_keys() == before
    assert [*drills(operator).values()] == [True]
    [again] = operator.run_json("drill", "--clean-up")["drills"]
    assert again["left"] == []
    assert again["times"] is None
    assert operator.records("drills/") == []


def test_a_secret_that_may_not_be_rotated_is_deleted_again(operator: OperatorTerminal) -> None:
    """The reconcile function refuses it before it has a key; so nothing of the attempt stays."""
    refused = OperatorTerminal(operator.deployment, "AKIAREFUSED")
    operator.deployment.cloud.deny("AKIAREFUSED", "Invoke")
    said = refused.run("drill", code=1)
    assert "had no key yet, and is deleted again" in said
    assert drills(operator) == {}


def test_only_the_secrets_of_drills_are_thrown_away(operator: OperatorTerminal) -> None:
    """Asked to end another secret's keys as a drill's, the reconcile function refuses."""
    before = operator.live_keys()
    refused = operator.deployment.reconcile("end-drill", SECRET)
    assert refused["errorType"] == "VersionStateError"
    assert "is no secret of a drill" in refused["errorMessage"]
    assert operator.live_keys() == before
