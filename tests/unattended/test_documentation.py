"""``docs/bulk.md`` says what the code does."""

from __future__ import annotations

import json
import re
import subprocess
from itertools import pairwise
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from rotation.deadline import NEXT_DOCUMENT_RESERVE
from rotation.errors import RotationError
from rotation.handlers.seal_batch import ARGUMENTS
from rotation.sealing.pdf import Limits
from rotation.sealing.pdf.limits import documents_at_once
from rotation.sealing.request import ObjectLocation
from tests.artifacts.template import Template
from tests.docs.test_docs import LEVELS, calls, fields, named, rows, section
from tests.paths import ROOT
from tests.unattended.fixtures import ArrivalQueue

PAGE = (ROOT / "docs" / "bulk.md").read_text()
SAYING = [
    *("rotation.handlers.seal_events", "rotation.handlers.seal_batch"),
    *("rotation.unattended.idempotent_sealer", "rotation.handlers.wiring.unattended"),
]


def job_arguments() -> dict[str, Any]:
    """The JSON arguments of the page's create-job, as a shell reads them."""
    [command] = [
        one for one in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if "create-job" in one
    ]
    create = command[command.index("aws s3control") :].replace("aws s3control", "printf '%s\\0'", 1)
    told = subprocess.run(
        ["bash", "-euc", "uuidgen() { echo token; }; etag='\"abc\"'; " + create],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    values = dict(pairwise(told))
    return {
        name.title(): json.loads(values[f"--{name}"])
        for name in ("operation", "manifest", "report")
    }


def test_every_log_line_is_on_the_page() -> None:
    """Message, level and fields are those of the code, and none is missing."""
    said = {
        text: LEVELS[called]
        for module in SAYING
        for called, text, _ in calls(module)
        if called in LEVELS
    }
    table = section(PAGE, "What the log says").partition("| metric |")[0]
    listed = {named(row[0])[0]: row[1] for row in rows(table) if named(row[0])}
    assert listed == said
    assert len(listed) >= 6


def test_every_metric_is_on_the_page() -> None:
    """The names are those that are counted here, and by the sealer."""
    modules = [*SAYING, "rotation.sealing.sealer"]
    counted = {text for module in modules for called, text, _ in calls(module) if called == "count"}
    found = section(PAGE, "What the log says").partition("| metric |")[2]
    assert {name for row in rows(found) for name in named(row[0])} == counted


def test_the_names_on_the_page_are_the_code_s(arrival_queue: ArrivalQueue) -> None:
    """Each source of the table gets the destination beside it."""
    versioned, plain = rows(section(PAGE, "Where a sealed document lies"))[1:]
    version, key = named(versioned[0])
    source = ObjectLocation("documents", key, version)
    once = arrival_queue.sealing
    assert once.destination(source).key == named(versioned[1])[0]
    assert once.destination(ObjectLocation("documents", key)).key == named(plain[1])[0]


def test_every_code_on_the_page_exists() -> None:
    """What people look up is what the log says."""

    def codes(root: type[RotationError]) -> set[str]:
        return {root.code}.union(*(codes(below) for below in root.__subclasses__()))

    table = rows(section(PAGE, "On arrival"))
    listed = {code for row in table for code in named(row[0]) if code != "message returned"}
    assert len(listed) >= 8
    assert listed <= codes(RotationError)


@pytest.mark.slow
def test_the_job_on_the_page_is_one_that_s3_takes() -> None:
    """Operation, manifest and report have the members that the API knows, and all it requires."""
    service = botocore.session.get_session().get_service_model("s3control")
    shape: Any = service.operation_model("CreateJob").input_shape
    given = job_arguments()
    for name, value in given.items():
        report = ParamValidator().validate(value, shape.members[name])
        assert not report.has_errors(), report.generate_report()
    assert given["Operation"]["LambdaInvoke"]["InvocationSchemaVersion"] == "2.0"
    assert given["Manifest"]["Location"]["ETag"] == "abc"


def test_the_template_s_figures_are_the_page_s() -> None:
    """Attempts, pauses, concurrency, and the time that a document needs."""
    template = Template.read(UnattendedSealing="events")
    queue = template.properties("ArrivalsQueue")
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5
    assert "after five attempts" in PAGE
    assert queue["VisibilityTimeout"] == 1800
    assert "again after half an hour" in PAGE
    assert f"`SealingConcurrency` ({template.parameters['SealingConcurrency']})" in PAGE
    assert f"`SealingBatchSize` ({template.parameters['SealingBatchSize']})" in PAGE
    memory = template.properties("SealEventsFunction")["MemorySize"]
    assert documents_at_once(memory) == int(template.parameters["SealingBatchSize"])
    assert f"with {memory:,} MB ten documents" in PAGE
    assert documents_at_once(512) == 1
    assert "with 512 MB one" in PAGE
    shared = Limits().shared()
    assert f"more than {shared.objects:,} objects" in PAGE
    assert f"{shared.decoded_bytes // 1024**2} MiB of decoded streams" in PAGE
    assert f"or {shared.time.total_seconds():.0f} s)" in PAGE
    assert f"at least {NEXT_DOCUMENT_RESERVE.total_seconds():.0f} s are left" in PAGE
    papers = template.statements("JobRole")[1]["Resource"]
    assert "/seal-jobs/" in papers
    assert "below `seal-jobs/`" in PAGE


def test_the_arguments_of_a_job_are_all_named() -> None:
    """The user arguments on the page are those that the code knows."""
    [sentence] = re.findall(r"`UserArguments` with .*?settings\.", PAGE)
    others = {"UserArguments", "true", "false", "none"}
    assert set(named(sentence)) - others == ARGUMENTS


def test_the_fields_of_log_lines_are_listed() -> None:
    """What is written into a line beside its ids stands beside its message."""
    table = section(PAGE, "What the log says").partition("| metric |")[0]
    listed = {named(row[0])[0]: set(named(row[2])) for row in rows(table) if named(row[0])}
    for module in SAYING:
        for called, text, call in calls(module):
            if called in LEVELS:
                assert fields(called, call) - {"extra"} <= listed[text]
