"""``docs/sealing.md`` says what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

from rotation.errors import RotationError, SealingError, VendorError
from rotation.sealing.request import SealRequest

PAGE = (Path(__file__).parent.parent.parent / "docs" / "sealing.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| (yes|no|depends) \|", re.MULTILINE)


def errors(root: type[RotationError]) -> set[type[RotationError]]:
    return {root}.union(*(errors(below) for below in root.__subclasses__()))


def test_the_request_on_the_page_is_accepted() -> None:
    """The example is a request that the function takes."""
    request, _, _ = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert SealRequest.parse(json.loads(request)).options.timestamp is True


def test_the_answers_on_the_page_are_json() -> None:
    """The examples of answers can be read by a program."""
    _, sealed, refused = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert json.loads(sealed)["status"] == "sealed"
    assert json.loads(refused)["error"].keys() == {"code", "message", "retryable"}


def test_every_code_is_on_the_page() -> None:
    """Each error that sealing can end in has a row, and no row speaks of an unknown code."""
    own = errors(SealingError) | errors(VendorError)
    own -= {SealingError}
    others = {"invalid_credential", "seal_verification", "configuration", "internal"}
    assert {code for code, _ in ROW.findall(PAGE)} == {error.code for error in own} | others


def test_what_the_page_says_of_retries_is_so() -> None:
    """`yes` and `no` are the classes' own; two errors decide case by case."""
    retryable = {error.code: error.retryable for error in errors(RotationError)}
    for code, said in ROW.findall(PAGE):
        if code not in {"destination", "internal"}:
            assert said == ("yes" if retryable[code] else "no"), code
