"""``docs/sealing.md`` and ``docs/seal-options.md`` say what the code does."""

from __future__ import annotations

import json
import re

from rotation.errors import RotationError, SealingError, SealingUnavailableError, VendorError
from rotation.sealing.pdf.visible.images import LONGEST_SIDE, MOST_PIXELS
from rotation.sealing.request import Certification, SealRequest
from rotation.sealing.visible_seal import LARGEST_IMAGE, LONGEST_TEXT, MOST_LINES, VisibleSeal
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "sealing.md").read_text()
OPTIONS = (ROOT / "docs" / "seal-options.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| (yes|no|depends) \|", re.MULTILINE)


def errors(root: type[RotationError]) -> set[type[RotationError]]:
    return {root}.union(*(errors(below) for below in root.__subclasses__()))


def test_the_request_on_the_page_is_accepted() -> None:
    """The example is a request that the function takes."""
    request, *_ = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert SealRequest.parse(json.loads(request)).options.timestamp is True


def test_the_answers_on_the_page_are_json() -> None:
    """The examples of answers can be read by a program."""
    _, sealed, refused = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert json.loads(sealed)["status"] == "sealed"
    assert json.loads(refused)["error"].keys() == {"code", "message", "retryable"}


def test_the_visible_seal_on_the_page_is_accepted() -> None:
    """The example is one that a request may bring, and the limits are the code's."""
    [visible] = re.findall(r"```json\n(.*?)```", OPTIONS, re.DOTALL)
    assert VisibleSeal.parse(json.loads(visible)).page == -1
    assert f"up to {LONGEST_TEXT} characters on up to {MOST_LINES} lines" in OPTIONS
    assert f"of up to {LARGEST_IMAGE // 1024} KiB" in OPTIONS
    assert (MOST_PIXELS, LONGEST_SIDE) == (4_000_000, 10_000)
    assert "four million pixels and 10,000 on a side" in OPTIONS


def test_every_certification_is_on_the_page() -> None:
    """Each value that the option takes has a row, and no row speaks of another."""
    values = re.findall(r"^\| `([A-Z_]+)` \| [123] \|", OPTIONS, re.MULTILINE)
    assert set(values) == set(Certification)


def test_every_code_is_on_the_page() -> None:
    """Each error that the function answers with has a row, and no row speaks of an unknown code."""
    own = errors(SealingError) | errors(VendorError)
    # The client's own, for a function that gave no answer.
    own -= {SealingError, SealingUnavailableError}
    others = {"invalid_credential", "cms_profile", "seal_verification", "configuration", "internal"}
    assert {code for code, _ in ROW.findall(PAGE)} == {error.code for error in own} | others


def test_what_the_page_says_of_retries_is_so() -> None:
    """`yes` and `no` are the classes' own; some errors decide case by case."""
    retryable = {error.code: error.retryable for error in errors(RotationError)}
    for code, said in ROW.findall(PAGE):
        if code not in {"destination", "internal", "ledger", "level"}:
            assert said == ("yes" if retryable[code] else "no"), code
