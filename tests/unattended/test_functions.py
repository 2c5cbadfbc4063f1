"""Both functions as Lambda runs them: in a process of their own, by their settings alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotation.sandbox.aws.functions import InvocationResult
from rotation.sandbox.aws.processes import ProcessFunction
from rotation.sandbox.vendor import VendorFault
from rotation.sealing.request import Certification
from rotation.sealing.verify import verify
from tests.client.fixtures import NAME
from tests.privacy.canary import Canary
from tests.rotation_fixture import RotationFixture
from tests.sealing.conftest import SealerFixture
from tests.sealing.images import image, saved
from tests.sealing.pdf_tools import is_within, visible_change
from tests.sealing.pdfs import pdf
from tests.unattended.fixtures import ArrivalQueue, task

Start = Callable[..., ProcessFunction]


@pytest.fixture
def start(
    rotation_fixture: RotationFixture, sealer_fixture: SealerFixture, tmp_path: Path
) -> Iterator[Start]:
    """Starts one of the functions; settings may be changed."""
    anchors = tmp_path / "anchors.pem"
    anchors.write_bytes(sealer_fixture.pki.root_pem)
    settings = {
        **rotation_fixture.cloud.environment(),
        "CREDENTIAL_SECRET": NAME,
        "SOURCE_LOCATIONS": sealer_fixture.incoming,
        "DESTINATION_LOCATIONS": f"{sealer_fixture.outgoing}/sealed/",
        "VENDOR_URL": sealer_fixture.emulator.url,
        "SIGNER_TRUST_ANCHORS": str(anchors),
        "SIGNER_ORGANIZATION": "Trusted Signatures Sandbox",
        "SEAL_REASON": "Arrived",
    }
    running: list[ProcessFunction] = []

    def begin(name: str, handler: str = "", **changes: str) -> ProcessFunction:
        function = ProcessFunction(
            handler or f"rotation.handlers.{name}.handler",
            environment=settings | changes,
            log_path=tmp_path / f"{name}.log",
            timeout=timedelta(minutes=5),
            name=name,
        )
        running.append(function)
        return function

    yield begin
    for function in running:
        function.close()


def invoke(function: ProcessFunction, event: dict[str, Any]) -> Any:
    """The answer to an event; the invocation must not fail."""
    result: InvocationResult = function.invoke(json.dumps(event).encode())
    assert not result.error, result.description()
    return json.loads(result.payload)


def test_events_and_a_job_by_their_settings_alone(
    sealer_fixture: SealerFixture, arrival_queue: ArrivalQueue, start: Start, tmp_path: Path
) -> None:
    """What arrived is sealed as the settings say; the job finds it; both counted, with names."""
    version = sealer_fixture.put("a.pdf", pdf())
    events, job = start("seal_events"), start("seal_batch")
    assert arrival_queue.deliver(lambda event: invoke(events, event)) == []
    assert b"Arrived" in sealer_fixture.sealed(f"sealed/a.pdf/{version}.pdf")
    told = invoke(job, task(sealer_fixture.incoming, "a.pdf", version))
    assert told["results"][0]["resultString"].startswith("already sealed: ")
    counted = {
        name: [line for line in json_lines(tmp_path / f"{name}.log") if "_aws" in line]
        for name in ("seal_events", "seal_batch")
    }
    [sealed], [found] = counted["seal_events"], counted["seal_batch"]
    assert (sealed["DocumentsSealed"], sealed["function"]) == ([1.0], "seal_events")
    assert (found["DocumentsSealedBefore"], found["function"]) == ([1.0], "seal_batch")


def test_a_function_that_would_feed_itself_does_not_start(
    sealer_fixture: SealerFixture, arrival_queue: ArrivalQueue, start: Start
) -> None:
    """The invocation fails, every message waits, and a job's report names the setting."""
    sealer_fixture.put("a.pdf", pdf())
    within = {"DESTINATION_LOCATIONS": f"{sealer_fixture.incoming}/sealed/"}
    [message] = arrival_queue.take()
    record = {"messageId": "1", "body": message, "attributes": {}, "eventSource": "aws:sqs"}
    failed = start("seal_events", **within).invoke(json.dumps({"Records": [record]}).encode())
    assert failed.error
    assert "overlap" in failed.description()
    told = invoke(start("seal_batch", **within), task(sealer_fixture.incoming, "a.pdf", None))
    assert told["results"][0]["resultCode"] == "PermanentFailure"
    assert told["results"][0]["resultString"].startswith("configuration: ")
    assert sealer_fixture.nothing_sealed()


def test_a_seal_is_seen_and_certifies_by_settings_alone(
    sealer_fixture: SealerFixture, arrival_queue: ArrivalQueue, start: Start, tmp_path: Path
) -> None:
    """What arrives gets the visible seal of the settings; so does what a job names."""
    logo = tmp_path / "logo.png"
    logo.write_bytes(saved(image()))
    settings = {
        "SEAL_CERTIFY": "FORM_FILLING",
        "SEAL_VISIBLE_PAGE": "1",
        "SEAL_VISIBLE_BOX": "20,30,140,70",
        "SEAL_VISIBLE_TEXT": r"Sealed\nin Bern",
        "SEAL_VISIBLE_IMAGE": str(logo),
    }
    first = sealer_fixture.put("a.pdf", pdf())
    events = start("seal_events", **settings)
    assert arrival_queue.deliver(lambda event: invoke(events, event)) == []
    second = sealer_fixture.put("b.pdf", pdf())
    told = invoke(start("seal_batch", **settings), task(sealer_fixture.incoming, "b.pdf", second))
    assert told["results"][0]["resultCode"] == "Succeeded", told
    for name, version in (("a", first), ("b", second)):
        sealed = sealer_fixture.sealed(f"sealed/{name}.pdf/{version}.pdf")
        (report,) = verify(sealed, sealer_fixture.pki.root_pem)
        assert (report.problem, report.allows) == (None, Certification.FORM_FILLING)
        assert is_within(visible_change(pdf(), sealed, tmp_path), (20.0, 30.0, 140.0, 70.0))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SEAL_CERTIFY", "EVERYTHING"),
        ("SEAL_VISIBLE_TEXT", "nowhere"),
        ("SEAL_REASON", "x" * 300),
        ("DESTINATION_LOCATIONS", "not-there/sealed/"),
    ],
)
def test_a_function_that_could_seal_nothing_does_not_start(
    sealer_fixture: SealerFixture,
    arrival_queue: ArrivalQueue,
    start: Start,
    variable: str,
    value: str,
) -> None:
    """The invocation fails with the setting's name, every message waits, and nothing is bought."""
    sealer_fixture.put("a.pdf", pdf())
    [message] = arrival_queue.take()
    record = {"messageId": "1", "body": message, "attributes": {}, "eventSource": "aws:sqs"}
    function = start("seal_events", **{variable: value})
    failed = function.invoke(json.dumps({"Records": [record]}).encode())
    assert failed.error
    assert "ConfigurationError" in failed.description()
    assert variable in failed.description()
    told = invoke(
        start("seal_batch", **{variable: value}), task(sealer_fixture.incoming, "a.pdf", None)
    )
    [result] = told["results"]
    assert result["resultCode"] == "PermanentFailure"
    assert result["resultString"].startswith("configuration: ")
    assert variable in result["resultString"]
    assert sealer_fixture.emulator.signatures.total() == 0


def test_loud_functions_say_no_key(
    rotation_fixture: RotationFixture,
    sealer_fixture: SealerFixture,
    arrival_queue: ArrivalQueue,
    start: Start,
    tmp_path: Path,
) -> None:
    """Everything at DEBUG, with failures on the way: no piece of a key in logs or answers."""
    canary = Canary()
    loud = "tests.privacy.loud.handler"
    events = start("seal_events", loud, LOUD_MODULE="rotation.handlers.seal_events")
    job = start("seal_batch", loud, LOUD_MODULE="rotation.handlers.seal_batch")
    rotation_fixture.vendor.faults.next("sign", VendorFault.STRANGER)
    for name, content in (("a.pdf", pdf()), ("b.pdf", pdf()), ("c.pdf", b"no PDF")):
        sealer_fixture.put(name, content)
    said = [arrival_queue.deliver(lambda event: invoke(events, event)), arrival_queue.answers]
    rotation_fixture.vendor.keys.revoke(next(iter(rotation_fixture.vendor.signatures)))
    rotation_fixture.store()
    said.append([invoke(job, task(sealer_fixture.incoming, f"{name}.pdf", None)) for name in "abc"])
    rotation_fixture.put("no key")
    sealer_fixture.put("d.pdf", pdf())
    said.append(
        invoke(start("fresh", "rotation.handlers.seal_batch.handler"), d_task(sealer_fixture))
    )
    for key in rotation_fixture.vendor.keys.all():
        canary.plant(key.material, f"key {key.id}")
    (tmp_path / "said.json").write_text(json.dumps(said))
    logged = (tmp_path / "seal_events.log").read_text()
    assert "Response body" in logged, "botocore's own debugging must be in what is searched"
    assert "invalid_credential" in json.dumps(said)
    assert canary.findings(tmp_path) == []


def d_task(sealer_fixture: SealerFixture) -> dict[str, Any]:
    return task(sealer_fixture.incoming, "d.pdf", None)


def json_lines(log: Path) -> Iterator[dict[str, Any]]:
    for line in log.read_text().splitlines():
        if line.startswith("{"):
            yield json.loads(line)
