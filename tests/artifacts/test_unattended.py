"""The functions for events and for bulk, from their artifact, under the interface emulator.

As in `test_end_to_end`: the directory that is deployed, the template's handler and variables. What
arrives goes its whole way: S3, EventBridge, the template's rule, a queue.
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
from tests.artifacts.alarms import fires, printed
from tests.artifacts.emulator import EmulatedFunction
from tests.artifacts.template import Template
from tests.client.fixtures import NAME
from tests.privacy.canary import Canary
from tests.rotation_fixture import RotationFixture
from tests.sealing.conftest import SealerFixture
from tests.sealing.pdf_tools import is_within, visible_change
from tests.sealing.pdfs import large, pdf
from tests.unattended.fixtures import ArrivalQueue, old_task, task

Invoke = Callable[[dict[str, Any]], Any]
Emulate = Callable[..., Invoke]


@pytest.fixture
def here(
    rotation_fixture: RotationFixture, sealer_fixture: SealerFixture, tmp_path: Path
) -> dict[str, str]:
    """What the functions find here, in place of what the template names."""
    anchors = tmp_path / "anchors.pem"
    anchors.write_bytes(sealer_fixture.pki.root_pem)
    return {
        **rotation_fixture.cloud.environment(),
        "CREDENTIAL_SECRET": NAME,
        "SOURCE_LOCATIONS": sealer_fixture.incoming,
        "DESTINATION_LOCATIONS": f"{sealer_fixture.outgoing}/sealed/",
        "VENDOR_URL": sealer_fixture.emulator.url,
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


def good(sealed: bytes, source: bytes, sealer_fixture: SealerFixture) -> bool:
    """Whether it is its source and one trusted seal over all."""
    (report,) = verify(sealed, sealer_fixture.pki.root_pem)
    whole = report.covers_whole_file and sealed.startswith(source)
    return whole and report.trusted is True and report.problem is None


def asked(cloud: Cloud, began: int, sealer_fixture: SealerFixture) -> set[str]:
    """What was asked of AWS since then, without keys and versions."""
    places = {
        f"/{sealer_fixture.incoming}/": " source",
        f"/{sealer_fixture.outgoing}/": " destination",
    }
    found = set()
    for call in cloud.calls[began:]:
        operation, _, path = call.operation.partition(" ")
        found.add(operation + next((told for at, told in places.items() if at in path), ""))
    return found


def test_what_arrives_is_sealed_and_what_cannot_be_comes_again(
    rotation_fixture: RotationFixture,
    sealer_fixture: SealerFixture,
    arrival_queue: ArrivalQueue,
    emulate: Emulate,
) -> None:
    """Of a batch of three, two are sealed and one is returned; a repeat buys nothing."""
    contents = {"Jahr 2026/ä+b.pdf": pdf(), "large.pdf": large(IN_MEMORY)}
    versions = {key: sealer_fixture.put(key, content) for key, content in contents.items()}
    sealer_fixture.put("damaged.pdf", b"%PDF-1.7 cut off")
    events = emulate("SealEventsFunction")
    began = len(rotation_fixture.cloud.calls)
    [returned] = arrival_queue.deliver(events)
    assert json.loads(returned)["detail"]["object"]["key"] == "damaged.pdf"
    [answer] = arrival_queue.answers
    assert list(answer) == ["batchItemFailures"]
    for key, version in versions.items():
        assert good(
            sealer_fixture.sealed(f"sealed/{key}/{version}.pdf"), contents[key], sealer_fixture
        )
    assert "Uploads" not in sealer_fixture.s3.list_multipart_uploads(Bucket=sealer_fixture.outgoing)
    assert {"GetSecretValue", "HEAD source", "HEAD destination", "PUT destination"} <= asked(
        rotation_fixture.cloud, began, sealer_fixture
    )
    assert sealer_fixture.emulator.signatures.total() == 2
    for _ in range(2):
        assert arrival_queue.deliver(events) == [returned]
    letters = arrival_queue.dead_letters()
    assert json.loads(letters[0])["detail"]["object"]["key"] == "damaged.pdf"
    alarm = Template.read(UnattendedSealing="events").properties("UnsealedAlarm")
    assert fires(alarm, [[float(len(letters))]])
    assert not fires(alarm, [[0.0]])
    assert sealer_fixture.emulator.signatures.total() == 2


def test_a_job_s_tasks_end_in_results(
    sealer_fixture: SealerFixture, arrival_queue: ArrivalQueue, emulate: Emulate, tmp_path: Path
) -> None:
    """Both schemas: sealed, sealed before, never to be sealed; the key is in no log."""
    version = sealer_fixture.put("a b.pdf", pdf())
    damaged = sealer_fixture.put("damaged.pdf", b"%PDF-1.7 cut off")
    bulk = emulate("SealBatchFunction")
    place = f"s3://{sealer_fixture.outgoing}/sealed/a b.pdf/{version}.pdf"
    for event, code, text in (
        (task(sealer_fixture.incoming, "a%20b.pdf", version), "Succeeded", f"sealed: {place}"),
        (
            old_task(sealer_fixture.incoming, "a+b.pdf", version),
            "Succeeded",
            f"already sealed: {place}",
        ),
        (
            task(sealer_fixture.incoming, "damaged.pdf", damaged),
            "PermanentFailure",
            "damaged_pdf: ",
        ),
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
    assert good(sealer_fixture.sealed(f"sealed/a b.pdf/{version}.pdf"), pdf(), sealer_fixture)
    assert sealer_fixture.emulator.signatures.total() == 1
    canary = Canary()
    for key in sealer_fixture.emulator.keys.all():
        canary.plant(key.material, f"key {key.id}")
    assert "document sealed" in (tmp_path / "SealBatchFunction.log").read_text()
    assert canary.findings(tmp_path) == []


def test_tasks_that_fail_raise_an_alarm(
    sealer_fixture: SealerFixture, emulate: Emulate, tmp_path: Path
) -> None:
    """As many as the parameter says within five minutes; a task that succeeds is not counted."""
    bulk = emulate("SealBatchFunction")
    results = [
        bulk(task(sealer_fixture.incoming, key, sealer_fixture.put(key, content)))["results"][0]
        for key, content in [("good.pdf", pdf()), *((f"{n}.pdf", b"no PDF") for n in range(5))]
    ]
    assert [one["resultCode"] for one in results] == ["Succeeded", *["PermanentFailure"] * 5]
    alarm = Template.read(UnattendedSealing="bulk").properties("BulkTasksFailedAlarm")
    log = (tmp_path / "SealBatchFunction.log").read_text()
    values = printed(log, alarm, {})
    assert values == [1.0] * 5
    assert fires(alarm, [values])
    assert not fires(alarm, [values[1:]])


@pytest.mark.parametrize("function", ["SealEventsFunction", "SealBatchFunction"])
def test_the_deployed_code_seals_as_the_parameters_say(
    sealer_fixture: SealerFixture,
    arrival_queue: ArrivalQueue,
    emulate: Emulate,
    tmp_path: Path,
    function: str,
) -> None:
    """Seen, certified and with a reason: the typeface lies beside the code."""
    version = sealer_fixture.put("a.pdf", pdf())
    invoke = emulate(
        function,
        SealReason="Arrived",
        SealCertify="FORM_FILLING",
        SealVisiblePage="-1",
        SealVisibleBox="20,30,140,70",
        SealVisibleText="Geprüft",
    )
    if function == "SealEventsFunction":
        assert arrival_queue.deliver(invoke) == []
    else:
        invoke(task(sealer_fixture.incoming, "a.pdf", version))
    sealed = sealer_fixture.sealed(f"sealed/a.pdf/{version}.pdf")
    assert good(sealed, pdf(), sealer_fixture)
    (report,) = verify(sealed, sealer_fixture.pki.root_pem)
    assert report.allows is Certification.FORM_FILLING
    assert b"Arrived" in sealed
    assert is_within(visible_change(pdf(), sealed, tmp_path), (20.0, 30.0, 140.0, 70.0))
