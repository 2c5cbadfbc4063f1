"""The functions for events and for bulk, from their artifact, under the interface emulator.

As in `test_end_to_end`: the directory that is deployed, the template's handler and variables. What
arrives goes its no_jitter way: S3, EventBridge, the template's rule, a queue.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotation.sandbox.aws.cloud import Cloud
from rotation.sealing.request import Certification
from rotation.sealing.storage.s3 import IN_MEMORY
from rotation.sealing.verify import verify
from tests.artifacts.emulator import EmulatedFunction
from tests.artifacts.template import Template
from tests.client.fixtures import NAME
from tests.privacy.canary import Canary
from tests.rotation_fixture import RotationFixture
from tests.sealing.conftest import Office
from tests.sealing.judges import is_within, visible_change
from tests.sealing.pdfs import large, pdf
from tests.unattended.parts import Arrivals, old_task, task

Invoke = Callable[[dict[str, Any]], Any]
Emulate = Callable[..., Invoke]


@pytest.fixture
def office(rotation_fixture: RotationFixture) -> Iterator[Office]:
    """Two buckets with versions, and a secret with a key that works."""
    rotation_fixture.store()
    office = Office(
        rotation_fixture.cloud.client("s3"), rotation_fixture.vendor, rotation_fixture.pki
    )
    yield office
    office.http.close()


@pytest.fixture
def arrivals(rotation_fixture: RotationFixture, office: Office) -> Arrivals:
    """What arrives in the incoming bucket is in the queue."""
    return Arrivals(rotation_fixture, office)


@pytest.fixture
def here(rotation_fixture: RotationFixture, office: Office, tmp_path: Path) -> dict[str, str]:
    """What the functions find here, in place of what the template names."""
    anchors = tmp_path / "anchors.pem"
    anchors.write_bytes(office.pki.root_pem)
    return {
        **rotation_fixture.cloud.environment(),
        "CREDENTIAL_SECRET": NAME,
        "SOURCE_LOCATIONS": office.incoming,
        "DESTINATION_LOCATIONS": f"{office.outgoing}/sealed/",
        "VENDOR_URL": office.emulator.url,
        "SIGNER_TRUST_ANCHORS": str(anchors),
        "SIGNER_ORGANIZATION": "Trusted Signatures Sandbox",
    }


@pytest.fixture
def emulate(
    built: Path,
    runtime: Path,
    interface_emulator_binary: Path,
    here: dict[str, str],
    tmp_path: Path,
) -> Iterator[Emulate]:
    """Starts one of the template's functions; parameters of the template may be given."""
    with ExitStack() as running:

        def start(function: str, **parameters: str) -> Invoke:
            template = Template.read(UnattendedSealing="events", **parameters)
            properties = template.properties(function)
            assert properties["CodeUri"] == "build/sealing"
            emulated = running.enter_context(
                EmulatedFunction(
                    artifact=built / "sealing",
                    handler=properties["Handler"],
                    environment={**template.environment(function), **here},
                    runtime=runtime,
                    emulator=interface_emulator_binary,
                    log=tmp_path / f"{function}.log",
                    name=function,
                    timeout=timedelta(seconds=properties["Timeout"]),
                )
            )

            def invoke(event: dict[str, Any]) -> Any:
                result = emulated.invoke(json.dumps(event).encode())
                assert not result.error, result.description()
                return json.loads(result.payload)

            return invoke

        yield start


def good(sealed: bytes, source: bytes, office: Office) -> bool:
    """Whether it is its source and one trusted seal over all."""
    (report,) = verify(sealed, office.pki.root_pem)
    no_jitter = report.covers_whole_file and sealed.startswith(source)
    return no_jitter and report.trusted is True and report.problem is None


def asked(cloud: Cloud, began: int, office: Office) -> set[str]:
    """What was asked of AWS since then, without keys and versions."""
    places = {f"/{office.incoming}/": " source", f"/{office.outgoing}/": " destination"}
    found = set()
    for call in cloud.calls[began:]:
        operation, _, path = call.operation.partition(" ")
        found.add(operation + next((told for at, told in places.items() if at in path), ""))
    return found


def test_what_arrives_is_sealed_and_what_cannot_be_comes_again(
    rotation_fixture: RotationFixture, office: Office, arrivals: Arrivals, emulate: Emulate
) -> None:
    """Of a batch of three, two are sealed and one is returned; a repeat buys nothing."""
    contents = {"Jahr 2026/ä+b.pdf": pdf(), "large.pdf": large(IN_MEMORY)}
    versions = {key: office.put(key, content) for key, content in contents.items()}
    office.put("damaged.pdf", b"%PDF-1.7 cut off")
    events = emulate("SealEventsFunction")
    began = len(rotation_fixture.cloud.calls)
    [returned] = arrivals.deliver(events)
    assert json.loads(returned)["detail"]["object"]["key"] == "damaged.pdf"
    [answer] = arrivals.answers
    assert list(answer) == ["batchItemFailures"]
    for key, version in versions.items():
        assert good(office.sealed(f"sealed/{key}/{version}.pdf"), contents[key], office)
    assert "Uploads" not in office.s3.list_multipart_uploads(Bucket=office.outgoing)
    assert {"GetSecretValue", "HEAD source", "HEAD destination", "PUT destination"} <= asked(
        rotation_fixture.cloud, began, office
    )
    assert office.emulator.signatures.total() == 2
    for _ in range(2):
        assert arrivals.deliver(events) == [returned]
    assert json.loads(arrivals.dead_letters()[0])["detail"]["object"]["key"] == "damaged.pdf"
    assert office.emulator.signatures.total() == 2


def test_a_job_s_tasks_end_in_results(
    office: Office, arrivals: Arrivals, emulate: Emulate, tmp_path: Path
) -> None:
    """Both schemas: sealed, sealed before, never to be sealed; the key is in no log."""
    version = office.put("a b.pdf", pdf())
    damaged = office.put("damaged.pdf", b"%PDF-1.7 cut off")
    bulk = emulate("SealBatchFunction")
    place = f"s3://{office.outgoing}/sealed/a b.pdf/{version}.pdf"
    for event, code, text in (
        (task(office.incoming, "a%20b.pdf", version), "Succeeded", f"sealed: {place}"),
        (old_task(office.incoming, "a+b.pdf", version), "Succeeded", f"already sealed: {place}"),
        (task(office.incoming, "damaged.pdf", damaged), "PermanentFailure", "damaged_pdf: "),
    ):
        told = bulk(event)
        [result] = told.pop("results")
        assert told == {
            "invocationSchemaVersion": event["invocationSchemaVersion"],
            "treatMissingKeysAs": "TemporaryFailure",
            "invocationId": "invocation",
        }
        assert (result["taskId"], result["resultCode"]) == ("task", code)
        assert result["resultString"].startswith(text)
    assert good(office.sealed(f"sealed/a b.pdf/{version}.pdf"), pdf(), office)
    assert office.emulator.signatures.total() == 1
    canary = Canary()
    for key in office.emulator.keys.all():
        canary.plant(key.material, f"key {key.id}")
    assert "document sealed" in (tmp_path / "SealBatchFunction.log").read_text()
    assert canary.findings(tmp_path) == []


@pytest.mark.parametrize("function", ["SealEventsFunction", "SealBatchFunction"])
def test_the_deployed_code_seals_as_the_parameters_say(
    office: Office, arrivals: Arrivals, emulate: Emulate, tmp_path: Path, function: str
) -> None:
    """Seen, certified and with a reason: the typeface lies beside the code."""
    version = office.put("a.pdf", pdf())
    invoke = emulate(
        function,
        SealReason="Arrived",
        SealCertify="FORM_FILLING",
        SealVisiblePage="-1",
        SealVisibleBox="20,30,140,70",
        SealVisibleText="Geprüft",
    )
    if function == "SealEventsFunction":
        assert arrivals.deliver(invoke) == []
    else:
        invoke(task(office.incoming, "a.pdf", version))
    sealed = office.sealed(f"sealed/a.pdf/{version}.pdf")
    assert good(sealed, pdf(), office)
    (report,) = verify(sealed, office.pki.root_pem)
    assert report.allows is Certification.FORM_FILLING
    assert b"Arrived" in sealed
    assert is_within(visible_change(pdf(), sealed, tmp_path), (20.0, 30.0, 140.0, 70.0))
