"""The sealing function's contract as its client reads it, against docs/sealing.md."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from rotation import errors
from rotation.client.contract import Seal, event_of, read_answer
from rotation.credential import ApiKey
from rotation.errors import (
    CredentialRejectedError,
    InvalidRequestError,
    RotationError,
    SealingError,
    VendorUnavailableError,
)
from rotation.sealing.request import Certification, ObjectLocation, SealOptions, SealRequest
from rotation.sealing.visible_seal import VisibleSeal
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "sealing.md").read_text()
REQUEST, ANSWER, *_ = (
    json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
)
CODES = re.findall(r"^\| `(\w+)` \| (?:yes|no|depends) \|", PAGE, re.MULTILINE)


@pytest.fixture
def request_on_the_page() -> SealRequest:
    """The example of docs/sealing.md."""
    return SealRequest.parse(REQUEST)


def refusal(code: str, message: str = "what it is", *, retryable: bool = False) -> dict[str, Any]:
    return {"status": "error", "error": {"code": code, "message": message, "retryable": retryable}}


def test_the_request_on_the_page_is_what_is_sent(request_on_the_page: SealRequest) -> None:
    """Member by member, and no option that was not asked for."""
    assert event_of(request_on_the_page) == REQUEST
    plain = SealRequest(
        ObjectLocation("documents", "a.pdf"),
        ObjectLocation("sealed-documents", "a.pdf"),
        request_on_the_page.key,
        SealOptions(),
    )
    sent = event_of(plain)
    assert sent.keys() == {"source", "destination", "credential"}
    assert sent["source"] == {"bucket": "documents", "key": "a.pdf"}
    assert SealRequest.parse(sent) == plain


def test_every_option_is_sent(request_on_the_page: SealRequest) -> None:
    """What the sealing function parses is what the caller said."""
    everything = SealOptions(
        *("Seal7", "why", "where", "who"),
        timestamp=True,
        repair=True,
        certify=Certification.ANNOTATIONS,
        visible=VisibleSeal(-1, (0.5, 1.0, 200.0, 50.0), "a\nb", b"\xff\xd8\xff\x00"),
    )
    request = SealRequest(
        request_on_the_page.source,
        request_on_the_page.destination,
        request_on_the_page.key,
        everything,
    )
    assert SealRequest.parse(json.loads(json.dumps(event_of(request)))).options == everything


def test_the_answer_on_the_page_is_read(request_on_the_page: SealRequest) -> None:
    """Each member has its place and its type."""
    seal = read_answer(ANSWER, request_on_the_page)
    assert isinstance(seal, Seal)
    assert seal.source.location == request_on_the_page.source
    assert seal.destination.location.version_id == ANSWER["destination"]["versionId"]
    assert seal.destination.etag == ANSWER["destination"]["etag"]
    assert (seal.key_id, seal.size) == (request_on_the_page.key.id, 52831)
    assert len(seal.digest) == 32
    assert (seal.signer, seal.organization) == ("CN=Example Seal,O=Example,C=CH", "Example")
    assert seal.timestamped_at == datetime(2026, 4, 17, 9, 30, 12, tzinfo=UTC)


def test_what_may_be_absent_may_be_absent(request_on_the_page: SealRequest) -> None:
    """No versions, no timestamp, no organisation; and members that are not known yet."""
    answer = json.loads(json.dumps(ANSWER)) | {"timestampedAt": None, "pages": 3}
    del answer["destination"]["versionId"]
    answer["signer"]["organization"] = None
    seal = read_answer(answer, request_on_the_page)
    assert isinstance(seal, Seal)
    assert (seal.timestamped_at, seal.organization) == (None, None)
    assert seal.destination.location.version_id is None


@pytest.mark.parametrize(
    "change",
    [
        {"status": "done"},
        {"keyId": "00000000-0000-4000-8000-000000000000"},
        {"keyId": None},
        {"digest": "AAAA"},
        {"digest": "not base64"},
        {"bytes": "52831"},
        {"bytes": True},
        {"signer": None},
        {"signer": {"subject": "", "organization": None, "chained": True}},
        {"signer": {"subject": "CN=x", "organization": None, "chained": 1}},
        {"timestampedAt": "yesterday"},
        {"timestampedAt": "2026-04-17T09:30:12"},
        {"timestampedAt": "9999-12-31T23:59:59-01:00"},
        {"source": {"bucket": "documents", "key": "other.pdf", "etag": "e"}},
        {"destination": {"bucket": "other", "key": "2026/inspection.pdf", "etag": "e"}},
        {"destination": {"bucket": "sealed-documents", "key": "2026/inspection.pdf"}},
        {"destination": []},
    ],
    ids=str,
)
def test_an_answer_that_is_not_the_contract_is_no_seal(
    request_on_the_page: SealRequest, change: dict[str, Any]
) -> None:
    """Another document, another key, a missing or mistyped member: an error, not retryable."""
    error = read_answer(ANSWER | change, request_on_the_page)
    assert isinstance(error, SealingError)
    assert error.retryable is False
    assert "docs/sealing.md" in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "sealed",
        {},
        {"status": "error"},
        {"status": "error", "error": {"code": "destination", "message": "m"}},
        {"status": "error", "error": {"code": 7, "message": "m", "retryable": True}},
        {"errorMessage": "Task timed out", "errorType": "Sandbox.Timedout"},
    ],
    ids=str,
)
def test_what_is_no_answer_at_all_is_an_error(
    request_on_the_page: SealRequest, answer: object
) -> None:
    """Whatever a wrong function, or a proxy, returns."""
    error = read_answer(answer, request_on_the_page)
    assert isinstance(error, SealingError)
    assert error.retryable is False


@pytest.mark.parametrize("code", [code for code in CODES if code != "internal"])
@pytest.mark.parametrize("retryable", [True, False])
def test_every_code_on_the_page_is_its_class(
    request_on_the_page: SealRequest, code: str, retryable: bool
) -> None:
    """Callers catch the classes of rotation.errors, whichever side raised them."""
    [known] = {
        one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, RotationError) and one.code == code
    }
    error = read_answer(refusal(code, retryable=retryable), request_on_the_page)
    assert type(error) is known
    assert error.retryable is retryable
    assert "what it is" in str(error)


def test_the_page_has_codes() -> None:
    """The table was found."""
    assert len(CODES) >= 15


@pytest.mark.parametrize("code", ["internal", "a_code_of_next_year"])
def test_an_unknown_code_is_told(request_on_the_page: SealRequest, code: str) -> None:
    """A newer function may know more: the parent class, with the code in the message."""
    error = read_answer(refusal(code, retryable=True), request_on_the_page)
    assert type(error) is SealingError
    assert error.retryable is True
    assert code in str(error)


def test_a_vendor_s_message_is_not_told_twice(request_on_the_page: SealRequest) -> None:
    """What went wrong at the vendor reads as it does in the function's log."""
    told = str(VendorUnavailableError("sign", "too slow", status=503))
    error = read_answer(refusal("vendor_unavailable", told), request_on_the_page)
    assert str(error) == told
    assert isinstance(error, VendorUnavailableError)
    assert error.operation == "sign"
    bare = read_answer(refusal("credential_rejected", "no"), request_on_the_page)
    assert isinstance(bare, CredentialRejectedError)
    assert str(bare) == "sign: no"


def test_a_message_is_bounded_and_holds_no_key(request_on_the_page: SealRequest) -> None:
    """Even a function that is not ours cannot put the key, or a book, into the caller's log."""
    key: ApiKey = request_on_the_page.key
    told = f"wrong: {key.material.reveal()} " + "x" * 5000
    error = read_answer(refusal("invalid_request", told), request_on_the_page)
    assert isinstance(error, InvalidRequestError)
    assert key.material.reveal() not in str(error)
    assert len(str(error)) <= 1000


@pytest.mark.parametrize("field", ["options.visible.box", "source.key", None])
def test_an_invalid_request_names_the_same_field_on_both_sides(
    request_on_the_page: SealRequest, field: str | None
) -> None:
    """A caller can name the member in its own words, whichever side refused the request."""
    refused = InvalidRequestError(field=field, problem="The page is too small: mend it.")
    error = read_answer(refusal("invalid_request", str(refused)), request_on_the_page)
    assert isinstance(error, InvalidRequestError)
    assert (error.field, error.problem) == (refused.field, refused.problem)
