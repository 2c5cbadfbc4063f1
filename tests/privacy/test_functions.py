"""Planted key material appears in nothing that the functions and their callers say."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from rotation.aws.event_bus import SOURCE
from rotation.sandbox.aws.functions import FunctionRunner, InvocationResult
from rotation.sandbox.aws.processes import ProcessFunction
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.aws.traffic import AwsError
from rotation.sandbox.deployment import ROTATE, SECRET, SOURCE_BUCKET, Deployment
from rotation.sandbox.vendor import VendorFault
from tests.client.fixtures import client_of
from tests.privacy.canary import PIECE, Canary, debug_log, everything_said

MATERIAL = "5d41402abc4b2a76b9719d911017c592ae25f1c0d3b94e6a8f7c1e2d3b4a5968"


class PlantsTokens:
    """A runner that plants each event's RotationToken and hands the event on."""

    def __init__(self, runner: FunctionRunner, canary: Canary) -> None:
        self._runner = runner
        self._canary = canary

    def invoke(self, payload: bytes) -> InvocationResult:
        token = json.loads(payload).get("RotationToken")
        if token:
            self._canary.plant(token, "RotationToken")
        return self._runner.invoke(payload)

    def close(self) -> None:
        self._runner.close()


def plant_keys(canary: Canary, deployment: Deployment) -> None:
    for key in deployment.vendor.keys.all():
        canary.plant(key.material, f"key {key.id}")


def hear_phases(deployment: Deployment) -> None:
    """From now on a queue takes every event about a phase."""
    events, queues = (client_of(deployment.cloud, name) for name in ("events", "sqs"))
    queues.create_queue(QueueName="phases")
    events.put_rule(Name="phases", EventPattern=json.dumps({"source": [SOURCE]}))
    arn = f"arn:aws:sqs:{deployment.cloud.region}:{deployment.cloud.account}:phases"
    events.put_targets(Rule="phases", Targets=[{"Id": "queue", "Arn": arn}])


def heard_phases(deployment: Deployment) -> list[str]:
    """The events that the queue has taken."""
    queues = client_of(deployment.cloud, "sqs")
    url = queues.get_queue_url(QueueName="phases")["QueueUrl"]
    answer = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return [one["Body"] for one in answer.get("Messages", ())]


@pytest.mark.slow
def test_a_loud_rotation_and_seal_say_no_key(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Everything at DEBUG, on both sides, with failures on the way: no piece of a key anywhere."""
    canary = Canary()

    def make_runner(name: str, real: str, environment: Mapping[str, str]) -> FunctionRunner:
        runner = ProcessFunction(
            "tests.privacy.loud.handler",
            environment={**environment, "LOUD_MODULE": real.removesuffix(".handler")},
            log_path=tmp_path / "logs" / f"{name}.log",
            timeout=timedelta(minutes=5),
            name=name,
        )
        return PlantsTokens(runner, canary)

    delays = (timedelta(0),) * 4
    with (
        debug_log() as invoking_side,
        Deployment(
            tmp_path, retries=RetryPolicy(delays), make_runner=make_runner, phase_events=True
        ) as deployment,
    ):
        deployment.store_first_key()
        deployment.turn_on_rotation()
        deployment.reconcile()
        hear_phases(deployment)
        deployment.vendor.faults.next("create", VendorFault.TRUNCATED_JSON)
        deployment.vendor.faults.next("sign", VendorFault.STRANGER)
        deployment.cloud.faults.before("PutSecretValue", AwsError("AccessDeniedException"))
        token = deployment.cloud.client("secretsmanager").rotate_secret(SecretId=SECRET)
        outcome = deployment.cloud.wait_for_rotation(SECRET, token["VersionId"])
        assert outcome.succeeded, outcome.error
        assert outcome.steps[-1].attempt == 4
        s3 = deployment.cloud.client("s3")
        s3.put_object(Bucket=SOURCE_BUCKET, Key="no.pdf", Body=b"not a PDF")
        assert deployment.seal("no.pdf", "sealed.pdf")["status"] == "error"
        deployment.reconcile()
        (tmp_path / "events.json").write_text(json.dumps(heard_phases(deployment)))
        plant_keys(canary, deployment)
    (tmp_path / "invoking-side.log").write_text(invoking_side.getvalue())
    (tmp_path / "terminal.log").write_text("".join(capfd.readouterr()))
    logs = (tmp_path / "logs" / f"{ROTATE}.log").read_text()
    assert "the loudspeaker is on" in logs
    assert "Response body" in logs, "botocore's own debugging must be in what is searched"
    assert "Locals" in logs or "error = " in logs, "frames with locals must be in it too"
    assert "PutSecretValue" in invoking_side.getvalue()
    assert "promoted" in (tmp_path / "events.json").read_text()
    assert len(canary.planted) >= 5
    assert canary.findings(tmp_path) == []


def leaks() -> Iterator[tuple[str, Callable[[logging.Logger], None]]]:
    """Ways in which a careless line would give the key away."""
    raw = bytes.fromhex(MATERIAL)
    yield "raw", lambda log: log.info("key %s", MATERIAL)
    yield "upper case", lambda log: log.info("key %s", MATERIAL.upper())
    yield "a piece", lambda log: log.info("key %s…", MATERIAL[20 : 20 + PIECE])
    yield "base64", lambda log: log.info(base64.b64encode(raw).decode())
    yield (
        "a document in base64",
        lambda log: log.info(base64.b64encode(json.dumps({"apiKey": MATERIAL}).encode()).decode()),
    )
    yield "hex of the text", lambda log: log.info(MATERIAL.encode().hex())
    yield "bytes", lambda log: log.info("%r", raw)
    yield "a parameter", lambda log: log.debug("params: %s", {"SecretString": MATERIAL})


@pytest.mark.parametrize(("how", "leak"), list(leaks()))
def test_the_search_finds_a_planted_leak(
    tmp_path: Path, how: str, leak: Callable[[logging.Logger], None]
) -> None:
    """Each way of leaking is found in the log it was written to: the search can fail."""
    canary = Canary()
    canary.plant(MATERIAL, "the key")
    with debug_log() as text:
        leak(logging.getLogger("careless"))
    (tmp_path / "careless.log").write_text(text.getvalue())
    assert canary.findings(tmp_path), how


def test_the_search_finds_a_leak_in_an_exception() -> None:
    """A local variable, a cause that is not printed, JSONDecodeError.doc: each is found."""
    canary = Canary()
    canary.plant(MATERIAL, "the key")

    def careless_local() -> None:
        value = MATERIAL
        raise RuntimeError(f"{len(value)}")

    def careless_cause() -> None:
        try:
            json.loads(f'{{"apiKey": "{MATERIAL}"')
        except ValueError:
            raise RuntimeError("the value is no JSON") from None

    for careless in (careless_local, careless_cause):
        with pytest.raises(RuntimeError) as failed:
            careless()
        assert canary.find(everything_said(failed.value))
