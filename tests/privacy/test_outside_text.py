"""Text from outside, however long and strange: short and printable where people meet it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from rotation.aws.errors import error_code
from rotation.privacy.observability import RedactingFormatter
from rotation.privacy.printable import LONGEST_SHOWN, outside_text, printable, printable_lines
from rotation.privacy.redaction import HIDDEN, hide_value, scrub
from rotation.sealing.request import ObjectLocation
from tests.counted_steps import steps

MATERIAL = "5d41402abc4b2a76b9719d911017c592ae25f1c0d3b94e6a8f7c1e2d3b4a5968"
#: What hostile texts are made of.
UNITS: Final = (
    *("\\", '"', "'", "[", "{", "(", "<", "a", "0", "f", "=", "%", " ", "\n", "\r\n", "\t", "\0"),
    *("A+/=", "%41", "\x1b[31m", "\u202e", "\u2028", "é", "\U0001f600", "\ud800", "f" * 39 + " "),
    *('\\"', "\\'", '"key"', '"key":', '"key":"', '"key":\\"', "'key':'", "'key': b'", '"key"\\'),
    *('{"apiKey":', 'SecretString": "', "'RotationToken' : '", '"key"  :  "\\\\', "key ", '": "'),
)


def _repeated(unit: str, length: int) -> str:
    return unit * (length // len(unit))


def growing_quotes(length: int) -> str:
    """Openings of a value, each with one more backslash than the last and none with an end."""
    text, depth = "", 0
    while len(text) < length:
        text, depth = text + '"key":' + "\\" * depth + "' ", depth + 1
    return text


TEXTS: Final[tuple[Callable[[int], str], ...]] = (
    growing_quotes,
    *(partial(_repeated, unit) for unit in UNITS),
)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("treat", [scrub, printable, outside_text, printable_lines])
def test_twice_the_text_is_twice_the_work(
    treat: Callable[[str], str], text: Callable[[int], str]
) -> None:
    """Scrubbing and escaping take as many more steps as the text has more characters."""
    hide_value(MATERIAL)
    short, long = text(4000), text(8000)
    assert steps(lambda: treat(long)) <= 2.5 * steps(lambda: treat(short)) + 100


@given(st.text(max_size=2000), st.integers(40, 400))
def test_what_is_shown_is_short_and_on_one_line(text: str, most: int) -> None:
    """No control character, no line break, no lone surrogate, and never more than is asked for."""
    shown = outside_text(text, most)
    assert len(shown) <= most
    assert shown.isprintable()
    shown.encode()


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=LONGEST_SHOWN))
def test_ordinary_text_is_shown_as_it_is(text: str) -> None:
    """A name that prints is not changed."""
    assert outside_text(text) == printable(text)


def test_a_long_text_shows_its_ends_and_its_length() -> None:
    """Whoever looks for an object sees how its key begins and ends."""
    shown = outside_text("invoices/" + "x" * 160_000 + "/2026.pdf")
    assert shown.startswith("invoices/xx")
    assert shown.endswith("xx/2026.pdf")
    assert "160018 characters" in shown


@pytest.mark.parametrize(
    ("before", "after"), [(0, 300), (150, 300), (190, 300), (300, 0), (300, 60), (300, 90)]
)
def test_a_cut_leaves_no_piece_of_a_key(before: int, after: int) -> None:
    """What looks like a key is removed before the text is cut in the middle of it."""
    unknown = "0123456789abcdef" * 4
    shown = outside_text("." * before + unknown + "." * after)
    assert "0123456789ab" not in shown


@pytest.mark.parametrize(
    "text",
    [
        '{"apiKey": "short',
        "{'SecretString': '{\"apiKey\": \"short",
        '"message":"it was {\\"apiKey\\": \\"short"',
        "'key': 'short\\",
    ],
)
def test_a_value_that_was_cut_off_is_removed(text: str) -> None:
    """A field whose end is missing loses what there is of it."""
    scrubbed = scrub(text)
    assert "short" not in scrubbed
    assert HIDDEN in scrubbed


def test_a_value_without_an_end_takes_nothing_else_with_it() -> None:
    """The line stays JSON, and the fields after it stay."""
    line = json.dumps({"message": 'it was {"apiKey": "short', "secret": "trusted"})
    assert json.loads(scrub(line))["secret"] == "trusted"


@pytest.mark.parametrize("text", TEXTS)
def test_an_exception_that_quotes_a_document_is_one_short_line(
    text: Callable[[int], str],
) -> None:
    """A library's message, its traceback, and a field that nobody made short."""
    try:
        raise ValueError(text(160_000))
    except ValueError as error:
        raised = type(error), error, error.__traceback__
    record = logging.LogRecord("log", logging.ERROR, __file__, 1, "it failed", None, raised)
    record.__dict__ |= {"reason": str(raised[1]), "also": [{"this": raised[1]}]}
    line = RedactingFormatter().format(record)
    assert line.isprintable()
    assert len(line) < 200_000
    read = json.loads(line)
    assert (read["message"], read["exception_name"]) == ("it failed", "ValueError")


@pytest.mark.parametrize("text", TEXTS)
def test_what_errors_repeat_is_short(text: Callable[[int], str]) -> None:
    """The key of an object and the code of an answer of AWS."""
    hostile = text(16_000)
    assert len(str(ObjectLocation("bucket", hostile, hostile))) < 1000
    assert str(ObjectLocation("bucket", hostile, hostile)).isprintable()
    refused = ClientError({"Error": {"Code": hostile, "Message": hostile}}, "GetObject")
    assert len(error_code(refused)) <= 100
    assert error_code(refused).isprintable()
