"""Incidents at their worst: killed anywhere, no right to read, a leaked pool, no time left."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.deployment import (
    BREAK_GLASS,
    RECONCILE,
    ROTATE,
    SECRET,
    Deployment,
)
from tests.artifacts.template import Template, actions
from tests.cli.operator_terminal import OperatorTerminal
from tests.reused_deployment import ReusedDeployment

pytestmark = pytest.mark.slow

KILLS = 10
WHY = ("--reason", "key-compromise")
READS = ("GetSecretValue", "BatchGetSecretValue", "PutSecretValue")


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


def until(true: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait for something that another process does, or for that process to end."""
    ends = time.monotonic() + 300
    while not true() and (process is None or process.poll() is None):
        assert time.monotonic() < ends
        time.sleep(0.002)


def another_secret(deployment: Deployment, name: str) -> str:
    """One more secret with a hand-made key, rotated by the same function; the key's id."""
    key = deployment.vendor.keys.create()
    client = deployment.cloud.client("secretsmanager")
    client.create_secret(
        Name=name, SecretString=json.dumps({"apiKey": key.material, "apiKeyId": key.id})
    )
    arn = deployment.cloud.client("lambda").get_function(FunctionName=ROTATE)
    answer = client.rotate_secret(
        SecretId=name,
        RotationLambdaARN=arn["Configuration"]["FunctionArn"],
        RotationRules={"AutomaticallyAfterDays": 30},
        RotateImmediately=False,
    )
    deployment.cloud.wait_for_rotation(name, answer["VersionId"], timedelta(minutes=5))
    return key.id


@dataclass
class KilledCommands:
    """Commands that are killed at one of their calls, each for a secret of its own."""

    operator: OperatorTerminal

    def calls(self, caller: str) -> int:
        return sum(call.caller == caller for call in self.operator.deployment.cloud.calls)

    def kill_and_finish(self, name: str, point: int, *, alone: bool) -> None:
        """SIGKILL at the call ``point``; then the command again, or reconciliation ``alone``."""
        caller = f"AKIA{name.upper()}"
        process = OperatorTerminal(self.operator.deployment, caller).start("force", name, *WHY)
        until(lambda: self.calls(caller) >= point, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self.wait_until_idle(name)
        declared = self.operator.incidents(name)
        if not alone or not declared:
            again = self.operator.start("force", name, *WHY, "--json")
            [answer] = json.loads(again.communicate()[0])["secrets"]
            assert answer["contained"] is True
        for _ in range(6):
            if all(one["closing"] for one in self.operator.incidents(name)):
                break
            self.operator.deployment.reconcile("reconcile", name)
            self.wait_until_idle(name)

    def wait_until_idle(self, name: str) -> None:
        """Wait until nothing is under way."""
        cloud = self.operator.deployment.cloud
        arn = self.operator.describe(name)["ARN"]
        for token in {run.token for run in cloud.rotations if run.secret_arn == arn}:
            cloud.wait_for_rotation(arn, token)
        cloud.wait_for_events()


def test_killed_anywhere_it_ends_the_same(operator: OperatorTerminal) -> None:
    """SIGKILL at ten calls drawn at random; half are run again, half left to reconciliation."""
    deployment, killed = operator.deployment, KilledCommands(operator)
    names = [f"killed-{number}" for number in range(KILLS + 1)]
    old = {name: another_secret(deployment, name) for name in names}
    clean = OperatorTerminal(deployment, "AKIACLEAN")
    assert clean.run_json("force", names[-1], *WHY)["secrets"][0]["contained"] is True
    points = random.Random(2026).choices(range(1, killed.calls("AKIACLEAN") + 1), k=KILLS)
    with ThreadPoolExecutor(3) as threads:
        for done in [
            threads.submit(killed.kill_and_finish, names[number], point, alone=number % 2 == 1)
            for number, point in enumerate(points)
        ]:
            done.result()
    records = operator.records()
    for name in names:
        labels = operator.labels(name)
        [current] = [version for version, has in labels.items() if "AWSCURRENT" in has]
        assert not any("AWSPENDING" in has for has in labels.values()), name
        assert operator.tags(name) == {}
        assert deployment.vendor.keys.accepted(old[name]) is None
        # A command that was killed at the end of its incident declares another when it runs again.
        own = [one for one in records if one["secret"]["name"] == name]
        assert old[name] in {key["keyId"] for one in own for key in one["keys"]}
        assert current in {one["current"]["versionId"] for one in own}
        assert {one["declared"]["reason"] for one in own} == {"key-compromise"}


def test_a_command_run_again_after_the_end_declares_anew(operator: OperatorTerminal) -> None:
    """Each command declares: the same person with the same reason gets another incident."""
    first = operator.run_json("force", SECRET, *WHY)["secrets"][0]
    again = operator.run_json("force", SECRET, *WHY)["secrets"][0]
    assert first["contained"]
    assert again["contained"]
    assert again["evidence"] != first["evidence"]
    assert again["current"] != first["current"]
    assert len(operator.records()) == 2


def test_a_responder_who_may_read_no_key_contains_a_leak(operator: OperatorTerminal) -> None:
    """GetSecretValue, BatchGetSecretValue and PutSecretValue are denied, and not even tried."""
    responder = OperatorTerminal(operator.deployment, "AKIARESPONDER")
    for caller in ("AKIARESPONDER", "AKIATEMPTED"):
        operator.deployment.cloud.deny(caller, *READS)
    assert "AccessDenied" in reading(OperatorTerminal(operator.deployment, "AKIATEMPTED"))
    operator.run("rotate", SECRET)
    before = operator.live_keys()
    answer = responder.run_json("force", SECRET, "--reason", "key-compromise")["secrets"][0]
    assert answer["contained"] is True
    assert set(answer["provenDead"]) == before
    assert responder.run_json("status", SECRET)["secrets"][0]["incident"] is None
    asked = {
        call.operation for call in operator.deployment.cloud.calls if call.caller == "AKIARESPONDER"
    }
    assert asked.isdisjoint(READS)
    policy = Template.read().properties("ResponderPolicy")["PolicyDocument"]["Statement"]
    allowed = {action.partition(":")[2] for action in actions(policy)}
    # Whoever has credentials may ask who they are (API_GetCallerIdentity).
    assert asked - {"POST /"} == {"DescribeSecret", "Invoke"} <= {*allowed, "Invoke"}


def reading(person: OperatorTerminal) -> str:
    """What the stock command line says to somebody who wants to see the key."""
    done = subprocess.run(
        ["aws", "secretsmanager", "get-secret-value", "--secret-id", SECRET],
        env={
            "PATH": str(Path(sys.executable).parent),
            **person.deployment.cloud.environment(person.caller),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_leak_that_is_being_used_is_stopped_before_there_is_a_new_key(
    operator: OperatorTerminal,
) -> None:
    """Through the alias the current key dies at once; the rest is as ever, and so is the record."""
    leaked = operator.deployment.key_id("AWSCURRENT")
    said = operator.run("force", SECRET, "--reason", "key-compromise", "--revoke-first")
    lines = [line for line in said.splitlines() if leaked in line]
    assert "not replaced yet" in lines[0]
    assert said.index("not replaced yet") < said.index("declared:")
    assert "every old key is proven dead" in said
    assert leaked not in operator.live_keys()
    [record] = operator.records()
    assert record["keys"][0]["keyId"] == leaked


def test_only_the_alias_revokes_first(operator: OperatorTerminal) -> None:
    """Asked for through the function itself it is refused, and every key lives."""
    before = operator.live_keys()
    event = {
        "action": BREAK_GLASS,
        "secrets": [SECRET],
        "reason": "key-compromise",
        "actor": "somebody",
    }
    answer = operator.deployment.cloud.client("lambda").invoke(
        FunctionName=RECONCILE, Payload=json.dumps(event).encode()
    )
    refused = json.loads(answer["Payload"].read())
    assert refused["errorType"] == "InvalidEventError"
    assert BREAK_GLASS in refused["errorMessage"]
    assert operator.live_keys() == before
    assert operator.tags() == {}


def test_a_key_that_is_pasted_as_the_reason_goes_nowhere(operator: OperatorTerminal) -> None:
    """Refused before anything is asked of AWS, and not repeated: a reason is kept in tags."""
    material = "5d41402abc4b2a76b9719d911017c592ae25f1c0d3b94e6a8f7c1e2d3b4a5968"
    before = len(operator.deployment.cloud.calls)
    said = operator.run("force", SECRET, "--reason", f"leaked {material}", code=2)
    assert material[:12] not in said
    assert "revoke it" in said
    assert len(operator.deployment.cloud.calls) == before
