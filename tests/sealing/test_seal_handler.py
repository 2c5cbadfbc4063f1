"""The sealing function's answers and what its process prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn

import pytest

from rotation.errors import ConfigurationError
from rotation.handlers.seal import answer
from rotation.privacy.observability import logger
from rotation.privacy.redaction import hide_value, renderings
from rotation.sandbox.vendor import Outage
from rotation.sealing.verify import verify
from tests.sealing.conftest import SealerFixture
from tests.sealing.pdfs import pdf
from tests.sealing.seal_function import SealFunction, environment_of


@pytest.fixture
def environment(sealer_fixture: SealerFixture, s3_url: str, tmp_path: Path) -> dict[str, str]:
    """The function's environment, with Powertools asked to log everything it can."""
    return environment_of(sealer_fixture, s3_url, tmp_path) | {
        "POWERTOOLS_LOGGER_LOG_EVENT": "true",
        "POWERTOOLS_LOG_LEVEL": "DEBUG",
    }


def json_lines(printed: str) -> Iterator[dict[str, Any]]:
    for line in printed.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def test_the_function_seals_and_says_so_in_one_line(
    sealer_fixture: SealerFixture, environment: Mapping[str, str]
) -> None:
    """The answer, the sealed file, one line in the log, one count, and no key anywhere."""
    sealer_fixture.put("a.pdf", pdf())
    (sealed,), printed = SealFunction(environment).invoke(sealer_fixture.event())
    assert sealed["status"] == "sealed"
    (report,) = verify(sealer_fixture.sealed(), sealer_fixture.pki.root_pem)
    assert report.problem is None
    facts = [line for line in json_lines(printed) if "level" in line]
    counts = [line for line in json_lines(printed) if "_aws" in line]
    assert [fact["message"] for fact in facts] == ["document sealed"]
    assert facts[0]["source"] == f"s3://{sealer_fixture.incoming}/a.pdf"
    assert facts[0]["key_id"] == sealer_fixture.key.id
    assert facts[0]["source_bytes"] == len(pdf())
    assert [line["DocumentsSealed"] for line in counts] == [[1.0]]


def test_expected_failures_are_answers(
    sealer_fixture: SealerFixture, environment: Mapping[str, str]
) -> None:
    """Each failure is an answer with a stable code; the process lives on and seals the next."""
    sealer_fixture.put("a.pdf", pdf())
    sealer_fixture.put("b.pdf", b"no PDF")
    wrong_key = sealer_fixture.event()
    wrong_key["credential"]["apiKey"] = "ab" * 32
    bad_key = sealer_fixture.event()
    bad_key["credential"]["apiKey"] += "z"
    typo = sealer_fixture.event() | {"optoins": {}}
    answers, printed = SealFunction(environment).invoke(
        sealer_fixture.event("b.pdf"),
        sealer_fixture.event("missing.pdf"),
        wrong_key,
        bad_key,
        typo,
        None,
        sealer_fixture.event(),
    )
    assert [one["error"]["code"] if "error" in one else "" for one in answers] == [
        "unsupported_pdf",
        "source_not_found",
        "credential_rejected",
        "invalid_credential",
        "invalid_request",
        "invalid_request",
        "",
    ]
    assert all(one["error"].keys() == {"code", "message", "retryable"} for one in answers[:-1])
    counts = [line for line in json_lines(printed) if "_aws" in line]
    assert [("SealsFailed" in line, "DocumentsSealed" in line) for line in counts] == [
        (True, False)
    ] * 6 + [(False, True)]
    assert len([line for line in json_lines(printed) if "level" in line]) == 7


def test_no_key_is_printed_whatever_the_environment_asks_for(
    sealer_fixture: SealerFixture, environment: Mapping[str, str]
) -> None:
    """With event logging and DEBUG asked for, no rendering of the key is in answers or logs."""
    sealer_fixture.put("a.pdf", pdf())
    bad_key = sealer_fixture.event()
    bad_key["credential"]["apiKey"] += "z"
    sealer_fixture.emulator.outage = Outage.UNAVAILABLE
    answers, printed = SealFunction(environment).invoke(sealer_fixture.event(), bad_key)
    said = printed + json.dumps(answers)
    assert "vendor_unavailable" in said
    for form in renderings(sealer_fixture.material):
        assert form not in said
        assert form[:16] not in said


def test_a_missing_setting_is_an_answer_too(
    sealer_fixture: SealerFixture, environment: dict[str, str]
) -> None:
    """A function that was deployed wrong says which variable is missing."""
    del environment["DESTINATION_LOCATIONS"]
    (refused,), _ = SealFunction(environment).invoke(sealer_fixture.event())
    assert refused["error"]["code"] == "configuration"
    assert "DESTINATION_LOCATIONS" in refused["error"]["message"]


def test_a_failure_that_nobody_foresaw_tells_the_caller_nothing(
    sealer_fixture: SealerFixture,
) -> None:
    """The caller gets the code "internal" and no detail; the log gets the traceback, scrubbed."""
    # Not a key of the vendor's: pytest's own log capture prints this exception as it is.
    material = "9d3e" * 16
    hide_value(material)

    def broken() -> NoReturn:
        raise ZeroDivisionError(material)

    printed = StringIO()
    before = logger.registered_handler.setStream(printed)  # type: ignore[attr-defined]
    try:
        answered = answer(sealer_fixture.event(), broken)
    finally:
        logger.registered_handler.setStream(before)  # type: ignore[attr-defined]
    assert answered["error"]["code"] == "internal"
    assert answered["error"]["retryable"] is False
    assert "ZeroDivisionError" not in str(answered)
    assert "ZeroDivisionError" in printed.getvalue()
    assert "in broken" in printed.getvalue()
    assert material[:12] not in printed.getvalue() + str(answered)


def test_an_expected_failure_of_the_wiring_keeps_its_code(sealer_fixture: SealerFixture) -> None:
    """What the settings complain of is told as it is."""

    def unset() -> NoReturn:
        raise ConfigurationError("SOURCE_LOCATIONS is not set.")

    assert answer(sealer_fixture.event(), unset) == {
        "status": "error",
        "error": {
            "code": "configuration",
            "message": "SOURCE_LOCATIONS is not set.",
            "retryable": False,
        },
    }
